package store

import (
	"slices"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

func grant(t *testing.T, a *Account, id MailboxID, who mail.AccountID, negative bool, rights string) {
	t.Helper()
	r, err := ParseRights(rights)
	must(t, err)
	change(t, a, func(tx *Tx) error { return tx.SetACL(id, Grant{who, negative, r}) })
}

func wantKind(t *testing.T, what string, err error, k mail.Kind) {
	t.Helper()
	if err == nil || mail.KindOf(err) != k {
		t.Errorf("%s: %v, want %v", what, err, k)
	}
}

func TestRights(t *testing.T) {
	for in, want := range map[string]string{"lrs": "lrs", "cd": "kxte", "aetxkpiwsrl": "lrswipkxtea", "": ""} {
		if r, err := ParseRights(in); err != nil || r.String() != want {
			t.Errorf("%q: %q, %v", in, r, err)
		}
	}
	_, err := ParseRights("lq")
	wantKind(t, "unknown right", err, mail.Invalid)
	if got := (RightLookup | RightCreate | RightExpunge).IMAP(); got != "lkecd" {
		t.Errorf("IMAP form %q", got)
	}
}

// Every entry that names somebody gives, every negative one takes, and the owner
// keeps all.
func TestEffectiveRights(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	change(t, a, func(tx *Tx) error { return tx.SetDomain("demo.test") })
	grant(t, a, inbox, 2, false, "lr")
	grant(t, a, inbox, 100, false, "swi")
	grant(t, a, inbox, 101, true, "w")
	grant(t, a, inbox, Anyone, false, "lp")
	for i, x := range []struct {
		p    Principal
		want string
	}{
		{Principal{Account: 1}, "lrswipkxtean"},
		{Principal{Account: 2}, "lr"},
		{Principal{Account: 2, Domain: "demo.test"}, "lrp"},
		{Principal{Account: 2, Groups: []mail.AccountID{100}}, "lrswi"},
		{Principal{Account: 2, Groups: []mail.AccountID{100, 101}}, "lrsi"},
		{Principal{Account: 3, Domain: "demo.test"}, "lp"},
		{Principal{Account: 3, Domain: "other.test"}, ""},
	} {
		err := a.As(x.p).View(t.Context(), func(v *View) error {
			r, err := v.Rights(inbox)
			if x.want == "" {
				wantKind(t, "rights of nobody", err, mail.NotFound)
			} else if err != nil || r.String() != x.want {
				t.Errorf("%d: rights %q, %v, want %q", i, r, err, x.want)
			}
			return nil
		})
		must(t, err)
	}
	wantKind(t, "the owner's entry", a.Update(t.Context(), func(tx *Tx) error { return tx.SetACL(inbox, Grant{Who: 1}) }), mail.Denied)
	must(t, a.View(t.Context(), func(v *View) error {
		got, err := v.ACL(inbox)
		want := []Grant{{1, false, AllRights}, {Anyone, false, RightLookup | RightPost}, {2, false, RightLookup | RightRead},
			{100, false, RightSeen | RightWrite | RightInsert}, {101, true, RightWrite}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("list %v, %v", got, err)
		}
		return nil
	}))
}

func sharedWithMe(t *testing.T, s *Store, p Principal) []mail.AccountID {
	t.Helper()
	ids, err := s.SharedOwners(t.Context(), p)
	must(t, err)
	return ids
}

// The index follows every change: grants, domains, new and deleted mailboxes and
// accounts, revocation.
func TestSharedIndex(t *testing.T) {
	eng := mem.New()
	s := openStore(t, eng, Options{})
	a, b := newTestAccount(t, s, 1), newTestAccount(t, s, 2)
	inbox, sent, other := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent"), mailboxID(t, b, "Sent")
	me := Principal{Account: 3, Groups: []mail.AccountID{100}, Domain: "demo.test"}
	check := func(what string, want ...mail.AccountID) {
		t.Helper()
		if got := sharedWithMe(t, s, me); !slices.Equal(got, want) {
			t.Errorf("%s: shared by %v, want %v", what, got, want)
		}
		checkStore(t, s)
	}
	check("nothing")
	grant(t, a, inbox, 3, false, "lr")
	grant(t, b, other, 100, false, "lr")
	check("both", 1, 2)
	grant(t, a, inbox, 3, false, "")
	check("taken back", 2)
	grant(t, a, sent, Anyone, false, "l")
	check("no domain", 2)
	change(t, a, func(tx *Tx) error { return tx.SetDomain("demo.test") })
	check("domain", 1, 2)
	change(t, a, func(tx *Tx) error { return tx.SetDomain("other.test") })
	check("another", 2)
	change(t, b, func(tx *Tx) error { _, err := tx.CreateMailbox(NewMailbox{Path: "Sent/Kept/Old"}); return err })
	must(t, b.As(me).View(t.Context(), func(v *View) error {
		if got := len(v.Mailboxes()); got != 3 {
			t.Errorf("%d mailboxes: new ones inherit", got)
		}
		return nil
	}))
	change(t, b, func(tx *Tx) error { return tx.DeleteMailbox(other) })
	check("its children", 2)
	must(t, s.Revoke(t.Context(), 100))
	check("revoked")
	grant(t, b, mailboxID(t, b, "INBOX"), 3, false, "l")
	check("again", 2)
	must(t, s.DeleteAccount(t.Context(), 2, nil))
	check("account deleted")
}

// Each verb of somebody else needs its right, and no error tells of a mailbox that
// one may not see.
func TestVerbsNeedRights(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3))
	m := stage(t, s, letter(9))
	me := Principal{Account: 2}
	for _, x := range []struct {
		name string
		need string // besides l, on the inbox
		sent string // on Sent
		do   func(tx *Tx) error
	}{
		{"read", "r", "", func(tx *Tx) error { _, err := tx.Snapshot(inbox); return err }},
		{"vanished", "r", "", func(tx *Tx) error { _, err := tx.Vanished(inbox, 0); return err }},
		{"append", "i", "", func(tx *Tx) error { _, err := tx.Append(inbox, m, AppendOptions{}); return err }},
		{"seen", "rs", "", func(tx *Tx) error {
			_, _, err := tx.SetFlags(inbox, UIDs(1), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}})
			return err
		}},
		{"write", "rw", "", func(tx *Tx) error {
			_, _, err := tx.SetFlags(inbox, UIDs(1), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{"$Work"}})
			return err
		}},
		{"deleted", "rt", "", func(tx *Tx) error {
			_, _, err := tx.SetFlags(inbox, UIDs(1), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagDeleted}})
			return err
		}},
		{"expunge", "e", "", func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDs(1)); return err }},
		{"copy", "r", "i", func(tx *Tx) error { _, err := tx.Copy(inbox, sent, UIDs(1)); return err }},
		{"move", "rte", "i", func(tx *Tx) error { _, err := tx.Move(inbox, sent, UIDs(1)); return err }},
		{"create", "k", "", func(tx *Tx) error { _, err := tx.CreateMailbox(NewMailbox{Path: "INBOX/new"}); return err }},
		{"rename", "k", "x", func(tx *Tx) error { return tx.RenameMailbox(sent, "INBOX/Sent") }},
		{"delete", "", "x", func(tx *Tx) error { return tx.DeleteMailbox(sent) }},
		{"list", "a", "", func(tx *Tx) error { _, err := tx.ACL(inbox); return err }},
		{"share", "a", "", func(tx *Tx) error { return tx.SetACL(inbox, Grant{Who: 7, Rights: RightLookup}) }},
		{"note", "rw", "", func(tx *Tx) error { return tx.SetAnnotation(inbox, 0, "/comment", []byte("x")) }},
		{"own note", "r", "", func(tx *Tx) error { return tx.SetAnnotation(inbox, 2, "/comment", []byte("x")) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			try := func(onInbox, onSent string) error {
				grant(t, a, inbox, 2, false, onInbox)
				grant(t, a, sent, 2, false, onSent)
				err := a.As(me).Update(t.Context(), func(tx *Tx) error {
					if err := x.do(tx); err != nil {
						return err
					}
					return errStop
				})
				if err == errStop {
					return nil
				}
				return err
			}
			must(t, try("l"+x.need, "l"+x.sent))
			for i := range x.need {
				wantKind(t, "without "+x.need[i:i+1], try("l"+x.need[:i]+x.need[i+1:], "l"+x.sent), mail.Denied)
			}
			for i := range x.sent {
				wantKind(t, "without "+x.sent[i:i+1]+" there", try("l"+x.need, "l"+x.sent[:i]+x.sent[i+1:]), mail.Denied)
			}
			wantKind(t, "without any", try("", ""), mail.NotFound)
		})
	}
	grant(t, a, inbox, 2, false, "lrswipkxtea")
	for what, do := range map[string]func(tx *Tx) error{
		"subscribe":  func(tx *Tx) error { return tx.Subscribe("INBOX", true) },
		"quota":      func(tx *Tx) error { return tx.SetQuota(Quota{}) },
		"domain":     func(tx *Tx) error { return tx.SetDomain("x.test") },
		"undelete":   func(tx *Tx) error { _, err := tx.Undelete(tx.Now()); return err },
		"role":       func(tx *Tx) error { return tx.SetRole(inbox, mail.RoleJunk) },
		"inbox":      func(tx *Tx) error { return tx.DeleteMailbox(inbox) },
		"rename":     func(tx *Tx) error { return tx.RenameMailbox(inbox, "INBOX/x") },
		"other note": func(tx *Tx) error { return tx.SetAnnotation(inbox, 3, "/comment", []byte("x")) },
		"of account": func(tx *Tx) error { return tx.SetAnnotation(0, 0, "/comment", []byte("x")) },
	} {
		wantKind(t, what, a.As(me).Update(t.Context(), do), mail.Denied)
	}
	top := func(tx *Tx) error { _, err := tx.CreateMailbox(NewMailbox{Path: "new"}); return err }
	wantKind(t, "top", a.As(me).Update(t.Context(), top), mail.NotFound) // as below a mailbox that one cannot see
}

