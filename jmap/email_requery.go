package jmap

import (
	"cmp"
	"slices"

	"posthouse/search"
	"posthouse/store"
)

// requeryMost is how many messages may have changed for bringing results up to date
// to be cheaper than asking anew; insertMost, where records are read to order them.
const (
	requeryMost = 1000
	insertMost  = 50
)

// last returns the newest results of a question, of whatever position; nil if there
// are none.
func (x *index) last(key string) *emailResults {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.queries.byKey[key]
}

// requery brings older results of the same question up to date: only what the log
// names is looked at. It is nil, without error, where that cannot be done.
func (f *filterCompiler) requery(q *query, old *emailResults) ([]store.EmailID, error) {
	c := f.c
	if old == nil || old.pos >= f.v.LogEnd() || !byTime(q.sort) && !lasting(q.sort) {
		return nil, nil
	}
	timed := byTime(q.sort)
	most := requeryMost
	if !timed {
		most = insertMost
	}
	d, err := c.deltaSince(f.v, old.pos, f.v.LogEnd())
	if err != nil || len(d.order) > most {
		return nil, nil // the log is too short or too long: ask anew
	}
	changed, list, ok := c.concerned(q, d)
	if !ok || len(list) > most {
		return nil, nil
	}
	order := make([]store.EmailID, 0, len(old.ids)+len(list))
	for _, id := range old.ids {
		if _, gone := changed[id]; !gone {
			order = append(order, id)
		}
	}
	fit, err := f.fitting(q.filter, list)
	if err != nil {
		return nil, err
	}
	if !timed {
		return f.insert(order, fit, q.sort)
	}
	descending := len(q.sort) == 0 || q.sort[0].descending
	surfaced := len(q.sort) == 1 && q.sort[0].property == "surfacedAt"
	if surfaced {
		f.surface(fit)
	}
	before := func(a, b store.Row) int {
		if descending {
			return byDate(b, a)
		}
		return byDate(a, b)
	}
	slices.SortFunc(fit, before)
	for _, row := range f.firsts(fit) {
		at, _ := slices.BinarySearchFunc(order, row, func(id store.EmailID, row store.Row) int {
			return before(store.Row{Email: id, InternalDate: f.dateOf(id, surfaced)}, row)
		})
		order = slices.Insert(order, at, row.Email)
	}
	return order, nil
}

// lasting reports whether messages keep their order while they are there.
func lasting(by []comparator) bool {
	return !slices.ContainsFunc(by, func(s comparator) bool {
		return slices.ContainsFunc(emailSorts, func(e emailSort) bool { return e.name == s.property && e.by == search.ByValue })
	})
}

// firsts are, with collapsed threads, the first of each thread.
func (f *filterCompiler) firsts(list []store.Row) []store.Row {
	if !f.c.flag("collapseThreads") {
		return list
	}
	seen := map[store.ThreadID]bool{}
	return slices.DeleteFunc(list, func(row store.Row) bool {
		t := f.c.acct.index.threadOf(row.Email)
		twice := seen[t]
		seen[t] = true
		return twice
	})
}

// insert puts messages where they belong in results that are sorted by what stands in
// the records: those at which a search looks are read.
func (f *filterCompiler) insert(order []store.EmailID, fit []store.Row, by []comparator) ([]store.EmailID, error) {
	first, err := f.sorted(fit, by)
	if err != nil {
		return nil, err
	}
	rows := make([]store.Row, len(first))
	for i, id := range first {
		rows[i] = f.rowOf(id)
	}
	for _, row := range f.firsts(rows) {
		lo, hi := 0, len(order)
		for lo < hi {
			mid := (lo + hi) / 2
			pair, err := f.sorted([]store.Row{f.rowOf(order[mid]), row}, by)
			if err != nil {
				return nil, err
			}
			if pair[0] == row.Email {
				hi = mid
			} else {
				lo = mid + 1
			}
		}
		order = slices.Insert(order, lo, row.Email)
	}
	return order, nil
}

// dateOf is when a message came, or came back.
func (f *filterCompiler) dateOf(id store.EmailID, surfaced bool) int64 {
	list := []store.Row{f.rowOf(id)}
	if surfaced {
		f.surface(list)
	}
	return list[0].InternalDate
}

// rowOf is the row of a message in the first mailbox that it is in.
func (f *filterCompiler) rowOf(id store.EmailID) store.Row {
	if e, ok := f.c.acct.index.email(id); ok {
		for _, p := range e.places {
			if row, _, ok := f.r.row(p); ok {
				return row
			}
		}
	}
	return store.Row{Email: id}
}

// concerned returns what a stretch of the log may have moved in the results of a
// query; false if that is not known.
func (c *call) concerned(q *query, d *delta) (set map[store.EmailID]struct{}, list []store.EmailID, ok bool) {
	whole := c.flag("collapseThreads") || q.looksAtThreads()
	set = make(map[store.EmailID]struct{}, len(d.order))
	add := func(id store.EmailID) {
		if _, known := set[id]; !known {
			set[id] = struct{}{}
			list = append(list, id)
		}
	}
	seen := map[store.ThreadID]bool{}
	for _, id := range d.order {
		add(id)
		if !whole {
			continue
		}
		t := c.acct.index.threadOf(id)
		if t == 0 {
			return nil, nil, false
		}
		if !seen[t] {
			seen[t] = true
			ids, _ := c.acct.index.thread(t)
			for _, other := range ids {
				add(other)
			}
		}
	}
	return set, list, true
}

// fitting returns the rows of those messages of a list that fit.
func (f *filterCompiler) fitting(q *filter, list []store.EmailID) ([]store.Row, error) {
	boxes, key, err := f.scopeAndKey(q)
	if err != nil {
		return nil, err
	}
	var fit []store.Row
	for _, id := range list {
		e, ok := f.c.acct.index.email(id)
		if !ok {
			continue
		}
		slices.SortFunc(e.places, func(a, b store.Membership) int { return cmp.Compare(a.Mailbox, b.Mailbox) })
		for _, p := range e.places {
			snap, err := f.r.snapshot(p.Mailbox)
			if err != nil {
				return nil, err
			}
			if snap == nil || !slices.Contains(boxes, p.Mailbox) {
				continue
			}
			i, there := snap.Search(p.UID)
			if !there {
				continue
			}
			fits := false
			if err := search.RunWindow(f.c.ctx, f.c.acct.Account, search.Window{Snap: snap, Lo: i, Hi: i + 1}, key, func(_ int, row store.Row) bool {
				fit, fits = append(fit, row), true
				return false
			}); err != nil {
				return nil, err
			}
			if fits {
				break
			}
		}
	}
	return fit, nil
}
