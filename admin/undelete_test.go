package admin

import (
	"testing"

	"posthouse/mail"
	"posthouse/store"
)

// What was expunged comes back by command, if there is room.
func TestUndelete(t *testing.T) {
	s := system(t)
	run[Domain](t, s.Local(), "domain.add", Named{Name: "example.org"})
	a := run[Account](t, s.Local(), "account.add", AccountAdd{Address: "ada@example.org"})
	acct, err := s.Store.Account(t.Context(), mail.AccountID(a.ID))
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Store.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Write([]byte("Subject: x\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := st.Finish(); err != nil {
		t.Fatal(err)
	}
	update := func(fn func(tx *store.Tx, inbox store.MailboxID) error) {
		t.Helper()
		if err := acct.Update(t.Context(), func(tx *store.Tx) error {
			box, err := tx.Mailbox("INBOX")
			if err != nil {
				return err
			}
			return fn(tx, box.ID)
		}); err != nil {
			t.Fatal(err)
		}
	}
	update(func(tx *store.Tx, inbox store.MailboxID) error {
		_, err := tx.Append(inbox, st, store.AppendOptions{})
		return err
	})
	update(func(tx *store.Tx, inbox store.MailboxID) error {
		_, err := tx.Expunge(inbox, store.UIDSet{{First: 1, Last: 1}})
		return err
	})
	small, none := int64(5), int64(0)
	in := AccountUndelete{Name: "ada@example.org"}
	run[Account](t, s.Local(), "account.set", AccountSet{Name: "ada@example.org", QuotaSet: QuotaSet{Quota: &small}})
	if err := s.Local().Call(t.Context(), "account.undelete", in, nil); mail.KindOf(err) != mail.OverQuota {
		t.Errorf("without room: %v", err)
	}
	run[Account](t, s.Local(), "account.set", AccountSet{Name: "ada@example.org", QuotaSet: QuotaSet{Quota: &none}})
	if out := run[Undeleted](t, s.Local(), "account.undelete", in); out.Messages != 1 || out.Mailboxes[0] != (Restored{"INBOX", 1}) {
		t.Errorf("%+v", out)
	}
	if out := run[Undeleted](t, s.Local(), "account.undelete", in); out.Messages != 0 {
		t.Errorf("once more: %+v", out)
	}
}
