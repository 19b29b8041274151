package jmap

import (
	"cmp"
	"slices"

	"posthouse/store"
)

// threadType is Thread, RFC 8621 §3.
func threadType() *objectType {
	return &objectType{
		name: "Thread", capability: capMail,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "emailIds", typ: "Id[]", mode: serverSet, get: func(_ *getter, r any) (any, error) { return r, nil }},
		},
		load: loadThreads, touched: threadsTouched,
	}
}

// loadThreads returns threads, their messages by the time they came.
func loadThreads(c *call, v *store.View, ids []string) ([]record, error) {
	if ids == nil {
		return nil, refused("requestTooLarge", "name the threads")
	}
	r := rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}
	var list []record
	for _, id := range ids {
		t, ok := parseThreadID(id)
		if !ok {
			continue
		}
		if emails := c.threadEmails(&r, t); len(emails) > 0 {
			list = append(list, record{id, emails})
		}
	}
	return list, nil
}

// threadEmails lists the messages of a thread, oldest first.
func (c *call) threadEmails(r *rows, t store.ThreadID) []string {
	type member struct {
		id   store.EmailID
		date int64
	}
	var list []member
	ids, _ := c.acct.index.thread(t)
	for _, id := range ids {
		f, ok := c.acct.index.email(id)
		if !ok {
			continue
		}
		if row, _, ok := r.row(f.places[0]); ok {
			list = append(list, member{id, row.InternalDate})
		}
	}
	slices.SortFunc(list, func(a, b member) int { return cmp.Or(cmp.Compare(a.date, b.date), cmp.Compare(a.id, b.id)) })
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = emailID(m.id)
	}
	return out
}

// threadsTouched: a thread changes when a message comes or goes.
func threadsTouched(c *call, _ *store.View, d *delta) ([]touch, error) {
	var list []touch
	seen := map[store.ThreadID]bool{}
	for _, e := range d.order {
		was, is := c.wasThere(d, e)
		t := c.acct.index.threadOf(e)
		if was == is || seen[t] {
			continue
		}
		if t == 0 {
			return nil, errCannotCalculate
		}
		seen[t] = true
		one := touch{id: threadID(t)}
		ids, there := c.acct.index.thread(t)
		for i, id := range ids {
			before := there[i]
			if _, named := d.emails[id]; named {
				before, _ = c.wasThere(d, id)
			}
			one.was, one.is = one.was || before, one.is || there[i]
		}
		list = append(list, one)
	}
	return list, nil
}

// wasThere says whether a message that the log names was there before, and is.
func (c *call) wasThere(d *delta, id store.EmailID) (was, is bool) {
	n := 0
	if f, ok := c.acct.index.email(id); ok {
		n = len(f.places)
	}
	gone := n == 0 && d.emails[id] == 0 // marked \Deleted
	return n-d.emails[id] > 0 || gone, n > 0
}
