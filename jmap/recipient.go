package jmap

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
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
	var domains []string
	known := make([]acquaintance, len(list))
	cards := make([]string, len(list))
	if err := c.view(func(v *store.View) error {
		return c.acquainted(v, func(p *acquaintances) {
			domains = p.domains()
			for i, text := range list {
				key := strings.ToLower(text)
				if cards[i] = p.cards[key]; p.byMail[key] != nil {
					known[i] = *p.byMail[key]
				}
			}
		})
	}); err != nil {
		return nil, err
	}
	near := slices.Concat([]string{string(c.who.account.Address.Domain)}, commonDomains, domains)
	out := []wire.Object{}
	for i, text := range list {
		got, err := c.checkRecipient(text, near)
		if err != nil {
			return nil, err
		}
		out = append(out, wire.Object{{Name: "address", Value: text}, {Name: "status", Value: got.status}, {Name: "suggestion", Value: textOrNull(got.suggestion)},
			{Name: "isLocal", Value: got.local}, {Name: "isFirst", Value: known[i].sent == 0 && cards[i] == ""}, {Name: "contactId", Value: textOrNull(cards[i])}})
	}
	return c.head().With("list", out), nil
}

// A checked recipient is what is known of an address.
type checked struct {
	status, suggestion string
	local              bool // of a domain of this server
}

// checkRecipient tells what is known of an address; near are domains that may be meant.
func (c *call) checkRecipient(text string, near []string) (checked, error) {
	m, ok := addressOf(map[string]any{"email": text})
	if !ok {
		return checked{status: "invalid"}, nil
	}
	a := m.Address
	res, err := c.opts.Directory.Resolve(c.ctx, a)
	switch {
	case err != nil:
		return checked{}, err
	case res.Local && res.Found:
		return checked{"ok", "", true}, nil
	case res.Local:
		return checked{"noMailbox", "", true}, nil
	}
	suggestion := ""
	if d := nearDomain(string(a.Domain), near); d != "" {
		suggestion = a.Local + "@" + d
	}
	if c.opts.Domains == nil {
		return checked{"unknown", suggestion, false}, nil
	}
	takes, err := c.opts.Domains.TakesMail(c.ctx, a.Domain)
	switch {
	case err != nil: // DNS is slow or down: no reason to stop anybody
		return checked{"unknown", suggestion, false}, nil
	case !takes:
		return checked{"noMail", suggestion, false}, nil
	}
	return checked{"ok", suggestion, false}, nil
}

// suggestMethod is Recipient/suggest of the vendor capability: whom one may mean, from
// contacts and from the mail that was sent and received.
func suggestMethod() *method {
	return &method{name: "Recipient/suggest", capability: capPosthouse, args: []wire.Field{{Name: "text", Type: "String"}, {Name: "limit?", Type: "UnsignedInt"}}, do: suggestRecipients}
}

// maxSuggested is how many suggestions one call returns.
const maxSuggested = 100

func suggestRecipients(c *call) (wire.Object, error) {
	text, limit := strings.ToLower(strings.TrimSpace(c.str("text"))), int(min(c.num("limit", 10), maxSuggested))
	type hit struct {
		*acquaintance
		card string
		rank int
	}
	var hits []hit
	out := []wire.Object{}
	err := c.view(func(v *store.View) error {
		return c.acquainted(v, func(p *acquaintances) {
			for key, a := range p.byMail {
				rank := matches(a, key, text)
				if p.cards[key] == "" && a.sent == 0 && isRobot(key) {
					rank = 0
				}
				if rank > 0 {
					hits = append(hits, hit{a, p.cards[key], rank})
				}
			}
			weight := func(h hit) int64 { // who is written to comes first, and who was heard of late
				w := int64(min(h.sent, 100))*30*86400 + int64(min(h.received, 100))*86400 + h.last
				if h.card != "" {
					w += 60 * 86400
				}
				return w
			}
			slices.SortFunc(hits, func(a, b hit) int {
				return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(weight(b), weight(a)), strings.Compare(a.email, b.email))
			})
			for _, h := range hits[:min(limit, len(hits))] {
				out = append(out, h.object(h.card))
			}
		})
	})
	return c.head().With("list", out), err
}

// matches says how well an acquaintance fits what was typed; 0: not at all.
func matches(a *acquaintance, key, text string) int {
	name := strings.ToLower(a.name)
	begins := strings.HasPrefix(key, text) || strings.HasPrefix(name, text)
	for _, word := range strings.Fields(name) {
		begins = begins || strings.HasPrefix(word, text)
	}
	switch {
	case text == "" || begins:
		return 2
	case len(text) > 2 && (strings.Contains(key, text) || strings.Contains(name, text)):
		return 1
	}
	return 0
}

// isRobot tells addresses that nobody reads.
func isRobot(key string) bool {
	local, _, _ := strings.Cut(key, "@")
	for _, w := range []string{"no-reply", "noreply", "no_reply", "donotreply", "do-not-reply", "bounce", "mailer-daemon"} {
		if strings.Contains(local, w) {
			return true
		}
	}
	return false
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
