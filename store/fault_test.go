package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// A gate is an engine whose commits can be made to wait or to fail.
type gate struct {
	engine.Engine
	commits atomic.Int64
	refuse  func(n int64) error // of commit n, counted from 1; nil: let it pass
	hold    chan struct{}       // if not nil, nothing is committed until it is closed
	arrived chan struct{}       // if not nil, receives once per commit

	mu    sync.Mutex
	queue []*gated
}

type gated struct {
	g       *gate
	ctx     context.Context
	batches []*engine.Batch
	p       engine.Pending
	err     error
	hold    chan struct{}
}

func (g *gate) Commit(ctx context.Context, batches ...*engine.Batch) engine.Pending {
	n := g.commits.Add(1)
	out := &gated{g: g, ctx: ctx, batches: batches, hold: g.hold}
	if g.refuse != nil {
		out.err = g.refuse(n)
	}
	g.mu.Lock()
	g.queue = append(g.queue, out)
	g.mu.Unlock()
	if g.hold == nil {
		g.pass()
	}
	if g.arrived != nil {
		g.arrived <- struct{}{}
	}
	return out
}

// pass hands on what waits, in order.
func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.queue {
		if w.err == nil {
			w.p = w.g.Engine.Commit(w.ctx, w.batches...)
		}
	}
	g.queue = nil
}

func (w *gated) Wait() (engine.Pos, error) {
	if w.hold != nil {
		<-w.hold
		w.g.pass()
	}
	if w.err != nil {
		return 0, w.err
	}
	return w.p.Wait()
}

// Updates of one mailbox are on their way to the disk together, and nobody sees
// them before they are there.
func TestUpdatesShareASync(t *testing.T) {
	g := &gate{Engine: mem.New()}
	s := openStore(t, g, Options{})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	snapshotOf(t, a, inbox)
	w := a.Watch()
	g.hold, g.arrived = make(chan struct{}), make(chan struct{})
	const n = 50
	var wg sync.WaitGroup
	uids := make([]UID, n)
	for i := range n {
		m := stage(t, s, letter(i))
		wg.Go(func() {
			err := a.Update(context.Background(), func(tx *Tx) error {
				got, err := tx.Append(inbox, m, AppendOptions{})
				uids[i] = got.UID
				return err
			})
			if err != nil {
				t.Error(err)
			}
			if snap := snapshotOf(t, a, inbox); snap.content.n == 0 {
				t.Error("own change not visible")
			} else if _, ok := snap.Search(uids[i]); !ok {
				t.Errorf("own UID %d not visible", uids[i])
			}
		})
	}
	for range n { // all commits are made although none has returned
		<-g.arrived
	}
	if got := snapshotOf(t, a, inbox).Len(); got != 0 {
		t.Errorf("%d messages seen before they were durable", got)
	}
	select {
	case <-w.C():
		t.Error("watcher woken before anything was durable")
	default:
	}
	close(g.hold)
	wg.Wait()
	g.hold, g.arrived = nil, nil
	<-w.C()
	w.Close()
	if _, open := <-w.C(); open {
		if _, open = <-w.C(); open {
			t.Error("watch goes on after Close")
		}
	}
	seen := map[UID]bool{}
	for _, u := range uids {
		seen[u] = true
	}
	if len(seen) != n {
		t.Errorf("%d different UIDs of %d", len(seen), n)
	}
}

