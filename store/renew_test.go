package store

import (
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

// A client that saw a later state than the one that was restored: nothing that
// it is told afterwards may be taken for something that it knows.
func TestRenew(t *testing.T) {
	eng := mem.New()
	now := time.Unix(1_700_000_000, 0)
	s := openStore(t, eng, Options{Now: func() time.Time { return now }})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	old := appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3))
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDs(2)); return err })
	before := map[MailboxID]Mailbox{}
	var seen ModSeq
	must(t, a.View(t.Context(), func(v *View) error {
		for _, m := range v.Mailboxes() {
			before[m.ID] = *m
		}
		seen = v.ModSeq()
		return nil
	}))
	n, err := s.Renew(t.Context())
	if must(t, err); n != 1 {
		t.Errorf("%d accounts renewed", n)
	}
	check := func() {
		t.Helper()
		must(t, s.Check(t.Context(), true, func(_ mail.AccountID, p string) { t.Error(p) }))
		must(t, a.View(t.Context(), func(v *View) error {
			for _, m := range v.Mailboxes() {
				was := before[m.ID]
				if m.UIDValidity <= was.UIDValidity || m.HighestModSeq < ModSeq(now.Unix())<<20 || m.UIDNext < was.UIDNext || m.Messages < was.Messages {
					t.Errorf("%s: %+v, was %+v", m.Path, *m, was)
				}
			}
			for _, pos := range []LogPos{0, LogPos(seen), LogPos(seen + 7)} {
				if err := v.Changes(pos, func(Change) bool { return true }); mail.KindOf(err) != mail.NotFound {
					t.Errorf("changes since %d: %v", pos, err)
				}
			}
			return nil
		}))
	}
	check()
	a.evict()
	check()
	later := appendLetters(t, s, a, inbox, letter(4))
	if later[0].Email <= old[2].Email+1<<20 || later[0].UID != 4 {
		t.Errorf("appended after the restore: %+v", later[0])
	}
	check()
}

// Two restores, one right after the other, give no number twice, also where mailboxes
// were made or went between the two states.
func TestTwoRestores(t *testing.T) {
	var given [2]map[string]uint32
	for i := range given {
		s := openStore(t, mem.New(), Options{Now: time.Now})
		a := newTestAccount(t, s, 1)
		if i == 1 {
			change(t, a, func(tx *Tx) error { return tx.DeleteMailbox(mailboxOf(t, tx, "Sent")) })
		}
		_, err := s.Renew(t.Context())
		must(t, err)
		given[i] = map[string]uint32{}
		must(t, a.View(t.Context(), func(v *View) error {
			for _, m := range v.Mailboxes() {
				given[i][m.Path] = m.UIDValidity
			}
			return nil
		}))
	}
	for path, v := range given[1] {
		if v <= given[0][path] {
			t.Errorf("%s: %d after %d", path, v, given[0][path])
		}
	}
}
