package admin

import (
	"context"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine"
)

// AccountSet is the input of account.set: what is nil stays.
type AccountSet struct {
	Name     string  `json:"name"` // which account, by address
	Address  *string `json:"address,omitempty"`
	FullName *string `json:"fullName,omitempty"`
	Admin    *bool   `json:"admin,omitempty"`
	Disabled *bool   `json:"disabled,omitempty"`
	Quota    *int64  `json:"quota,omitempty"`
	Password *string `json:"password,omitempty"`
}

func accountSet(ctx context.Context, s *System, in AccountSet) (Account, error) {
	const op = "account.set"
	acct, err := s.account(ctx, op, in.Name)
	if err != nil {
		return Account{}, err
	}
	var addr mail.Address
	if in.Address != nil {
		if addr, err = s.parseAddress(ctx, op, *in.Address); err != nil {
			return Account{}, err
		}
	}
	if in.Quota != nil && *in.Quota < 0 {
		return Account{}, refuse(mail.Invalid, op, "the quota is negative; 0 is none")
	}
	if in.Password != nil { // first: it is refused for more reasons
		if err := s.Directory.SetPassword(ctx, acct.ID, *in.Password); err != nil {
			return Account{}, err
		}
	}
	acct, err = s.Directory.SetAccount(ctx, acct.ID, func(a *directory.Account) {
		if in.Address != nil {
			a.Address = addr
		}
		set(&a.Name, in.FullName)
		set(&a.Admin, in.Admin)
		set(&a.Disabled, in.Disabled)
		set(&a.Quota, in.Quota)
	}, s.commitQuota(in.Quota))
	return showAccount(acct), err
}

// commitQuota commits a change of the directory together with the quota that the
// store keeps, if it changes.
func (s *System) commitQuota(quota *int64) directory.Commit {
	if quota == nil {
		return nil
	}
	return func(ctx context.Context, id mail.AccountID, b *engine.Batch) error {
		return s.Store.Update(ctx, []mail.AccountID{id}, []*engine.Batch{b}, func(txs []*store.Tx) error {
			return txs[0].SetQuota(*quota)
		})
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}
