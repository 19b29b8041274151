package local

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// spareOptions: segments that churn fills, and only Collect collects.
func spareOptions(fs vfs.FS) Options {
	return Options{FS: fs, Dir: "/srv/store", LargeBlob: 4000, SegmentSize: 8 << 10, MemTable: 1 << 20, CollectEvery: -1}
}

// churned empties segments of e, times times.
func churned(t *testing.T, e *Engine, times int) {
	t.Helper()
	for range times {
		if err := churn(e); err != nil {
			t.Fatal(err)
		}
		if err := e.Collect(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// spareNames returns the spares that are on the disk.
func spareNames(t *testing.T, fs vfs.FS) (names []string) {
	t.Helper()
	all, err := fs.List("/srv/store/log")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if strings.HasSuffix(n, spareExt) {
			names = append(names, n)
		}
	}
	return names
}

// putKept stores a message that stays.
func putKept(t *testing.T, e *Engine, uid uint32) *engine.Blob {
	t.Helper()
	b := &engine.Blob{Bytes: modelBlob(9, uid, 3000)}
	op := engine.Op{Key: uidKey('m', uid), Blob: b}
	if _, err := e.Commit(context.Background(), &engine.Batch{Account: 99, Expect: engine.AnyVersion, Ops: []engine.Op{op}}).Wait(); err != nil {
		t.Fatal(err)
	}
	return b
}

func wantKept(t *testing.T, e *Engine, uid uint32, b *engine.Blob) {
	t.Helper()
	got, err := e.ReadBlob(context.Background(), nil, b.ID)
	if err != nil || !bytes.Equal(got, modelBlob(9, uid, 3000)) {
		t.Errorf("message %d: %d bytes, %v", uid, len(got), err)
	}
}

// Emptied segments become later ones. After a power failure the log goes on in the
// middle of one, in front of old frames, again and again; spares go at a start.
func TestRecycling(t *testing.T) {
	disk := newDisk(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	kept := map[uint32]*engine.Blob{}
	for round := range uint32(6) {
		e := mustOpen(t, spareOptions(disk))
		if names := spareNames(t, disk); len(names) > 0 {
			t.Fatalf("after a start: %v", names)
		}
		for uid, b := range kept {
			wantKept(t, e, uid, b)
		}
		churned(t, e, 2)
		if n := len(spareNames(t, disk)); n == 0 || n > maxSpares {
			t.Fatalf("%d spares", n)
		}
		for e.spares.bytes.Load() > 0 { // roll into all of them
			if err := churn(e); err != nil {
				t.Fatal(err)
			}
		}
		if e.Stats().Recycled == 0 {
			t.Fatal("no segment was used again")
		}
		kept[round] = putKept(t, e, round)
		wrote := *e.end.Load()
		clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(round) * 20, RNG: rnd})
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		disk = clone
		again := mustOpen(t, spareOptions(disk))
		if end := *again.end.Load(); end != wrote {
			t.Errorf("the log goes on at %+v, it ended at %+v", end, wrote)
		}
		if err := again.Check(context.Background(), true, func(p string) { t.Errorf("Check: %s", p) }); err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Damage in the middle of a segment that was used again is found, though old frames
// follow; and a torn end in it is none.
func TestDamageBeforeOldFrames(t *testing.T) {
	disk := newDisk(t)
	e := mustOpen(t, spareOptions(disk))
	churned(t, e, 2)
	for used := e.spares.used.Load(); e.spares.used.Load() == used; { // into a fresh one
		putKept(t, e, 1)
	}
	first := putKept(t, e, 2)
	last := *e.end.Load()
	torn := putKept(t, e, 3)
	name := e.segmentName(last.segment)
	rnd := rand.New(rand.NewPCG(1, 3))
	whole := func() *powerFS { return disk.CrashClone(vfs.CrashCloneCfg{}) }
	for what, c := range map[string]struct {
		at    int64
		found bool
	}{
		"header of the last but one": {int64(last.off) - int64(alignUp(uint64(3000+headerLen))) - 400, true},
		"header of the last":         {int64(last.off) + 20, false},
		"blob of the last":           {int64(last.off) + 500, false},
	} {
		fs := whole()
		edit(t, fs, name, func(b []byte) []byte {
			if c.found { // the whole frame before the last
				for i := c.at; i < int64(last.off); i++ {
					b[i] ^= byte(1 + rnd.IntN(255))
				}
				return b
			}
			b[c.at] ^= 4
			return b
		})
		opt := spareOptions(fs)
		again, err := Open(context.Background(), opt)
		if c.found {
			if err == nil {
				_ = again.Close()
				t.Errorf("%s: the store opens", what)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		wantKept(t, again, 2, first)
		if _, err := again.ReadBlob(context.Background(), nil, torn.ID); err == nil {
			t.Errorf("%s: the torn message is there", what)
		}
		if end := *again.end.Load(); end != last {
			t.Errorf("%s: the log goes on at %+v, want %+v", what, end, last)
		}
		next := putKept(t, again, 4)
		fs = fs.CrashClone(vfs.CrashCloneCfg{})
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		again = mustOpen(t, spareOptions(fs))
		wantKept(t, again, 4, next)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// What somebody reads is not written over.
func TestSpareNotWhileRead(t *testing.T) {
	disk := newDisk(t)
	e := mustOpen(t, spareOptions(disk))
	b := putKept(t, e, 1)
	r, err := e.OpenBlob(context.Background(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	gone := &engine.Batch{Account: 99, Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.Delete, Key: uidKey('m', 1)}}}
	if _, err := e.Commit(context.Background(), gone).Wait(); err != nil {
		t.Fatal(err)
	}
	churned(t, e, 6)
	if e.Stats().Recycled == 0 {
		t.Error("no segment was used again")
	}
	if _, err := disk.Stat(e.segmentName(1)); err == nil {
		t.Error("segment 1 is still there")
	}
	got := make([]byte, 3000)
	if _, err := r.ReadAt(got, 0); err != nil && err != io.EOF || !bytes.Equal(got, modelBlob(9, 1, 3000)) {
		t.Errorf("the message that was open changed: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// spareNotShared: a segment that a checkpoint shares is removed, not written over.
func spareNotShared(t *testing.T) {
	copyOf := func(m mutations) error {
		disk := newDisk(t)
		opt := spareOptions(disk)
		opt.mutate = m
		e := mustOpen(t, opt)
		b := putKept(t, e, 1)
		if err := churn(e); err != nil {
			t.Fatal(err)
		}
		if err := e.Checkpoint(context.Background(), copyDir); err != nil {
			t.Fatal(err)
		}
		gone := &engine.Batch{Account: 99, Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.Delete, Key: uidKey('m', 1)}}}
		if _, err := e.Commit(context.Background(), gone).Wait(); err != nil {
			t.Fatal(err)
		}
		churned(t, e, 4)
		opt.Dir = copyDir
		c, err := Open(context.Background(), opt)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.ReadBlob(context.Background(), nil, b.ID)
		return err
	}
	if err := copyOf(mutations{}); err != nil {
		t.Errorf("the checkpoint: %v", err)
	}
	if err := copyOf(mutations{recycleLinked: true}); err == nil {
		t.Error("not found")
	}
}

// Spares go first when the disk fills up, and none is kept where one must not be.
func TestSparesGoFirst(t *testing.T) {
	disk := newDisk(t)
	opt := spareOptions(disk)
	opt.MinFree = 1 << 20
	setFree(disk.MemFS, 1<<30)
	e := mustOpen(t, opt)
	churned(t, e, 1)
	if len(spareNames(t, disk)) == 0 {
		t.Fatal("no spares")
	}
	setFree(disk.MemFS, 100)      // removing files does not change what a MemFS says
	e.space.at.Store(-spaceEvery) // a second later
	if !e.space.full(e) {
		t.Error("the disk is not full")
	}
	if names := spareNames(t, disk); len(names) > 0 {
		t.Errorf("on a full disk: %v", names)
	}
	setFree(disk.MemFS, 2<<20)
	if e.space.full(e) {
		t.Error("the disk is still full")
	}
	churned(t, e, 1)
	if len(spareNames(t, disk)) == 0 {
		t.Error("no spares when there is space again")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	opt.NoRecycling = true
	e = mustOpen(t, opt)
	churned(t, e, 2)
	if names := spareNames(t, disk); len(names) > 0 || e.Stats().Recycled > 0 {
		t.Errorf("none wanted: %v", names)
	}
	opt.NoRecycling, opt.Ship = false, standbyDir
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, opt)
	churned(t, e, 2)
	if names := spareNames(t, disk); len(names) > 0 || e.Stats().Recycled > 0 {
		t.Errorf("with a standby: %v", names)
	}
}
