package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

func TestPaths(t *testing.T) {
	l := Limits{}.withDefaults()
	for in, want := range map[string]string{
		"inbox": "INBOX", "Inbox/Work": "INBOX/Work", "inboxes": "inboxes", "a/": "a", "a/b": "a/b",
		"e\u0301": "\u00e9", "50% off*": "50% off*", " x ": " x ", "...": "...", "INBOX/inbox": "INBOX/inbox",
	} {
		if got, err := newPath(in, &l); err != nil || got != want {
			t.Errorf("%q became %q, %v", in, got, err)
		}
	}
	for in, want := range map[string]mail.Kind{
		"": mail.Invalid, "/": mail.Invalid, "/a": mail.Invalid, "a//b": mail.Invalid, ".": mail.Invalid, "a/../b": mail.Invalid, "a//": mail.Invalid, "a\x00": mail.Invalid,
		"a\nb": mail.Invalid, "a\u0085": mail.Invalid, "\u2028": mail.Invalid, "\xff": mail.Invalid, "\ufeffa": mail.Invalid,
		strings.Repeat("x", 256): mail.TooLarge, strings.Repeat("a/", 20) + "a": mail.TooLarge,
		strings.Repeat(strings.Repeat("y", 200)+"/", 5) + "yy": mail.TooLarge,
	} {
		if _, err := newPath(in, &l); mail.KindOf(err) != want {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
	}
	order := []string{"INBOX", "INBOX/a", "A", "a", "a/b", "a/b/c", "a b", "a.b", "ab"}
	shuffled := slices.Clone(order)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, comparePaths)
	if !slices.Equal(shuffled, order) {
		t.Errorf("order %q, want %q", shuffled, order)
	}
}

// change runs one update that must succeed.
func change(t *testing.T, a *Account, fn func(tx *Tx) error) {
	t.Helper()
	must(t, a.Update(t.Context(), fn))
}

func TestRecreatedMailboxHasHigherUIDValidity(t *testing.T) {
	clock := newClock()
	s := openStore(t, mem.New(), Options{Now: clock.now})
	a := newTestAccount(t, s, 1)
	last := uint32(0)
	for i := range 6 {
		change(t, a, func(tx *Tx) error {
			id, err := tx.CreateMailbox(NewMailbox{Path: "again"})
			if err != nil {
				return err
			}
			m, err := tx.MailboxByID(id)
			if err != nil || m.UIDValidity <= last {
				t.Errorf("UIDVALIDITY %d after %d", m.UIDValidity, last)
			}
			last = m.UIDValidity
			return tx.DeleteMailbox(id)
		})
		if i == 3 {
			clock.t = clock.t.AddDate(-9, 0, 0) // the clock goes back
		}
	}
}

func TestRolesAreUnique(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 1)
	sent := mailboxID(t, a, "Sent")
	change(t, a, func(tx *Tx) error {
		id, err := tx.CreateMailbox(NewMailbox{Path: "Outgoing", Role: mail.RoleSent})
		must(t, err)
		old, _ := tx.MailboxByID(sent)
		now, err := tx.MailboxByRole(mail.RoleSent)
		if err != nil || now.ID != id || old.Role != mail.RoleNone {
			t.Errorf("sent is %+v, was %+v, %v", now, old, err)
		}
		if err := tx.SetRole(mailboxID(t, a, "INBOX"), mail.RoleArchive); mail.KindOf(err) != mail.Denied {
			t.Errorf("role for the inbox: %v", err)
		}
		if _, err := tx.CreateMailbox(NewMailbox{Path: "x", Role: `\Nonsense`}); mail.KindOf(err) != mail.Invalid {
			t.Errorf("unknown role: %v", err)
		}
		return nil
	})
}

