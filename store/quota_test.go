package store

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

// Each of the three bounds holds, in every way by which something is added, and
// what a transaction was refused leaves no trace.
func TestQuota(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	appendLetters(t, s, a, inbox, letter(1), letter(2))
	m := stage(t, s, letter(3))
	over := func(what string, fn func(tx *Tx) error) {
		t.Helper()
		if err := a.Update(t.Context(), fn); mail.KindOf(err) != mail.OverQuota {
			t.Errorf("%s: %v", what, err)
		}
	}
	var boxes int64
	change(t, a, func(tx *Tx) error {
		boxes = tx.Usage().Mailboxes
		return tx.SetQuota(Quota{Messages: 3, Mailboxes: boxes + 2})
	})
	over("2 appends", func(tx *Tx) error {
		_, err := tx.Append(inbox, m, AppendOptions{})
		must(t, err)
		_, err = tx.Append(inbox, m, AppendOptions{})
		return err
	})
	over("3 mailboxes more", func(tx *Tx) error { _, err := tx.CreateMailbox(NewMailbox{Path: "a/b/c"}); return err })
	over("rename under 2 new", func(tx *Tx) error {
		id, err := tx.CreateMailbox(NewMailbox{Path: "x"})
		must(t, err)
		return tx.RenameMailbox(id, "y/z/x")
	})
	change(t, a, func(tx *Tx) error {
		_, err := tx.CreateMailbox(NewMailbox{Path: "a/b"})
		must(t, err)
		_, err = tx.Append(inbox, m, AppendOptions{})
		must(t, err)
		_, err = tx.Move(inbox, mailboxOf(t, tx, "a/b"), UIDSet{{1, 9}})
		must(t, err)
		if err := tx.SetQuota(Quota{Bytes: -1}); mail.KindOf(err) != mail.Invalid {
			t.Errorf("negative: %v", err)
		}
		u := tx.Usage()
		if !u.Full(1) || u.Messages != 3 || u.Mailboxes != boxes+2 {
			t.Errorf("usage %+v", u)
		}
		return err
	})
	checkStore(t, s)
}

func mailboxOf(t *testing.T, tx *Tx, path string) MailboxID {
	t.Helper()
	m, err := tx.Mailbox(path)
	must(t, err)
	return m.ID
}

// Many deliver to the accounts of one domain at once: together they never hold
// more than it may, they use all of it, and what goes makes room again. Those of
// another domain do not feel it.
func TestDomainQuota(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	var accts []*Account
	for id := range mail.AccountID(5) {
		a := newTestAccount(t, s, id+1)
		dom := mail.Domain("demo.test")
		if id == 4 {
			dom = "far.test"
		}
		change(t, a, func(tx *Tx) error { return tx.SetDomain(dom) })
		accts = append(accts, a)
	}
	size := int64(len(letter(1)))
	appendLetters(t, s, accts[0], mailboxID(t, accts[0], "INBOX"), letter(1)) // before there is a quota
	const most = 21
	must(t, s.SetDomainQuota(t.Context(), "demo.test", most*size))
	var fit atomic.Int64
	fit.Store(1)
	var wg sync.WaitGroup
	for _, a := range accts {
		inbox := mailboxID(t, a, "INBOX")
		wg.Go(func() {
			for range 30 {
				m, err := s.Stage(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				m.Write([]byte(letter(1)))
				m.Finish()
				err = a.Update(context.Background(), func(tx *Tx) error {
					_, err := tx.Append(inbox, m, AppendOptions{})
					return err
				})
				m.Close()
				switch {
				case a == accts[4] && err != nil, err != nil && mail.KindOf(err) != mail.OverQuota:
					t.Errorf("append: %v", err)
				case a != accts[4] && err == nil:
					fit.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if fit.Load() != most || s.DomainUsage("demo.test") != most*size || s.DomainUsage("far.test") != 30*size {
		t.Errorf("%d fit, %d and %d bytes; want %d", fit.Load(), s.DomainUsage("demo.test"), s.DomainUsage("far.test"), most)
	}
	inbox := mailboxID(t, accts[0], "INBOX")
	change(t, accts[0], func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDSet{{1, 1}}); return err })
	appendLetters(t, s, accts[1], mailboxID(t, accts[1], "INBOX"), letter(1))
	must(t, s.DeleteAccount(t.Context(), 1, nil))
	must(t, s.DeleteAccount(t.Context(), 2, nil))
	must(t, s.DeleteAccount(t.Context(), 3, nil))
	must(t, s.DeleteAccount(t.Context(), 4, nil))
	if n := s.DomainUsage("demo.test"); n != 0 {
		t.Errorf("%d bytes of nobody", n)
	}
}
