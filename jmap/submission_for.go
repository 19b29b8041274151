package jmap

import (
	"context"
	"slices"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/store"
)

// Submissions that somebody makes for the owner of a shared account. They are objects
// of that account and name who made them; that one sends, with the rights that it has
// when the message goes.

// ownOfGuest: of somebody else's submissions, or jobs, a user sees those that the user
// made.
func ownOfGuest(load loader) loader {
	return func(c *call, v *store.View, ids []string) ([]record, error) {
		list, err := load(c, v, ids)
		if err != nil || !c.acct.shared {
			return list, err
		}
		return slices.DeleteFunc(list, func(r record) bool { return sender(r.rec.(values), c.acct.ID()) != c.who.account.ID }), nil
	}
}

// ownTouched leaves out what load does not show.
func ownTouched(load loader, touched func(*call, *store.View, *delta) ([]touch, error)) func(*call, *store.View, *delta) ([]touch, error) {
	return func(c *call, v *store.View, d *delta) ([]touch, error) {
		list, err := touched(c, v, d)
		if err != nil || !c.acct.shared {
			return list, err
		}
		return slices.DeleteFunc(list, func(t touch) bool {
			if !t.is { // it cannot be known any more whose it was
				return false
			}
			recs, failed := load(c, v, []string{t.id})
			if failed != nil {
				err = failed
			}
			return len(recs) == 0
		}), err
	}
}

// sender is who made a submission of an account.
func sender(m values, owner mail.AccountID) mail.AccountID {
	if n, ok := m["by"].(int64); ok {
		return mail.AccountID(n)
	}
	return owner
}

// senderCall is the call in which a submission is sent: by whoever made it, with the
// rights that this one has now. It is nil if there is none such.
func (s *Server) senderCall(ctx context.Context, acct *store.Account, submission string) (*call, error) {
	var sub values
	if err := acct.View(ctx, func(v *store.View) error {
		o, err := v.Object(store.ObjectSubmission, submission)
		if err == nil {
			sub, err = decodeValues(o.Value)
		}
		return err
	}); err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return nil, nil
		}
		return nil, err
	}
	return s.callBy(ctx, acct, sender(sub, acct.ID()), sentObjects)
}

// callBy is a call in an account for who asked for something that happens later, with
// the rights that this one has now; kinds are the owner's objects that it takes. Of who
// is gone or disabled the account is disabled, and has no rights.
func (s *Server) callBy(ctx context.Context, acct *store.Account, by mail.AccountID, kinds []store.ObjectKind) (*call, error) {
	who, err := s.opts.Directory.Account(ctx, by)
	if by != acct.ID() && mail.KindOf(err) == mail.NotFound && err != nil {
		who, err = directory.Account{ID: by, Disabled: true}, nil
	}
	if err != nil {
		return nil, err
	}
	c := &call{Server: s, ctx: ctx, who: &principal{account: who}, method: s.methods["Email/set"], args: map[string]any{}, req: &request{created: map[string]string{}}}
	if by == acct.ID() {
		c.acct = &account{Account: acct, id: accountID(by), index: s.indexes.of(by, 0, s.limits.IndexBytes)}
		return c, nil
	}
	p := store.Principal{Account: by, Domain: who.Address.Domain}
	if !who.Disabled {
		if p, err = s.principalOf(ctx, c.who); err != nil {
			return nil, err
		}
	}
	c.acct = &account{Account: acct, id: accountID(acct.ID()), index: s.indexes.of(acct.ID(), by, s.limits.IndexBytes), shared: true, as: p}
	c.acct.allow(kinds...)
	return c, nil
}

// acting runs f in a transaction of the account with the user's rights.
func (c *call) acting(tx *store.Tx, f func() error) error {
	if !c.acct.shared {
		return f()
	}
	return tx.ActAs(c.acct.as, f)
}
