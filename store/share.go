package store

import (
	"context"
	"encoding/binary"
	"slices"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A Principal is somebody who uses mailboxes of others: what the lists of those
// mailboxes may name.
type Principal struct {
	Account mail.AccountID
	Groups  []mail.AccountID // that the account belongs to
	Domain  mail.Domain      // of the account: Anyone is everybody of the owner's
	// Objects are the kinds of the owner's objects that p may use as the owner does.
	// Whatever makes the Principal says so, for reasons that the store does not know.
	Objects []ObjectKind
}

// As returns the account as p may use it: its mailboxes are those that p may see,
// its verbs answer Denied where a right is missing, \Seen is p's own. For the owner
// that is the account itself.
//
// What only the owner may do, as subscriptions, quotas and undeletion, is Denied.
func (a *Account) As(p Principal) *Account {
	if p.Account == a.id {
		return &Account{account: a.account}
	}
	return &Account{account: a.account, who: &p}
}

// Owned reports whether this handle is the owner's.
func (a *Account) Owned() bool { return a.who == nil }

// The keys of the store in the engine's account 0, which holds what belongs to no
// one account.
const (
	keyStore   = 's'
	sharedWith = 'g' // account or group, owner, mailbox
	sharedIn   = 'a' // domain, 0, owner, mailbox: with Anyone
)

// sharedPrefix begins the keys of what is shared with an account or a group, or
// with Anyone of a domain.
func sharedPrefix(who mail.AccountID, domain string) []byte {
	if who == Anyone {
		return append(append([]byte{keyStore, sharedIn}, domain...), 0)
	}
	return binary.BigEndian.AppendUint64([]byte{keyStore, sharedWith}, uint64(who))
}

func sharedKey(prefix []byte, owner mail.AccountID, id MailboxID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(prefix, uint64(owner)), uint64(id))
}

// share notes in the index that a mailbox is shared with somebody, or no more.
func (tx *Tx) share(k engine.Kind, who mail.AccountID, id MailboxID) {
	tx.global = append(tx.global, engine.Op{Kind: k, Key: sharedKey(sharedPrefix(who, tx.st.hdr.domain), tx.acct.id, id)})
}

// reshare changes the index for a new domain of the account.
func (tx *Tx) reshare(domain string) {
	for i := range tx.st.boxes {
		b := tx.st.boxes[i]
		if _, named := b.acl.find(Anyone); !named {
			continue
		}
		tx.share(engine.Delete, Anyone, b.mb.ID)
		tx.global = append(tx.global, engine.Op{Kind: engine.Set, Key: sharedKey(sharedPrefix(Anyone, domain), tx.acct.id, b.mb.ID)})
	}
}

// A Shared is a mailbox that somebody was given rights on.
type Shared struct {
	Owner   mail.AccountID
	Mailbox MailboxID
}

// Shared calls f with each mailbox of others whose access control list has an entry
// for p, until f returns false: those that name p first, then those that name its
// groups, then those for Anyone; each time by owner and mailbox, so one may come more
// than once. Its cost is that of what is shared. What p may really do is known to a
// View of [Account.As]: an entry may be negative.
func (s *Store) Shared(ctx context.Context, p Principal, f func(Shared) bool) error {
	r := s.eng.Snapshot(0)
	defer r.Close()
	prefixes := [][]byte{sharedPrefix(p.Account, "")}
	for _, g := range p.Groups {
		prefixes = append(prefixes, sharedPrefix(g, ""))
	}
	prefixes = append(prefixes, sharedPrefix(Anyone, string(p.Domain)))
	for _, prefix := range prefixes {
		more := true
		var failed error
		err := r.Scan(prefix, after(prefix), func(k, _ []byte) bool {
			if failed = ctx.Err(); failed != nil {
				return false
			}
			k = k[len(prefix):]
			if len(k) != 16 {
				failed = corrupt("sharing")
				return false
			}
			x := Shared{mail.AccountID(binary.BigEndian.Uint64(k)), MailboxID(binary.BigEndian.Uint64(k[8:]))}
			if x.Owner != p.Account {
				more = f(x)
			}
			return more
		})
		if failed != nil {
			err = failed
		}
		if err != nil || !more {
			return wrap("Shared", err)
		}
	}
	return nil
}

// SharedOwners returns the accounts, ascending and each once, that share mailboxes
// with p, see [Store.Shared].
func (s *Store) SharedOwners(ctx context.Context, p Principal) ([]mail.AccountID, error) {
	seen := map[mail.AccountID]bool{}
	var all []mail.AccountID
	err := s.Shared(ctx, p, func(x Shared) bool {
		if !seen[x.Owner] {
			seen[x.Owner] = true
			all = append(all, x.Owner)
		}
		return true
	})
	slices.Sort(all)
	return all, err
}

// Grantees calls f with each account and group that a list names, ascending, until it
// returns false.
func (s *Store) Grantees(ctx context.Context, f func(who mail.AccountID) bool) error {
	r := s.eng.Snapshot(0)
	defer r.Close()
	lo := []byte{keyStore, sharedWith}
	end := after(lo)
	for found := true; found; {
		if err := ctx.Err(); err != nil {
			return wrap("Grantees", err)
		}
		found = false
		var who mail.AccountID
		if err := r.Scan(lo, end, func(k, _ []byte) bool {
			if found = len(k) == 26; found {
				who = mail.AccountID(binary.BigEndian.Uint64(k[2:]))
			}
			return false
		}); err != nil {
			return wrap("Grantees", err)
		}
		if found && !f(who) {
			return nil
		}
		lo = after(sharedPrefix(who, ""))
	}
	return nil
}

// Revoke takes an account or a group that is gone out of every list that names it:
// its id is never given again, but nobody should see it there for ever.
func (s *Store) Revoke(ctx context.Context, who mail.AccountID) error {
	if who == Anyone {
		return nil
	}
	var all []Shared
	if err := s.Shared(ctx, Principal{Account: who}, func(x Shared) bool {
		all = append(all, x)
		return true
	}); err != nil {
		return err
	}
	for _, x := range all {
		err := s.Update(ctx, []mail.AccountID{x.Owner}, nil, func(txs []*Tx) error {
			tx := txs[0]
			if b := tx.st.box(x.Mailbox); b != nil && b.acl.of(who) != (entitlement{who: who}) {
				tx.setACL(x.Mailbox, b.acl.with(entitlement{who: who}))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
