package enginetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"posthouse/store/engine"
)

// Subscribers hear of every commit in order, after it is visible.
func testSubscribeOrder(t *testing.T, e engine.Engine) {
	type event struct {
		pos engine.Pos
		a   engine.Account
	}
	var mu sync.Mutex
	var events []event
	cancel := e.Subscribe(func(p engine.Pos, a engine.Account) {
		r := e.Snapshot(a)
		n := 0
		_ = r.Scan(nil, nil, func(_, _ []byte) bool { n++; return true })
		r.Close()
		mu.Lock()
		defer mu.Unlock()
		events = append(events, event{p, a})
		if n == 0 {
			t.Errorf("told of account %d before its commit is visible", a)
		}
	})
	var want []event
	var ps []engine.Pending
	for i := range 60 {
		a := engine.Account(i)
		ps = append(ps, e.Commit(context.Background(), blind(a, set("k", "v")), blind(a+1000, set("k", "v")), blind(a, set("l", "v"))))
	}
	for i, p := range ps {
		pos, err := p.Wait()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, event{pos, engine.Account(i)}, event{pos, engine.Account(i) + 1000})
	}
	mu.Lock()
	got := fmt.Sprint(events)
	mu.Unlock()
	if got != fmt.Sprint(want) {
		t.Errorf("events\n%v, want\n%v", got, want)
	}
	fails(t, e, engine.ErrConflict, &engine.Batch{Account: 5, Expect: 99})
	cancel()
	commit(t, e, blind(7, set("k", "w")))
	if len(events) != len(want) {
		t.Errorf("%d events, want %d: a failed commit was published, or one after cancel", len(events), len(want))
	}
}

// After Close every use fails, and nothing hangs.
func testClosed(t *testing.T, e engine.Engine) {
	b := &engine.Blob{Bytes: pattern(1, 10)}
	commit(t, e, blind(1, own("k", b)))
	p := e.Commit(context.Background(), blind(1, set("last", "v")))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Errorf("a commit queued before Close: %v", err)
	}
	fails(t, e, engine.ErrUnavailable, blind(1, set("k", "v")))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Commit(ctx, blind(1, set("k", "v"))).Wait(); err == nil {
		t.Error("a commit with a cancelled context after Close succeeded")
	}
	r := e.Snapshot(1)
	if _, err := r.Get([]byte("k")); err != nil && !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Get after Close: %v", err)
	}
	r.Close()
	if _, err := e.ReadBlob(context.Background(), nil, b.ID); err != nil && !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("ReadBlob after Close: %v", err)
	}
}

// fill gives two accounts keys, versions, and blobs of each sort.
func fill(t *testing.T, e engine.Engine) (ids []engine.BlobID, want [2]string) {
	t.Helper()
	for i := range 20 {
		b := &engine.Blob{Bytes: pattern(uint64(i), i*500)}
		commit(t, e, &engine.Batch{Account: 1, Expect: uint64(i), Ops: []engine.Op{own(fmt.Sprintf("m%02d", i), b)}})
		ids = append(ids, b.ID)
	}
	for i := 20; i < 23; i++ {
		s := stage(t, e, pattern(uint64(i), i*100_000))
		b := &engine.Blob{Staged: s}
		commit(t, e, blind(2, own(fmt.Sprintf("m%02d", i), b)), blind(1, own(fmt.Sprintf("m%02d", i), b)))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
	}
	commit(t, e, blind(1, del("m03"), engine.Op{Kind: engine.DeleteRange, Key: []byte("m07"), End: []byte("m09")}))
	for i := range want {
		r := e.Snapshot(engine.Account(i + 1))
		want[i] = dump(t, r)
		r.Close()
	}
	return ids, want
}

// filled verifies what fill left.
func filled(t *testing.T, e engine.Engine, ids []engine.BlobID, want [2]string) {
	t.Helper()
	wantDump(t, e, 1, want[0])
	wantDump(t, e, 2, want[1])
	r := e.Snapshot(1)
	if v := r.Version(); v != 20 {
		t.Errorf("version %d, want 20", v)
	}
	r.Close()
	for i, id := range ids {
		switch {
		case i == 3 || i == 7 || i == 8: // deleted
		case i < 20:
			wantBlob(t, e, id, pattern(uint64(i), i*500))
		default:
			wantBlob(t, e, id, pattern(uint64(i), i*100_000))
		}
	}
	checkClean(t, e)
}

func testReopen(t *testing.T, kit Kit) {
	e := kit.New(t)
	ids, want := fill(t, e)
	last := engine.Pos(0)
	for i := range 3 {
		e = kit.Reopen(t, e)
		filled(t, e, ids, want)
		b := &engine.Blob{Bytes: []byte("new")}
		pos := commit(t, e, blind(3, own(fmt.Sprint(i), b)))
		if pos <= last {
			t.Errorf("position %d after %d", pos, last)
		}
		last = pos
		for _, id := range ids {
			if id == b.ID {
				t.Fatalf("blob id %x was given twice", id)
			}
		}
		ids = append(ids[:len(ids):len(ids)], b.ID)[:len(ids)]
		fails(t, e, engine.ErrConflict, &engine.Batch{Account: 1, Expect: 19})
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// A checkpoint taken under load holds a whole prefix of the commits, and goes
// on as a store of its own.
func testCheckpoint(t *testing.T, kit Kit) {
	e := kit.New(t)
	ids, want := fill(t, e)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := uint64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			b := &engine.Blob{Bytes: pattern(i, 3000)}
			if _, err := e.Commit(context.Background(), &engine.Batch{Account: 3, Expect: i, Ops: []engine.Op{own("k", b), set("n", fmt.Sprint(i))}}).Wait(); err != nil {
				t.Errorf("commit under a checkpoint: %v", err)
				return
			}
		}
	})
	dir := kit.Dir(t)
	err := e.Checkpoint(context.Background(), dir)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatalf("Checkpoint: %v", err)
	}
	if err := e.Checkpoint(context.Background(), dir); err == nil {
		t.Error("a second checkpoint into the same directory succeeded")
	}
	c := kit.Restore(t, dir)
	filled(t, c, ids, want)
	r := c.Snapshot(3)
	if v := r.Version(); v > 0 {
		wantBlob(t, c, ownedID(t, c, 3, "k"), pattern(v-1, 3000))
	}
	r.Close()
	// each goes its own way
	commit(t, c, blind(1, set("copy", "c")))
	commit(t, e, blind(1, set("original", "o"), del("m00")))
	filled(t, c, ids, [2]string{"copy=c " + want[0], want[1]})
	for _, x := range []engine.Engine{c, e} {
		checkClean(t, x)
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
