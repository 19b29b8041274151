package store

import (
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

// The log is cut once a day, and only below what is old and far behind. A view from
// before the cut is told that the log is gone, not a log with a hole.
func TestTrim(t *testing.T) {
	clock := newClock()
	s := openStore(t, mem.New(), Options{Now: clock.now, LogTransactions: 20})
	s.maxTail = tail{8, 1 << 16}
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3))
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDs(2)); return err })
	var early ModSeq
	read := func(f func(v *View)) {
		t.Helper()
		must(t, a.View(t.Context(), func(v *View) error { f(v); return nil }))
	}
	read(func(v *View) { early = v.ModSeq() })
	day := func() {
		clock.t = clock.t.Add(24 * time.Hour)
		change(t, a, func(tx *Tx) error {
			op := FlagsAdd
			if clock.t.Day()%2 == 0 {
				op = FlagsRemove
			}
			_, _, err := tx.SetFlags(inbox, UIDs(1), FlagChange{Op: op, Flags: []mail.Flag{"x", mail.Flag(clock.t.Format("d060102"))}})
			return err
		})
	}
	for range 29 {
		day()
		read(func(v *View) {
			if v.st.hdr.floor != 0 {
				t.Fatalf("cut at %d on %v", v.st.hdr.floor, clock.t)
			}
		})
	}
	read(func(old *View) { // its log is what it was before the cut
		for range 9 {
			day()
		}
		if got, err := old.Vanished(inbox, 1); err != nil || got.String() != "2" {
			t.Errorf("an old view: %v, %v", got, err)
		}
		n := 0
		if err := old.Changes(1, func(Change) bool { n++; return true }); err != nil || n < 29 {
			t.Errorf("an old view: %d changes, %v", n, err)
		}
	})
	read(func(v *View) {
		floor, n := v.st.hdr.floor, 0
		must(t, v.Changes(LogPos(floor), func(Change) bool { n++; return true }))
		if floor < early || n < 30 || n > 32 {
			t.Errorf("floor %d of %d, %d changes left", floor, v.ModSeq(), n)
		}
	})
	checkStore(t, s)
}