// \Seen on somebody else's mailbox is one's own, with ModSeqs that only its user sees
// grow; the owner's \Seen is not shown; all else is shared.
func TestSeenIsOnesOwn(t *testing.T) {
	eng := mem.New()
	s := openStore(t, eng, Options{})
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3))
	seen := FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}}
	set := func(x *Account, uids UIDSet, c FlagChange) (changed, modified UIDSet) {
		t.Helper()
		change(t, x, func(tx *Tx) (err error) {
			changed, modified, err = tx.SetFlags(inbox, uids, c)
			return err
		})
		return changed, modified
	}
	set(a, UIDs(1), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen, "$Work"}})
	grant(t, a, inbox, 2, false, "lrswite")
	grant(t, a, sent, 2, false, "lrswite")
	grant(t, a, inbox, 3, false, "lrw")
	b, c := a.As(Principal{Account: 2}), a.As(Principal{Account: 3})
	flags := func(x *Account, id MailboxID) (all []string, unseen uint32, high ModSeq) {
		snap := snapshotOf(t, x, id)
		for i := range snap.Len() {
			all = append(all, snap.FlagText(snap.Row(i).Flags))
		}
		return all, snap.Mailbox().Unseen, snap.Mailbox().HighestModSeq
	}
	expect := func(x *Account, id MailboxID, unseen uint32, want ...string) (high ModSeq) {
		t.Helper()
		got, n, high := flags(x, id)
		if !slices.Equal(got, want) || n != unseen {
			t.Errorf("flags %q, %d unseen, want %q, %d", got, n, want, unseen)
		}
		return high
	}
	h0 := expect(a, inbox, 2, `\Seen $Work`, "", "")
	expect(b, inbox, 3, "$Work", "", "")
	before := snapshotOf(t, b, inbox)
	if changed, _ := set(b, UIDs(2, 3), seen); changed.String() != "2:3" {
		t.Errorf("changed %v", changed)
	}
	if changed, _ := set(b, UIDs(2), seen); len(changed) > 0 {
		t.Errorf("changed again %v", changed)
	}
	h1 := expect(b, inbox, 1, "$Work", `\Seen`, `\Seen`)
	if h := expect(a, inbox, 2, `\Seen $Work`, "", ""); h != h0 || h1 <= h0 {
		t.Errorf("highest ModSeq of the owner %d, was %d; of the reader %d", h, h0, h1)
	}
	if d := Diff(before, snapshotOf(t, b, inbox)); d.Changed.String() != "2:3" || len(d.Added)+len(d.Expunged) > 0 {
		t.Errorf("difference %+v", d)
	}
	if _, modified := set(b, UIDs(1, 2), FlagChange{Op: FlagsAdd, Flags: seen.Flags, Conditional: true, UnchangedSince: h0}); modified.String() != "2" {
		t.Errorf("modified %v", modified)
	}
	expect(b, inbox, 0, `\Seen $Work`, `\Seen`, `\Seen`)
	// A replacement leaves alone what one may not change.
	set(c, UIDs(1), FlagChange{Op: FlagsReplace, Flags: []mail.Flag{"Later", mail.FlagSeen, mail.FlagDeleted}})
	expect(c, inbox, 3, "Later", "", "")
	expect(a, inbox, 2, `\Seen Later`, "", "")
	set(b, UIDs(1), FlagChange{Op: FlagsReplace, Flags: []mail.Flag{mail.FlagDeleted}})
	expect(b, inbox, 1, `\Deleted`, `\Seen`, `\Seen`)
	expect(a, inbox, 2, `\Seen \Deleted`, "", "")
	for range 2 {
		expect(b, inbox, 1, `\Deleted`, `\Seen`, `\Seen`)
		a.evict()
	}
	// Copies keep what the owner and what the reader has seen.
	m := stage(t, s, letter(4))
	change(t, b, func(tx *Tx) error {
		if _, err := tx.Move(inbox, sent, UIDs(1, 3)); err != nil {
			return err
		}
		_, err := tx.Append(sent, m, AppendOptions{Flags: []mail.Flag{mail.FlagSeen, mail.FlagFlagged}})
		return err
	})
	expect(b, sent, 1, `\Deleted`, `\Seen`, `\Seen \Flagged`)
	expect(a, sent, 2, `\Seen \Deleted`, "", `\Flagged`)
	expect(b, inbox, 0, `\Seen`)
	expect(a, inbox, 1, "")
	a.evict()
	expect(b, sent, 1, `\Deleted`, `\Seen`, `\Seen \Flagged`)
}

