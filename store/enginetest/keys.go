package enginetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"posthouse/store/engine"
)

func testSetDeleteScan(t *testing.T, e engine.Engine) {
	wantDump(t, e, 1, "")
	commit(t, e, blind(1, set("b", "2"), set("a", "1"), set("c", "3"), set("", "empty key"), set("e", "")))
	commit(t, e, blind(2, set("a", "other account")))
	wantDump(t, e, 1, "=empty key a=1 b=2 c=3 e=")
	commit(t, e, blind(1, del("b"), del("nothing"), set("c", "33"), del("")))
	wantDump(t, e, 1, "a=1 c=33 e=")
	wantDump(t, e, 2, "a=other account")
	r := e.Snapshot(1)
	defer r.Close()
	if v, err := r.Get([]byte("c")); err != nil || string(v) != "33" {
		t.Fatalf("Get c: %q, %v", v, err)
	}
	if v, err := r.Get([]byte("e")); err != nil || v == nil || len(v) != 0 {
		t.Fatalf("Get e: %q, %v; want an empty value that is not nil", v, err)
	}
	for _, k := range []string{"b", "zz", ""} {
		if v, err := r.Get([]byte(k)); err != engine.ErrNotFound {
			t.Fatalf("Get %q: %q, %v; want ErrNotFound itself", k, v, err)
		}
	}
	for _, c := range []struct{ lo, hi, want string }{
		{"a", "c", "a=1"}, {"a", "c\x00", "a=1 c=33"}, {"b", "z", "c=33 e="}, {"c", "c", ""}, {"d", "a", ""}, {"f", "g", ""},
	} {
		if got := dumpRange(t, r, []byte(c.lo), []byte(c.hi)); got != c.want {
			t.Errorf("Scan %q to %q: got %q, want %q", c.lo, c.hi, got, c.want)
		}
	}
	n := 0
	if err := r.Scan(nil, nil, func(_, _ []byte) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("Scan that stops at the second key: %d calls, %v", n, err)
	}
	commit(t, e, blind(1, engine.Op{Kind: engine.DeleteRange, Key: []byte("a"), End: []byte("e")}))
	wantDump(t, e, 1, "e=")
	commit(t, e, blind(1, engine.Op{Kind: engine.DeleteRange, Key: []byte("x"), End: []byte("a")}))
	wantDump(t, e, 1, "e=")
	wantDump(t, e, 2, "a=other account")
}

