package jmap

import (
	"context"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
)

// A MailDomains answers whether a domain takes mail.
type MailDomains interface {
	// TakesMail is false if the domain certainly takes none: it does not exist, or it
	// says so (RFC 7505). An error means that it is not known.
	TakesMail(ctx context.Context, d mail.Domain) (bool, error)
}

// recipientMethod is Recipient/check of the vendor capability: what a writer should
// know of an address before the message goes.
func recipientMethod() *method {
	return &method{name: "Recipient/check", capability: capPosthouse, args: []wire.Field{{Name: "addresses", Type: "String[]"}}, do: checkRecipients}
}

// maxChecked is how many addresses one call looks at.
const maxChecked = 100

// commonDomains are those that people mistype.
var commonDomains = []string{"gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "gmx.de", "gmx.net", "web.de", "t-online.de",
	"orange.fr", "free.fr", "hotmail.fr", "yahoo.fr", "libero.it", "proton.me", "protonmail.com", "fastmail.com", "aol.com", "live.com", "me.com"}

func checkRecipients(c *call) (wire.Object, error) {
	list := c.strs("addresses")
	if len(list) > maxChecked {
		return nil, refused("requestTooLarge", "too many addresses")
	}
	out := []wire.Object{}
	for _, text := range list {
		status, suggestion, err := c.checkRecipient(text)
		if err != nil {
			return nil, err
		}
		out = append(out, wire.Object{{Name: "address", Value: text}, {Name: "status", Value: status}, {Name: "suggestion", Value: textOrNull(suggestion)}})
	}
	return c.head().With("list", out), nil
}

// checkRecipient says ok, invalid, noMailbox (here), noMail (the domain takes none) or
// unknown, and what may have been meant.
func (c *call) checkRecipient(text string) (status, suggestion string, err error) {
	m, ok := addressOf(map[string]any{"email": text})
	if !ok {
		return "invalid", "", nil
	}
	a := m.Address
	suggest := func() string {
		if d := nearDomain(string(a.Domain), append([]string{string(c.who.account.Address.Domain)}, commonDomains...)); d != "" {
			return a.Local + "@" + d
		}
		return ""
	}
	res, err := c.opts.Directory.Resolve(c.ctx, a)
	switch {
	case err != nil:
		return "", "", err
	case res.Local && res.Found:
		return "ok", "", nil
	case res.Local:
		return "noMailbox", "", nil
	case c.opts.Domains == nil:
		return "unknown", suggest(), nil
	}
	takes, err := c.opts.Domains.TakesMail(c.ctx, a.Domain)
	switch {
	case err != nil: // DNS is slow or down: no reason to stop anybody
		return "unknown", suggest(), nil
	case !takes:
		return "noMail", suggest(), nil
	}
	return "ok", suggest(), nil
}

// nearDomain returns the one of list that is one slip of the fingers from d, "" if d
// is one of them or none is near.
func nearDomain(d string, list []string) string {
	d = strings.ToLower(d)
	near := ""
	for _, known := range list {
		if d == known {
			return ""
		}
		if near == "" && len(known) > 4 && oneSlip(d, known) {
			near = known
		}
	}
	return near
}

// oneSlip reports whether one letter was left out, put in or changed, or two were
// swapped.
func oneSlip(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	x, y := a[i:], b[i:]
	switch {
	case len(x) == len(y):
		return len(x) > 0 && (x[1:] == y[1:] || len(x) > 1 && x[0] == y[1] && x[1] == y[0] && x[2:] == y[2:])
	case len(x)+1 == len(y):
		return x == y[1:]
	case len(y)+1 == len(x):
		return y == x[1:]
	}
	return false
}
