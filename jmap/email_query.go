package jmap

import (
	"cmp"
	"slices"

	"posthouse/search"
	"posthouse/store"
)

// emailSorts are the properties to sort by, RFC 8621 §4.4.2.
var emailSorts = []emailSort{
	{"receivedAt", search.ByArrival}, {"size", search.BySize}, {"from", search.ByDisplayFrom}, {"to", search.ByDisplayTo},
	{"subject", search.BySubject}, {"sentAt", search.ByDate}, {"hasKeyword", search.ByValue},
	{"allInThreadHaveKeyword", search.ByValue}, {"someInThreadHaveKeyword", search.ByValue}, {"surfacedAt", search.ByValue},
}

type emailSort struct {
	name string
	by   search.SortBy
}

func emailSortNames() []string {
	list := make([]string, len(emailSorts))
	for i, s := range emailSorts {
		list[i] = s.name
	}
	return list
}

// emailResults are the messages of a query in order. They are not changed any more.
type emailResults struct {
	pos  store.LogPos
	ids  []store.EmailID
	used int64
}

func (r *emailResults) len() int        { return len(r.ids) }
func (r *emailResults) id(i int) string { return emailID(r.ids[i]) }

func (r *emailResults) find(id string) int {
	n, ok := parseEmailID(id)
	if !ok {
		return -1
	}
	return slices.Index(r.ids, n)
}

// A queryCache holds the last results of an account, by question.
type queryCache struct {
	clock int64
	byKey map[string]*emailResults
}

// maxQueries is how many results are kept of an account.
const maxQueries = 16

func (q *queryCache) clear() { q.byKey = nil }

// result returns the results of a question at a position, or nil.
func (x *index) result(key string, pos store.LogPos) *emailResults {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.queries.byKey[key]
	if r == nil || r.pos != pos {
		return nil
	}
	x.queries.clock++
	r.used = x.queries.clock
	return r
}

// keep remembers results.
func (x *index) keep(key string, r *emailResults) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := &x.queries
	if q.byKey == nil {
		q.byKey = map[string]*emailResults{}
	}
	q.clock++
	r.used = q.clock
	q.byKey[key] = r
	for len(q.byKey) > maxQueries {
		oldest := key
		for k, o := range q.byKey {
			if o.used < q.byKey[oldest].used {
				oldest = k
			}
		}
		delete(q.byKey, oldest)
	}
}

// queryEmails is Email/query, RFC 8621 §4.4.
func queryEmails(c *call, v *store.View, q *query) (results, error) {
	if r := c.acct.index.result(q.key, v.LogEnd()); r != nil {
		return r, nil
	}
	f := &filterCompiler{c: c, v: v, r: &rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}}
	order, err := f.requery(q, c.acct.index.last(q.key))
	if err != nil {
		return nil, err
	}
	if order == nil {
		if order, err = f.anew(q); err != nil {
			return nil, err
		}
	}
	r := &emailResults{pos: v.LogEnd(), ids: order}
	c.acct.index.keep(q.key, r)
	return r, nil
}

// anew answers a query from the mailboxes.
func (f *filterCompiler) anew(q *query) ([]store.EmailID, error) {
	boxes, key, err := f.scopeAndKey(q.filter)
	if err != nil {
		return nil, err
	}
	order, ok, err := f.asItCame(q, boxes, key)
	if !ok && err == nil {
		var list []store.Row
		if list, err = f.matches(boxes, key); err == nil {
			order, err = f.sorted(list, q.sort)
		}
	}
	if err == nil && f.c.flag("collapseThreads") {
		order = f.c.collapse(order)
	}
	return order, err
}

// asItCame answers what is asked most, all of a mailbox by the time at which it came,
// without a copy of its rows. ok is false if it is another question, or if the messages
// lie in another order.
func (f *filterCompiler) asItCame(q *query, boxes []store.MailboxID, key search.Key) (order []store.EmailID, ok bool, err error) {
	_, all := key.(search.All)
	if !all || len(boxes) != 1 || len(q.sort) > 1 || len(q.sort) == 1 && q.sort[0].property != "receivedAt" {
		return nil, false, nil
	}
	snap, err := f.r.snapshot(boxes[0])
	if err != nil || snap == nil {
		return nil, snap == nil, err
	}
	order = make([]store.EmailID, 0, snap.Len())
	var last store.Row
	for _, row := range snap.Rows(0, snap.Len()) {
		if snap.System(row.Flags)&store.DeletedBit != 0 {
			continue
		}
		if len(order) > 0 && (row.InternalDate < last.InternalDate || row.Email <= last.Email) {
			return nil, false, nil // also where one message is there twice
		}
		last = row
		order = append(order, row.Email)
	}
	if len(q.sort) == 0 || q.sort[0].descending {
		slices.Reverse(order)
	}
	return order, true, nil
}

