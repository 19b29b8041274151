package store

import (
	"fmt"
	"slices"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

func where(t *testing.T, a *Account, id EmailID) string {
	t.Helper()
	var in []Membership
	var flags []mail.Flag
	must(t, a.View(t.Context(), func(v *View) (err error) {
		if in, err = v.Memberships(id); err == nil && len(in) > 0 {
			flags, err = v.EmailFlags(id)
		}
		return err
	}))
	return fmt.Sprint(in, flags)
}

func usage(t *testing.T, a *Account) (messages, bytes int64) {
	t.Helper()
	must(t, a.View(t.Context(), func(v *View) error {
		u := v.Usage()
		messages, bytes = u.Messages, u.Bytes
		return nil
	}))
	return messages, bytes
}

// A message has one set of mailboxes, changed as one; it counts once, and its flags
// are those of its places together.
func TestSetMailboxes(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 1)
	inbox, sent, trash := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent"), mailboxID(t, a, "Trash")
	id := appendLetters(t, s, a, inbox, letter(1), letter(2))[0].Email
	_, size := usage(t, a)
	expect := func(want string) {
		t.Helper()
		if got := where(t, a, id); got != want {
			t.Errorf("email %d is in %s, want %s", id, got, want)
		}
		if n, bytes := usage(t, a); n != 2 || bytes != size {
			t.Errorf("%d messages of %d bytes", n, bytes)
		}
	}
	set := func(c MailboxChange) error {
		return a.Update(t.Context(), func(tx *Tx) error {
			in, err := tx.SetMailboxes(id, c)
			if again, _ := tx.Memberships(id); err == nil && !slices.Equal(in, again) {
				t.Errorf("returned %v, then %v", in, again)
			}
			return err
		})
	}
	change(t, a, func(tx *Tx) error {
		_, _, err := tx.SetFlags(inbox, UIDs(1), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen, mail.FlagDeleted, "$Work"}})
		return err
	})
	must(t, set(MailboxChange{Add: []MailboxID{sent, sent, inbox, trash}}))
	expect(`[{1 1} {2 1} {3 1}] [\Seen \Deleted $Work]`)
	change(t, a, func(tx *Tx) error {
		if _, _, err := tx.SetFlags(sent, UIDs(1), FlagChange{Op: FlagsReplace, Flags: []mail.Flag{mail.FlagFlagged}}); err != nil {
			return err
		}
		_, _, err := tx.SetFlags(inbox, UIDs(1), FlagChange{Op: FlagsRemove, Flags: []mail.Flag{mail.FlagDeleted}})
		return err
	})
	expect(`[{1 1} {2 1} {3 1}] [\Flagged $Work]`)
	change(t, a, func(tx *Tx) error {
		changed, err := tx.SetEmailFlags(id, FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}})
		if !changed {
			t.Error("nothing changed")
		}
		if changed, _ = tx.SetEmailFlags(id, FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}}); changed {
			t.Error("changed again")
		}
		return err
	})
	expect(`[{1 1} {2 1} {3 1}] [\Seen \Flagged $Work]`)
	must(t, set(MailboxChange{Remove: []MailboxID{inbox, trash}}))
	expect(`[{2 1}] [\Seen \Flagged]`)
	must(t, set(MailboxChange{Add: []MailboxID{inbox}, Only: true}))
	expect(`[{1 3}] [\Seen \Flagged]`)
	for range 2 { // twice in one mailbox, then gone from it as one
		change(t, a, func(tx *Tx) error { _, err := tx.Copy(inbox, inbox, UIDs(3)); return err })
		expect(`[{1 3} {1 4}] [\Seen \Flagged]`)
		must(t, set(MailboxChange{Add: []MailboxID{trash}, Only: true}))
		expect(`[{3 2}] [\Seen \Flagged]`)
		break
	}
	wantKind(t, "nowhere", set(MailboxChange{Remove: []MailboxID{trash}}), mail.Invalid)
	wantKind(t, "nowhere", set(MailboxChange{Only: true}), mail.Invalid)
	wantKind(t, "no such mailbox", set(MailboxChange{Add: []MailboxID{99}}), mail.NotFound)
	change(t, a, func(tx *Tx) error {
		if _, err := tx.SetMailboxes(id, MailboxChange{Add: []MailboxID{inbox, sent}}); err != nil {
			return err
		}
		return tx.ExpungeEmail(id)
	})
	if got := where(t, a, id); got != "[] []" {
		t.Errorf("expunged, but in %s", got)
	}
	if n, _ := usage(t, a); n != 1 {
		t.Errorf("%d messages", n)
	}
	wantKind(t, "gone", set(MailboxChange{Add: []MailboxID{inbox}}), mail.NotFound)
	// Too many places.
	other := appendLetters(t, s, a, trash, letter(3))[0]
	err := a.Update(t.Context(), func(tx *Tx) error {
		for range MaxMemberships {
			if _, err := tx.Copy(trash, inbox, UIDs(other.UID)); err != nil {
				return err
			}
		}
		return nil
	})
	wantKind(t, "too many places", err, mail.TooLarge)
}

