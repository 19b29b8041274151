package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// killRounds is how often the server is killed; KILL_ROUNDS overrides it.
func killRounds(t *testing.T) int {
	if s := os.Getenv("KILL_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 10
	}
	return 200
}

// TestKill kills the server with SIGKILL at random moments under mixed load:
// mail coming in, APPEND, STORE, MOVE, EXPUNGE, and mail going out through the
// queue. Every acknowledged change must be there exactly once, UIDs and ModSeqs
// only grow, UIDVALIDITY stays, and the store checks clean.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	out := startSink(t)
	r := newRig(t, rigOptions{relay: out.addr})
	var acked atomic.Int64
	var ledgers []*ledger
	for i := range 4 {
		l := newLedger(fmt.Sprintf("u%d@%s", i, r.domain), seed+uint64(i), &acked)
		r.addAccount(t, l.user)
		ledgers = append(ledgers, l)
	}
	rounds := killRounds(t)
	var slowest time.Duration
	for n := range rounds {
		began := time.Now()
		r.start(t)
		slowest = max(slowest, time.Since(began))
		verifyLedgers(t, r, ledgers, n)
		wait := loadLedgers(t, r, ledgers)
		time.Sleep(time.Duration(20+rng.IntN(250)) * time.Millisecond) // the random moment
		r.kill(t)
		wait()
		if n%20 == 0 {
			r.check(t)
		}
	}
	r.start(t)
	verifyLedgers(t, r, ledgers, rounds)
	verifyRemote(t, out, ledgers)
	r.check(t)
	t.Logf("%d rounds of kill -9, %d acknowledged operations, all there; slowest restart %v", rounds, acked.Load(), slowest)
}

// loadLedgers starts all clients. They end when the server is gone. The load asks
// for nothing that may be refused.
func loadLedgers(t *testing.T, r *rig, ledgers []*ledger) (wait func()) {
	return loadLedgersThat(r, ledgers, func(no refusal) bool { t.Errorf("refused: %s", no); return false })
}

// loadLedgersThat asks goOn whether to go on after a refusal.
func loadLedgersThat(r *rig, ledgers []*ledger, goOn func(refusal) bool) (wait func()) {
	var wg sync.WaitGroup
	for _, l := range ledgers {
		wg.Go(func() {
			if c, err := dialIMAP(r.imap, l.user, r.password); err == nil {
				defer c.Close()
				repeat(goOn, func() error { return l.change(c) })
			}
		})
		wg.Go(func() {
			if c, err := dialSMTP(r.mx); err == nil {
				defer c.Close()
				repeat(goOn, func() error { return l.deliver(c) })
			}
		})
		wg.Go(func() {
			if c, err := dialSMTP(r.submission); err == nil {
				defer c.Close()
				if c.authPlain(l.user, r.password) == nil {
					repeat(goOn, func() error { return l.submit(c) })
				}
			}
		})
	}
	return wg.Wait
}

// repeat runs op until the connection breaks, or goOn ends it after a refusal.
func repeat(goOn func(refusal) bool, op func() error) {
	for {
		err := op()
		if no, ok := err.(refusal); ok && goOn(no) {
			continue
		}
		if err != nil {
			return
		}
	}
}

func verifyLedgers(t *testing.T, r *rig, ledgers []*ledger, round int) {
	t.Helper()
	var wg sync.WaitGroup
	for _, l := range ledgers {
		wg.Go(func() {
			c, err := dialIMAP(r.imap, l.user, r.password)
			if err != nil {
				t.Errorf("round %d: %v", round, err)
				return
			}
			defer c.Close()
			for _, f := range l.verify(c) {
				t.Errorf("round %d: %s", round, f)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// verifyRemote waits until all that was accepted for the world has arrived and
// wants none of it more often than answers went unread.
func verifyRemote(t *testing.T, out *sink, ledgers []*ledger) {
	t.Helper()
	deadline := time.Now().Add(3 * patience)
	for _, l := range ledgers {
		for id, acked := range l.remote {
			for taken, _ := out.counts(id); acked && taken == 0; taken, _ = out.counts(id) {
				if time.Now().After(deadline) {
					t.Fatalf("%s was accepted for relay and never arrived", id)
				}
				time.Sleep(10 * time.Millisecond) // polling, bounded by the deadline
			}
			if taken, unsure := out.counts(id); taken > 1+unsure {
				t.Errorf("%s arrived %d times, with %d answers unread", id, taken, unsure)
			}
		}
	}
}
