package admin

import (
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/store"
)

// check compares the store's quotas with the directory's, and with repair takes the
// directory's; grants to who is gone go.
func TestCheckRepairs(t *testing.T) {
	s := system(t)
	run[Domain](t, s.Local(), "domain.add", Named{Name: "example.org"})
	a := run[Account](t, s.Local(), "account.add", AccountAdd{Address: "ada@example.org"})
	ben := run[Account](t, s.Local(), "account.add", AccountAdd{Address: "ben@example.org"})
	err := s.Store.Update(t.Context(), []mail.AccountID{mail.AccountID(a.ID)}, nil, func(txs []*store.Tx) error {
		m, err := txs[0].Mailbox("INBOX")
		if err != nil {
			return err
		}
		for _, who := range []uint64{ben.ID, 999} {
			if err := txs[0].SetACL(m.ID, store.Grant{Who: mail.AccountID(who), Rights: store.RightLookup}); err != nil {
				return err
			}
		}
		return txs[0].SetQuota(store.Quota{Bytes: 12345})
	})
	if err != nil {
		t.Fatal(err)
	}
	f := run[Findings](t, s.Local(), "check", Check{})
	if len(f.Problems) != 2 || !strings.Contains(f.Problems[0], "different quotas") || !strings.Contains(f.Problems[1], "shared with 999") {
		t.Errorf("found %q", f.Problems)
	}
	f = run[Findings](t, s.Local(), "check", Check{Repair: true})
	if len(f.Problems) != 0 || len(f.Mended) != 2 {
		t.Errorf("found %q, mended %q", f.Problems, f.Mended)
	}
	acct, err := s.Store.Account(t.Context(), mail.AccountID(a.ID))
	if err != nil {
		t.Fatal(err)
	}
	err = acct.View(t.Context(), func(v *store.View) error {
		m, err := v.Mailbox("INBOX")
		if err != nil {
			return err
		}
		list, err := v.ACL(m.ID)
		if q, _ := v.Bounds(); q != (store.Quota{}) || len(list) != 2 || list[1].Who != mail.AccountID(ben.ID) {
			t.Errorf("quota %+v, list %v", q, list)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