// scopeAndKey returns in which mailboxes messages that fit can be, and what they
// must match there.
func (f *filterCompiler) scopeAndKey(q *filter) ([]store.MailboxID, search.Key, error) {
	boxes, rest, err := f.scope(q)
	if err != nil {
		return nil, nil, err
	}
	key, err := f.compile(rest)
	return boxes, key, err
}

// matches returns the rows of all messages that fit, each message once.
func (f *filterCompiler) matches(boxes []store.MailboxID, key search.Key) ([]store.Row, error) {
	var list []store.Row
	seen := map[store.EmailID]bool{}
	one := len(boxes) == 1
	for _, id := range boxes {
		snap, err := f.r.snapshot(id)
		if err != nil {
			return nil, err
		}
		if snap == nil { // removed meanwhile: the others are searched all the same
			continue
		}
		if one {
			list = slices.Grow(list, snap.Len())
		}
		add := func(row store.Row) {
			if snap.System(row.Flags)&store.DeletedBit == 0 && (one || !seen[row.Email]) {
				list = append(list, row)
				if !one {
					seen[row.Email] = true
				}
			}
		}
		if _, all := key.(search.All); all {
			for _, row := range snap.Rows(0, snap.Len()) {
				add(row)
			}
			continue
		}
		if err := search.Run(f.c.ctx, f.c.acct.Account, snap, key, func(_ int, row store.Row) bool {
			add(row)
			return true
		}); err != nil {
			return nil, err
		}
	}
	if one {
		list = f.single(list)
	}
	return list, nil
}

// single drops all but the first of messages that are in one mailbox twice.
func (f *filterCompiler) single(list []store.Row) []store.Row {
	last := store.EmailID(0)
	ascending := true
	for i := range list {
		ascending = ascending && list[i].Email > last
		last = list[i].Email
	}
	if ascending {
		return list
	}
	seen := make(map[store.EmailID]bool, len(list))
	return slices.DeleteFunc(list, func(r store.Row) bool {
		twice := seen[r.Email]
		seen[r.Email] = true
		return twice
	})
}

// scope returns the mailboxes in which all that fits must be, and what is left of the
// filter then.
func (f *filterCompiler) scope(q *filter) ([]store.MailboxID, *filter, error) {
	if q != nil {
		parts := []*filter{q}
		if q.op == "AND" {
			parts = q.sub
		}
		for i, p := range parts {
			id, has := p.cond["inMailbox"].(string)
			if p.op != "" || !has {
				continue
			}
			m := findMailbox(f.v, id)
			if m == nil {
				return nil, nil, invalidArguments("there is no mailbox " + id)
			}
			return []store.MailboxID{m.ID}, without(q, parts, i), nil
		}
	}
	var all []store.MailboxID
	for _, m := range f.v.Mailboxes() {
		if !m.NoSelect {
			all = append(all, m.ID)
		}
	}
	return all, q, nil
}

// without returns q without the inMailbox of its i-th part; nil if nothing is left.
func without(q *filter, parts []*filter, i int) *filter {
	cond := make(map[string]any, len(parts[i].cond))
	for k, v := range parts[i].cond {
		if k != "inMailbox" {
			cond[k] = v
		}
	}
	left := &filter{cond: cond}
	if q.op == "" {
		if len(cond) == 0 {
			return nil
		}
		return left
	}
	sub := slices.Clone(parts)
	if sub[i] = left; len(cond) == 0 {
		sub = slices.Delete(sub, i, i+1)
	}
	if len(sub) == 0 {
		return nil
	}
	return &filter{op: q.op, sub: sub}
}

// sorted puts messages in order. Equal ones are ordered by id, in the direction of
// the first criterion; without criteria the newest comes first.
func (f *filterCompiler) sorted(list []store.Row, by []comparator) ([]store.EmailID, error) {
	if len(by) == 0 {
		by = []comparator{{property: "receivedAt", descending: true}}
	}
	order := make([]store.EmailID, len(list))
	if byTime(by) {
		if by[0].property == "surfacedAt" {
			f.surface(list)
		}
		sortByDate(list)
		for i := range list {
			order[i] = list[i].Email
		}
	} else {
		slices.SortFunc(list, func(a, b store.Row) int { return cmp.Compare(a.Email, b.Email) })
		if by[0].descending {
			slices.Reverse(list)
		}
		keys, err := f.sortKeys(by)
		if err != nil {
			return nil, err
		}
		places, err := search.Sort(f.c.ctx, f.c.acct.Account, list, keys, func(int) error { return f.c.ctx.Err() })
		if err != nil {
			return nil, err
		}
		for i, p := range places {
			order[i] = list[p].Email
		}
		return order, nil
	}
	if by[0].descending {
		slices.Reverse(order)
	}
	return order, nil
}

