package directory

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"posthouse/mail"
)

// SetAlias makes an alias, or gives one that exists other targets. Invalid
// without a target, TooLarge over 1,000; NotFound if a target should be here and
// is not; Exists if the address is an account's.
func (d *Directory) SetAlias(ctx context.Context, a Alias) (Alias, error) {
	const op = "directory.SetAlias"
	a, err := normalizeAlias(op, a)
	if err != nil {
		return a, err
	}
	err = d.change(ctx, op, nil, func(c *change) error {
		a.Created = d.opts.Now()
		old, err := c.aliasByAddress(a.Address)
		if err == nil {
			a.Created, a.ID = old.Created, old.ID
			a.Masked, a.Note = a.Masked || old.Masked, cmp.Or(a.Note, old.Note)
			if a.List == nil {
				a.List = old.List
			}
		} else if err := c.claim(op, a.Address); err != nil {
			return err
		} else if a.ID, err = c.nextID(); err != nil {
			return err
		}
		seen := map[string]struct{}{}
		for _, t := range a.Targets {
			if SameAddress(t, a.Address) {
				return fail(mail.Invalid, op, nil, "%s cannot lead to itself", a.Address)
			}
			if err := c.checkTarget(op, t); err != nil {
				return err
			}
			if c.leadsBack(t, a.Address, seen) {
				return fail(mail.Invalid, op, nil, "%s leads back to %s: nobody would receive the mail", t, a.Address)
			}
		}
		c.setAlias(old, a)
		return nil
	})
	return a, err
}

// SetList makes an alias a mailing list, or with nil no longer one. Invalid if members
// cannot leave as the list says.
func (d *Directory) SetList(ctx context.Context, a mail.Address, l *List) (Alias, error) {
	const op = "directory.SetList"
	if l != nil {
		https := strings.HasPrefix(l.Unsubscribe, "https://")
		switch {
		case l.Unsubscribe != "" && !https && !strings.HasPrefix(l.Unsubscribe, "mailto:") || len(l.Unsubscribe) > maxURI || strings.ContainsFunc(l.Unsubscribe, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' }):
			return Alias{}, fail(mail.Invalid, op, nil, "%q is no https or mailto address to leave a list", l.Unsubscribe)
		case l.OneClick && !https:
			return Alias{}, fail(mail.Invalid, op, nil, "leaving with one click needs an https address (RFC 8058)")
		}
	}
	var changed Alias
	err := d.change(ctx, op, nil, func(c *change) error {
		old, err := c.aliasByAddress(a)
		if err != nil {
			return err
		}
		changed = old
		changed.List = l
		c.setAlias(old, changed)
		return nil
	})
	return changed, err
}

// maxURI bounds the address to leave a list: it stands in one line of each message.
const maxURI = 900

// leadsBack reports whether mail for the address from comes to goal through the
// aliases that there are. Each alias is followed once.
func (c *change) leadsBack(from, goal mail.Address, seen map[string]struct{}) bool {
	key := string(addressKey(from))
	if _, done := seen[key]; done {
		return false
	}
	seen[key] = struct{}{}
	al, err := c.aliasByAddress(from)
	if err != nil {
		return false // it leads to an account, or elsewhere
	}
	return slices.ContainsFunc(al.Targets, func(t mail.Address) bool {
		return SameAddress(t, goal) || c.leadsBack(t, goal, seen)
	})
}

func normalizeAlias(op string, a Alias) (Alias, error) {
	var err error
	if a.Address, err = normalize(op, a.Address); err != nil {
		return a, err
	}
	if err := checkLocal(op, a.Address); err != nil {
		return a, err
	}
	switch {
	case len(a.Targets) == 0:
		return a, fail(mail.Invalid, op, nil, "an alias needs an address that it leads to")
	case len(a.Targets) > maxAliasTargets:
		return a, fail(mail.TooLarge, op, nil, "an alias leads to at most %d addresses", maxAliasTargets)
	}
	targets := make([]mail.Address, len(a.Targets))
	for i, t := range a.Targets {
		if targets[i], err = normalize(op, t); err != nil {
			return a, err
		}
	}
	a.Targets = targets
	return a, nil
}

// checkTarget refuses a target in one of our domains that nobody receives. What
// exists but leads on too far or in a circle is found by Resolve.
func (c *change) checkTarget(op string, t mail.Address) error {
	if _, err := c.domain(t.Domain); mail.KindOf(err) == mail.NotFound {
		return nil
	} else if err != nil {
		return err
	}
	w := &walk{reader: c.reader}
	_, found, err := w.lookUp(t, 0)
	if err != nil || found {
		return err
	}
	return fail(mail.NotFound, op, nil, "there is no %s here", t)
}

// RemoveAlias removes an alias, and takes it out of the aliases that lead to it.
func (d *Directory) RemoveAlias(ctx context.Context, a mail.Address) error {
	return d.change(ctx, "directory.RemoveAlias", nil, func(c *change) error {
		old, err := c.aliasByAddress(a)
		if err != nil {
			return err
		}
		if err := c.dropAlias(old); err != nil {
			return err
		}
		return c.unlink(a)
	})
}

// Aliases calls f with every alias of a domain (all if dom is "") by address
// until it returns false.
func (d *Directory) Aliases(ctx context.Context, dom mail.Domain, f func(Alias) bool) error {
	r := d.eng.Snapshot(0)
	defer r.Close()
	return reader{r}.aliases(dom, func(a Alias) bool { return ctx.Err() == nil && f(a) })
}
