package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// TestFaults lets each call on our own files fail once, or from there on, and
// wants: no hang, no panic, nothing acknowledged after a fault that stopped the
// engine, nothing acknowledged lost, a restart that works. The scripts are of
// commits with blobs of all sizes, collection, checkpoints, backups, and of
// shipping, whose standby and backups must then hold what they promise, too.
func TestFaults(t *testing.T) {
	for _, s := range []faultScript{
		{name: "commits"}, {name: "checkpoint", aside: faultCheckpoint}, {name: "backup", aside: faultBackup},
		{name: "shipping", ship: true}, {name: "synchronous shipping", ship: true, strict: true},
	} {
		for _, c := range []struct {
			name    string
			err     error
			forever bool
		}{
			{"EIO", syscall.EIO, false}, {"EIO forever", syscall.EIO, true},
			{"ENOSPC", syscall.ENOSPC, false}, {"ENOSPC forever", syscall.ENOSPC, true},
			{"EROFS", syscall.EROFS, false}, {"EROFS forever", syscall.EROFS, true},
			{"short write", errShort, false}, {"short writes", errShort, true},
		} {
			t.Run(s.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				calls, recycled := faultRun(t, s, func(int, string) error { return nil })
				if t.Logf("%d calls", calls); recycled == 0 && !s.ship {
					t.Error("no segment was used again")
				}
				runs := 16
				switch {
				case os.Getenv("POSTHOUSE_LONG") != "":
					runs = calls
				case testing.Short():
					runs = 3
				}
				stride := calls/runs + 1
				for k := 1 + rand.IntN(stride); k <= calls; k += stride {
					faultRun(t, s, func(n int, op string) error {
						switch {
						case n < k, n > k && !c.forever,
							c.err == errShort && op != "write",
							c.err == syscall.ENOSPC && (op == "sync" || op == "read" || op == "open"),
							c.err == syscall.EROFS && !changes(op):
							return nil
						}
						return c.err
					})
				}
			})
		}
	}
}

// A faultScript says what a store does on a faulty disk, besides commits and
// collection.
type faultScript struct {
	name         string
	aside        func(e *Engine, round int) // each few commits; may fail
	ship, strict bool
}

func faultCheckpoint(e *Engine, round int) {
	_ = e.Checkpoint(context.Background(), fmt.Sprintf("%s%d", copyDir, round))
}

func faultBackup(e *Engine, round int) {
	if _, err := e.Backup(context.Background(), backupDir, backupAt(round)); err == nil && round%3 == 2 {
		_, _, _ = PruneBackups(context.Background(), e.fs, backupDir, 2)
	}
}

// faultRun runs the script on a disk on which fail decides the fate of the
// n-th call, then restarts on that disk, and after a power failure too. It
// returns the number of calls, and that of segments that were used again.
func faultRun(t *testing.T, s faultScript, fail func(n int, op string) error) (made int, recycled uint64) {
	disk := newDisk(t)
	var calls atomic.Int64
	opt := Options{Dir: "/srv/store", LargeBlob: 4000, SegmentSize: 8 << 10, MemTable: 64 << 10, CollectEvery: -1, shipRetry: time.Millisecond, pruneWait: 1}
	if s.ship {
		opt.Ship, opt.ShipSync = standbyDir, s.strict
	}
	opt.FS = hookFS{disk, func(op, path string) error {
		if strings.HasPrefix(path, opt.Dir+"/kv/") || strings.HasSuffix(path, "/LOCK") {
			return nil
		}
		return fail(int(calls.Add(1)), op)
	}}
	l := newLoad(nil)
	s.run(t, opt, l)
	opt.Ship = ""
	clone, want := l.crash(disk, 0, nil)
	if s.ship {
		standby, _ := l.crash(disk, 0, nil)
		if _, err := verifyStandby(standby, opt, want); err != nil {
			t.Fatalf("after a fault, calls %d: %v", calls.Load(), err)
		}
	}
	if s.aside != nil {
		faultCopies(t, disk, opt, want.issued)
	}
	for _, fs := range []*powerFS{clone, disk} {
		opt.FS = fs
		if _, err := verify(opt, want); err != nil {
			t.Fatalf("after a fault, calls %d: %v", calls.Load(), err)
		}
	}
	return int(calls.Load()), l.recycled.Load()
}

