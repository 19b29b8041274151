package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// childEnv makes the test binary a process that writes to a store: directory,
// number of the index's file call that fails (0: none), the error's number.
const childEnv = "POSTHOUSE_ENGINE_CHILD"

// child writes until it is killed, or the index stops it, and tells what was
// acknowledged.
func child(spec string) int {
	f := strings.Split(spec, ",")
	k, _ := strconv.Atoi(f[1])
	errno, _ := strconv.Atoi(f[2])
	var calls atomic.Int64
	opt := Options{Dir: f[0], LargeBlob: 4000, SegmentSize: 64 << 10, MemTable: 64 << 10, FlushBytes: 40 << 10}
	opt.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	opt.FS = hookFS{vfs.Default, func(op, path string) error {
		if !strings.Contains(path, "/kv/") || !changes(op) {
			return nil
		}
		if n := int(calls.Add(1)); k > 0 && n >= k && n < k+5 {
			return syscall.Errno(errno)
		}
		return nil
	}}
	e, err := Open(context.Background(), opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	at := make([]uint64, crashAccounts)
	for a := range at {
		if at[a], err = verifyAccount(e, accountID(a)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 3
		}
	}
	l := newLoad(at)
	for i := 0; k == 0 || i < 200; i++ {
		a := i % crashAccounts
		if err := l.one(e, a); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(a, l.acked[a].Load())
	}
	if err := e.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// runChild runs a child, kills it after so many acknowledgements (0: never),
// and adds what was acknowledged to want.
func runChild(t *testing.T, spec string, kill int, want *expectation) (failed bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+spec, "GOTRACEBACK=none")
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		var a int
		var idx uint64
		if _, err := fmt.Sscan(lines.Text(), &a, &idx); err != nil {
			t.Fatalf("child said %q: %v", lines.Text(), err)
		}
		want.acked[a] = max(want.acked[a], idx)
		if n == kill {
			if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
	}
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() == 3 {
		t.Fatalf("child: %s", log.String())
	}
	return err != nil
}

func newExpectation() expectation {
	want := expectation{make([]uint64, crashAccounts), make([]uint64, crashAccounts)}
	for a := range want.issued {
		want.issued[a] = math.MaxUint64
	}
	return want
}

// TestKill kills a writing process again and again on one store.
func TestKill(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	dir := filepath.Join(t.TempDir(), "store")
	want := newExpectation()
	for range rounds {
		runChild(t, dir+",0,0", 1+rand.IntN(150), &want)
		if _, err := verify(Options{Dir: dir, LargeBlob: 4000}, want); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIndexFaults lets the index's own files fail at some call. Whether the
// process stops or goes on, nothing acknowledged is lost.
func TestIndexFaults(t *testing.T) {
	step := 9
	if testing.Short() {
		step = 50
	}
	stopped, runs := 0, 0
	for k := 1 + rand.IntN(step); k < 100; k += step {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			dir := filepath.Join(t.TempDir(), "store")
			want := newExpectation()
			if runChild(t, fmt.Sprintf("%s,%d,%d", dir, k, int(errno)), 0, &want) {
				stopped++
			}
			runs++
			if _, err := verify(Options{Dir: dir, LargeBlob: 4000}, want); err != nil {
				t.Fatalf("%v at call %d: %v", errno, k, err)
			}
		}
	}
	t.Logf("%d runs, in %d the process stopped", runs, stopped)
}
