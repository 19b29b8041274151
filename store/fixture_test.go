package store

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/store/engine/local"
)

// Each directory testdata/records* is a store with records of every kind as a version
// of docs/format-records.md describes them, without an index, and says.txt what must be
// seen in it. They are never made anew: what wrote them must be readable for ever. To
// add one of another version, set FIXTURE to its name and run TestRecordFixtures.
const fixtures = "testdata"

func TestRecordFixtures(t *testing.T) {
	if name := os.Getenv("FIXTURE"); name != "" {
		makeFixture(t, filepath.Join(fixtures, name))
	}
	names, err := filepath.Glob(filepath.Join(fixtures, "records*", "says.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(filepath.Dir(name)), func(t *testing.T) { testFixture(t, filepath.Dir(name)) })
	}
}

func openFixture(t *testing.T, dir string) (s *Store, closed func()) {
	t.Helper()
	eng, err := local.Open(t.Context(), local.Options{Dir: dir, SegmentSize: 64 << 10, CollectEvery: -1, MinFree: -1, Reserve: -1})
	must(t, err)
	s, err = Open(t.Context(), eng, Options{Now: newClock().now})
	must(t, err)
	return s, func() {
		t.Helper()
		must(t, s.Close())
		must(t, eng.Close())
	}
}

// testFixture reads a store, changes it so that its records are written as they are
// today, and reads it again.
func testFixture(t *testing.T, from string) {
	want, err := os.ReadFile(filepath.Join(from, "says.txt"))
	must(t, err)
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join(from, "store"))))
	must(t, os.MkdirAll(filepath.Join(dir, "big"), 0o700)) // empty, and git keeps no such directories
	s, closed := openFixture(t, dir)
	if got := saysOf(t, s); got != string(want) {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
	checkStore(t, s)
	a, err := s.Account(t.Context(), 1)
	must(t, err)
	if want := filepath.Base(from) >= "records3"; keepsFields(t, a) != want {
		t.Errorf("records have fields: %v", !want)
	}
	inbox, archive := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Archive")
	all := UIDSet{{1, 1<<32 - 1}}
	usage := func() (u Usage) { // annotations go with each copy
		must(t, a.View(t.Context(), func(v *View) error { u = v.Usage(); return nil }))
		u.Bytes, u.Annotations = u.Bytes-u.Annotations, 0
		return u
	}
	before := usage()
	change(t, a, func(tx *Tx) error { _, err := tx.Copy(inbox, archive, all); return err })
	if got := usage(); got != before {
		t.Errorf("usage %+v after a copy, %+v before", got, before)
	}
	checkStore(t, s)
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(inbox, all); return err })
	if got := usage(); got != before {
		t.Errorf("usage %+v after the first of two copies went, %+v before", got, before)
	}
	checkStore(t, s)
	after := saysOf(t, s)
	closed()
	s, closed = openFixture(t, dir)
	defer closed()
	if got := saysOf(t, s); got != after {
		t.Errorf("opened again it says\n%s\nwant\n%s", got, after)
	}
	checkStore(t, s)
	must(t, s.Reap(t.Context(), newClock().now().AddDate(0, 0, 60)))
	checkStore(t, s)
}

// keepsFields reports whether the records of the inbox have header fields.
func keepsFields(t *testing.T, a *Account) (kept bool) {
	sel, ok := message.SelectFields([]string{"Subject", "Return-Path"})
	if !ok {
		t.Fatal("no such fields")
	}
	inbox := mailboxID(t, a, "INBOX")
	must(t, a.View(t.Context(), func(v *View) error {
		snap, err := v.Snapshot(inbox)
		for i := 0; err == nil && i < snap.Len(); i++ {
			var e *Email
			var got []byte
			if e, err = v.Email(snap.Row(i).Email); err == nil {
				if got, kept = e.AppendFields(nil, &sel); kept != (len(e.fields) > 0) || kept && !strings.Contains(string(got), "Subject: ") {
					t.Errorf("message %d: %q, %v", i, got, kept)
				}
			}
		}
		return err
	}))
	return kept
}

