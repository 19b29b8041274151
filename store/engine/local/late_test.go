package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// TestOpenWithNothing: a store starts again and again on a disk on which nothing
// can be written, with no reserve left; it can be read, refuses what needs space,
// and once there is some it goes on, and makes its reserves without a commit.
func TestOpenWithNothing(t *testing.T) {
	for _, op := range []string{"write", "sync", "rename", "create"} { // each, and all before it, fail
		t.Run(op, func(t *testing.T) { openWithNothing(t, op) })
	}
}

func openWithNothing(t *testing.T, upTo string) {
	disk := vfs.NewMem()
	setFree(disk, 1<<30)
	var full atomic.Bool
	failing, _, _ := strings.Cut("write sync rename create", upTo)
	failing += upTo
	opt := Options{Dir: "/store", CollectEvery: -1, FS: hookFS{disk, func(op, path string) error {
		if !full.Load() || !strings.Contains(failing, op) || strings.HasSuffix(path, "/") {
			return nil
		}
		if op == "sync" && !strings.Contains(path, "/kv/") {
			return nil // a failed sync of the log is not about space
		}
		return syscall.ENOSPC
	}}}
	e := mustOpen(t, opt)
	commit := func(v uint64, size int) error {
		_, err := e.Commit(context.Background(), &engine.Batch{Account: 1, Expect: v,
			Ops: []engine.Op{{Key: fmt.Appendf(nil, "%d", v), Blob: &engine.Blob{Bytes: modelBlob(1, uint32(v), size)}}}}).Wait()
		return err
	}
	v := uint64(0)
	for range 20 {
		if err := commit(v, 500); err != nil {
			t.Fatal(err)
		}
		if v++; v == 10 {
			if err := e.writeIndex(); err != nil {
				t.Fatal(err)
			}
		}
	}
	disk = crashedCopy(t, e, disk)
	for _, name := range []string{"/store/" + ballastName, "/store/log/" + spareName} {
		if err := disk.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	h := opt.FS.(hookFS)
	full.Store(true)
	for range 3 { // rounds: what one start leaves must do for the next
		setFree(disk, 0)
		h.FS = disk
		opt.FS = h
		e = openSoon(t, opt)
		if r := e.Snapshot(1); r.Version() != v {
			t.Fatalf("version %d on a full disk, want %d", r.Version(), v)
		} else {
			r.Close()
		}
		if err := commit(v, 200<<10); !errors.Is(err, engine.ErrFull) {
			t.Fatalf("mail on a full disk: %v, want ErrFull", err)
		}
		disk = crashedCopy(t, e, disk)
	}
	h.FS = disk
	opt.FS = h
	e = openSoon(t, opt)
	full.Store(false)
	setFree(disk, 1<<30)
	for end := time.Now().Add(20 * time.Second); !e.ballast.there.Load() || !e.ballast.log.Load(); time.Sleep(time.Millisecond) { // polling, bounded
		if time.Now().After(end) {
			t.Fatal("no reserves although there is space")
		}
	}
	if err := commit(v, 500); err != nil {
		t.Fatalf("mail when there is space again: %v", err)
	}
	if err := e.Checkpoint(context.Background(), "/copy"); err != nil { // reads the note
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, opt)
	if err := e.Check(context.Background(), true, func(p string) { t.Errorf("Check: %s", p) }); err != nil {
		t.Fatal(err)
	}
	r := e.Snapshot(1)
	defer r.Close()
	if r.Version() != v+1 {
		t.Fatalf("version %d at the end, want %d", r.Version(), v+1)
	}
}

// crashedCopy returns the disk as a process that is killed leaves it. The engine goes
// on with the old one, which then has space, until the test ends.
func crashedCopy(t *testing.T, e *Engine, disk *vfs.MemFS) *vfs.MemFS {
	t.Helper()
	copied := vfs.NewMem()
	if ok, err := vfs.Clone(disk, copied, "/", "/"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	return copied
}

// openSoon opens a store, within a minute.
func openSoon(t *testing.T, opt Options) *Engine {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	e, err := Open(ctx, opt)
	if err != nil {
		t.Fatal("a store on a full disk: ", err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}
