package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// stage puts the large blobs of a batch into the store before it is committed, in two
// pieces, as delivery does. The function it returns closes them, once the commit is over.
func stage(e engine.Engine, b *engine.Batch) (func(), error) {
	var open []engine.Staged
	done := func() {
		for _, s := range open {
			_ = s.Close()
		}
	}
	for _, op := range b.Ops {
		if op.Blob == nil || len(op.Blob.Bytes) < 6000 {
			continue
		}
		s, err := e.Stage(context.Background())
		if err != nil {
			return done, err
		}
		open = append(open, s)
		p := op.Blob.Bytes
		if _, err = s.Write(p[:len(p)/2]); err == nil {
			_, err = s.Write(p[len(p)/2:])
		}
		if err != nil {
			return done, err
		}
		op.Blob.Bytes, op.Blob.Staged = nil, s
	}
	return done, nil
}

// TestCrashInRecovery cuts the power while a store runs, and again at each change of
// the disk that the start after that makes, also when it makes the index anew.
func TestCrashInRecovery(t *testing.T) {
	first, second := 97, 5
	switch {
	case os.Getenv("POSTHOUSE_LONG") != "":
		first, second = 7, 1
	case testing.Short():
		first, second = 211, 11
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 5))
	var disks []*powerFS
	var wants []expectation
	disk, l, calls := newDisk(t), newLoad(nil), rnd.IntN(first)
	opt := crashOptions(nil, rnd)
	opt.SegmentSize = 8 << 10
	opt.FS = onChange(disk, func(string, string) {
		if calls++; calls%first == 0 {
			clone, want := l.crash(disk, rnd.IntN(101), rnd)
			disks, wants = append(disks, clone), append(wants, want)
		}
	})
	if err := script(opt, l); err != nil {
		t.Fatal(err)
	}
	n := rnd.IntN(second)
	crashes := 0
	for i, disk := range disks {
		if i%2 == 1 {
			if err := disk.RemoveAll("/srv/store/kv"); err != nil {
				t.Fatal(err)
			}
		}
		own := opt
		own.FS = onChange(disk, func(op, path string) {
			if n++; n%second != 0 || t.Failed() {
				return
			}
			crashes++
			again := opt
			again.FS = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 0, 50, 100}[rnd.IntN(4)], RNG: rnd})
			if _, err := verify(again, wants[i]); err != nil {
				t.Errorf("seed %d, crash %d, then before %s %s: %v", seed, i, op, path, err)
			}
		})
		if e, err := Open(t.Context(), own); err != nil {
			t.Errorf("seed %d, crash %d: %v", seed, i, err)
		} else if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d crashes, in the starts after them %d", len(disks), crashes)
}

// onChange calls f, by one goroutine at a time, before each change of a disk.
func onChange(disk *powerFS, f func(op, path string)) vfs.FS {
	turn := make(chan struct{}, 1)
	return hookFS{disk, func(op, path string) error {
		if changes(op) {
			turn <- struct{}{}
			f(op, path)
			<-turn
		}
		return nil
	}}
}

// TestCrashLarge cuts the power at each change of the disk while large blobs, of the
// size at which they get files of their own by default, are staged and adopted by two
// accounts at once. What was acknowledged is whole, and nothing else is left.
func TestCrashLarge(t *testing.T) {
	const size = 1<<20 + 100_000
	for _, pct := range []int{0, 30, 60, 100} {
		rnd := rand.New(rand.NewPCG(uint64(pct), 6))
		disk, crashes := newDisk(t), 0
		var acked []engine.BlobID
		opt := Options{Dir: "/srv/store", CollectEvery: -1, MinFree: -1, Reserve: -1, NoRecycling: true}
		look := func(op, path string) {
			if crashes++; t.Failed() || crashes%2 == 0 && testing.Short() {
				return
			}
			own := opt
			clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pct, RNG: rnd})
			own.FS = clone
			if err := wantLarge(clone, own, acked, size); err != nil {
				t.Errorf("%d %% kept, before call %d (%s %s): %v", pct, crashes, op, path, err)
			}
		}
		opt.FS = onChange(disk, look)
		e := mustOpen(t, opt)
		for n := range uint32(2) {
			kept, left := stagedOf(t, e, n, size), stagedOf(t, e, n+100, size)
			b := &engine.Blob{Staged: kept}
			key := fmt.Appendf(nil, "m%d", n)
			_, err := e.Commit(t.Context(), &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{{Key: key, Blob: b}}},
				&engine.Batch{Account: 2, Expect: engine.AnyVersion, Ops: []engine.Op{{Key: key, Blob: b}}}).Wait()
			if err = errors.Join(err, kept.Close(), left.Close()); err != nil {
				t.Fatal(err)
			}
			acked = append(acked, b.ID)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		look("end", "")
		t.Logf("%d %% of what was not synced kept: %d crashes", pct, crashes)
	}
}

func stagedOf(t *testing.T, e *Engine, n uint32, size int) engine.Staged {
	t.Helper()
	s, err := e.Stage(t.Context())
	for p := modelBlob(1, n, size); err == nil && len(p) > 0; p = p[min(len(p), 300_000):] {
		_, err = s.Write(p[:min(len(p), 300_000)])
	}
	if err == nil {
		err = s.Sync()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantLarge opens a store after a crash: both accounts have the same messages, those
// that were acknowledged and perhaps one more, and there are no other files.
func wantLarge(fs vfs.FS, opt Options, acked []engine.BlobID, size int) (err error) {
	ctx := context.Background()
	e, err := Open(ctx, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	var have [2][]engine.BlobID
	for a := range have {
		r := e.Snapshot(engine.Account(a + 1))
		err := r.Scan([]byte("m"), []byte("n"), func(_, val []byte) bool {
			have[a] = append(have[a], engine.BlobID(be.Uint64(val)))
			return true
		})
		if r.Close(); err != nil {
			return err
		}
	}
	if fmt.Sprint(have[0]) != fmt.Sprint(have[1]) || len(have[0]) < len(acked) || len(have[0]) > len(acked)+1 {
		return fmt.Errorf("the accounts have %v, acknowledged were %v", have, acked)
	}
	for n, id := range have[0] {
		if b, err := e.ReadBlob(ctx, nil, id); err != nil || !bytes.Equal(b, modelBlob(1, uint32(n), size)) {
			return fmt.Errorf("message %d: %d bytes, %w", n, len(b), err)
		}
	}
	files := 0
	names, _ := fs.List("/srv/store/big/0000000000000")
	for _, n := range names {
		if !strings.HasPrefix(n, ".") {
			files++
		}
	}
	if files != len(have[0]) {
		return fmt.Errorf("%d messages, %d files", len(have[0]), files)
	}
	var problems error
	err = e.Check(ctx, true, func(p string) { problems = errors.Join(problems, errors.New(p)) })
	return errors.Join(err, problems)
}
