package enginetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"posthouse/store/engine"
)

// wantGone wants a blob to be gone.
func wantGone(t *testing.T, e engine.Engine, id engine.BlobID) {
	t.Helper()
	if b, err := e.ReadBlob(context.Background(), nil, id); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("blob %x without an owner: %d bytes, %v", id, len(b), err)
	}
	if _, err := e.OpenBlob(context.Background(), id); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("OpenBlob of %x without an owner: %v", id, err)
	}
	fails(t, e, engine.ErrNotFound, blind(9, own("k", &engine.Blob{ID: id})))
}

// A blob without an owner is gone after a collection and its space comes back;
// one with an owner stays, whichever of its owners that is.
func testBlobsDie(t *testing.T, kit Kit) {
	e := kit.New(t)
	blob := func(keys string, size int) engine.BlobID {
		b := &engine.Blob{Bytes: pattern(uint64(size), size)}
		var ops []engine.Op
		for _, k := range keys {
			ops = append(ops, own(string(k), b))
		}
		commit(t, e, blind(1, ops...))
		return b.ID
	}
	deleted, large := blob("a", 5000), blob("b", 3_000_000)
	ranged, overwritten := blob("cd", 700), blob("e", 800)
	first, second := blob("fg", 900), blob("hi", 2_000_000)
	shared, copied := blob("j", 1000), blob("k", 1100)
	commit(t, e, blind(2, own("x", &engine.Blob{ID: shared}), own("y", &engine.Blob{ID: copied})))
	same := blob("l", 1200)
	before := e.Stats()
	commit(t, e, blind(1, del("a"), del("b"), engine.Op{Kind: engine.DeleteRange, Key: []byte("c"), End: []byte("e")}))
	commit(t, e, blind(1, set("e", "no blob, but long"), del("f"), del("i"), del("j"), del("k"), own("l", &engine.Blob{ID: same})))
	commit(t, e, blind(2, del("y")))
	kit.Collect(t, e)
	for range 2 {
		for _, id := range []engine.BlobID{deleted, large, ranged, overwritten, copied} {
			wantGone(t, e, id)
		}
		for id, size := range map[engine.BlobID]int{first: 900, second: 2_000_000, shared: 1000, same: 1200} {
			wantBlob(t, e, id, pattern(uint64(size), size))
		}
		checkClean(t, e)
		if s := e.Stats(); s.LiveBytes+3_000_000 > before.LiveBytes || s.LiveBytes < 2_003_100 || s.LargeBlobs != 1 {
			t.Errorf("%d bytes alive in %d large blobs, before %d in %d", s.LiveBytes, s.LargeBlobs, before.LiveBytes, before.LargeBlobs)
		}
		if kit.Reopen != nil {
			e = kit.Reopen(t, e)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// What an open Reader shows can be read until it is closed.
func testReaderKeepsBlobs(t *testing.T, kit Kit) {
	e := kit.New(t)
	b := &engine.Blob{Bytes: pattern(1, 9000)}
	commit(t, e, blind(1, own("k", b)))
	r := e.Snapshot(1)
	commit(t, e, blind(1, del("k")))
	kit.Collect(t, e)
	wantBlob(t, e, b.ID, b.Bytes)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	kit.Collect(t, e)
	wantGone(t, e, b.ID)
	checkClean(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// Owners that come and go while collection runs: what has one is never lost.
func testLinkAgainstCollection(t *testing.T, kit Kit) {
	e := kit.New(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				kit.Collect(t, e)
			}
		}
	}()
	lost := 0
	for i := range 300 {
		b := &engine.Blob{Bytes: pattern(uint64(i), 100+i)}
		commit(t, e, blind(1, own("k", b)))
		gone := e.Commit(context.Background(), blind(1, del("k")))
		_, err := e.Commit(context.Background(), blind(2, own(fmt.Sprint(i), &engine.Blob{ID: b.ID}))).Wait()
		switch {
		case err == nil:
			wantBlob(t, e, b.ID, b.Bytes)
		case errors.Is(err, engine.ErrNotFound):
			lost++
		default:
			t.Errorf("another owner for a blob: %v", err)
		}
		if _, err := gone.Wait(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-done
	kit.Collect(t, e)
	r := e.Snapshot(2)
	n := 0
	_ = r.Scan(nil, nil, func(_, _ []byte) bool { n++; return true })
	r.Close()
	if n+lost != 300 {
		t.Errorf("%d blobs have an owner, %d commits failed", n, lost)
	}
	for i := range 300 {
		r := e.Snapshot(2)
		val, err := r.Get([]byte(fmt.Sprint(i)))
		r.Close()
		if err == nil {
			wantBlob(t, e, engine.BlobID(binary.BigEndian.Uint64(val[len(val)-8:])), pattern(uint64(i), 100+i))
		}
	}
	checkClean(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