// An account from before messages counted once is counted anew with its next change.
func TestRecount(t *testing.T) {
	eng := mem.New()
	s := openStore(t, eng, Options{})
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	appendLetters(t, s, a, inbox, letter(1), letter(2))
	n, size := usage(t, a)
	change(t, a, func(tx *Tx) error { _, err := tx.Copy(inbox, sent, UIDSet{{1, 2}}); return err })
	old := a.durable.Load().hdr
	old.counted, old.multi, old.messages, old.bytes = false, 0, 4, 2*size
	_, err := eng.Commit(t.Context(), &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{
		{Kind: engine.DeleteRange, Key: []byte{keyCounts}, End: []byte{keyCounts + 1}},
		{Key: []byte{keyAccount}, Val: appendHeader(nil, &old)}}}).Wait()
	must(t, err)
	a.mu.Lock()
	a.pending = nil
	a.durable.Store(nil)
	a.mu.Unlock()
	if got, _ := usage(t, a); got != 4 {
		t.Errorf("%d messages before", got)
	}
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(sent, UIDs(1)); return err })
	if got, bytes := usage(t, a); got != n || bytes != size {
		t.Errorf("%d messages of %d bytes, want %d of %d", got, bytes, n, size)
	}
}

// Messages go from one account to another as one transaction of both, with their
// bytes shared.
func TestTransfer(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a, b := newTestAccount(t, s, 1), newTestAccount(t, s, 2)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, b, "Sent")
	appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3))
	change(t, a, func(tx *Tx) error {
		_, _, err := tx.SetFlags(inbox, UIDs(1, 2), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen, "$Work"}})
		if err == nil {
			_, err = tx.Copy(inbox, inbox, UIDs(2))
		}
		return err
	})
	me := a.As(Principal{Account: 2})
	do := func(tr Transfer) (Copied, error) {
		tr.Source, tr.Dest, tr.UIDs = inbox, sent, UIDSet{{1, 2}, {4, 9}}
		return s.Transfer(t.Context(), tr)
	}
	_, err := do(Transfer{From: me, To: b})
	wantKind(t, "not shared", err, mail.NotFound)
	grant(t, a, inbox, 2, false, "lr")
	_, err = do(Transfer{From: me, To: b, Move: true})
	wantKind(t, "may not move", err, mail.Denied)
	done, err := do(Transfer{From: me, To: b})
	if err != nil || done.Source.String() != "1:2,4" || done.Dest.String() != "1:3" || done.UIDValidity != snapshotOf(t, b, sent).Mailbox().UIDValidity {
		t.Fatalf("%+v, %v", done, err)
	}
	snap := snapshotOf(t, b, sent)
	for i := range snap.Len() {
		r := snap.Row(i)
		if f := snap.FlagText(r.Flags); f != "$Work" {
			t.Errorf("message %d has %q: the owner has seen it, not we", i, f)
		}
		must(t, b.View(t.Context(), func(v *View) error {
			e, err := v.Email(r.Email)
			must(t, err)
			text, err := b.Read(t.Context(), nil, e)
			if want := letter(min(i+1, 2)); err != nil || string(text) != want {
				t.Errorf("message %d reads %q, %v", i, text, err)
			}
			return nil
		}))
	}
	if n, _ := usage(t, b); n != 2 || snap.Row(1).Email != snap.Row(2).Email {
		t.Errorf("%d messages; the two places of one stay two places of one", n)
	}
	grant(t, a, inbox, 2, false, "lrte")
	done, err = do(Transfer{From: me, To: b, Move: true})
	if err != nil || done.Dest.String() != "4:6" || snapshotOf(t, a, inbox).Len() != 1 {
		t.Errorf("moved %+v, %v", done, err)
	}
	// The other way, into a mailbox where one may not set all flags.
	grant(t, b, sent, 1, false, "lris")
	change(t, a, func(tx *Tx) error {
		_, _, err := tx.SetFlags(inbox, UIDs(3), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen, mail.FlagFlagged}})
		return err
	})
	theirs := b.As(Principal{Account: 1})
	_, err = s.Transfer(t.Context(), Transfer{From: a, To: theirs, Source: inbox, Dest: sent, UIDs: UIDs(3)})
	must(t, err)
	for who, want := range map[*Account]string{b: "", theirs: `\Seen`} {
		snap := snapshotOf(t, who, sent)
		if f := snap.FlagText(snap.Row(snap.Len() - 1).Flags); f != want {
			t.Errorf("flags %q, want %q", f, want)
		}
	}
	change(t, b, func(tx *Tx) error { return tx.SetQuota(Quota{Messages: tx.Usage().Messages}) })
	_, err = s.Transfer(t.Context(), Transfer{From: a, To: b, Source: inbox, Dest: sent, UIDs: UIDs(3)})
	wantKind(t, "over quota", err, mail.OverQuota)
	// Within one account it is Copy.
	done, err = s.Transfer(t.Context(), Transfer{From: a, To: a, Source: inbox, Dest: inbox, UIDs: UIDs(3)})
	if err != nil || done.Dest.Len() != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

