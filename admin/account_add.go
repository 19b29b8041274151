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
	Password string `json:"password"` // "": cannot log in until it has one
	QuotaSet        // nil: the default of the domain or of the configuration
}

// accountAdd makes an account and its mailboxes in one commit.
func accountAdd(ctx context.Context, s *System, in AccountAdd) (Account, error) {
	const op = "account.add"
	addr, err := s.parseAddress(ctx, op, in.Address)
	if err != nil {
		return Account{}, err
	}
	dom, err := s.Directory.Domain(ctx, addr.Domain)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return Account{}, refuse(mail.NotFound, op, "the domain %s is not here. Add it first: posthouse domain add %s", addr.Domain, addr.Domain)
	}
	if err != nil {
		return Account{}, err
	}
	if err := in.check(op); err != nil {
		return Account{}, err
	}
	quota := s.newQuota(&dom)
	in.apply(&quota)
	n := directory.NewAccount{Address: addr, Name: in.Name, Admin: in.Admin, Quota: quota, Password: in.Password}
	acct, err := s.Directory.AddAccount(ctx, n, func(ctx context.Context, id mail.AccountID, b *engine.Batch) error {
		return s.Store.Update(ctx, []mail.AccountID{id}, []*engine.Batch{b}, func(txs []*store.Tx) error {
			if err := txs[0].CreateAccount(mailboxes); err != nil {
				return err
			}
			return setQuota(txs[0], &directory.Account{Address: addr, Quota: quota})
		})
	})
	return showAccount(acct), err
}
