package admin

import (
	"context"

	"posthouse/mail"
	"posthouse/store/engine"
)

// accountRemove removes an account and all its mail in one commit.
func accountRemove(ctx context.Context, s *System, in Named) (Account, error) {
	acct, err := s.account(ctx, "account.remove", in.Name)
	if err != nil {
		return Account{}, err
	}
	err = s.Directory.RemoveAccount(ctx, acct.ID, func(ctx context.Context, id mail.AccountID, b *engine.Batch) error {
		return s.Store.DeleteAccount(ctx, id, []*engine.Batch{b})
	})
	if err == nil {
		s.revoke(acct.ID)
		err = s.Store.Revoke(ctx, acct.ID)
	}
	return showAccount(acct), err
}