// faultCopies wants every copy and every backup that is there to be whole.
func faultCopies(t *testing.T, fs *powerFS, opt Options, issued []uint64) {
	t.Helper()
	none := expectation{make([]uint64, crashAccounts), issued}
	var began sync.Map
	for n := range 6 {
		began.Store(backupAt(n).Format(backupTime), none.acked)
		opt.FS, opt.Dir = fs, fmt.Sprintf("%s%d", copyDir, n)
		if _, err := fs.Stat(opt.Dir + "/FORMAT"); err != nil {
			continue
		}
		if _, err := verify(opt, none); err != nil {
			t.Fatalf("a copy made on a faulty disk: %v", err)
		}
	}
	if err := verifyBackups(fs, opt, issued, &began); err != nil {
		t.Fatalf("backups made on a faulty disk: %v", err)
	}
}

// run commits from one goroutine, which keeps the calls in order. An account
// whose operation was refused is left alone: its model is ahead.
func (s faultScript) run(t *testing.T, opt Options, l *load) {
	var off [crashAccounts]bool
	round := 0
	for range 2 {
		e, err := Open(context.Background(), opt)
		if err != nil {
			continue
		}
		stopped := false
		for i := range 30 {
			a := i % crashAccounts
			if i%10 == 9 {
				s.patient(e, func() { // which may fail, and must lose nothing
					if !s.ship { // whose segments are not used again
						_ = churn(e)
					}
					_ = e.Collect(context.Background())
				})
				if s.aside != nil {
					s.aside(e, round)
				}
				round++
			}
			if off[a] {
				continue
			}
			var err error
			s.patient(e, func() { err = l.one(e, a) })
			switch {
			case err == nil && stopped:
				t.Error("acknowledged after the engine had stopped")
			case err != nil:
				off[a] = true
				stopped = stopped || e.failed() != nil
				if !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrFull) && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EROFS) {
					t.Errorf("commit failed with %v", err)
				}
			}
		}
		l.recycled.Add(e.spares.used.Load())
		_ = e.Close()
	}
}

// patient runs f. While the standby cannot be reached, commits under way wait
// for it until the store is closed.
func (s faultScript) patient(e *Engine, f func()) {
	if !s.strict {
		f()
		return
	}
	done := make(chan struct{})
	go func() { f(); close(done) }()
	for tries := 0; ; {
		select {
		case <-done:
			return
		case <-time.After(2 * time.Millisecond): // polling, bounded
		}
		if _, fault := e.ship.shipped(); fault == nil {
			tries = 0
		} else if tries++; tries > 20 {
			_ = e.Close()
		}
	}
}

// setFree makes a disk say that it has n bytes left.
func setFree(fs *vfs.MemFS, n uint64) {
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: 1 << 40})
}

// TestWatermarkShare: of the fixed watermark and the share of the file system, what is
// more holds.
func TestWatermarkShare(t *testing.T) {
	const total = 100 << 20
	for _, tt := range []struct {
		fixed   int64
		percent int
		least   uint64
	}{{1 << 20, 5, 5 << 20}, {7 << 20, 5, 7 << 20}, {-1, 5, 5 << 20}, {1 << 20, 0, 1 << 20}, {1 << 20, 400, total}} {
		fs := vfs.NewMem()
		e := mustOpen(t, Options{FS: fs, Dir: "/store", MinFree: tt.fixed, MinFreePercent: tt.percent, Reserve: -1, NoRecycling: true})
		for n, want := range map[uint64]error{tt.least - 1: engine.ErrFull, tt.least: nil} {
			fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: total})
			e.space.short.Store(false)
			e.space.at.Store(-spaceEvery) // a second later
			op := engine.Op{Key: []byte("mail"), Blob: &engine.Blob{Bytes: make([]byte, 100)}}
			if _, err := e.Commit(t.Context(), &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{op}}).Wait(); !errors.Is(err, want) {
				t.Errorf("%+v with %d bytes free: %v", tt, n, err)
			}
		}
	}
}

