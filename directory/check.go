package directory

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"posthouse/mail"
)

// Check verifies what the directory promises of its records and reports each
// fault. It runs on a live directory, on one consistent state.
func (d *Directory) Check(ctx context.Context, report func(problem string)) error {
	snap := d.eng.Snapshot(0)
	defer snap.Close()
	c := &checker{reader: reader{snap}, report: func(format string, args ...any) { report(fmt.Sprintf(format, args...)) }}
	for _, step := range []func() error{c.accounts, c.addresses, c.domains, c.leftovers, c.groups, c.senderGrants} {
		if err := ctx.Err(); err != nil {
			return engineError("directory.Check", err)
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type checker struct {
	reader
	report func(format string, args ...any)
}

// accounts: each is found by its address, and its id was given out.
func (c *checker) accounts() error {
	last, err := c.counter(nextIDKey)
	if err != nil {
		return err
	}
	return c.reader.accounts(func(a Account) bool {
		if uint64(a.ID) > last {
			c.report("account %d (%s): its id was never given out, the last is %d", a.ID, a.Address, last)
		}
		if rec, err := c.address(a.Address); err != nil || rec.Account != a.ID {
			c.report("account %d: its address %s does not lead to it", a.ID, a.Address)
		}
		_, err := c.Get(idKey(adminPrefix, a.ID))
		if (err == nil) != a.Admin {
			c.report("account %d (%s): the list of admins disagrees with it", a.ID, a.Address)
		}
		return true
	})
}

// addresses: each stands in a domain of ours and leads to somebody.
func (c *checker) addresses() error {
	return scanRecords(c.reader, addressPrefix, func(key string, rec addressRecord) bool {
		name, local, _ := strings.Cut(key, "\x00")
		a := mail.Address{Local: local, Domain: mail.Domain(name)}
		if _, err := c.domain(a.Domain); err != nil {
			c.report("%s: its domain is not here", a)
		}
		switch {
		case (rec.Account == 0) == (rec.Alias == nil):
			c.report("%s: is neither account nor alias, or both", a)
		case rec.Alias == nil:
			if acct, err := c.account(rec.Account); err != nil || !SameAddress(acct.Address, a) {
				c.report("%s: leads to account %d, which is not there or has another address", a, rec.Account)
			}
		default:
			c.alias(a)
		}
		return true
	})
}

func (c *checker) alias(a mail.Address) {
	res, err := c.resolve(a)
	switch {
	case err != nil:
		c.report("alias %s: %s", a, mail.TextOf(err))
	case !res.Found:
		c.report("alias %s: leads to nobody", a)
	}
}

func (c *checker) domains() error {
	return scanRecords(c.reader, domainPrefix, func(key string, rec domainRecord) bool {
		if rec.CatchAll == nil {
			return true
		}
		to := rec.CatchAll.address()
		res, err := c.resolve(to)
		if err != nil || res.Local && !res.Found {
			c.report("domain %s: its catch-all %s leads to nobody", key, to)
		}
		return true
	})
}

// leftovers: credentials and admin marks belong to an account, signing keys to a
// domain.
func (c *checker) leftovers() error {
	for _, prefix := range []string{credentialPrefix, adminPrefix} {
		err := c.Scan([]byte(prefix), after([]byte(prefix)), func(key, _ []byte) bool {
			id := mail.AccountID(binary.BigEndian.Uint64(key[len(prefix):]))
			if _, err := c.account(id); err != nil {
				c.report("account %d is gone, but a key %q of it is left", id, prefix)
			}
			return true
		})
		if err != nil {
			return engineError("directory.Check", err)
		}
	}
	return scanRecords(c.reader, signingPrefix, func(key string, _ signingRecord) bool {
		if _, err := c.domain(mail.Domain(key)); err != nil {
			c.report("domain %s is gone, but its signing keys are left", key)
		}
		return true
	})
}