// byTime reports whether the order is that of one time of each message.
func byTime(by []comparator) bool {
	return len(by) == 0 || len(by) == 1 && (by[0].property == "receivedAt" || by[0].property == "surfacedAt")
}

// surface puts the time at which a message came back in the place of the time at which
// it came. The rows are copies.
func (f *filterCompiler) surface(list []store.Row) {
	if len(list) == 0 {
		return
	}
	e, ok := f.c.acct.index.email(list[0].Email)
	if !ok {
		return
	}
	for _, p := range e.places {
		if _, s, ok := f.r.row(p); ok { // sets of flags are those of the account
			for i := range list {
				if s.Has(list[i].Flags, unsnoozedKeyword) {
					list[i].InternalDate = max(list[i].InternalDate, list[i].SaveDate)
				}
			}
			return
		}
	}
}

func byDate(a, b store.Row) int {
	return cmp.Or(cmp.Compare(a.InternalDate, b.InternalDate), cmp.Compare(a.Email, b.Email))
}

// sortByDate sorts what mostly is sorted already: mail comes in the order of time.
func sortByDate(list []store.Row) {
	if !slices.IsSortedFunc(list, byDate) {
		slices.SortFunc(list, byDate)
	}
}

func (f *filterCompiler) sortKeys(by []comparator) ([]search.SortKey, error) {
	keys := make([]search.SortKey, len(by))
	for i, s := range by {
		for _, e := range emailSorts {
			if e.name == s.property {
				keys[i] = search.SortKey{By: e.by, Reverse: s.descending}
			}
		}
		if keys[i].By != search.ByValue {
			continue
		}
		if s.property == "surfacedAt" {
			has, err := f.marked(unsnoozedKeyword)
			if err != nil {
				return nil, err
			}
			keys[i].Value = func(r store.Row) int64 {
				if has(r.Email) {
					return max(r.InternalDate, r.SaveDate)
				}
				return r.InternalDate
			}
			continue
		}
		has, err := f.marked(s.keyword)
		if err != nil {
			return nil, err
		}
		x := f.c.acct.index
		keys[i].Value = func(r store.Row) int64 {
			ok := false
			if s.property == "hasKeyword" {
				ok = has(r.Email)
			} else {
				f.threads = true
				ok = threadHas(x, x.threadOf(r.Email), s.property, has)
			}
			if ok {
				return 1
			}
			return 0
		}
	}
	return keys, nil
}

// emailQueryChanged: what the log names may have come, gone or moved. With collapsed
// threads, or conditions on threads, that holds for all messages of a thread.
func emailQueryChanged(c *call, _ *store.View, q *query, d *delta, res results) (removed []string, added []int, err error) {
	changed, list, ok := c.concerned(q, d)
	if !ok {
		return nil, nil, errCannotCalculate
	}
	if len(list) == 0 {
		return nil, nil, nil
	}
	for _, id := range list {
		was, is := c.wasThere(d, id)
		if _, named := d.emails[id]; was && (named || is) { // the others of a thread did not go since
			removed = append(removed, emailID(id))
		}
	}
	for i, id := range res.(*emailResults).ids {
		if _, moved := changed[id]; moved {
			added = append(added, i)
		}
	}
	return removed, added, nil
}

// looksAtThreads reports whether other messages of a thread decide about one.
func (q *query) looksAtThreads() bool {
	for _, s := range q.sort {
		if s.property == "allInThreadHaveKeyword" || s.property == "someInThreadHaveKeyword" {
			return true
		}
	}
	return q.filter.looksAtThreads()
}

func (f *filter) looksAtThreads() bool {
	if f == nil {
		return false
	}
	for _, name := range []string{"allInThreadHaveKeyword", "someInThreadHaveKeyword", "noneInThreadHaveKeyword"} {
		if _, has := f.cond[name]; has {
			return true
		}
	}
	return slices.ContainsFunc(f.sub, (*filter).looksAtThreads)
}
