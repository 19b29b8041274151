package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"posthouse/store/engine"
)

func testSmallBlobs(t *testing.T, e engine.Engine) {
	var ids []engine.BlobID
	sizes := []int{0, 1, 15, 16, 17, 4096, 100_000, 1 << 20, 1<<20 + 1}
	for i, n := range sizes {
		b := &engine.Blob{Bytes: pattern(uint64(i), n)}
		key := fmt.Sprint("m", i)
		commit(t, e, blind(1, own(key, b), set("other", "x")))
		if id := ownedID(t, e, 1, key); id != b.ID || id == 0 {
			t.Fatalf("key has blob id %x, Blob.ID is %x", id, b.ID)
		}
		ids = append(ids, b.ID)
	}
	var bs []*engine.Blob // many in one commit
	batch := blind(2)
	for i := range 50 {
		bs = append(bs, &engine.Blob{Bytes: pattern(uint64(100+i), 1000+i)})
		batch.Ops = append(batch.Ops, own(fmt.Sprint("m", i), bs[i]))
	}
	commit(t, e, batch)
	seen := map[engine.BlobID]bool{}
	for i, b := range bs {
		wantBlob(t, e, b.ID, pattern(uint64(100+i), 1000+i))
		seen[b.ID] = true
	}
	for i, id := range ids {
		wantBlob(t, e, id, pattern(uint64(i), sizes[i]))
		seen[id] = true
	}
	if len(seen) != len(bs)+len(ids) {
		t.Fatalf("%d ids for %d blobs", len(seen), len(bs)+len(ids))
	}
	if s := e.Stats(); s.BlobBytes == 0 || s.Commits == 0 {
		t.Errorf("Stats: %+v", s)
	}
}

