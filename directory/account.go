package directory

import (
	"context"
	"errors"
	"strings"

	"posthouse/mail"
)

// A NewAccount is an account to be made.
type NewAccount struct {
	Address  mail.Address
	Name     string
	Admin    bool
	Quota    Quota
	Password string // "": cannot log in until it has one
}

// AddAccount makes an account. commit makes it durable together with its
// mailboxes; nil commits the account alone. NotFound if the domain is not ours,
// Exists if the address is taken.
func (d *Directory) AddAccount(ctx context.Context, n NewAccount, commit Commit) (Account, error) {
	const op = "directory.AddAccount"
	addr, err := normalize(op, n.Address)
	if err != nil {
		return Account{}, err
	}
	if err := checkLocal(op, addr); err != nil {
		return Account{}, err
	}
	var cred credentialRecord
	if n.Password != "" {
		if cred, err = d.newCredential(ctx, op, n.Password); err != nil {
			return Account{}, err
		}
	}
	acct := Account{Address: addr, Name: n.Name, Admin: n.Admin, Quota: n.Quota, Created: d.opts.Now()}
	err = d.change(ctx, op, commit, func(c *change) error {
		if err := c.claim(op, addr); err != nil {
			return err
		}
		var err error
		if acct.ID, err = c.nextID(); err != nil {
			return err
		}
		c.id = acct.ID
		c.set(addressKey(addr), addressRecord{Account: acct.ID})
		c.setAccount(acct)
		if len(cred.Passwords) > 0 {
			c.set(idKey(credentialPrefix, acct.ID), cred)
		}
		return nil
	})
	return acct, err
}

// checkLocal refuses an address that would never receive: "ada+x" belongs to ada
// by plus addressing.
func checkLocal(op string, a mail.Address) error {
	if i := strings.IndexByte(a.Local, '+'); i > 0 {
		return fail(mail.Invalid, op, nil, "%s already leads to %s@%s: what follows + is free for everybody", a, a.Local[:i], a.Domain)
	}
	return nil
}

// claim checks that an address may be given away.
func (c *change) claim(op string, a mail.Address) error {
	if _, err := c.domain(a.Domain); err != nil {
		return named(err, "the domain %s is not here: add it first", a.Domain)
	}
	rec, err := c.address(a)
	switch {
	case err == nil && rec.Alias != nil:
		return fail(mail.Exists, op, nil, "%s is an alias already", a)
	case err == nil:
		return fail(mail.Exists, op, nil, "%s exists already", a)
	case mail.KindOf(err) == mail.NotFound:
		return nil
	}
	return err
}

// SetAccount changes an account through f: address, name, admin, disabled,
// quota. Id and creation time stay. commit makes it durable together with what the
// store must change too (the quota); nil commits it alone.
func (d *Directory) SetAccount(ctx context.Context, id mail.AccountID, f func(*Account), commit Commit) (Account, error) {
	const op = "directory.SetAccount"
	var acct Account
	err := d.change(ctx, op, commit, func(c *change) error {
		old, err := c.account(id)
		if err != nil {
			return err
		}
		c.id = id
		acct = old
		f(&acct)
		acct.ID, acct.Created = old.ID, old.Created
		if acct.Address != old.Address {
			if err := c.readdress(op, &acct, old.Address); err != nil {
				return err
			}
		}
		c.setAccount(acct)
		return nil
	})
	return acct, err
}

// readdress moves an account to another address.
func (c *change) readdress(op string, acct *Account, old mail.Address) error {
	addr, err := normalize(op, acct.Address)
	if err != nil {
		return err
	}
	if err := checkLocal(op, addr); err != nil {
		return err
	}
	acct.Address = addr
	if SameAddress(addr, old) {
		return nil
	}
	if err := c.claim(op, addr); err != nil {
		return err
	}
	c.delete(addressKey(old))
	c.set(addressKey(addr), addressRecord{Account: acct.ID})
	return nil
}

// SetPassword gives an account a new password, the only one from now on.
func (d *Directory) SetPassword(ctx context.Context, id mail.AccountID, password string) error {
	const op = "directory.SetPassword"
	cred, err := d.newCredential(ctx, op, password)
	if err != nil {
		return err
	}
	return d.change(ctx, op, nil, func(c *change) error {
		if _, err := c.account(id); err != nil {
			return err
		}
		c.set(idKey(credentialPrefix, id), cred)
		return nil
	})
}

// RemoveAccount removes an account. commit removes its mail in the same unit.
// Aliases lose it as a target; those without another target go with it, and a
// catch-all that led to it is off.
func (d *Directory) RemoveAccount(ctx context.Context, id mail.AccountID, commit Commit) error {
	return d.change(ctx, "directory.RemoveAccount", commit, func(c *change) error {
		acct, err := c.account(id)
		if err != nil {
			return err
		}
		c.id = id
		c.delete(addressKey(acct.Address))
		for _, prefix := range []string{accountPrefix, credentialPrefix, adminPrefix} {
			c.delete(idKey(prefix, id))
		}
		if err := errors.Join(c.unpin(id), c.dropSenders(id)); err != nil {
			return err
		}
		return c.unlink(acct.Address)
	})
}

// unlink takes an address out of every alias and catch-all. An alias that this
// leaves without a target goes too, and with it what leads to that one only.
func (c *change) unlink(first mail.Address) error {
	gone := map[mail.Address]bool{canonical(first): true}
	for again := true; again; {
		again = false
		err := c.aliases("", func(a Alias) bool {
			if key := canonical(a.Address); !gone[key] && len(remaining(a, gone)) == 0 {
				gone[key], again = true, true
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	var failed error
	err := c.aliases("", func(a Alias) bool {
		left := remaining(a, gone)
		switch {
		case gone[canonical(a.Address)]:
			failed = c.dropAlias(a)
		case len(left) < len(a.Targets):
			old := a
			a.Targets = left
			c.setAlias(old, a)
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	return scanRecords(c.reader, domainPrefix, func(key string, rec domainRecord) bool {
		if rec.CatchAll != nil && gone[canonical(rec.CatchAll.address())] {
			rec.CatchAll = nil
			c.set(domainKey(mail.Domain(key)), rec)
		}
		return true
	})
}

// remaining returns the targets of a that are not gone, also not as the base of
// a target with a detail.
func remaining(a Alias, gone map[mail.Address]bool) []mail.Address {
	var left []mail.Address
	for _, t := range a.Targets {
		base, _ := splitDetail(t.Local)
		if !gone[canonical(t)] && !gone[canonical(mail.Address{Local: base, Domain: t.Domain})] {
			left = append(left, t)
		}
	}
	return left
}

// Accounts calls f with every account by id until it returns false.
func (d *Directory) Accounts(ctx context.Context, f func(Account) bool) error {
	r := d.eng.Snapshot(0)
	defer r.Close()
	return reader{r}.accounts(func(a Account) bool { return ctx.Err() == nil && f(a) })
}
