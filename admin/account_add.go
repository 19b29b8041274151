package admin

import (
	"context"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine"
)

// AccountAdd is the input of account.add.
type AccountAdd struct {
	Address  string `json:"address"`
	Name     string `json:"name"`
	Admin    bool   `json:"admin"`
	Quota    *int64 `json:"quota"`    // bytes, 0: none; nil: the default of the configuration
	Password string `json:"password"` // "": cannot log in until it has one
}

// accountAdd makes an account and its mailboxes in one commit.
func accountAdd(ctx context.Context, s *System, in AccountAdd) (Account, error) {
	const op = "account.add"
	addr, err := s.parseAddress(ctx, op, in.Address)
	if err != nil {
		return Account{}, err
	}
	if _, err := s.Directory.Domain(ctx, addr.Domain); mail.KindOf(err) == mail.NotFound && err != nil {
		return Account{}, refuse(mail.NotFound, op, "the domain %s is not here. Add it first: posthouse domain add %s", addr.Domain, addr.Domain)
	}
	quota := s.DefaultQuota
	set(&quota, in.Quota)
	if quota < 0 {
		return Account{}, refuse(mail.Invalid, op, "the quota is negative; 0 is none")
	}
	n := directory.NewAccount{Address: addr, Name: in.Name, Admin: in.Admin, Quota: quota, Password: in.Password}
	acct, err := s.Directory.AddAccount(ctx, n, func(ctx context.Context, id mail.AccountID, b *engine.Batch) error {
		return s.Store.Update(ctx, []mail.AccountID{id}, []*engine.Batch{b}, func(txs []*store.Tx) error {
			if err := txs[0].CreateAccount(mailboxes); err != nil {
				return err
			}
			return txs[0].SetQuota(quota)
		})
	})
	return showAccount(acct), err
}
