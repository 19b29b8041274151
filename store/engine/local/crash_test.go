package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

const crashAccounts = 6

// newDisk returns a disk that knows what is synced, with an empty /srv.
func newDisk(t testing.TB) *powerFS {
	fs := newPowerFS()
	if err := fs.MkdirAll("/srv", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syncDir(fs, "/"); err != nil {
		t.Fatal(err)
	}
	return fs
}

// A load runs the model's operations from several goroutines per account.
type load struct {
	acked, issued [crashAccounts]atomic.Uint64
	mu            [crashAccounts]sync.Mutex
	models        [crashAccounts]*mailModel
	goal          uint64        // an operation of account 0
	reached       chan struct{} // closed when that is acknowledged, or an operation failed
	once          sync.Once
	recycled      atomic.Uint64            // segments that were used again
	copied        atomic.Pointer[[]uint64] // acknowledged before the checkpoint began
}

// copyDir is where the script writes its checkpoint.
const copyDir = "/srv/copy"

func (l *load) ackedNow() []uint64 {
	at := make([]uint64, crashAccounts)
	for a := range at {
		at[a] = l.acked[a].Load()
	}
	return at
}

func newLoad(at []uint64) *load {
	l := &load{reached: make(chan struct{})}
	for a := range l.models {
		n := uint64(0)
		if at != nil {
			n = at[a]
		}
		l.acked[a].Store(n)
		l.issued[a].Store(n)
		l.models[a] = modelAt(engine.Account(a), n)
	}
	return l
}

// one runs the next operation of account a; false at the first error.
func (l *load) one(e engine.Engine, a int) error {
	l.mu[a].Lock()
	idx := l.issued[a].Load() + 1
	l.issued[a].Store(idx)
	b, err := l.models[a].batch(engine.Account(a), idx), error(nil)
	if idx%2 == 0 {
		var done func()
		done, err = stage(e, b)
		defer done()
	}
	if err != nil {
		l.mu[a].Unlock()
		l.once.Do(func() { close(l.reached) })
		return err
	}
	p := e.Commit(context.Background(), b)
	l.mu[a].Unlock()
	if _, err := p.Wait(); err != nil {
		l.once.Do(func() { close(l.reached) })
		return err
	}
	if a == 0 && idx >= l.goal {
		l.once.Do(func() { close(l.reached) })
	}
	for old := l.acked[a].Load(); old < idx && !l.acked[a].CompareAndSwap(old, idx); old = l.acked[a].Load() {
	}
	return nil
}

// crash takes the disk as it is after a power failure at this moment, with pct
// of 100 blocks and names that were not synced, and what must be on it.
func (l *load) crash(fs *powerFS, pct int, rnd *rand.Rand) (*powerFS, expectation) {
	want := expectation{l.ackedNow(), make([]uint64, crashAccounts)}
	clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pct, RNG: rnd})
	for a := range want.issued {
		want.issued[a] = l.issued[a].Load()
	}
	return clone, want
}

// TestCrashModel crashes a busy store at random moments, again and again on
// the disk that the crash before left.
func TestCrashModel(t *testing.T) {
	limit := 4 * time.Second
	if testing.Short() {
		limit = time.Second
	}
	if os.Getenv("POSTHOUSE_LONG") != "" {
		limit = 3 * time.Minute
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	fs := newDisk(t)
	var at []uint64
	crashes, ops, recycled := 0, uint64(0), uint64(0)
	for begin := time.Now(); time.Since(begin) < limit; crashes++ {
		clone, now, err := crashOnce(fs, at, rnd, &recycled)
		if err != nil {
			t.Fatalf("seed %d, crash %d: %v", seed, crashes, err)
		}
		fs, at = clone, now
		for _, n := range now {
			ops = max(ops, n)
		}
		if ops > 1500 { // keep the model cheap
			fs, at, ops = newDisk(t), nil, 0
		}
	}
	t.Logf("%d crashes, before them %d segments were used again", crashes, recycled)
}

// crashOnce runs a generation: open, load, crash, verify, perhaps crash again
// in the middle of that.
func crashOnce(fs *powerFS, at []uint64, rnd *rand.Rand, recycled *uint64) (*powerFS, []uint64, error) {
	e, err := Open(context.Background(), crashOptions(fs, rnd))
	if err != nil {
		return nil, nil, err
	}
	l := newLoad(at)
	l.goal = l.acked[0].Load() + rnd.Uint64N(60)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 3 * crashAccounts {
		wg.Go(func() {
			for !stop.Load() && l.one(e, w%crashAccounts) == nil {
			}
		})
	}
	wg.Go(func() {
		for !stop.Load() && churn(e) == nil && e.Collect(context.Background()) == nil {
		}
	})
	<-l.reached
	clone, want := l.crash(fs, []int{0, 0, 30, 70, 100}[rnd.IntN(5)], rnd)
	*recycled += e.spares.used.Load()
	stop.Store(true)
	wg.Wait()
	if err := e.Close(); err != nil {
		return nil, nil, err
	}
	opt := crashOptions(clone, rnd)
	now, err := verify(opt, want)
	if err != nil {
		return nil, nil, err
	}
	// A crash right after recovery brings nothing back and loses nothing.
	if rnd.IntN(2) == 0 {
		clone = clone.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rnd.IntN(101), RNG: rnd})
		opt.FS = clone
		if now, err = verify(opt, expectation{now, now}); err != nil {
			return nil, nil, fmt.Errorf("second crash: %w", err)
		}
	}
	// A lost index is made anew, from its copy or the whole log.
	if rnd.IntN(2) == 0 {
		opt.FS = clone.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rnd})
		if err := opt.FS.RemoveAll("/srv/store/kv"); err != nil {
			return nil, nil, err
		}
		if _, err = verify(opt, expectation{now, now}); err != nil {
			return nil, nil, fmt.Errorf("without the index: %w", err)
		}
	}
	return clone, now, nil
}