func testAccounts(t *testing.T, e engine.Engine) {
	list := func() (s string) {
		if err := e.Accounts(func(a engine.Account) bool { s += fmt.Sprintf("%x ", uint64(a)); return true }); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if got := list(); got != "" {
		t.Fatalf("an empty engine has accounts %s", got)
	}
	for _, a := range []engine.Account{7, 0, 1 << 40, 255, 256, ^engine.Account(0)} {
		commit(t, e, blind(a, set("\xff\xff\xff\xff\xff\xff\xff\xff\xff", "x"), set("a", "y")))
	}
	if got, want := list(), "0 7 ff 100 10000000000 ffffffffffffffff "; got != want {
		t.Fatalf("accounts %s, want %s", got, want)
	}
	wantDump(t, e, ^engine.Account(0), "a=y \xff\xff\xff\xff\xff\xff\xff\xff\xff=x")
	commit(t, e, &engine.Batch{Account: 255, Expect: 0, Ops: []engine.Op{del("a"), del("\xff\xff\xff\xff\xff\xff\xff\xff\xff")}})
	if got, want := list(), "0 7 100 10000000000 ffffffffffffffff "; got != want {
		t.Fatalf("accounts %s, want %s", got, want)
	}
	n := 0
	if err := e.Accounts(func(engine.Account) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Fatalf("Accounts that stops at the third: %d calls, %v", n, err)
	}
}

func testVersions(t *testing.T, e engine.Engine) {
	version := func(a engine.Account) uint64 {
		r := e.Snapshot(a)
		defer r.Close()
		return r.Version()
	}
	for v := range uint64(3) {
		if got := version(1); got != v {
			t.Fatalf("version %d, want %d", got, v)
		}
		commit(t, e, &engine.Batch{Account: 1, Expect: v, Ops: []engine.Op{set("k", fmt.Sprint(v))}})
		commit(t, e, blind(1, set("blind", fmt.Sprint(v)))) // does not count
	}
	fails(t, e, engine.ErrConflict, &engine.Batch{Account: 1, Expect: 2, Ops: []engine.Op{set("k", "lost")}})
	fails(t, e, engine.ErrConflict, &engine.Batch{Account: 1, Expect: 4, Ops: []engine.Op{set("k", "lost")}})
	wantDump(t, e, 1, "blind=2 k=2")
	if a, b := version(1), version(2); a != 3 || b != 0 {
		t.Fatalf("versions %d and %d, want 3 and 0", a, b)
	}
	// two batches of one account in one commit chain
	commit(t, e, &engine.Batch{Account: 1, Expect: 3, Ops: []engine.Op{set("k", "a")}}, &engine.Batch{Account: 1, Expect: 4, Ops: []engine.Op{set("k", "b")}})
	wantDump(t, e, 1, "blind=2 k=b")
	commit(t, e, &engine.Batch{Account: 1, Expect: 5}) // counts, although nothing changes
	commit(t, e, &engine.Batch{Account: 7, Expect: 0, Skip: 1 << 32, Ops: []engine.Op{set("k", "a")}}, &engine.Batch{Account: 7, Expect: 1<<32 + 1})
	fails(t, e, engine.ErrConflict, &engine.Batch{Account: 7, Expect: 1})
	if v := version(7); v != 1<<32+2 {
		t.Errorf("version %d after skipping 2^32", v)
	}
	if v := version(1); v != 6 {
		t.Fatalf("version %d, want 6", v)
	}
}

// Commits that follow each other without waiting see the version that the
// pending ones will give; one that conflicts takes its successors with it.
func testChainedConflict(t *testing.T, e engine.Engine) {
	ctx := context.Background()
	var ps []engine.Pending
	for i := range 50 {
		v := uint64(i)
		if i >= 40 {
			v++ // one is missing
		}
		ps = append(ps, e.Commit(ctx, &engine.Batch{Account: 9, Expect: v, Ops: []engine.Op{set(fmt.Sprintf("%02d", i), "x")}}))
	}
	for i, p := range ps {
		_, err := p.Wait()
		if (err == nil) != (i < 40) {
			t.Fatalf("commit %d: %v", i, err)
		}
		if _, again := p.Wait(); again != err {
			t.Fatalf("a second Wait returns %v after %v", again, err)
		}
	}
	r := e.Snapshot(9)
	defer r.Close()
	if got := dump(t, r); len(got) != 40*5-1 || r.Version() != 40 {
		t.Fatalf("version %d, %q", r.Version(), got)
	}
}

func testCAS(t *testing.T, e engine.Engine) {
	cas := func(old []byte, val string) *engine.Batch {
		b := blind(3, set("lock", val))
		b.CAS = []engine.CAS{{Key: []byte("lock"), Old: old}}
		return b
	}
	commit(t, e, cas(nil, ""))
	fails(t, e, engine.ErrConflict, cas(nil, "again"))
	fails(t, e, engine.ErrConflict, cas([]byte("x"), "again"))
	commit(t, e, cas([]byte{}, "held"))
	wantDump(t, e, 3, "lock=held")
	// against pending commits
	ctx := context.Background()
	p1 := e.Commit(ctx, cas([]byte("held"), "1"))
	p2 := e.Commit(ctx, cas([]byte("held"), "2"))
	p3 := e.Commit(ctx, cas([]byte("1"), "3"))
	p4 := e.Commit(ctx, blind(3, engine.Op{Kind: engine.DeleteRange, Key: []byte("l"), End: []byte("m")}))
	p5 := e.Commit(ctx, cas(nil, "5"))
	p6 := e.Commit(ctx, blind(3, del("lock")))
	p7 := e.Commit(ctx, cas([]byte("5"), "7"))
	p8 := e.Commit(ctx, cas(nil, "8"))
	for i, p := range []engine.Pending{p1, p2, p3, p4, p5, p6, p7, p8} {
		if _, err := p.Wait(); (err != nil) != (i == 1 || i == 6) {
			t.Errorf("commit %d: %v", i+1, err)
		}
	}
	wantDump(t, e, 3, "lock=8")
	// two accounts race for one key: exactly one holder at a time
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for w := range 8 {
		wg.Go(func() {
			b := cas([]byte("8"), fmt.Sprint("w", w))
			if _, err := e.Commit(ctx, b).Wait(); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Fatalf("%d of 8 won the compare-and-swap", won)
	}
}

func testAtomicAccounts(t *testing.T, e engine.Engine) {
	commit(t, e, &engine.Batch{Account: 1, Expect: 0, Ops: []engine.Op{set("k", "1")}}, &engine.Batch{Account: 2, Expect: 0, Ops: []engine.Op{set("k", "2")}})
	fails(t, e, engine.ErrConflict,
		&engine.Batch{Account: 1, Expect: 1, Ops: []engine.Op{set("k", "lost")}},
		&engine.Batch{Account: 2, Expect: 7, Ops: []engine.Op{set("k", "lost")}})
	b := blind(2, set("k", "lost"))
	b.CAS = []engine.CAS{{Key: []byte("k"), Old: []byte("no")}}
	fails(t, e, engine.ErrConflict, blind(1, set("k", "lost")), b)
	wantDump(t, e, 1, "k=1")
	wantDump(t, e, 2, "k=2")
	// what failed has not raised a version
	commit(t, e, &engine.Batch{Account: 1, Expect: 1}, &engine.Batch{Account: 2, Expect: 1})
	commit(t, e) // nothing at all
}

func testSnapshotIsStable(t *testing.T, e engine.Engine) {
	commit(t, e, &engine.Batch{Account: 1, Expect: 0, Ops: []engine.Op{set("a", "1"), set("b", "1")}})
	r := e.Snapshot(1)
	defer r.Close()
	for i := range 20 {
		commit(t, e, &engine.Batch{Account: 1, Expect: uint64(i) + 1, Ops: []engine.Op{set("a", fmt.Sprint(i)), del("b"), set("c", "2")}})
	}
	if got := dump(t, r); got != "a=1 b=1" || r.Version() != 1 {
		t.Fatalf("old reader: version %d, %q", r.Version(), got)
	}
	wantDump(t, e, 1, "a=19 c=2")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// Within one commit, later ops win over earlier ones.
func testOpsInOrder(t *testing.T, e engine.Engine) {
	commit(t, e, blind(1, set("a", "1"), set("b", "1"), set("c", "1")))
	commit(t, e, blind(1,
		set("a", "2"), set("a", "3"), // twice
		engine.Op{Kind: engine.DeleteRange, Key: []byte("b"), End: []byte("c")}, set("b", "4"),
		set("d", "5"), engine.Op{Kind: engine.DeleteRange, Key: []byte("c"), End: []byte("z")}, set("e", "6"), del("e")),
		blind(1, set("f", "7")), blind(1, del("f"), set("g", "8")))
	wantDump(t, e, 1, "a=3 b=4 g=8")
}

// Ranges with no, few and many keys, among sets and deletes of the same commit.
func testRanges(t *testing.T, e engine.Engine) {
	rng := func(lo, hi string) engine.Op {
		return engine.Op{Kind: engine.DeleteRange, Key: []byte(lo), End: []byte(hi)}
	}
	many := blind(1)
	for i := range 3000 {
		many.Ops = append(many.Ops, set(fmt.Sprintf("k%04d", i), "v"))
	}
	commit(t, e, many, blind(2, set("k0001", "v")))
	commit(t, e, blind(1, rng("k0010", "k0020"), set("k0012", "w"), rng("x", "z"), set("y", "1"), rng("y", "z"), rng("k0040", "k2990")))
	wantRange := func(lo, hi, want string) {
		t.Helper()
		r := e.Snapshot(1)
		defer r.Close()
		if got := dumpRange(t, r, []byte(lo), []byte(hi)); got != want {
			t.Fatalf("%s to %s: got %q, want %q", lo, hi, got, want)
		}
	}
	wantRange("k0008", "k0022", "k0008=v k0009=v k0012=w k0020=v k0021=v")
	wantRange("k0039", "k2992", "k0039=v k2990=v k2991=v")
	wantRange("x", "zz", "")
	commit(t, e, blind(1, set("k0500", "new"), rng("k0000", "k9999"), set("k0600", "last")))
	wantDump(t, e, 1, "k0600=last")
	wantDump(t, e, 2, "k0001=v")
	for i := range 20 {
		commit(t, e, blind(1, set(fmt.Sprint("s", i), "v"), rng("s", "t"), set("s", fmt.Sprint(i))))
	}
	wantDump(t, e, 1, "k0600=last s=19")
}

// Positions grow, and a Wait that has returned is visible to new readers.
func testConcurrentCommits(t *testing.T, e engine.Engine) {
	var wg sync.WaitGroup
	const writers, each = 16, 40
	for w := range writers {
		wg.Go(func() {
			a := engine.Account(w % 4)
			last := engine.Pos(0)
			for i := range each {
				key := fmt.Sprintf("%02d/%03d", w, i)
				pos, err := e.Commit(context.Background(), blind(a, set(key, "v"), set(fmt.Sprintf("last%02d", w), key))).Wait()
				if err != nil || pos <= last {
					t.Errorf("commit %s: position %d after %d, %v", key, pos, last, err)
					return
				}
				last = pos
				r := e.Snapshot(a)
				if _, err := r.Get([]byte(key)); err != nil {
					t.Errorf("Get %s after its commit: %v", key, err)
				}
				r.Close()
			}
		})
	}
	wg.Wait()
	for a := range engine.Account(4) {
		r := e.Snapshot(a)
		n := 0
		if err := r.Scan([]byte("0"), []byte("l"), func(_, _ []byte) bool { n++; return true }); err != nil || n != writers/4*each {
			t.Errorf("account %d has %d keys, want %d; %v", a, n, writers/4*each, err)
		}
		r.Close()
	}
}

func testReadersSeeWholeCommits(t *testing.T, e engine.Engine) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range uint64(300) {
			n := fmt.Sprint(i)
			if _, err := e.Commit(context.Background(), &engine.Batch{Account: 1, Expect: i, Ops: []engine.Op{set("a", n), set("m", n), set("z", n)}}).Wait(); err != nil {
				t.Errorf("commit %d: %v", i, err)
				return
			}
		}
	}()
	for stop := false; !stop; {
		select {
		case <-done:
			stop = true
		default:
		}
		r := e.Snapshot(1)
		if v := r.Version(); v > 0 {
			n := fmt.Sprint(v - 1)
			if got, want := dump(t, r), fmt.Sprintf("a=%s m=%s z=%s", n, n, n); got != want {
				t.Errorf("at version %d: %q", v, got)
			}
		}
		r.Close()
	}
}

// testRandom compares an engine with a map under random operations.
func testRandom(t *testing.T, e engine.Engine) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	m := newModel()
	key := func() []byte { return binary.BigEndian.AppendUint16(nil, uint16(rnd.IntN(300))) }
	for i := range 300 {
		var bs []*engine.Batch
		for range 1 + rnd.IntN(3) {
			b := &engine.Batch{Account: engine.Account(rnd.IntN(3)), Expect: engine.AnyVersion}
			if len(bs) == 0 && rnd.IntN(2) == 0 {
				b.Expect = m.versions[b.Account]
			}
			for range rnd.IntN(5) {
				switch rnd.IntN(8) {
				case 0:
					lo, hi := key(), key()
					b.Ops = append(b.Ops, engine.Op{Kind: engine.DeleteRange, Key: lo, End: hi})
				case 1, 2:
					b.Ops = append(b.Ops, engine.Op{Kind: engine.Delete, Key: key()})
				default:
					b.Ops = append(b.Ops, engine.Op{Kind: engine.Set, Key: key(), Val: fmt.Appendf(nil, "%d", i)})
				}
			}
			bs = append(bs, b)
		}
		m.apply(bs)
		p := e.Commit(context.Background(), bs...)
		if i%10 != 0 {
			continue
		}
		if _, err := p.Wait(); err != nil {
			t.Fatalf("commit %d: %v", i, err)
		}
		for a := range engine.Account(3) {
			r := e.Snapshot(a)
			if got, want := dump(t, r), m.dump(a); got != want || r.Version() != m.versions[a] {
				t.Fatalf("after commit %d, account %d at version %d (want %d):\n got %q\nwant %q", i, a, r.Version(), m.versions[a], got, want)
			}
			r.Close()
		}
	}
}
