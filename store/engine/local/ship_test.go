package local

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const standbyDir = "/srv/standby"

// shipScript is a store that ships, is closed, opened again, and collected.
func shipScript(opt Options, l *load) error {
	for round := range 3 {
		e, err := Open(context.Background(), opt)
		if err != nil {
			return err
		}
		if err := awaitStandby(e); err != nil {
			_ = e.Close()
			return err
		}
		var wg sync.WaitGroup
		for w := range crashAccounts {
			wg.Go(func() {
				for range 6 {
					_ = l.one(e, w)
				}
			})
		}
		wg.Wait()
		if round > 0 {
			if err := e.Collect(context.Background()); err != nil {
				return err
			}
		}
		if err := l.one(e, round); err != nil {
			return err
		}
		if err := e.Close(); err != nil {
			return err
		}
	}
	return nil
}

// awaitStandby returns once commits wait for the standby, if they are to.
func awaitStandby(e *Engine) error {
	s := e.ship
	for end := time.Now().Add(time.Minute); e.opt.ShipSync; time.Sleep(time.Millisecond) { // polling, bounded
		s.mu.Lock()
		strict, fault := s.strict, s.fault
		s.mu.Unlock()
		if strict {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the standby is never complete: %w", fault)
		}
	}
	return nil
}

// verifyStandby promotes the standby and compares it with the model: what was
// acknowledged is there if it says that commits wait for it.
func verifyStandby(fs *powerFS, opt Options, want expectation) (bool, error) {
	if _, err := fs.Stat(standbyDir + "/FORMAT"); err != nil {
		return false, nil
	}
	whole, err := Promote(fs, standbyDir)
	if err != nil {
		return false, err
	}
	if !whole {
		want.acked = make([]uint64, crashAccounts)
	}
	opt.FS, opt.Dir, opt.Ship = fs, standbyDir, ""
	if _, err := verify(opt, want); err != nil {
		return false, fmt.Errorf("standby, whole %v: %w", whole, err)
	}
	return whole, nil
}

// TestShipCrash cuts the power at each change of the disk while a store ships,
// and opens both it and its standby.
func TestShipCrash(t *testing.T) {
	stride := 7
	switch {
	case os.Getenv("POSTHOUSE_LONG") != "":
		stride = 1
	case testing.Short():
		stride = 31
	}
	for _, strict := range []bool{true, false} {
		t.Run(fmt.Sprint("synchronous=", strict), func(t *testing.T) {
			fault, crashes, wholes := shipCrash(t, stride, strict, mutations{}, noLie)
			if fault != nil {
				t.Fatal(fault)
			}
			if strict != (wholes > 0) {
				t.Errorf("%d of %d standbys were whole", wholes, crashes)
			}
			t.Logf("%d crashes, %d standbys whole", crashes, wholes)
		})
	}
}

// shipCrash crashes at every stride-th change. It returns the first fault, how
// many crashes there were, and how many standbys were whole.
func shipCrash(t *testing.T, stride int, strict bool, mutate mutations, lie func(path string) bool) (fault error, crashes, wholes int) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 3))
	disk, l := newDisk(t), newLoad(nil)
	opt := crashOptions(nil, rnd)
	opt.SegmentSize, opt.Ship, opt.ShipSync, opt.mutate, opt.pruneWait = 8<<10, standbyDir, strict, mutate, 1
	var mu sync.Mutex
	calls := 0
	opt.FS = hookFS{disk, func(op, path string) error {
		if !changes(op) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		var res error
		if op == "sync" && lie(path) {
			res = errLie
		}
		if calls++; fault != nil || calls%stride != 0 && !strings.Contains(path, shippedName) {
			return res
		}
		clone, want := l.crash(disk, []int{0, 0, 50, 100}[rnd.IntN(4)], rnd)
		whole, err := verifyStandby(clone, opt, want)
		if err == nil {
			own := opt
			own.FS, own.Ship = clone, ""
			_, err = verify(own, want)
		}
		if err != nil {
			fault = fmt.Errorf("seed %d: crash before call %d (%s %s): %w", seed, calls, op, path, err)
		}
		if crashes++; whole {
			wholes++
		}
		return res
	}}
	if err := shipScript(opt, l); err != nil && fault == nil {
		fault = fmt.Errorf("script: %w", err)
	}
	return fault, crashes, wholes
}

