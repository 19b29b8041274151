package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine/local"
)

// manyEnv makes a child of this program fill many accounts in a store: what other rows
// left in memory is not theirs.
const manyEnv = "POSTHOUSE_BENCH_MANY"

// manyMemory is the limit of memory that the row works under. Cache, memtable and
// budget follow from it as the server makes them from limits.memory.
const manyMemory = 250 << 20

// manyAccounts fills 10,000 accounts from 100 writers.
func manyAccounts(ctx context.Context, b *storeBench) (string, error) {
	dir, err := b.newDir()
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), manyEnv+"="+dir)
	if b.quick {
		cmd.Env = append(cmd.Env, manyEnv+"_QUICK=1")
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// fillMany is the child's work; it prints the row's result.
func fillMany(ctx context.Context, dir string) error {
	debug.SetMemoryLimit(manyMemory)
	eng, err := local.Open(ctx, local.Options{Dir: dir, MinFree: -1, IndexCache: manyMemory / 20, MemTable: manyMemory / 16})
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, eng, store.Options{ReapAfter: -1, MemoryBudget: manyMemory / 4})
	if err != nil {
		return err
	}
	const accounts = 10_000
	if err := makeAccounts(ctx, st, accounts); err != nil {
		return err
	}
	text, _ := message(1024, "sender@client.example", "a@bench.test")
	total := int64(accounts * 100)
	if os.Getenv(manyEnv+"_QUICK") != "" {
		total = accounts
	}
	c, start := ownCPU(), time.Now()
	n, err := many(100, start.Add(5*time.Minute), total, func(_ int, k int64) error {
		return append1(ctx, st, mail.AccountID(k%accounts+1), text)
	})
	took := time.Since(start)
	if err != nil {
		return err
	}
	rss, err := memoryOf([]int{os.Getpid()})
	if err != nil {
		return err
	}
	fmt.Printf("%.0f msg/s of %d, %d MB; %d µs CPU\n", float64(n)/took.Seconds(), n, rss>>20, ((ownCPU() - c) / time.Duration(n)).Microseconds())
	return closeStore(eng, st)
}
