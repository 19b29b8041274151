package admin

import (
	"context"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine"
)

// A Quota is what an account may hold; 0 is no limit.
type Quota struct {
	Bytes     int64 `json:"bytes"`
	Messages  int64 `json:"messages"`
	Mailboxes int64 `json:"mailboxes"`
}

// QuotaSet is the part of an input that changes a quota: what is nil stays.
type QuotaSet struct {
	Quota     *int64 `json:"quota,omitempty"` // bytes; 0: none
	Messages  *int64 `json:"quotaMessages,omitempty"`
	Mailboxes *int64 `json:"quotaMailboxes,omitempty"`
}

func (q *QuotaSet) given() bool { return *q != QuotaSet{} }

func (q *QuotaSet) check(op string) error {
	for _, n := range []*int64{q.Quota, q.Messages, q.Mailboxes} {
		if n != nil && *n < 0 {
			return refuse(mail.Invalid, op, "the quota is negative; 0 is none")
		}
	}
	return nil
}

func (q *QuotaSet) apply(to *directory.Quota) {
	set(&to.Bytes, q.Quota)
	set(&to.Messages, q.Messages)
	set(&to.Mailboxes, q.Mailboxes)
}

// commitQuota commits a change of the directory together with what the store
// keeps of the account that now says.
func (s *System) commitQuota(now *directory.Account) directory.Commit {
	return func(ctx context.Context, id mail.AccountID, b *engine.Batch) error {
		return s.Store.Update(ctx, []mail.AccountID{id}, []*engine.Batch{b}, func(txs []*store.Tx) error {
			return setQuota(txs[0], now)
		})
	}
}

func setQuota(tx *store.Tx, a *directory.Account) error {
	if err := tx.SetQuota(store.Quota(a.Quota)); err != nil {
		return err
	}
	return tx.SetDomain(a.Address.Domain)
}

// newQuota is that of a new account of a domain.
func (s *System) newQuota(d *directory.Domain) directory.Quota {
	if d.Default != nil {
		return *d.Default
	}
	return directory.Quota{Bytes: s.DefaultQuota}
}

// LoadQuotas tells the store the quotas of all domains; at each start.
func (s *System) LoadQuotas(ctx context.Context) error {
	var failed error
	err := s.Directory.Domains(ctx, func(d directory.Domain) bool {
		if d.Quota > 0 {
			failed = s.Store.SetDomainQuota(ctx, d.Name, d.Quota)
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// enlist makes the accounts of a domain count for its quota: those from before
// there were any do not.
func (s *System) enlist(ctx context.Context, d mail.Domain) error {
	var ids []mail.AccountID
	if err := s.Directory.Accounts(ctx, func(a directory.Account) bool {
		if a.Address.Domain == d {
			ids = append(ids, a.ID)
		}
		return true
	}); err != nil {
		return err
	}
	for _, id := range ids {
		a, err := s.Store.Account(ctx, id)
		if err == nil {
			err = a.Update(ctx, func(tx *store.Tx) error { return tx.SetDomain(d) })
		}
		if err != nil && mail.KindOf(err) != mail.NotFound { // removed meanwhile
			return err
		}
	}
	return nil
}

// Quota returns what the account with an address holds and may hold, for the
// front ends in which admins ask.
func (s *System) Quota(ctx context.Context, address string) (u store.Usage, err error) {
	acct, err := s.account(ctx, "account.show", address)
	if err != nil {
		return u, err
	}
	a, err := s.Store.Account(ctx, acct.ID)
	if err != nil {
		return u, err
	}
	err = a.View(ctx, func(v *store.View) error {
		u = v.Usage()
		return nil
	})
	return u, err
}

// SetQuota is account.set for the quota alone.
func (s *System) SetQuota(ctx context.Context, address string, q store.Quota) error {
	_, err := accountSet(ctx, s, AccountSet{Name: address, QuotaSet: QuotaSet{&q.Bytes, &q.Messages, &q.Mailboxes}})
	return err
}