// TestWatermark: below the watermark mail is refused, changes of flags go on,
// and once there is space mail is taken again.
func TestWatermark(t *testing.T) {
	fs := vfs.NewMem()
	setFree(fs, 1<<30)
	e := mustOpen(t, Options{FS: fs, Dir: "/store", MinFree: 1 << 20, LargeBlob: 4000})
	ctx := context.Background()
	do := func(op engine.Op) error {
		_, err := e.Commit(ctx, &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{op}}).Wait()
		return err
	}
	mail := func(key string, size int) engine.Op {
		return engine.Op{Key: []byte(key), Blob: &engine.Blob{Bytes: make([]byte, size)}}
	}
	if err := do(mail("a", 100)); err != nil {
		t.Fatal(err)
	}
	setFree(fs, 1<<20-1)
	e.space.at.Store(-spaceEvery) // a second later
	for _, size := range []int{100, 10_000} {
		if err := do(mail("b", size)); !errors.Is(err, engine.ErrFull) {
			t.Fatalf("mail of %d bytes on a full disk: %v", size, err)
		}
	}
	if _, err := e.Stage(ctx); !errors.Is(err, engine.ErrFull) {
		t.Fatalf("Stage on a full disk: %v", err)
	}
	if err := do(engine.Op{Key: []byte("flags")}); err != nil {
		t.Fatalf("flags on a full disk: %v", err)
	}
	if s := e.Stats(); !s.ReadOnly || s.Failed {
		t.Errorf("Stats on a full disk: %+v", s)
	}
	setFree(fs, 1<<20)
	if err := do(mail("b", 100)); !errors.Is(err, engine.ErrFull) {
		t.Fatalf("mail at the very watermark: %v", err)
	}
	setFree(fs, 1<<20+1<<18)
	if err := do(mail("b", 100)); err != nil {
		t.Fatalf("mail when there is space again: %v", err)
	}
	// The index has used its reserve: its space is not for mail.
	if err := fs.Remove("/store/" + ballastName); err != nil {
		t.Fatal(err)
	}
	e.ballast.there.Store(false)
	setFree(fs, 16<<20)
	e.space.at.Store(-spaceEvery)
	if err := do(mail("c", 100)); !errors.Is(err, engine.ErrFull) {
		t.Fatalf("mail in the space of the index: %v", err)
	}
	setFree(fs, 18<<20)
	if err := do(mail("c", 100)); err != nil {
		t.Fatalf("mail when there is space for both: %v", err)
	}
}

