package store

import (
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

// A name that is deleted while it has children and made anew keeps its id: a
// message that was in it before and is copied into it again must not be taken for
// the one that waits for the reaper.
func TestRecreatedMailboxAndReaper(t *testing.T) {
	clock := newClock()
	s := openStore(t, mem.New(), Options{Now: clock.now})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	appendLetters(t, s, a, inbox, letter(1))
	change(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox(NewMailbox{Path: "a/b"}); return err })
	id := mailboxID(t, a, "a")
	for range 2 {
		change(t, a, func(tx *Tx) error { _, err := tx.Copy(inbox, id, UIDs(1)); return err })
		change(t, a, func(tx *Tx) error { return tx.DeleteMailbox(id) })
		change(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox(NewMailbox{Path: "a"}); return err })
	}
	change(t, a, func(tx *Tx) error { _, err := tx.Move(inbox, id, UIDs(1)); return err })
	checkStore(t, s)
	must(t, s.Reap(t.Context(), clock.t.Add(time.Hour)))
	checkStore(t, s)
	must(t, a.View(t.Context(), func(v *View) error {
		snap, err := v.Snapshot(id)
		must(t, err)
		_, err = v.Email(snap.Row(0).Email)
		return err
	}))
}

// What comes back, and what does not.
func TestUndelete(t *testing.T) {
	clock := newClock()
	s := openStore(t, mem.New(), Options{Now: clock.now})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3), letter(4))
	change(t, a, func(tx *Tx) error {
		_, _, err := tx.SetFlags(inbox, UIDs(1), FlagChange{Flags: []mail.Flag{mail.FlagDeleted, mail.FlagSeen, "Work"}})
		must(t, err)
		id, err := tx.CreateMailbox(NewMailbox{Path: "Old"})
		must(t, err)
		_, err = tx.Move(inbox, id, UIDs(2, 3)) // 2 is moved, 3 moved and lost with its mailbox
		return err
	})
	old := mailboxID(t, a, "Old")
	change(t, a, func(tx *Tx) error { _, err := tx.Move(old, inbox, UIDs(1)); return err })
	change(t, a, func(tx *Tx) error { return tx.DeleteMailbox(old) })
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDs(1)); return err })
	clock.t = clock.t.Add(time.Hour)
	change(t, a, func(tx *Tx) error {
		if done, err := tx.Undelete(tx.Now()); err != nil || len(done) != 0 {
			t.Errorf("nothing went since: %v, %v", done, err)
		}
		done, err := tx.Undelete(time.Time{})
		if len(done) != 2 || done[0] != (Restored{inbox, "INBOX", 1}) || done[1].Path != restoredPath || done[1].Messages != 1 {
			t.Errorf("%+v", done)
		}
		snap, _ := tx.Snapshot(inbox)
		r := snap.Row(snap.Len() - 1)
		if r.UID != 6 || snap.FlagText(r.Flags) != `\Seen Work` || r.SaveDate != clock.t.Unix() || r.InternalDate != clock.t.Unix()-3600 {
			t.Errorf("%+v %q", r, snap.FlagText(r.Flags))
		}
		return err
	})
	checkStore(t, s)
	must(t, s.Reap(t.Context(), clock.t.Add(time.Hour)))
	checkStore(t, s)
	change(t, a, func(tx *Tx) error {
		done, err := tx.Undelete(time.Time{})
		if len(done) != 0 {
			t.Errorf("reaped mail came back: %v", done)
		}
		return err
	})
}
