package jmap

import (
	"context"
	"slices"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// Accounts of others are there for who has rights on a mailbox of theirs (RFC 4314).
// Mail is, and what a draft takes of blobs (RFC 9404), and for those who may send as the owner the owner's identities, what
// they sent, answers to invitations and receipts (RFC 9007). What else an account has is its owner's.

// A Grouper knows to which groups somebody belongs; [directory.Directory] does.
type Grouper interface {
	Groups(ctx context.Context, id mail.AccountID) ([]mail.AccountID, error)
}

// principalOf is what access control lists may name of somebody.
func (s *Server) principalOf(ctx context.Context, who *principal) (store.Principal, error) {
	p := store.Principal{Account: who.account.ID, Domain: who.account.Address.Domain}
	if g, ok := s.opts.Directory.(Grouper); ok {
		var err error
		if p.Groups, err = g.Groups(ctx, who.account.ID); err != nil {
			return p, err
		}
	}
	return p, nil
}

// owners are who share something with the user, who is p.
func (s *Server) owners(ctx context.Context, who *principal) (p store.Principal, owners []mail.AccountID, err error) {
	if p, err = s.principalOf(ctx, who); err == nil {
		owners, err = s.opts.Store.SharedOwners(ctx, p)
	}
	return p, owners, err
}

func (s *Server) sharedAccount(ctx context.Context, who *principal, id string) (*account, error) {
	missing := refused("accountNotFound", "")
	n, ok := number(id, 'A')
	if !ok {
		return nil, missing
	}
	p, owners, err := s.owners(ctx, who)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(owners, mail.AccountID(n)) {
		return nil, missing
	}
	return s.openShared(ctx, who, p, mail.AccountID(n))
}

// openShared is the account of an owner who shares something with the user, who is p.
func (s *Server) openShared(ctx context.Context, who *principal, p store.Principal, owner mail.AccountID) (*account, error) {
	a, err := s.opts.Store.Account(ctx, owner)
	if err != nil {
		return nil, err
	}
	a = a.As(p)
	visible, reads := false, true
	if err := a.View(ctx, func(v *store.View) error {
		for _, m := range v.Mailboxes() {
			r, err := v.Rights(m.ID)
			visible, reads = true, reads && err == nil && r&^(store.RightLookup|store.RightRead|store.RightPost) == 0
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if !visible { // an entry may take rights away
		return nil, refused("accountNotFound", "")
	}
	return &account{Account: a, id: accountID(owner), index: s.indexes.of(a.ID(), who.account.ID, s.limits.IndexBytes), shared: true, reads: reads, as: p}, nil
}

// sharedAccounts are what the session says of the accounts of others.
func (s *Server) sharedAccounts(ctx context.Context, who *principal) (wire.Object, error) {
	p, owners, err := s.owners(ctx, who)
	if err != nil {
		return nil, err
	}
	var all wire.Object
	for _, id := range owners {
		a, err := s.openShared(ctx, who, p, id)
		if err != nil {
			continue
		}
		owner, err := s.opts.Directory.Account(ctx, id)
		if err != nil {
			continue
		}
		_, own := s.capability(capMail, who)
		caps := wire.Object{{Name: capCore, Value: wire.Object{}}, {Name: capMail, Value: own}}
		_, blobs := s.capability(capBlob, who)
		caps = caps.With(capBlob, blobs).With(capPosthouse, wire.Object{})
		sends, err := s.sendsFor(ctx, who, id)
		if err != nil {
			return nil, err
		}
		if sends {
			_, own := s.capability(capSubmission, who)
			caps = caps.With(capMDN, wire.Object{}).With(capSubmission, own)
		}
		all = all.With(accountID(id), wire.Object{{Name: "name", Value: owner.Address.String()}, {Name: "isPersonal", Value: false}, {Name: "isReadOnly", Value: a.reads && !sends},
			{Name: "accountCapabilities", Value: caps}})
	}
	return all, nil
}

// sentObjects are what those who may send as the owner use.
var sentObjects = []store.ObjectKind{store.ObjectIdentity, store.ObjectSubmission, store.ObjectOutgoing}

// allow lets the user of a shared account use objects of these kinds.
func (a *account) allow(kinds ...store.ObjectKind) {
	a.as.Objects = slices.Concat(a.as.Objects, kinds)
	a.Account = a.As(a.as)
}

// sendsFor asks the directory whether somebody may send as the owner of an account.
func (s *Server) sendsFor(ctx context.Context, who *principal, owner mail.AccountID) (bool, error) {
	a, err := s.opts.Directory.Account(ctx, owner)
	if err != nil {
		return false, err
	}
	return s.opts.Directory.MaySend(ctx, who.account.ID, a.Address)
}

// rights are what who may do with a mailbox.
func (g *getter) rights(m *store.Mailbox) (store.Rights, error) {
	if !g.acct.shared {
		return store.AllRights, nil
	}
	return g.v.Rights(m.ID)
}

// ownerOnly refuses what only the owner of an account may do.
func (s *setter) ownerOnly() *setError {
	if s.acct.shared {
		return unfit("forbidden", "only the owner may do this")
	}
	return nil
}
