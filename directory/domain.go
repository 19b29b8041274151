package directory

import (
	"context"
	"strings"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// AddDomain makes a domain ours. Exists if it is already, Invalid for what is no
// domain name.
func (d *Directory) AddDomain(ctx context.Context, name mail.Domain) (Domain, error) {
	const op = "directory.AddDomain"
	norm, err := wire.ParseDomain(string(name))
	if err != nil || strings.HasPrefix(string(norm), "[") {
		return Domain{}, fail(mail.Invalid, op, err, "%q is not a domain name", name)
	}
	dom := Domain{Name: norm, Created: d.opts.Now()}
	err = d.change(ctx, op, nil, func(c *change) error {
		if _, err := c.domain(norm); err == nil {
			return fail(mail.Exists, op, nil, "the domain %s is here already", norm)
		} else if mail.KindOf(err) != mail.NotFound {
			return err
		}
		c.set(domainKey(norm), recordOfDomain(dom))
		return nil
	})
	return dom, err
}

// SetDomain changes a domain through f; its name stays.
func (d *Directory) SetDomain(ctx context.Context, name mail.Domain, f func(*Domain)) (Domain, error) {
	const op = "directory.SetDomain"
	var dom Domain
	err := d.change(ctx, op, nil, func(c *change) (err error) {
		if dom, err = c.domain(name); err != nil {
			return err
		}
		f(&dom)
		dom.Name = name
		if !dom.CatchAll.IsNull() {
			if dom.CatchAll, err = normalize(op, dom.CatchAll); err != nil {
				return err
			}
			if err := c.checkTarget(op, dom.CatchAll); err != nil {
				return err
			}
		}
		c.set(domainKey(name), recordOfDomain(dom))
		return nil
	})
	return dom, err
}

// RemoveDomain ends a domain. Denied while it has accounts or aliases.
func (d *Directory) RemoveDomain(ctx context.Context, name mail.Domain) error {
	const op = "directory.RemoveDomain"
	return d.change(ctx, op, nil, func(c *change) error {
		if _, err := c.domain(name); err != nil {
			return err
		}
		accounts, aliases, err := c.count(name)
		if err != nil {
			return err
		}
		if accounts+aliases > 0 {
			return fail(mail.Denied, op, nil, "%s still has addresses (accounts: %d, aliases: %d): remove them first", name, accounts, aliases)
		}
		c.delete(domainKey(name))
		c.delete(signingKey(name))
		return nil
	})
}

// Domains calls f with every domain by name until it returns false.
func (d *Directory) Domains(ctx context.Context, f func(Domain) bool) error {
	r := d.eng.Snapshot(0)
	defer r.Close()
	return scanRecords(reader{r}, domainPrefix, func(key string, rec domainRecord) bool {
		return ctx.Err() == nil && f(rec.domain(mail.Domain(key)))
	})
}

// Count returns how many accounts and aliases a domain has.
func (d *Directory) Count(ctx context.Context, name mail.Domain) (accounts, aliases int, err error) {
	r := d.eng.Snapshot(0)
	defer r.Close()
	return reader{r}.count(name)
}

func (r reader) count(name mail.Domain) (accounts, aliases int, err error) {
	err = scanRecords(r, string(domainAddresses(name)), func(_ string, rec addressRecord) bool {
		if rec.Alias != nil {
			aliases++
		} else {
			accounts++
		}
		return true
	})
	return accounts, aliases, err
}

// normalize checks an address that is to be kept and gives its domain the normal
// form.
func normalize(op string, a mail.Address) (mail.Address, error) {
	dom, err := wire.ParseDomain(string(a.Domain))
	if err != nil {
		return a, fail(mail.Invalid, op, err, "%q is not a domain name", a.Domain)
	}
	a.Domain = dom
	// The spelling must survive the protocols: what they read back is what we keep.
	if again, err := wire.ParseAddress(a.String()); err != nil || again != a || a.Local == "" {
		return a, fail(mail.Invalid, op, err, "%q is not a mail address", a)
	}
	return a, nil
}