// TestNoSpaceAtAll: when writes fail, mail is refused and the rest goes to the
// reserve; nothing stops, and a restart has it all.
func TestNoSpaceAtAll(t *testing.T) {
	mem := vfs.NewMem()
	var full atomic.Bool
	fs := hookFS{mem, func(op, path string) error {
		// The reserve becomes the second segment: it has its space already.
		switch {
		case !ours(path) || !full.Load() || path == "/store/log/00000002.seg":
			return nil
		case op == "create":
			return syscall.ENOSPC
		case op == "write":
			return errShort
		}
		return nil
	}}
	opt := Options{FS: fs, Dir: "/store", LargeBlob: 4000}
	e := mustOpen(t, opt)
	ctx := context.Background()
	v := uint64(0)
	commit := func(size int) error {
		b := &engine.Batch{Account: 1, Expect: v, Ops: []engine.Op{{Key: fmt.Appendf(nil, "%d", v), Val: []byte("x")}}}
		if size > 0 {
			b.Ops[0].Blob = &engine.Blob{Bytes: modelBlob(1, uint32(v), size)}
		}
		_, err := e.Commit(ctx, b).Wait()
		if err == nil {
			v++
		}
		return err
	}
	for _, size := range []int{500, 0, 5000} {
		if err := commit(size); err != nil {
			t.Fatal(err)
		}
	}
	full.Store(true)
	setFree(mem, 4096)
	for range 3 {
		if err := commit(3000); !errors.Is(err, engine.ErrFull) {
			t.Fatalf("a small message without space: %v", err)
		}
		if err := commit(5000); !errors.Is(err, engine.ErrFull) {
			t.Fatalf("a large message without space: %v", err)
		}
		if err := commit(0); err != nil {
			t.Fatalf("flags without space: %v", err)
		}
	}
	// together in one group: each gets its own answer
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			b := &engine.Batch{Account: engine.Account(10 + i), Expect: 0, Ops: []engine.Op{{Key: []byte("k")}}}
			if i%2 == 0 {
				b.Ops[0].Blob = &engine.Blob{Bytes: make([]byte, 3000)}
			}
			if _, err := e.Commit(ctx, b).Wait(); i%2 == 0 != errors.Is(err, engine.ErrFull) {
				t.Errorf("account %d: %v", 10+i, err)
			}
		})
	}
	wg.Wait()
	full.Store(false)
	setFree(mem, 1<<30)
	if err := commit(3000); err != nil {
		t.Fatalf("a message when there is space again: %v", err)
	}
	if e.failed() != nil {
		t.Fatal("the engine stopped")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, opt)
	r := e.Snapshot(1)
	defer r.Close()
	if r.Version() != v {
		t.Fatalf("version %d after restart, want %d", r.Version(), v)
	}
	if err := e.Check(ctx, true, func(p string) { t.Errorf("Check: %s", p) }); err != nil {
		t.Fatal(err)
	}
}

// TestIndexWithoutSpace: the index gets the ballast, then waits for space, and
// nothing stops meanwhile.
func TestIndexWithoutSpace(t *testing.T) {
	mem := vfs.NewMem()
	setFree(mem, 1<<30)
	var full atomic.Bool
	refused := make(chan struct{}, 1000)
	fs := hookFS{mem, func(op, path string) error {
		if op != "write" || ours(path) || !full.Load() {
			return nil
		}
		if _, err := mem.Stat("/store/" + ballastName); err != nil {
			refused <- struct{}{}
		}
		return syscall.ENOSPC
	}}
	e := mustOpen(t, Options{FS: fs, Dir: "/store"})
	ctx := context.Background()
	b := &engine.Blob{Bytes: make([]byte, 100)}
	if _, err := e.Commit(ctx, &engine.Batch{Account: 1, Ops: []engine.Op{{Key: []byte("k"), Blob: b}}}).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Commit(ctx).Wait(); err != nil { // the one before has made the reserves
		t.Fatal(err)
	}
	if _, err := mem.Stat("/store/" + ballastName); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	setFree(mem, 0)
	done, err := e.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	awaitClosed(t, refused, "the index is not refused") // the ballast is gone, and that was not enough
	if _, err := e.Commit(ctx, &engine.Batch{Account: 1, Expect: 1}).Wait(); err != nil {
		t.Errorf("commit while the index waits: %v", err)
	}
	if _, err := e.ReadBlob(ctx, nil, b.ID); err != nil {
		t.Errorf("read while the index waits: %v", err)
	}
	full.Store(false)
	setFree(mem, 1<<30)
	awaitClosed(t, done, "the index is never written")
	if e.failed() != nil {
		t.Errorf("the engine stopped: %v", e.failed())
	}
}