func TestMailboxLimits(t *testing.T) {
	s := openStore(t, mem.New(), Options{Limits: Limits{Mailboxes: 6, Keywords: 3, MessageBytes: 100}})
	a := newTestAccount(t, s, 1)
	create := func(path string) error {
		return a.Update(t.Context(), func(tx *Tx) error {
			_, err := tx.CreateMailbox(NewMailbox{Path: path})
			return err
		})
	}
	must(t, create("1/2"))
	if err := create("3/4"); mail.KindOf(err) != mail.TooLarge {
		t.Errorf("seventh mailbox: %v", err)
	}
	must(t, create("3"))
	inbox := mailboxID(t, a, "INBOX")
	m, err := s.Stage(t.Context())
	must(t, err)
	defer m.Close()
	_, err = m.Write(make([]byte, 101))
	if mail.KindOf(err) != mail.TooLarge {
		t.Errorf("large message: %v", err)
	}
	small := stage(t, s, "A: b\r\n\r\nx")
	change(t, a, func(tx *Tx) error {
		_, err := tx.Append(inbox, small, AppendOptions{Flags: []mail.Flag{"k1", "K2", "k2", "k3"}})
		must(t, err)
		if _, err := tx.Append(inbox, small, AppendOptions{Flags: []mail.Flag{"k4"}}); mail.KindOf(err) != mail.TooLarge {
			t.Errorf("fourth keyword: %v", err)
		}
		if _, _, err := tx.SetFlags(inbox, UIDs(1), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{"k4"}}); mail.KindOf(err) != mail.TooLarge {
			t.Errorf("fourth keyword: %v", err)
		}
		for _, bad := range []mail.Flag{"", "a b", "(", "\\Strange", "ü", "a]", mail.Flag(strings.Repeat("x", 101))} {
			if _, _, err := tx.SetFlags(inbox, UIDs(1), FlagChange{Flags: []mail.Flag{bad}}); err == nil {
				t.Errorf("flag %q accepted", bad)
			}
		}
		snap, err := tx.Snapshot(inbox)
		must(t, err)
		if got := snap.FlagText(snap.Row(0).Flags); got != "k1 K2 k3" || len(snap.Keywords()) != 3 || !snap.Has(snap.Row(0).Flags, "K1") {
			t.Errorf("flags %q of %q", got, snap.Keywords())
		}
		return nil
	})
	change(t, a, func(tx *Tx) error { return tx.SetQuota(Quota{Bytes: 25}) })
	err = a.Update(t.Context(), func(tx *Tx) error {
		_, err := tx.Append(inbox, small, AppendOptions{})
		must(t, err)
		_, err = tx.Append(inbox, small, AppendOptions{})
		return err
	})
	if mail.KindOf(err) != mail.OverQuota {
		t.Errorf("over quota: %v", err)
	}
	change(t, a, func(tx *Tx) error {
		_, err := tx.Copy(inbox, inbox, UIDSet{{1, 9}})
		must(t, err)
		_, err = tx.Copy(inbox, inbox, UIDSet{{1, 9}}) // counts once
		must(t, err)
		_, err = tx.Move(inbox, inbox, UIDSet{{1, 9}})
		if u := tx.Usage(); u != (Usage{Messages: 1, Bytes: 9, Mailboxes: u.Mailboxes, Quota: Quota{25, 0, u.Quota.Mailboxes}}) {
			t.Errorf("usage %+v", u)
		}
		return err
	})
}

// A thousand mailboxes, renamed as one.
func TestRenameSubtree(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 1)
	change(t, a, func(tx *Tx) error {
		for i := range 300 {
			if _, err := tx.CreateMailbox(NewMailbox{Path: fmt.Sprintf("top/%d/leaf", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	top := mailboxID(t, a, "top")
	leaf := mailboxID(t, a, "top/7/leaf")
	change(t, a, func(tx *Tx) error { return tx.RenameMailbox(top, "new/place") })
	if got := mailboxID(t, a, "new/place/7/leaf"); got != leaf {
		t.Errorf("leaf is %d, was %d", got, leaf)
	}
	must(t, a.View(t.Context(), func(v *View) error {
		if n := len(v.Mailboxes()); n != 3+1+1+600 {
			t.Errorf("%d mailboxes", n)
		}
		return nil
	}))
	a.evict()
	if got := mailboxID(t, a, "new/place/7/leaf"); got != leaf {
		t.Errorf("after loading leaf is %d, was %d", got, leaf)
	}
}
