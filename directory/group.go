package directory

import (
	"context"
	"encoding/binary"
	"errors"

	"posthouse/mail"
	"posthouse/store/engine"
)

// nextID gives an id that no account and no alias had before.
func (c *change) nextID() (mail.AccountID, error) {
	if c.given == 0 {
		last, err := c.counter(nextIDKey)
		if err != nil {
			return 0, err
		}
		c.given = last
	}
	c.given++
	c.setCounter(nextIDKey, c.given)
	return mail.AccountID(c.given), nil
}

// memberKey is the key by which an alias is found from one of its targets.
func memberKey(target mail.Address, alias mail.AccountID) []byte {
	return binary.BigEndian.AppendUint64(memberOf(target), uint64(alias))
}

func memberOf(target mail.Address) []byte {
	base, _ := splitDetail(target.Local)
	return []byte(memberPrefix + string(target.Domain) + "\x00" + canonicalLocal(base) + "\x00")
}

// setAlias writes an alias in the place of old, which may be the zero Alias.
func (c *change) setAlias(old, a Alias) {
	for _, t := range old.Targets {
		c.delete(memberKey(t, old.ID))
	}
	c.set(addressKey(a.Address), addressRecord{Alias: recordOfAlias(a)})
	c.index(a)
}

// index writes by what an alias is found beside its address.
func (c *change) index(a Alias) {
	c.set([]byte(groupsKey), true)
	c.set(idKey(groupPrefix, a.ID), formOf(a.Address))
	for _, t := range a.Targets {
		c.set(memberKey(t, a.ID), true)
	}
}

func (c *change) dropAlias(a Alias) error {
	c.delete(addressKey(a.Address))
	c.delete(idKey(groupPrefix, a.ID))
	for _, t := range a.Targets {
		c.delete(memberKey(t, a.ID))
	}
	return c.dropSenders(a.ID)
}

// indexGroups gives the aliases of a directory from before there were groups their
// ids. It does so once.
func (d *Directory) indexGroups(ctx context.Context) error {
	r := d.eng.Snapshot(0)
	_, err := (reader{r}).version()
	if err == nil {
		_, err = r.Get([]byte(groupsKey))
	}
	r.Close()
	if !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	return d.change(ctx, "directory.Open", nil, func(c *change) error {
		var failed error
		err := c.aliases("", func(a Alias) bool {
			if a.ID, failed = c.nextID(); failed == nil {
				c.setAlias(Alias{}, a)
			}
			return failed == nil
		})
		return errors.Join(err, failed)
	})
}

// maxGroups bounds the groups of one account that are looked for.
const maxGroups = 1000

// Groups returns the aliases that lead to an account, also through others, nearest
// first: the groups that it belongs to. Its cost is theirs.
func (d *Directory) Groups(ctx context.Context, id mail.AccountID) ([]mail.AccountID, error) {
	const op = "directory.Groups"
	snap := d.eng.Snapshot(0)
	defer snap.Close()
	r := reader{snap}
	acct, err := r.account(id)
	if err != nil {
		return nil, err
	}
	var all []mail.AccountID
	seen := map[mail.AccountID]bool{}
	for at := []mail.Address{acct.Address}; len(at) > 0 && len(all) < maxGroups; {
		if err := ctx.Err(); err != nil {
			return nil, engineError(op, err)
		}
		prefix := memberOf(at[0])
		at = at[1:]
		var found []mail.AccountID
		err := r.Scan(prefix, after(prefix), func(k, _ []byte) bool {
			if k = k[len(prefix):]; len(k) == 8 {
				if g := mail.AccountID(binary.BigEndian.Uint64(k)); !seen[g] {
					seen[g] = true
					found = append(found, g)
				}
			}
			return len(all)+len(found) < maxGroups
		})
		if err != nil {
			return nil, engineError(op, err)
		}
		for _, g := range found {
			a, err := r.group(g)
			if mail.KindOf(err) == mail.NotFound && err != nil {
				continue
			}
			if err != nil {
				return nil, err
			}
			all = append(all, g)
			at = append(at, a)
		}
	}
	return all, nil
}

// group returns the address of an alias by its id.
func (r reader) group(id mail.AccountID) (mail.Address, error) {
	var f addressForm
	if err := r.record("directory.Group", idKey(groupPrefix, id), &f); err != nil {
		return mail.Address{}, named(err, "there is no alias %d", id)
	}
	return f.address(), nil
}

// Identify returns the id of the account or the alias that has exactly this address,
// or NotFound: what access control lists name.
func (d *Directory) Identify(ctx context.Context, a mail.Address) (mail.AccountID, error) {
	snap := d.eng.Snapshot(0)
	defer snap.Close()
	return reader{snap}.identify(a)
}

func (r reader) identify(a mail.Address) (mail.AccountID, error) {
	rec, err := r.address(a)
	switch {
	case err != nil:
		return 0, named(err, "there is no %s here", a)
	case rec.Alias != nil:
		return rec.Alias.ID, nil
	}
	return rec.Account, nil
}

// Name returns the address of the account or the alias with this id, or NotFound.
func (d *Directory) Name(ctx context.Context, id mail.AccountID) (mail.Address, error) {
	snap := d.eng.Snapshot(0)
	defer snap.Close()
	return reader{snap}.name(id)
}

func (r reader) name(id mail.AccountID) (mail.Address, error) {
	acct, err := r.account(id)
	if err == nil || mail.KindOf(err) != mail.NotFound {
		return acct.Address, err
	}
	return r.group(id)
}

// groups: an alias is found by its id and by its targets, and what finds one leads
// to one that is there.
func (c *checker) groups() error {
	found := map[string]bool{}
	err := c.aliases("", func(a Alias) bool {
		if a.ID == 0 {
			c.report("alias %s: it has no id", a.Address)
			return true
		}
		if at, err := c.group(a.ID); err != nil || !SameAddress(at, a.Address) {
			c.report("alias %s: its id %d does not lead to it", a.Address, a.ID)
		}
		for _, t := range a.Targets {
			key := memberKey(t, a.ID)
			found[string(key)] = true
			if _, err := c.Get(key); err != nil {
				c.report("alias %s: it is not found from %s", a.Address, t)
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	err = c.Scan([]byte(memberPrefix), after([]byte(memberPrefix)), func(k, _ []byte) bool {
		if !found[string(k)] {
			c.report("key %q leads to no alias", k)
		}
		return true
	})
	if err != nil {
		return engineError("directory.Check", err)
	}
	return scanRecords(c.reader, groupPrefix, func(k string, f addressForm) bool {
		if a, err := c.aliasByAddress(f.address()); err != nil || string(idKey("", a.ID)) != k {
			c.report("id %x leads to %s, which is not such an alias", k, f.address())
		}
		return true
	})
}
