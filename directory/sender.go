package directory

import (
	"context"
	"encoding/binary"

	"posthouse/mail"
)

// Somebody may be allowed to send in the name of an account or of an alias that is not
// theirs: a secretary as the director, the members of a team as the team. Grants name
// ids, of accounts and of aliases, which are the groups: an address that gets a new
// holder inherits nothing.

// maxSenders is how many an account or an alias may name.
const maxSenders = 1000

// senderKey is the key of a grant.
func senderKey(as, who mail.AccountID) []byte {
	return binary.BigEndian.AppendUint64(idKey(senderPrefix, as), uint64(who))
}

// AllowSender lets who, an account or an alias that stands for all to whom it leads,
// send as the account or the alias as; an alias that is both lets its members. NotFound if one of them is not here, TooLarge
// over 1,000.
func (d *Directory) AllowSender(ctx context.Context, as, who mail.Address) error {
	const op = "directory.AllowSender"
	return d.change(ctx, op, nil, func(c *change) error {
		asID, whoID, err := c.pair(as, who)
		switch {
		case err != nil:
			return err
		case asID == whoID:
			if _, err := c.account(asID); err == nil { // of an alias it means its members
				return fail(mail.Invalid, op, nil, "%s sends as itself anyway", who)
			}
		}
		have, err := c.senders(asID)
		if err == nil && len(have) >= maxSenders {
			err = fail(mail.TooLarge, op, nil, "%d may send as %s already: name a group of them", len(have), as)
		}
		c.set(senderKey(asID, whoID), true)
		return err
	})
}

// DenySender ends what AllowSender began. NotFound if it was not allowed.
func (d *Directory) DenySender(ctx context.Context, as, who mail.Address) error {
	const op = "directory.DenySender"
	return d.change(ctx, op, nil, func(c *change) error {
		asID, whoID, err := c.pair(as, who)
		if err != nil {
			return err
		}
		key := senderKey(asID, whoID)
		if _, err := c.Get(key); err != nil {
			return fail(mail.NotFound, op, nil, "%s was not allowed to send as %s", who, as)
		}
		c.delete(key)
		return nil
	})
}

// Senders returns the addresses of the accounts and aliases that may send as the
// account or the alias as, by id.
func (d *Directory) Senders(ctx context.Context, as mail.Address) ([]mail.Address, error) {
	snap := d.eng.Snapshot(0)
	defer snap.Close()
	r := reader{snap}
	id, err := r.identify(as)
	if err != nil {
		return nil, err
	}
	ids, err := r.senders(id)
	list := make([]mail.Address, 0, len(ids))
	for _, who := range ids {
		a, err := r.name(who)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, err
}

func (c *change) pair(as, who mail.Address) (asID, whoID mail.AccountID, err error) {
	if asID, err = c.identify(as); err == nil {
		whoID, err = c.identify(who)
	}
	return asID, whoID, err
}

// senders are those who may send as an account or an alias.
func (r reader) senders(as mail.AccountID) (list []mail.AccountID, err error) {
	prefix := idKey(senderPrefix, as)
	err = r.Scan(prefix, after(prefix), func(k, _ []byte) bool {
		if k = k[len(prefix):]; len(k) == 8 {
			list = append(list, mail.AccountID(binary.BigEndian.Uint64(k)))
		}
		return true
	})
	if err != nil {
		return nil, engineError("directory.Senders", err)
	}
	return list, nil
}

// maySendFor reports whether id was allowed to send as the account or the alias as, by
// its own name or that of a group.
func (d *Directory) maySendFor(ctx context.Context, r reader, id, as mail.AccountID) (bool, error) {
	list, err := r.senders(as)
	if err != nil || len(list) == 0 {
		return false, err
	}
	allowed := make(map[mail.AccountID]bool, len(list))
	for _, who := range list {
		allowed[who] = true
	}
	if allowed[id] {
		return true, nil
	}
	groups, err := d.Groups(ctx, id)
	for _, g := range groups {
		if allowed[g] {
			return true, nil
		}
	}
	return false, err
}

// dropSenders forgets the grants to send as an account or an alias that goes, and
// those that it was given. Its cost is that of all grants there are.
func (c *change) dropSenders(id mail.AccountID) error {
	prefix := []byte(senderPrefix)
	err := c.Scan(prefix, after(prefix), func(k, _ []byte) bool {
		as, who := senderIDs(k)
		if as == id || who == id {
			c.delete(append([]byte(nil), k...))
		}
		return true
	})
	if err != nil {
		return engineError("directory.Senders", err)
	}
	return nil
}

func senderIDs(k []byte) (as, who mail.AccountID) {
	if k = k[len(senderPrefix):]; len(k) != 16 {
		return 0, 0
	}
	return mail.AccountID(binary.BigEndian.Uint64(k)), mail.AccountID(binary.BigEndian.Uint64(k[8:]))
}

// senderGrants: both sides of a grant are there.
func (c *checker) senderGrants() error {
	prefix := []byte(senderPrefix)
	err := c.Scan(prefix, after(prefix), func(k, _ []byte) bool {
		as, who := senderIDs(k)
		for _, id := range []mail.AccountID{as, who} {
			if _, err := c.name(id); err != nil {
				c.report("%d may send as %d, but there is no %d", who, as, id)
			}
		}
		return true
	})
	if err != nil {
		return engineError("directory.Check", err)
	}
	return nil
}
