package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

func notes(t *testing.T, a *Account, id MailboxID, user mail.AccountID) (all []string) {
	t.Helper()
	must(t, a.View(t.Context(), func(v *View) error {
		return v.MessageAnnotations(id, UIDSet{{1, 1<<32 - 1}}, user, func(u UID, n *Annotation) bool {
			all = append(all, fmt.Sprintf("%d%s.%d=%s", u, n.Name, n.User, n.Value))
			return true
		})
	}))
	return all
}

// Notes on messages are their user's or shared, count for the quota, go with copies
// and come back with what was expunged.
func TestMessageAnnotations(t *testing.T) {
	clock := newClock()
	s := openStore(t, mem.New(), Options{Now: clock.now})
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3))
	set := func(x *Account, u UID, user mail.AccountID, name string, value []byte) error {
		return x.Update(t.Context(), func(tx *Tx) error { return tx.SetMessageAnnotation(inbox, u, user, name, value) })
	}
	before := snapshotOf(t, a, inbox)
	must(t, set(a, 1, 1, "/comment", []byte("mine")))
	must(t, set(a, 1, 0, "/Comment", []byte("ours")))
	must(t, set(a, 2, 0, "/altsubject", []byte("two")))
	after := snapshotOf(t, a, inbox)
	if d := Diff(before, after); d.Changed.String() != "1:2" {
		t.Errorf("difference %+v", d)
	}
	must(t, set(a, 2, 0, "/altsubject", []byte("two"))) // no change
	if now := snapshotOf(t, a, inbox).Mailbox().HighestModSeq; now != after.Mailbox().HighestModSeq {
		t.Errorf("ModSeq %d, was %d", now, after.Mailbox().HighestModSeq)
	}
	for what, err := range map[string]error{"name": set(a, 1, 0, "comment", []byte("x")), "gone": set(a, 9, 0, "/comment", []byte("x"))} {
		if err == nil {
			t.Errorf("bad %s", what)
		}
	}
	grant(t, a, inbox, 2, false, "lr")
	b := a.As(Principal{Account: 2})
	must(t, set(b, 1, 2, "/comment", []byte("theirs")))
	wantKind(t, "shared without the right", set(b, 1, 0, "/comment", nil), mail.Denied)
	wantKind(t, "of another", set(b, 1, 1, "/comment", nil), mail.Denied)
	grant(t, a, inbox, 2, false, "lrn")
	must(t, set(b, 2, 0, "/altsubject", []byte("zwei")))
	if got, want := notes(t, b, inbox, 2), []string{"1/comment.0=ours", "1/comment.2=theirs", "2/altsubject.0=zwei"}; !slices.Equal(got, want) {
		t.Errorf("notes %q, want %q", got, want)
	}
	all := []string{"1/comment.0=ours", "1/comment.1=mine", "2/altsubject.0=zwei"}
	if got := notes(t, a, inbox, 1); !slices.Equal(got, all) {
		t.Errorf("notes %q, want %q", got, all)
	}
	size := func() (n int64) {
		must(t, a.View(t.Context(), func(v *View) error { n = v.Usage().Annotations; return nil }))
		return n
	}
	if n := size(); n != int64(len("/comment")*3+len("ours")+len("mine")+len("theirs")+len("/altsubjectzwei")) {
		t.Errorf("%d bytes of annotations", n)
	}
	change(t, a, func(tx *Tx) error { _, err := tx.Copy(inbox, sent, UIDSet{{1, 2}}); return err })
	if got := notes(t, a, sent, 1); !slices.Equal(got, all) {
		t.Errorf("copied %q, want %q", got, all)
	}
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(sent, UIDSet{{1, 9}}); return err })
	full := size()
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDs(1)); return err })
	if got := notes(t, a, inbox, 1); !slices.Equal(got, all[2:]) {
		t.Errorf("notes %q", got)
	}
	change(t, a, func(tx *Tx) error { _, err := tx.Undelete(time.Unix(0, 0)); return err })
	if got, want := notes(t, a, inbox, 1), []string{"2/altsubject.0=zwei", "4/comment.0=ours", "4/comment.1=mine"}; !slices.Equal(got, want) {
		t.Errorf("notes %q, want %q", got, want)
	}
	if n := size(); n != full {
		t.Errorf("%d bytes of annotations, were %d", n, full)
	}
	change(t, a, func(tx *Tx) error { _, err := tx.Move(inbox, sent, UIDs(2, 4)); return err })
	if got := notes(t, a, inbox, 1); len(got) > 0 {
		t.Errorf("left behind %q", got)
	}
	must(t, s.Reap(t.Context(), clock.t.Add(time.Hour)))
	checkStore(t, s)
	if got := notes(t, a, sent, 1); len(got) != 3 {
		t.Errorf("after the reaper %q", got)
	}
	other := newTestAccount(t, s, 3)
	_, err := s.Transfer(t.Context(), Transfer{From: a, To: other, Source: sent, Dest: sent, UIDs: UIDSet{{1, 9}}})
	must(t, err)
	if got := notes(t, other, sent, 1); len(got) != 3 {
		t.Errorf("in the other account %q", got)
	}
	change(t, a, func(tx *Tx) error { return tx.SetQuota(Quota{Bytes: tx.Usage().Bytes}) })
	wantKind(t, "over quota", set(a, 3, 1, "/comment", []byte("x")), mail.OverQuota)
	a.evict()
	change(t, a, func(tx *Tx) error { return tx.DeleteMailbox(sent) })
	if n := size(); n != 0 {
		t.Errorf("%d bytes of annotations of nothing", n)
	}
}
