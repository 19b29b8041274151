package store

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

// Messages over a mebibyte go through the engine; sections are read from them.
func TestLargeMessage(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 1)
	b := newTestAccount(t, s, 2)
	text := letter(1) + strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef\r\n", 60_000)
	m, err := s.Stage(t.Context())
	must(t, err)
	for rest := text; rest != ""; {
		n := min(len(rest), 30_000)
		_, err := m.Write([]byte(rest[:n]))
		must(t, err)
		rest = rest[n:]
	}
	must(t, m.Finish())
	buf := make([]byte, 100)
	if n, err := m.ReadAt(buf, int64(len(text)-50)); n != 50 || err != io.EOF || string(buf[:n]) != text[len(text)-50:] {
		t.Errorf("read back %d, %v", n, err)
	}
	for _, a := range []*Account{a, b} {
		inbox := mailboxID(t, a, "INBOX")
		change(t, a, func(tx *Tx) error {
			_, err := tx.Append(inbox, m, AppendOptions{Prefix: []byte("X-A: b\r\n")})
			return err
		})
	}
	must(t, m.Close())
	must(t, m.Close())
	must(t, b.View(t.Context(), func(v *View) error {
		e, err := v.Email(1)
		must(t, err)
		r, err := b.Open(t.Context(), e)
		must(t, err)
		defer r.Close()
		got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		if err != nil || !bytes.Equal(got, []byte("X-A: b\r\n"+text)) || r.Size() != e.Size {
			t.Errorf("read %d bytes of %d, %v", len(got), e.Size, err)
		}
		for _, off := range []int64{0, 3, 7, 8, 9, e.Size - 4, e.Size} {
			p := make([]byte, 10)
			n, _ := r.ReadAt(p, off)
			if want := ("X-A: b\r\n" + text)[off:min(off+10, e.Size)]; string(p[:n]) != want {
				t.Errorf("at %d: %q, want %q", off, p[:n], want)
			}
		}
		return nil
	}))
}

// Accounts leave memory when there are too many; sessions do not notice.
func TestEviction(t *testing.T) {
	s := openStore(t, mem.New(), Options{MemoryBudget: 64 << 10})
	var accts []*Account
	var snaps []*Snapshot
	for id := mail.AccountID(1); id <= 60; id++ {
		a := newTestAccount(t, s, id)
		inbox := mailboxID(t, a, "INBOX")
		appendLetters(t, s, a, inbox, letter(1), letter(2))
		accts = append(accts, a)
		snaps = append(snaps, snapshotOf(t, a, inbox))
	}
	if got := s.size.Load(); got > s.opts.MemoryBudget {
		t.Errorf("%d bytes in memory", got)
	}
	if accts[0].durable.Load() != nil {
		t.Error("the account that was not used for longest is still in memory")
	}
	for i, a := range accts {
		inbox := snaps[i].Mailbox().ID
		appendLetters(t, s, a, inbox, letter(3))
		now := snapshotOf(t, a, inbox)
		if d := Diff(snaps[i], now); d.Added.String() != "3" || len(d.Expunged)+len(d.Changed) > 0 {
			t.Fatalf("account %d: %+v", a.ID(), d)
		}
	}
	total := int64(0)
	for _, a := range s.all() {
		total += a.size.Load()
	}
	if total != s.size.Load() {
		t.Errorf("accounts take %d bytes, the store counts %d", total, s.size.Load())
	}
}