// churn fills about two segments of crashOptions' small ones and deletes what it
// wrote, so that collection empties segments, and later ones are written into them.
func churn(e *Engine) error {
	const account = crashAccounts + 1
	commit := func(ops ...engine.Op) error {
		_, err := e.Commit(context.Background(), &engine.Batch{Account: account, Expect: engine.AnyVersion, Ops: ops}).Wait()
		return err
	}
	var dead []engine.Op
	for uid := range uint32(5) {
		key := uidKey('m', uid)
		if err := commit(engine.Op{Key: key, Blob: &engine.Blob{Bytes: modelBlob(account, uid, 3900)}}); err != nil {
			return err
		}
		dead = append(dead, engine.Op{Kind: engine.Delete, Key: key})
	}
	return commit(dead...)
}

// script runs a fixed course of events: open, single commits, bursts, collection,
// segments that are used again, a checkpoint meanwhile, close, reopen.
func script(opt Options, l *load) error {
	for round := range 3 {
		e, err := Open(context.Background(), opt)
		if err != nil {
			return err
		}
		for i := range 14 {
			if err := l.one(e, (round+i)%crashAccounts); err != nil {
				_ = e.Close()
				return err
			}
		}
		var wg sync.WaitGroup
		for w := range crashAccounts {
			wg.Go(func() {
				for range 3 {
					_ = l.one(e, w)
				}
			})
		}
		for range 2 { // what the first empties, the second fills
			if err := churn(e); err != nil {
				return err
			}
			if err := e.Collect(context.Background()); err != nil {
				return err
			}
		}
		if round == 1 {
			at := l.ackedNow()
			l.copied.Store(&at)
			if err := e.Checkpoint(context.Background(), copyDir); err != nil {
				return err
			}
		}
		wg.Wait()
		l.recycled.Add(e.spares.used.Load())
		if err := e.Close(); err != nil {
			return err
		}
	}
	return nil
}

// verifyDisk verifies the store, and the copy if the checkpoint was finished.
func verifyDisk(fs *powerFS, opt Options, want expectation, copied *[]uint64) error {
	opt.FS = fs
	if _, err := verify(opt, want); err != nil {
		return err
	}
	opt.Dir = copyDir
	if _, err := fs.Stat(copyDir + "/FORMAT"); err != nil {
		return nil
	}
	if _, err := verify(opt, expectation{*copied, want.issued}); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// crashEverywhere runs the script and at every stride-th change of the disk
// looks at what a power failure there would leave. lie decides which syncs do
// nothing. It returns the first fault and the number of crashes.
func crashEverywhere(t *testing.T, stride int, mutate mutations, lie func(path string) bool) (fault error, crashes int) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	disk := newDisk(t)
	l := newLoad(nil)
	var mu sync.Mutex
	calls := 0
	opt := crashOptions(nil, rnd)
	opt.SegmentSize, opt.mutate = 8<<10, mutate
	opt.MemTable = 1 << 20 // larger than many segments: only a flush on purpose reaches the disk
	opt.FS = hookFS{disk, func(op, path string) error {
		if !changes(op) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		calls++
		if fault == nil && calls%stride == 0 {
			pct := []int{0, 0, 50, 100}[rnd.IntN(4)]
			clone, want := l.crash(disk, pct, rnd)
			if err := verifyDisk(clone, opt, want, l.copied.Load()); err != nil {
				fault = fmt.Errorf("seed %d: crash before call %d (%s %s), %d %% of what was not synced kept: %w", seed, calls, op, path, pct, err)
			}
			crashes++
		}
		if op == "sync" && lie(path) {
			return errLie
		}
		return nil
	}}
	if err := script(opt, l); err != nil && fault == nil {
		fault = fmt.Errorf("script: %w", err)
	}
	if n := l.recycled.Load(); n == 0 && fault == nil {
		fault = errors.New("no segment was used again")
	}
	return fault, crashes
}

func TestCrashAtEveryCall(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 7
	}
	fault, n := crashEverywhere(t, stride, mutations{}, noLie)
	if fault != nil {
		t.Fatal(fault)
	}
	t.Logf("%d crashes", n)
}