// An unsyncedStandby is a store whose standby has frames that nobody synced: who
// shipped them was killed before.
func unsyncedStandby(t *testing.T) (*powerFS, Options, *load) {
	disk, l := newDisk(t), newLoad(nil)
	var lie atomic.Bool
	opt := Options{Dir: "/srv/store", LargeBlob: 4000, CollectEvery: -1, Ship: standbyDir}
	opt.FS = hookFS{disk, func(op, path string) error {
		if op == "sync" && lie.Load() && strings.HasPrefix(path, standbyDir+"/log/") {
			return errLie
		}
		return nil
	}}
	e := mustOpen(t, opt)
	shipped := func() {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // polling, bounded
			if lsn, err := e.ship.shipped(); err == nil && lsn == e.end.Load().lsn {
				return
			}
			if time.Now().After(end) {
				t.Fatal("nothing is shipped")
			}
		}
	}
	if err := l.one(e, 0); err != nil {
		t.Fatal(err)
	}
	shipped()
	lie.Store(true)
	for range 5 {
		if err := l.one(e, 0); err != nil {
			t.Fatal(err)
		}
	}
	shipped()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return disk, opt, l
}

// lying wraps a disk on which the standby's segments are never synced, if mutated.
func lying(disk *powerFS, mutated bool) vfs.FS {
	return hookFS{disk, func(op, path string) error {
		if mutated && op == "sync" && strings.HasPrefix(path, standbyDir+"/log/") {
			return errLie
		}
		return nil
	}}
}

// followerSyncs: the index of a standby is never ahead of its log, not even
// after a power failure.
func followerSyncs(t *testing.T) {
	for _, mutated := range []bool{false, true} {
		disk, opt, l := unsyncedStandby(t)
		standby := opt
		standby.Dir, standby.Ship, standby.FS = standbyDir, "", lying(disk, mutated)
		f, err := Follow(standby)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		clone, want := l.crash(disk, 0, nil)
		_, err = verifyStandby(clone, standby, want)
		if lost := err != nil; lost != mutated {
			t.Errorf("mutated %v: %v", mutated, err)
		}
	}
}

// resumedSyncs: what is found on a standby counts only once it is synced.
func resumedSyncs(t *testing.T) {
	for _, mutated := range []bool{false, true} {
		disk, opt, l := unsyncedStandby(t)
		opt.FS, opt.ShipSync = lying(disk, mutated), true
		e := mustOpen(t, opt)
		if err := awaitStandby(e); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // polling, bounded
			if b, _ := readFile(disk, standbyDir+"/"+shippedName); string(b) == modeSync {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the standby never becomes whole")
			}
		}
		clone, want := l.crash(disk, 0, nil)
		whole, err := verifyStandby(clone, opt, want)
		if lost := err != nil; lost != mutated || !lost && !whole {
			t.Errorf("mutated %v, whole %v: %v", mutated, whole, err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// tornBatch cuts the power while a standby catches up, where many frames share a
// sync: a part of them survives, in any order, and none of them may say that
// those before it were durable there.
func tornBatch(t *testing.T) {
	for _, mutated := range []bool{false, true} {
		disk, opt, l := unsyncedStandby(t)
		alone := opt
		alone.FS, alone.Ship = disk, ""
		e := mustOpen(t, alone)
		for range 60 {
			if err := l.one(e, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(7, 7))
		faults, first := 0, error(nil)
		opt.mutate.shipClaims = mutated
		opt.FS = hookFS{disk, func(op, path string) error {
			if op != "sync" || !strings.HasPrefix(path, standbyDir+"/log/0") {
				return nil
			}
			for range 20 {
				clone, want := l.crash(disk, 50, rnd)
				if _, err := verifyStandby(clone, alone, want); err != nil {
					faults++
					first = err
				}
			}
			return nil
		}}
		e = mustOpen(t, opt)
		if err := e.Close(); err != nil { // which ships what is there
			t.Fatal(err)
		}
		if faults > 0 != mutated {
			t.Errorf("mutated %v: %d standbys cannot be opened, as in: %v", mutated, faults, first)
		}
	}
}
