package jmap

import (
	"cmp"
	"slices"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// historyMethod is Recipient/history of the vendor capability: to whom one wrote, how
// often, and when last, of the acquaintances of the account.
func historyMethod() *method {
	return &method{name: "Recipient/history", capability: capPosthouse, args: []wire.Field{{Name: "addresses?", Type: "String[]"}, {Name: "text?", Type: "String"},
		{Name: "sort?", Type: "String"}, {Name: "position?", Type: "UnsignedInt"}, {Name: "limit?", Type: "UnsignedInt"}}, do: recipientHistory}
}

// maxHistory is how many addresses one call returns.
const maxHistory = 500

// historyOrders are the values of sort.
var historyOrders = map[string]func(a, b *acquaintance) int{
	"lastSentAt": func(a, b *acquaintance) int { return cmp.Compare(b.lastSent, a.lastSent) },
	"lastAt":     func(a, b *acquaintance) int { return cmp.Compare(b.last, a.last) },
	"sent": func(a, b *acquaintance) int {
		return cmp.Or(cmp.Compare(b.sent, a.sent), cmp.Compare(b.lastSent, a.lastSent))
	},
	"name": func(a, b *acquaintance) int { return strings.Compare(a.label(), b.label()) },
}

// label is what somebody is sorted by: the name, or the address.
func (a *acquaintance) label() string { return strings.ToLower(cmp.Or(a.name, a.email)) }

func recipientHistory(c *call) (wire.Object, error) {
	order := historyOrders[cmp.Or(c.str("sort"), "lastSentAt")]
	if order == nil {
		return nil, refused("unsupportedSort", "sort is lastSentAt, lastAt, sent or name")
	}
	asked := c.strs("addresses")
	if len(asked) > maxHistory {
		return nil, refused("requestTooLarge", "too many addresses")
	}
	limit, text := int(min(c.num("limit", 50), maxHistory)), strings.ToLower(strings.TrimSpace(c.str("text")))
	out, total := []wire.Object{}, 0
	var state string
	err := c.view(func(v *store.View) error {
		state = stateOf(v)
		return c.acquainted(v, func(p *acquaintances) {
			list := p.written(asked, text)
			slices.SortFunc(list, func(a, b *acquaintance) int { return cmp.Or(order(a, b), strings.Compare(a.email, b.email)) })
			total = len(list)
			from := int(min(c.num("position", 0), int64(total)))
			for _, a := range list[from:min(from+limit, total)] {
				out = append(out, a.object(p.cards[strings.ToLower(a.email)]))
			}
		})
	})
	return c.head().With("state", state).With("total", total).With("list", out), err
}

// written are those of addresses that are known, or, if none are given, all who were
// written to; of them those that text fits.
func (p *acquaintances) written(addresses []string, text string) (list []*acquaintance) {
	take := func(key string, a *acquaintance) {
		if text == "" || matches(a, key, text) > 0 {
			list = append(list, a)
		}
	}
	if addresses == nil {
		for key, a := range p.byMail {
			if a.sent > 0 {
				take(key, a)
			}
		}
		return list
	}
	for i, address := range addresses {
		key := strings.ToLower(address)
		if a := p.byMail[key]; a != nil && !slices.ContainsFunc(addresses[:i], func(s string) bool { return strings.ToLower(s) == key }) {
			take(key, a)
		}
	}
	return list
}

// object is how methods tell of somebody; card is the contact's id.
func (a *acquaintance) object(card string) wire.Object {
	at := func(t int64) any {
		if t == 0 {
			return nil
		}
		return utcDate(t)
	}
	return wire.Object{{Name: "name", Value: textOrNull(a.name)}, {Name: "email", Value: a.email}, {Name: "contactId", Value: textOrNull(card)},
		{Name: "sent", Value: a.sent}, {Name: "received", Value: a.received}, {Name: "lastAt", Value: at(a.last)}, {Name: "lastSentAt", Value: at(a.lastSent)}}
}