// makeFixture writes a store with records of every kind.
func makeFixture(t *testing.T, to string) {
	dir := filepath.Join(to, "store")
	s, closed := openFixture(t, dir)
	a := newTestAccount(t, s, 1)
	b := newTestAccount(t, s, 2)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	all := UIDSet{{1, 1<<32 - 1}}
	change(t, a, func(tx *Tx) error {
		if _, err := tx.CreateMailbox(NewMailbox{Path: "Archive"}); err != nil {
			return err
		}
		if err := tx.SetQuota(Quota{Bytes: 1 << 20, Messages: 1000, Mailboxes: 20}); err != nil {
			return err
		}
		return tx.SetDomain("demo.test")
	})
	archive := mailboxID(t, a, "Archive")
	for i := range 6 {
		m := stage(t, s, letter(i+1))
		change(t, a, func(tx *Tx) error {
			_, err := tx.Append(inbox, m, AppendOptions{Flags: []mail.Flag{mail.FlagFlagged, "$Work"}[:i%3], Prefix: []byte("Return-Path: <>\r\n"),
				Findings: []mail.Finding{{Check: "spf", Result: "pass"}}[:i%2]})
			return err
		})
	}
	for _, step := range []func(tx *Tx) error{
		func(tx *Tx) error { _, err := tx.Copy(inbox, archive, UIDSet{{1, 4}}); return err },
		func(tx *Tx) error { _, err := tx.Copy(inbox, archive, UIDSet{{2, 2}}); return err },
		func(tx *Tx) error { _, err := tx.Move(inbox, sent, UIDSet{{5, 5}}); return err },
		func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDSet{{1, 1}, {6, 6}}); return err },
		func(tx *Tx) error {
			_, _, err := tx.SetFlags(inbox, UIDSet{{3, 3}}, FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}})
			return err
		},
		func(tx *Tx) error { return tx.SetAnnotation(inbox, 0, "/comment", []byte("mine")) },
		func(tx *Tx) error { return tx.SetMessageAnnotation(inbox, 2, 0, "/comment", []byte("of one")) },
		func(tx *Tx) error {
			return tx.SetACL(inbox, Grant{Who: 2, Rights: RightLookup | RightRead | RightSeen})
		},
		func(tx *Tx) error { return tx.SetACL(sent, Grant{Who: Anyone, Rights: RightLookup}) },
		func(tx *Tx) error { return tx.PutObject(1, "who", []byte(`{"name":"Ada"}`), nil) },
		func(tx *Tx) error { return tx.PutObject(5, "bytes", []byte(`{}`), stage(t, s, letter(9))) },
		func(tx *Tx) error { return tx.Subscribe("Gone", true) },
	} {
		change(t, a, step)
	}
	change(t, a.As(Principal{Account: 2}), func(tx *Tx) error {
		_, _, err := tx.SetFlags(inbox, UIDSet{{2, 2}}, FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}})
		return err
	})
	_, err := s.Transfer(t.Context(), Transfer{From: a, To: b, Source: inbox, Dest: mailboxID(t, b, "INBOX"), UIDs: all})
	must(t, err)
	closed() // a checkpoint: what comes now stays in the journal
	s, closed = openFixture(t, dir)
	a, err = s.Account(t.Context(), 1)
	must(t, err)
	change(t, a, func(tx *Tx) error { _, err := tx.Copy(sent, archive, all); return err })
	says := saysOf(t, s)
	closed()
	for _, name := range []string{"kv", "LOCK"} {
		must(t, os.RemoveAll(filepath.Join(dir, name)))
	}
	must(t, os.WriteFile(filepath.Join(to, "says.txt"), []byte(says), 0o600))
}

// saysOf writes down what can be seen in a store.
func saysOf(t *testing.T, s *Store) string {
	t.Helper()
	var all strings.Builder
	for id := mail.AccountID(1); id <= 2; id++ {
		a, err := s.Account(context.Background(), id)
		must(t, err)
		must(t, a.View(context.Background(), func(v *View) error {
			u, _ := json.Marshal(v.Usage())
			q, d := v.Bounds()
			fmt.Fprintf(&all, "account %d: %s %+v %s %v\n", id, u, q, d, v.Keywords())
			for _, m := range v.Mailboxes() {
				fmt.Fprintf(&all, " %+v\n", *m)
				if err := saysMailbox(&all, v, m.ID); err != nil {
					return err
				}
			}
			for _, kind := range []ObjectKind{1, 5} {
				if err := v.Objects(kind, func(o Object) bool {
					fmt.Fprintf(&all, " object %d %s %s\n", kind, o.ID, o.Value)
					return true
				}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return all.String()
}

func saysMailbox(all *strings.Builder, v *View, id MailboxID) error {
	snap, err := v.Snapshot(id)
	if err != nil {
		return err
	}
	for i := range snap.Len() {
		r := snap.Row(i)
		e, err := v.Email(r.Email)
		if err != nil {
			return err
		}
		in, err := v.Memberships(r.Email)
		if err != nil {
			return err
		}
		fmt.Fprintf(all, "  %+v thread %d %s in %v, findings %v\n", r, e.Thread, e.Envelope, in, e.Findings())
	}
	acl, err := v.ACL(id)
	if err != nil {
		return err
	}
	fmt.Fprintf(all, "  list %v\n", acl)
	err = v.Annotations(id, 0, func(a *Annotation) bool {
		fmt.Fprintf(all, "  annotation %s %s\n", a.Name, a.Value)
		return true
	})
	if err != nil {
		return err
	}
	return v.MessageAnnotations(id, UIDSet{{1, 1<<32 - 1}}, 0, func(u UID, a *Annotation) bool {
		fmt.Fprintf(all, "  annotation of %d: %s %s\n", u, a.Name, a.Value)
		return true
	})
}