// awaitClosed returns once there is something in c, or c is closed.
func awaitClosed(t *testing.T, c <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal(otherwise)
	}
}

// TestOpenWithoutSpace: a store opens on a disk that is full to the last byte,
// whatever is left of its reserves, and has everything.
func TestOpenWithoutSpace(t *testing.T) {
	for _, c := range []struct{ name, reserve string }{
		{"the index's reserve", "/srv/store/" + ballastName}, {"the log's reserve", "/srv/store/log/" + spareName}, {"no reserve", ""},
	} {
		t.Run(c.name, func(t *testing.T) { openWithoutSpace(t, c.reserve) })
	}
}

func openWithoutSpace(t *testing.T, reserve string) {
	disk, l := newDisk(t), newLoad(nil)
	opt := Options{FS: disk, Dir: "/srv/store", CollectEvery: -1, Reserve: -1}
	e := mustOpen(t, opt)
	for range 20 {
		if err := l.one(e, 0); err != nil {
			t.Fatal(err)
		}
	}
	clone, want := l.crash(disk, 0, nil)
	// A reserve that was only being made has no space.
	for _, name := range []string{"/srv/store/" + ballastName + tmpExt, "/srv/store/log/" + spareName + tmpExt, reserve} {
		if name == "" {
			continue
		}
		f, err := clone.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	var full atomic.Bool
	full.Store(true)
	setFree(clone.MemFS, 0)
	opt.FS = hookFS{clone, func(op, path string) error {
		if op != "write" || !strings.Contains(path, "/kv/") || !full.Load() {
			return nil
		}
		if reserve != "" {
			if _, err := clone.Stat(reserve); err != nil {
				return nil
			}
		}
		return syscall.ENOSPC
	}}
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		var err error
		if e, err = Open(context.Background(), opt); err != nil {
			t.Error(err)
		}
	}()
	awaitClosed(t, opened, "the store never opens")
	r := e.Snapshot(0)
	if r.Version() < want.acked[0] {
		t.Errorf("version %d on a full disk, want %d", r.Version(), want.acked[0])
	}
	r.Close()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	opt.FS = clone
	if _, err := verify(opt, want); err != nil {
		t.Fatal(err)
	}
}

// TestCloseWithoutSpace: a store closes although its index cannot be written, by
// a disk that is full or broken, also while a Checkpoint and Collect wait for that,
// and the next start has everything.
func TestCloseWithoutSpace(t *testing.T) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		t.Run(fault.Error(), func(t *testing.T) {
			mem := vfs.NewMem()
			setFree(mem, 1<<30)
			var full atomic.Bool
			opt := Options{Dir: "/store", CollectEvery: -1, Logger: slog.New(slog.DiscardHandler)}
			opt.FS = hookFS{mem, func(op, path string) error {
				if op == "write" && strings.HasSuffix(path, ".sst") && full.Load() {
					return fault
				}
				return nil
			}}
			e := mustOpen(t, opt)
			ctx := context.Background()
			for v := range uint64(5) {
				if _, err := e.Commit(ctx, &engine.Batch{Account: 1, Expect: v, Ops: []engine.Op{{Key: []byte("k")}}}).Wait(); err != nil {
					t.Fatal(err)
				}
			}
			full.Store(true)
			setFree(mem, 0)
			done := make(chan struct{})
			go func() {
				defer close(done)
				var wg sync.WaitGroup
				wg.Go(func() { _ = e.Checkpoint(ctx, "/copy") })
				wg.Go(func() { _ = e.Collect(ctx) })
				if err := e.Close(); err != nil {
					t.Error(err)
				}
				wg.Wait()
			}()
			awaitClosed(t, done, "Close never ends")
			full.Store(false)
			e = mustOpen(t, opt)
			r := e.Snapshot(1)
			defer r.Close()
			if r.Version() != 5 {
				t.Errorf("version %d after restart, want 5", r.Version())
			}
		})
	}
}