// A commit that fails takes back all that was computed on top of it; those are
// computed again, and nothing is lost or doubled.
func TestFailingCommits(t *testing.T) {
	for _, failure := range []error{engine.ErrFull, engine.ErrConflict} {
		t.Run(failure.Error(), func(t *testing.T) {
			g := &gate{Engine: mem.New()}
			s := openStore(t, g, Options{})
			s.maxTail.actions = 7
			accts := []*Account{newTestAccount(t, s, 1), newTestAccount(t, s, 2)}
			boxes := []MailboxID{mailboxID(t, accts[0], "INBOX"), mailboxID(t, accts[1], "INBOX")}
			g.refuse = func(n int64) error {
				if n%5 == 0 {
					return fmt.Errorf("test: %w", failure)
				}
				return nil
			}
			const writers, each = 8, 25
			ok := make([]atomic.Int64, 2)
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := range each {
						m, err := s.Stage(context.Background())
						if err != nil {
							t.Error(err)
							return
						}
						m.Write([]byte(letter(w*each + i)))
						m.Finish()
						k := i % 2
						err = accts[k].Update(context.Background(), func(tx *Tx) error {
							_, err := tx.Append(boxes[k], m, AppendOptions{Flags: []mail.Flag{mail.Flag(fmt.Sprintf("k%d", i%9))}})
							return err
						})
						m.Close()
						switch {
						case err == nil:
							ok[k].Add(1)
						case mail.KindOf(err) != mail.Unavailable && mail.KindOf(err) != mail.Conflict:
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			g.refuse = nil
			for k, a := range accts {
				if got := snapshotOf(t, a, boxes[k]).Len(); int64(got) != ok[k].Load() || got == 0 {
					t.Errorf("account %d: %d messages, %d acknowledged", k, got, ok[k].Load())
				}
			}
		})
	}
}

// After a fault the engine refuses everything; reading goes on.
func TestUnavailableEngine(t *testing.T) {
	g := &gate{Engine: mem.New()}
	s := openStore(t, g, Options{})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	m := stage(t, s, letter(1))
	add := func() error {
		return a.Update(t.Context(), func(tx *Tx) error {
			_, err := tx.Append(inbox, m, AppendOptions{})
			return err
		})
	}
	must(t, add())
	g.refuse = func(int64) error { return engine.ErrUnavailable }
	for range 3 {
		if err := add(); mail.KindOf(err) != mail.Unavailable {
			t.Fatalf("error %v", err)
		}
	}
	if n := snapshotOf(t, a, inbox).Len(); n != 1 {
		t.Errorf("%d messages", n)
	}
	g.refuse = nil
	must(t, add())
	if n := snapshotOf(t, a, inbox).Len(); n != 2 {
		t.Errorf("%d messages", n)
	}
}

// One message to many accounts, with a foreign batch: all or nothing, and the
// bytes once.
func TestUpdateOfSeveralAccounts(t *testing.T) {
	eng := mem.New()
	s := openStore(t, eng, Options{})
	ids := []mail.AccountID{9, 4, 6}
	boxes := make([]MailboxID, len(ids))
	for i, id := range ids {
		boxes[i] = mailboxID(t, newTestAccount(t, s, id), "INBOX")
	}
	m := stage(t, s, letter(1))
	before := eng.Stats().BlobBytes
	deliver := func(extra *engine.Batch) error {
		return s.Update(t.Context(), ids, []*engine.Batch{extra}, func(txs []*Tx) error {
			for i, tx := range txs {
				if tx.Account() != ids[i] {
					t.Errorf("account %d at %d", tx.Account(), i)
				}
				if _, err := tx.Append(boxes[i], m, AppendOptions{Prefix: fmt.Appendf(nil, "Delivered-To: %d\r\n", i)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, deliver(&engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{{Key: []byte("q1"), Val: []byte("x")}}}))
	if got := eng.Stats().BlobBytes - before; got != uint64(m.Size()) {
		t.Errorf("%d bytes stored for three recipients of %d", got, m.Size())
	}
	err := deliver(&engine.Batch{Expect: engine.AnyVersion, CAS: []engine.CAS{{Key: []byte("q1")}}})
	if mail.KindOf(err) != mail.Conflict {
		t.Errorf("error %v, want a conflict", err)
	}
	for i, id := range ids {
		a, err := s.Account(t.Context(), id)
		must(t, err)
		if n := snapshotOf(t, a, boxes[i]).Len(); n != 1 {
			t.Errorf("account %d has %d messages", id, n)
		}
	}
	must(t, s.DeleteAccount(t.Context(), 4, nil))
	if _, err := s.Account(t.Context(), 4); mail.KindOf(err) != mail.NotFound {
		t.Errorf("deleted account: %v", err)
	}
	newTestAccount(t, s, 4)
}