func testSharedBlob(t *testing.T, e engine.Engine) {
	before := e.Stats().BlobBytes
	b := &engine.Blob{Bytes: pattern(1, 5000)}
	commit(t, e, blind(1, own("x", b), own("y", b)), blind(2, own("x", b)))
	if n := e.Stats().BlobBytes - before; n != 5000 {
		t.Fatalf("one blob in three ops stored %d bytes, want 5000", n)
	}
	if a, c := ownedID(t, e, 1, "y"), ownedID(t, e, 2, "x"); a != b.ID || c != b.ID {
		t.Fatalf("owners name %x and %x, not %x", a, c, b.ID)
	}
	commit(t, e, blind(3, own("later", &engine.Blob{ID: b.ID}))) // a copy, by id
	commit(t, e, blind(1, del("x"), del("y")), blind(2, del("x")))
	wantBlob(t, e, b.ID, pattern(1, 5000)) // account 3 still owns it
	if id := ownedID(t, e, 3, "later"); id != b.ID {
		t.Fatalf("copy names %x, not %x", id, b.ID)
	}
	// a blob that another commit, still pending, stores
	ctx := context.Background()
	n := &engine.Blob{Bytes: pattern(2, 100)}
	commit(t, e, blind(4, own("a", n)))
	p := e.Commit(ctx, blind(4, own("b", &engine.Blob{ID: n.ID})))
	q := e.Commit(ctx, blind(4, del("a")))
	for _, w := range []engine.Pending{p, q} {
		if _, err := w.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	wantBlob(t, e, n.ID, pattern(2, 100))
	commit(t, e, blind(4, own("b", &engine.Blob{ID: n.ID}))) // the same owner again
	wantBlob(t, e, n.ID, pattern(2, 100))
}

// testReadBlobs reads many blobs at once: small and large ones, side by side and
// not, one twice, one that is not there.
func testReadBlobs(t *testing.T, e engine.Engine) {
	ctx := context.Background()
	var ids []engine.BlobID
	var want [][]byte
	for i := range 300 {
		data := pattern(uint64(i), 1+i*37%5000)
		if i%100 == 50 {
			data = pattern(uint64(i), 3<<20)
		}
		b := &engine.Blob{Bytes: data}
		commit(t, e, blind(1, own(fmt.Sprint("many", i), b)))
		ids, want = append(ids, b.ID), append(want, data)
	}
	ids, want = append(ids, ids[7], 1<<50, ids[3]), append(want, want[7], nil, want[3])
	slices.Reverse(ids[200:])
	slices.Reverse(want[200:])
	n := 0
	err := e.ReadBlobs(ctx, ids, func(i int, b []byte, err error) bool {
		if i != n || want[i] == nil != errors.Is(err, engine.ErrNotFound) || want[i] != nil && (err != nil || !bytes.Equal(b, want[i])) {
			t.Errorf("blob %d as number %d: %d bytes, %v", i, n, len(b), err)
		}
		n++
		return true
	})
	if err != nil || n != len(ids) {
		t.Fatalf("read %d of %d: %v", n, len(ids), err)
	}
	n = 0
	if err := e.ReadBlobs(ctx, ids, func(int, []byte, error) bool { n++; return n < 5 }); err != nil || n != 5 {
		t.Errorf("stopped after %d of 5: %v", n, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := e.ReadBlobs(ended, ids, func(int, []byte, error) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func testBlobMissing(t *testing.T, e engine.Engine) {
	b := &engine.Blob{Bytes: pattern(1, 10)}
	commit(t, e, blind(1, own("x", b)))
	ctx := context.Background()
	for _, id := range []engine.BlobID{0, b.ID + 1, b.ID + 1<<20, ^engine.BlobID(0)} {
		if _, err := e.ReadBlob(ctx, nil, id); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("ReadBlob(%x): %v", id, err)
		}
		if _, err := e.OpenBlob(ctx, id); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("OpenBlob(%x): %v", id, err)
		}
		fails(t, e, engine.ErrNotFound, blind(1, set("y", "lost"), own("z", &engine.Blob{ID: id})))
	}
	r := e.Snapshot(1)
	defer r.Close()
	if _, err := r.Get([]byte("y")); err != engine.ErrNotFound {
		t.Errorf("half of a refused commit is there: %v", err)
	}
}

// A blob goes from one owner to another in one commit, in either order of ops.
func testBlobMove(t *testing.T, e engine.Engine) {
	b := &engine.Blob{Bytes: pattern(1, 3000)}
	commit(t, e, blind(1, own("inbox", b)))
	commit(t, e, blind(1, del("inbox"), own("archive", &engine.Blob{ID: b.ID})))
	wantBlob(t, e, b.ID, pattern(1, 3000))
	commit(t, e, blind(2, own("copy", &engine.Blob{ID: b.ID})), blind(1, del("archive")))
	wantBlob(t, e, b.ID, pattern(1, 3000))
	commit(t, e, blind(2, own("copy", &engine.Blob{ID: b.ID}))) // overwritten by itself
	wantBlob(t, e, b.ID, pattern(1, 3000))
	id := ownedID(t, e, 2, "copy")
	r := e.Snapshot(2)
	v, err := r.Get([]byte("copy"))
	r.Close()
	if err != nil {
		t.Fatal(err)
	}
	commit(t, e, blind(2, set("copy", "changed "+string(v)))) // its value still ends with the id
	wantBlob(t, e, id, pattern(1, 3000))
}

func stage(t *testing.T, e engine.Engine, data []byte) engine.Staged {
	t.Helper()
	s, err := e.Stage(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 70_001)
		if m, err := s.Write(rest[:n]); m != n || err != nil {
			t.Fatalf("Write: %d of %d, %v", m, n, err)
		}
		rest = rest[n:]
	}
	if s.Size() != int64(len(data)) {
		t.Fatalf("Size %d, want %d", s.Size(), len(data))
	}
	got := make([]byte, len(data)+1)
	if n, err := s.ReadAt(got, 0); n != len(data) || err != io.EOF || !bytes.Equal(got[:n], data) {
		t.Fatalf("ReadAt of staged bytes: %d of %d, %v", n, len(data), err)
	}
	return s
}

func testStagedBlob(t *testing.T, e engine.Engine) {
	for i, n := range []int{0, 100, 1 << 20, 1<<20 + 1, 5 << 20} {
		data := pattern(uint64(i), n)
		s := stage(t, e, data)
		if i%2 == 0 {
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		b := &engine.Blob{Staged: s}
		commit(t, e, blind(1, own(fmt.Sprint("s", i), b)), blind(2, own(fmt.Sprint("s", i), b)))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if id := ownedID(t, e, 2, fmt.Sprint("s", i)); id != b.ID {
			t.Fatalf("owner names %x, not %x", id, b.ID)
		}
		wantBlob(t, e, b.ID, data)
		commit(t, e, blind(3, own(fmt.Sprint("s", i), &engine.Blob{ID: b.ID})))
		commit(t, e, blind(1, del(fmt.Sprint("s", i))), blind(2, del(fmt.Sprint("s", i))))
		wantBlob(t, e, b.ID, data)
	}
}

// A refused commit leaves the staged bytes for another try.
func testStagedAfterConflict(t *testing.T, e engine.Engine) {
	for i, n := range []int{1000, 2 << 20} {
		data := pattern(uint64(i), n)
		s := stage(t, e, data)
		a := engine.Account(i)
		b := &engine.Blob{Staged: s}
		fails(t, e, engine.ErrConflict, &engine.Batch{Account: a, Expect: 3, Ops: []engine.Op{own("s", b)}})
		commit(t, e, &engine.Batch{Account: a, Expect: 0, Ops: []engine.Op{own("s", b)}})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantBlob(t, e, b.ID, data)
	}
}

func testStagedClosed(t *testing.T, e engine.Engine) {
	for _, n := range []int{1000, 2 << 20} {
		s := stage(t, e, pattern(7, n))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("second Close: %v", err)
		}
		fails(t, e, engine.ErrNotFound, blind(1, own("s", &engine.Blob{Staged: s})))
	}
	wantDump(t, e, 1, "")
	if n := e.Stats().LargeBlobs; n != 0 {
		t.Errorf("%d large blobs are stored, want 0", n)
	}
}

// Parts of blobs, by several readers at once, also beyond the end.
func testBlobRanges(t *testing.T, e engine.Engine) {
	for i, n := range []int{10_000, 3<<20 + 17} {
		data := pattern(uint64(i), n)
		b := &engine.Blob{Bytes: data}
		commit(t, e, blind(1, own(fmt.Sprint("r", i), b)))
		r, err := e.OpenBlob(context.Background(), b.ID)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for off := w * 1001; off < n; off += n/7 + 1 {
					p := make([]byte, 5000)
					m, err := r.ReadAt(p, int64(off))
					if want := min(5000, n-off); m != want || (err == nil) != (m == 5000) || !bytes.Equal(p[:m], data[off:off+m]) {
						t.Errorf("ReadAt(%d): %d bytes of %d, %v", off, m, want, err)
					}
				}
			})
		}
		wg.Wait()
		if m, err := r.ReadAt(make([]byte, 1), int64(n)); m != 0 || err != io.EOF {
			t.Errorf("ReadAt at the end: %d, %v", m, err)
		}
		if m, err := r.ReadAt(make([]byte, 1), int64(n)+100); m != 0 || err != io.EOF {
			t.Errorf("ReadAt beyond the end: %d, %v", m, err)
		}
		if m, err := r.ReadAt(make([]byte, 1), -1); m != 0 || err == nil {
			t.Errorf("ReadAt(-1): %d, %v", m, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