// What a reader has seen of many messages is told by the log to that reader alone,
// and spans of it are written and read one by one.
func TestSeenOfMany(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a, inbox := fill(t, s, 5000)
	grant(t, a, inbox, 2, false, "lrs")
	b := a.As(Principal{Account: 2})
	var from LogPos
	must(t, a.View(t.Context(), func(v *View) error { from = v.LogEnd(); return nil }))
	before := snapshotOf(t, b, inbox)
	want := UIDSet{{900, 2100}, {4000, 4000}, {4096, 4999}}
	change(t, b, func(tx *Tx) error {
		changed, _, err := tx.SetFlags(inbox, want, FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}})
		if !slices.Equal(changed, want) {
			t.Errorf("changed %v", changed)
		}
		return err
	})
	after := snapshotOf(t, b, inbox)
	if d := Diff(before, after); !slices.Equal(d.Changed, want) {
		t.Errorf("difference %+v", d)
	}
	seen := func(snap *Snapshot) (set UIDSet) {
		for _, r := range snap.Rows(0, snap.Len()) {
			if snap.System(r.Flags)&SeenBit != 0 {
				set.push(r.UID)
			}
		}
		return set
	}
	for range 2 {
		snap := snapshotOf(t, b, inbox)
		if got := seen(snap); !slices.Equal(got, want) || int(snap.Mailbox().Unseen) != 5000-want.Len() {
			t.Errorf("seen %v, %d unseen", got, snap.Mailbox().Unseen)
		}
		a.evict()
	}
	for who, n := range map[*Account]int{a: 0, b: 1} {
		must(t, who.View(t.Context(), func(v *View) error {
			got := 0
			err := v.Changes(from, func(c Change) bool { got++; return c.Kind == Flagged })
			if got != n {
				t.Errorf("%d changes, want %d", got, n)
			}
			return err
		}))
	}
	grant(t, a, inbox, 2, false, "lr")
	must(t, b.View(t.Context(), func(v *View) error {
		wantKind(t, "changes over a change of access", v.Changes(from, func(Change) bool { return true }), mail.NotFound)
		return nil
	}))
}
