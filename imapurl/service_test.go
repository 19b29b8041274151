package imapurl

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine/mem"
)

type people map[string]mail.AccountID

func (p people) Identify(_ context.Context, a mail.Address) (mail.AccountID, error) {
	if id, ok := p[a.String()]; ok {
		return id, nil
	}
	return 0, missing()
}

func newStore(t *testing.T, accounts ...mail.AccountID) *store.Store {
	t.Helper()
	eng := mem.New()
	st, err := store.Open(t.Context(), eng, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = st.Close(), eng.Close() })
	for _, id := range accounts {
		if err := st.Update(t.Context(), []mail.AccountID{id}, nil, func(txs []*store.Tx) error { return txs[0].CreateAccount(nil) }); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

// TestUse: who may use which URL, until when, and what ends it.
func TestUse(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 5, 5, 0, 0, 0, 0, time.UTC)
	const ada, ben mail.AccountID = 1, 2
	st := newStore(t, ada, ben)
	s := &Service{Store: st, People: people{"ada@demo.test": ada, "ben@demo.test": ben}, Host: "demo.test", Now: func() time.Time { return now }}
	acct, err := st.Account(ctx, ada)
	if err != nil {
		t.Fatal(err)
	}
	update := func(f func(tx *store.Tx) error) {
		t.Helper()
		if err := acct.Update(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	add := func() {
		t.Helper()
		staged, err := st.Stage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = staged.Close() }()
		_, _ = staged.Write([]byte("Subject: x\r\n\r\nhello\r\n"))
		if err := staged.Finish(); err != nil {
			t.Fatal(err)
		}
		update(func(tx *store.Tx) error {
			id, err := tx.CreateMailbox(store.NewMailbox{Path: "Sub"})
			if err == nil {
				_, err = tx.Append(id, staged, store.AppendOptions{})
			}
			return err
		})
	}
	add()
	sign := func(tail string) string {
		t.Helper()
		out, err := s.Sign(ctx, ada, []string{"imap://ada%40demo.test@demo.test/Sub/;UID=1/;SECTION=TEXT" + tail})
		if err != nil {
			t.Fatal(err)
		}
		return out[0]
	}
	open := func(link string, r Reader, want mail.Kind) {
		t.Helper()
		c, err := s.Open(ctx, link, r)
		if want == mail.Internal { // it opens
			if err != nil {
				t.Errorf("%s: %v", link, err)
				return
			}
			defer func() { _ = c.Close() }()
			if b, err := io.ReadAll(c); string(b) != "hello\r\n" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
		} else if err == nil || mail.KindOf(err) != want {
			t.Errorf("%s by %+v: %v", link, r, err)
		}
	}
	asAda, asBen, forAda, forBen := Reader{Account: ada}, Reader{Account: ben}, Reader{ada, true}, Reader{ben, true}
	const opens, denied = mail.Internal, mail.Denied

	submit := sign(";URLAUTH=submit+ben%40demo.test")
	open(submit, forBen, opens)
	open(submit, forAda, denied)
	open(submit, asBen, denied)
	user := sign(";URLAUTH=user+ben%40demo.test")
	open(user, asBen, opens)
	open(user, asAda, denied)
	open(user, forBen, denied)
	all := sign(";URLAUTH=authuser")
	open(all, asBen, opens)
	open(all, forBen, opens)
	open(all[:len(all)-1]+"x", asBen, denied)
	expires := sign(";EXPIRE=2026-05-05T00:00:00Z;URLAUTH=anonymous")
	open(expires, asBen, opens)
	now = now.Add(time.Second)
	open(expires, asBen, denied)

	const plain = "imap://DEMO.test/Sub/;UID=1/;SECTION=TEXT"
	open(plain, forAda, opens)
	open(plain, asAda, denied)
	open(plain, forBen, mail.NotFound) // his own has no such mailbox
	if _, err := s.Open(ctx, "imap://far.test/Sub/;UID=1", forAda); !errors.Is(err, ErrForeign) {
		t.Errorf("another server: %v", err)
	}

	if err := s.Revoke(ctx, ada, "Sub"); err != nil {
		t.Fatal(err)
	}
	open(all, asBen, denied)
	all = sign(";URLAUTH=authuser")
	open(all, asBen, opens)
	if err := s.RevokeAll(ctx, ada); err != nil {
		t.Fatal(err)
	}
	open(all, asBen, denied)
	all = sign(";URLAUTH=authuser")
	update(func(tx *store.Tx) error { // the mailbox goes, and another of its name comes
		box, err := tx.Mailbox("Sub")
		if err != nil {
			return err
		}
		return tx.DeleteMailbox(box.ID)
	})
	open(all, asBen, denied)
	add()
	open(all, asBen, denied)
	if err := s.Revoke(ctx, ada, "Nowhere"); mail.KindOf(err) != mail.NotFound {
		t.Errorf("a key for no mailbox: %v", err)
	}
}
