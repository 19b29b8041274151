package jmap

import (
	"cmp"
	"slices"
	"strings"

	"posthouse/store"
)

// queryMailboxes is Mailbox/query, RFC 8621 §2.3.
func queryMailboxes(c *call, v *store.View, q *query) (results, error) {
	type item struct {
		m     *store.Mailbox
		order int
	}
	var list []item
	kept := map[store.MailboxID]bool{}
	for _, m := range v.Mailboxes() { // parents first
		fits := mailboxFits(v, q.filter, m)
		if c.flag("filterAsTree") && m.Parent != 0 {
			fits = fits && kept[m.Parent]
		}
		if !fits {
			continue
		}
		kept[m.ID] = true
		n, err := mailboxNoteOf(v, m.ID)
		if err != nil {
			return nil, err
		}
		list = append(list, item{m, sortOrder(m, n)})
	}
	slices.SortStableFunc(list, inOrder(q.sort, func(a, b item, property string) int {
		switch property {
		case "sortOrder":
			return cmp.Compare(a.order, b.order)
		case "name":
			return cmp.Compare(strings.ToLower(nameOf(a.m)), strings.ToLower(nameOf(b.m)))
		case "parentId":
			return cmp.Compare(a.m.Parent, b.m.Parent)
		}
		return 0
	}))
	out := make(idList, 0, len(list))
	if !c.flag("sortAsTree") {
		for _, it := range list {
			out = append(out, mailboxID(it.m))
		}
		return out, nil
	}
	// Each goes before what is below it; siblings keep their order. The depth is bounded
	// by that of mailbox names.
	var below func(parent store.MailboxID)
	below = func(parent store.MailboxID) {
		for _, it := range list {
			if it.m.Parent == parent || parent == 0 && !kept[it.m.Parent] {
				out = append(out, mailboxID(it.m))
				below(it.m.ID)
			}
		}
	}
	below(0)
	return out, nil
}

// mailboxFits evaluates a filter, RFC 8621 §2.3.
func mailboxFits(v *store.View, f *filter, m *store.Mailbox) bool {
	return f.fits(func(condition string, val any) bool {
		text, _ := val.(string)
		switch condition {
		case "parentId":
			p := findMailbox(v, text)
			return val == nil && m.Parent == 0 || p != nil && p.ID == m.Parent
		case "name":
			return strings.Contains(strings.ToLower(nameOf(m)), strings.ToLower(text))
		case "role":
			return textOrNull(roleOf(m)) == val
		case "hasAnyRole":
			return (roleOf(m) != "") == val
		case "isSubscribed":
			return m.Subscribed == val
		}
		return false
	})
}

// mailboxQueryChanged: mailboxes are few, so whenever one changed all are told anew.
func mailboxQueryChanged(c *call, v *store.View, _ *query, d *delta, res results) (removed []string, added []int, err error) {
	changed := false
	for _, what := range d.boxes {
		changed = changed || what&^boxMessages != 0
	}
	for _, o := range d.objects {
		changed = changed || o.Kind == store.ObjectMailbox
	}
	if !changed {
		return nil, nil, nil
	}
	for id, what := range d.boxes {
		if _, err := v.MailboxByID(id); err == nil || what&boxMade != 0 {
			continue
		}
		name := c.acct.index.mailboxName(id)
		if name == "" {
			return nil, nil, errCannotCalculate
		}
		removed = append(removed, name)
	}
	for _, m := range v.Mailboxes() {
		removed = append(removed, mailboxID(m))
	}
	for i := range res.len() {
		added = append(added, i)
	}
	slices.Sort(removed)
	return removed, added, nil
}