// Changes by id, cut where a reader wants no more.
func TestDeltas(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	at := func() (pos LogPos) {
		must(t, a.View(t.Context(), func(v *View) error { pos = v.LogEnd(); return nil }))
		return pos
	}
	appendLetters(t, s, a, inbox, reply(1, "Plan"), reply(2, "Other"), reply(3, "Third"))
	p0 := at()
	appendLetters(t, s, a, inbox, reply(4, "Re: Plan", "m1@x.test"), reply(5, "Fifth"))
	p1 := at()
	change(t, a, func(tx *Tx) error { _, err := tx.Copy(inbox, sent, UIDs(1)); return err })
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDs(1, 2, 5)); return err })
	change(t, a, func(tx *Tx) error { return tx.RenameMailbox(sent, "Posted") })
	p2 := at()
	change(t, a, func(tx *Tx) error { return tx.DeleteMailbox(sent) })
	change(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox(NewMailbox{Path: "New"}); return err })
	show := func(since LogPos, most int) string {
		var out string
		must(t, a.View(t.Context(), func(v *View) error {
			e, err := v.EmailChanges(since, most)
			must(t, err)
			th, err := v.ThreadChanges(since, most)
			must(t, err)
			m, err := v.MailboxChanges(since, most)
			must(t, err)
			out = fmt.Sprint(e.Created, e.Updated, e.Destroyed, e.More, " ", th.Created, th.Updated, th.Destroyed, " ", m.Created, m.Updated, m.Destroyed, m.CountsOnly)
			return nil
		}))
		return out
	}
	for i, x := range []struct {
		since LogPos
		most  int
		want  string
	}{
		{p0, 0, "[4] [] [1 2] false [] [1] [2] [4] [1] [2] true"},
		{p1, 0, "[] [] [1 2 5] false [] [1] [2 5] [4] [1] [2] true"},
		{p2, 0, "[] [] [1] false [] [1] [] [4] [] [2] true"},
		{p0, 1, "[4] [] [] true [] [1] [] [] [1] [] true"},
		{p1, 3, "[] [] [1 2 5] false [] [1] [2 5] [4] [1] [2] true"},
		{at(), 0, "[] [] [] false [] [] [] [] [] [] true"},
	} {
		if got := show(x.since, x.most); got != x.want {
			t.Errorf("%d: %s, want %s", i, got, x.want)
		}
	}
	must(t, a.View(t.Context(), func(v *View) error {
		_, err := v.EmailChanges(p1+1, 2)
		wantKind(t, "more in one transaction", err, mail.NotFound)
		return nil
	}))
}
