package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// testClock is a clock that tests move by hand.
type testClock struct{ t time.Time }

func (c *testClock) now() time.Time { return c.t }

func newClock() *testClock { return &testClock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

// openStore opens a store that is checked and closed when the test ends.
func openStore(t testing.TB, eng engine.Engine, opts Options) *Store {
	t.Helper()
	if opts.Now == nil {
		opts.Now = newClock().now
	}
	s, err := Open(t.Context(), eng, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		checkStore(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func checkStore(t testing.TB, s *Store) {
	t.Helper()
	n := 0
	err := s.Check(context.Background(), true, func(id mail.AccountID, problem string) {
		if n++; n < 20 {
			t.Errorf("check: account %d: %s", id, problem)
		}
	})
	if err != nil {
		t.Error("check:", err)
	}
}

// newTestAccount makes an account with the usual mailboxes.
func newTestAccount(t testing.TB, s *Store, id mail.AccountID) *Account {
	t.Helper()
	must(t, s.Update(t.Context(), []mail.AccountID{id}, nil, func(txs []*Tx) error {
		return txs[0].CreateAccount([]NewMailbox{{Path: "INBOX", Subscribe: true}, {Path: "Sent", Role: mail.RoleSent, Subscribe: true},
			{Path: "Trash", Role: mail.RoleTrash}})
	}))
	a, err := s.Account(t.Context(), id)
	must(t, err)
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stage stages a message.
func stage(t testing.TB, s *Store, text string) *Staged {
	t.Helper()
	m, err := s.Stage(context.Background())
	must(t, err)
	_, err = m.Write([]byte(text))
	must(t, err)
	must(t, m.Finish())
	t.Cleanup(func() { m.Close() })
	return m
}

func letter(n int) string {
	return fmt.Sprintf("From: Ada <ada@demo.test>\r\nTo: ben@demo.test\r\nSubject: letter %d\r\nDate: Sun, 1 Mar 2026 12:00:00 +0100\r\n"+
		"Message-ID: <%d@demo.test>\r\n\r\nHello %d\r\n", n, n, n)
}

// mailboxID finds a mailbox.
func mailboxID(t testing.TB, a *Account, path string) MailboxID {
	t.Helper()
	var id MailboxID
	must(t, a.View(context.Background(), func(v *View) error {
		m, err := v.Mailbox(path)
		if err == nil {
			id = m.ID
		}
		return err
	}))
	return id
}

func snapshotOf(t testing.TB, a *Account, id MailboxID) *Snapshot {
	t.Helper()
	var snap *Snapshot
	must(t, a.View(context.Background(), func(v *View) (err error) {
		snap, err = v.Snapshot(id)
		return err
	}))
	return snap
}

func TestAppendAndRead(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 7)
	inbox := mailboxID(t, a, "inbox")
	m := stage(t, s, letter(1))
	var got Appended
	must(t, a.Update(t.Context(), func(tx *Tx) (err error) {
		got, err = tx.Append(inbox, m, AppendOptions{Flags: []mail.Flag{`\seen`, "$Work", `\Recent`}, Prefix: []byte("Return-Path: <x@y>\r\n")})
		return err
	}))
	if got.UID != 1 || got.UIDValidity == 0 || got.Email != 1 {
		t.Fatalf("appended %+v", got)
	}
	m.Close()
	stage(t, s, strings.Repeat("other bytes in the same buffer ", 20))
	must(t, a.View(t.Context(), func(v *View) error {
		snap, err := v.Snapshot(inbox)
		must(t, err)
		row := snap.Row(0)
		if f := snap.FlagText(row.Flags); f != `\Seen $Work` {
			t.Errorf("flags %q", f)
		}
		e, err := v.Email(row.Email)
		must(t, err)
		want := "Return-Path: <x@y>\r\n" + letter(1)
		b, err := a.Read(t.Context(), nil, e)
		must(t, err)
		if string(b) != want || int64(len(b)) != e.Size || row.Size != uint32(e.Size) {
			t.Errorf("read %q", b)
		}
		if !strings.Contains(string(e.Envelope), `"letter 1"`) || !e.Sent.Equal(time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)) {
			t.Errorf("record %+v", e)
		}
		pm, err := e.Message()
		must(t, err)
		if got := want[pm.Parts[0].BodyStart:pm.Parts[0].BodyEnd]; got != "Hello 1\r\n" {
			t.Errorf("body %q", got)
		}
		mb, _ := v.Mailbox("INBOX")
		if mb.Messages != 1 || mb.Unseen != 0 || mb.UIDNext != 2 || mb.Bytes != int64(len(want)) {
			t.Errorf("mailbox %+v", mb)
		}
		return nil
	}))
}
