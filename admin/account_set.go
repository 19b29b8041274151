package admin

import (
	"context"

	"posthouse/directory"
	"posthouse/mail"
)

// AccountSet is the input of account.set: what is nil stays.
type AccountSet struct {
	Name     string  `json:"name"` // which account, by address
	Address  *string `json:"address,omitempty"`
	FullName *string `json:"fullName,omitempty"`
	Admin    *bool   `json:"admin,omitempty"`
	Disabled *bool   `json:"disabled,omitempty"`
	Password *string `json:"password,omitempty"`
	QuotaSet
	// What it may send elsewhere in a day; 0: as everybody, -1: no limit.
	SendMessages      *int64 `json:"sendMessages,omitempty"`
	SendNewRecipients *int64 `json:"sendNewRecipients,omitempty"`
}

func accountSet(ctx context.Context, s *System, in AccountSet) (Account, error) {
	const op = "account.set"
	acct, err := s.account(ctx, op, in.Name)
	if err != nil {
		return Account{}, err
	}
	id := acct.ID
	var addr mail.Address
	if in.Address != nil {
		if addr, err = s.parseAddress(ctx, op, *in.Address); err != nil {
			return Account{}, err
		}
	}
	if err := in.check(op); err != nil {
		return Account{}, err
	}
	for _, n := range []*int64{in.SendMessages, in.SendNewRecipients} {
		if n != nil && (*n < -1 || *n > maxSendLimit) {
			return Account{}, refuse(mail.Invalid, op, "what an account may send is a number of up to %d; 0 is as everybody, -1 no limit", maxSendLimit)
		}
	}
	if in.Password != nil { // first: it is refused for more reasons
		if err := s.Directory.SetPassword(ctx, acct.ID, *in.Password); err != nil {
			return Account{}, err
		}
	}
	var now directory.Account
	var commit directory.Commit
	if in.given() || in.Address != nil {
		commit = s.commitQuota(&now)
	}
	acct, err = s.Directory.SetAccount(ctx, acct.ID, func(a *directory.Account) {
		if in.Address != nil {
			a.Address = addr
		}
		set(&a.Name, in.FullName)
		set(&a.Admin, in.Admin)
		set(&a.Disabled, in.Disabled)
		in.apply(&a.Quota)
		set(&a.Send.Messages, in.SendMessages)
		set(&a.Send.NewRecipients, in.SendNewRecipients)
		now = *a
	}, commit)
	if in.Password != nil || err == nil && acct.Disabled {
		s.revoke(id)
	}
	return showAccount(acct), err
}

const maxSendLimit = 1 << 30

func (s *System) revoke(id mail.AccountID) {
	if s.Revoked != nil {
		s.Revoked(id)
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}