// Writers on some accounts, alone and together in any order, with readers that
// check what they see, while accounts come and go.
func TestConcurrency(t *testing.T) {
	s := openStore(t, mem.New(), Options{MemoryBudget: 40 << 10})
	s.maxTail.actions = 9
	const n = 6
	accts := make([]*Account, n)
	for i := range accts {
		accts[i] = newTestAccount(t, s, mail.AccountID(i+1))
	}
	inbox := mailboxID(t, accts[0], "INBOX")
	sent := mailboxID(t, accts[0], "Sent")
	var wg sync.WaitGroup
	for w := range 6 {
		m := stage(t, s, letter(w)) // it is for one goroutine
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for range 40 {
				ids := []mail.AccountID{mail.AccountID(rnd.IntN(n) + 1)}
				if o := mail.AccountID(rnd.IntN(n) + 1); o != ids[0] {
					ids = append(ids, o)
				}
				what := rnd.IntN(4)
				err := s.Update(context.Background(), ids, nil, func(txs []*Tx) error {
					for _, tx := range txs {
						if err := mutate(tx, what, m, inbox, sent); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for r := range 3 {
		wg.Go(func() {
			last := make([]ModSeq, n)
			for i := range 60 {
				k := (i + r) % n
				err := accts[k].View(context.Background(), func(v *View) error {
					if v.ModSeq() < last[k] {
						t.Error("the log went back")
					}
					last[k] = v.ModSeq()
					return readAll(t, v)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func mutate(tx *Tx, what int, m *Staged, inbox, sent MailboxID) error {
	var err error
	snap, _ := tx.Snapshot(inbox)
	half := snap.UIDs(0, (snap.Len()+1)/2)
	switch what {
	case 0, 1:
		_, err = tx.Append(inbox, m, AppendOptions{Flags: []mail.Flag{mail.FlagSeen}})
	case 2:
		_, _, err = tx.SetFlags(inbox, half, FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagDeleted, "k"}})
	case 3:
		if _, err = tx.Move(inbox, sent, half); err == nil {
			_, err = tx.Expunge(sent, UIDs(1, 3, 5))
		}
	}
	return err
}

// readAll compares each mailbox of a view with its record.
func readAll(t *testing.T, v *View) error {
	for _, mb := range v.Mailboxes() {
		snap, err := v.Snapshot(mb.ID)
		if err != nil {
			return err
		}
		var c tally
		for _, r := range snap.Rows(0, snap.Len()) {
			c.count(snap.System(r.Flags), r.Size, 1)
		}
		if c != (tally{int64(mb.Messages), int64(mb.Unseen), int64(mb.Deleted), mb.Bytes, mb.DeletedBytes}) {
			t.Errorf("%+v, but its messages make %+v", mb, c)
		}
	}
	return nil
}

// Expunged messages can be read until they are reaped; then their bytes are gone,
// unless another mailbox or account has them.
func TestReap(t *testing.T) {
	clock := newClock()
	eng := mem.New()
	s := openStore(t, eng, Options{Now: clock.now})
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3))
	var kept []*Email
	must(t, a.View(t.Context(), func(v *View) error {
		for id := EmailID(1); id <= 3; id++ {
			e, err := v.Email(id)
			must(t, err)
			kept = append(kept, e)
		}
		return nil
	}))
	change(t, a, func(tx *Tx) error {
		if _, err := tx.Copy(inbox, sent, UIDs(2)); err != nil {
			return err
		}
		_, err := tx.Expunge(inbox, UIDs(1, 2))
		return err
	})
	readable := func() (n int) {
		for _, e := range kept {
			if _, err := a.Read(t.Context(), nil, e); err == nil {
				n++
			}
		}
		return n
	}
	due := func() int {
		all, err := s.expungedBefore(clock.t.Add(24 * time.Hour))
		must(t, err)
		return len(all)
	}
	s.reapDue()
	if n := readable(); n != 3 || due() != 1 {
		t.Errorf("%d messages readable, %d accounts due", n, due())
	}
	clock.t = clock.t.Add(2 * defaultReap)
	s.reapDue()
	if n := readable(); n != 2 || due() != 0 {
		t.Errorf("%d messages readable after the reaper, %d accounts due", n, due())
	}
	must(t, a.View(t.Context(), func(v *View) error {
		m, err := v.Memberships(2)
		if err != nil || len(m) != 1 || m[0] != (Membership{sent, 1}) {
			t.Errorf("memberships %v, %v", m, err)
		}
		if _, err := v.Email(1); mail.KindOf(err) != mail.NotFound {
			t.Errorf("reaped email: %v", err)
		}
		return nil
	}))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s.reapDue()
}
