package imap

import (
	"slices"

	"posthouse/imap/wire"
	"posthouse/search"
	"posthouse/store"
)

// extContextSearch is CONTEXT=SEARCH: results that are kept up to date, RFC 5267
// §4. CONTEXT itself is a hint (§4.2) that changes nothing.
var extContextSearch = &extension{name: "CONTEXT=SEARCH", rfc: "RFC 5267",
	searchReturns: []searchReturn{
		{name: "CONTEXT", bit: returnContext},
		{"UPDATE", returnUpdate, func(c *conn, d *wire.Decoder, _ *searchCommand) {
			if c.state != stateSelected || slices.ContainsFunc(c.sel.contexts, func(x *searchContext) bool { return x.tag == c.tag }) {
				d.Bad("UPDATE wants a selected mailbox and a tag that is not in use")
			}
		}},
	},
	commands: []command{{"CANCELUPDATE", stateSelected, tellAll, false, (*conn).cancelUpdate}},
}

// extContextSort is CONTEXT=SORT, RFC 5267 §4.
var extContextSort = &extension{name: "CONTEXT=SORT", rfc: "RFC 5267"}

// Updates beyond these are refused (RFC 5267 §4.3.1): each message that changes is
// tried against each context, and a sorted one is sorted again.
const (
	maxContexts    = 16
	maxSortedKept  = 10_000
	maxCancelNames = 100
)

// A searchContext is a result that the client is told the changes of, until the
// mailbox is closed.
type searchContext struct {
	tag     string
	byUID   bool
	key     search.Key
	members store.UIDSet // of SEARCH
	sort    []search.SortKey
	order   []store.UID // of SORT, in its order
}

// follow begins to tell of changes to a result, RFC 5267 §4.3.
func (c *conn) follow(s *searchCommand, key search.Key, sort []search.SortKey) {
	if s.want&returnUpdate == 0 {
		return
	}
	if len(c.sel.contexts) >= maxContexts || len(sort) > 0 && s.n > maxSortedKept || byScore(sort) {
		c.say("* NO [NOUPDATE ")
		c.out = wire.AppendString(c.out, c.tag, false)
		c.say("] no more results are kept up to date\r\n")
		return
	}
	x := &searchContext{tag: c.tag, byUID: c.cmd.byUID, key: key, members: c.uids(s.spans), sort: sort}
	for _, i := range s.order {
		x.order = append(x.order, c.sel.snap.UID(int(i)))
	}
	c.sel.contexts = append(c.sel.contexts, x)
}

// cancelUpdate is CANCELUPDATE, RFC 5267 §4.3.5.
func (c *conn) cancelUpdate(d *wire.Decoder) error {
	var tags []string
	for d.Try(' ') {
		if tags = append(tags, d.String()); len(tags) > maxCancelNames {
			d.Bad("too many tags")
		}
	}
	if len(tags) == 0 {
		d.Bad("CANCELUPDATE wants a tag")
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	for _, t := range tags {
		if !slices.ContainsFunc(c.sel.contexts, func(x *searchContext) bool { return x.tag == t }) {
			return bad("no result with this tag is kept up to date")
		}
	}
	c.sel.contexts = slices.DeleteFunc(c.sel.contexts, func(x *searchContext) bool { return slices.Contains(tags, x.tag) })
	return nil
}

// loseResults tells that messages leave results, before it is told that they are
// expunged (RFC 5267 §4.3.4).
func (c *conn) loseResults(gone store.UIDSet) {
	for _, x := range c.sel.contexts {
		x.remove(c, gone)
	}
}

// updateResults tries messages that changed or are new against all contexts.
func (c *conn) updateResults(cur *store.Snapshot, uids store.UIDSet) error {
	if len(uids) == 0 {
		return nil
	}
	for _, x := range c.sel.contexts {
		var match store.UIDSet
		for _, r := range uids {
			lo, hi := bounds(cur, r)
			err := search.RunWindow(c.ctx, c.sel.acct, search.Window{Snap: cur, Lo: lo, Hi: hi}, x.key, func(_ int, row store.Row) bool {
				match = addUID(match, row.UID)
				return true
			})
			if err != nil {
				return err
			}
		}
		x.remove(c, uids.Subtract(match))
		if err := x.add(c, cur, match.Subtract(x.members)); err != nil {
			return err
		}
		if err := c.drain(); err != nil {
			return err
		}
	}
	return nil
}

// remove takes messages out of the result.
func (x *searchContext) remove(c *conn, uids store.UIDSet) {
	gone := x.members.Intersect(uids)
	if len(gone) == 0 {
		return
	}
	x.members = x.members.Subtract(gone)
	if x.sort == nil {
		x.say(c, " REMOVEFROM (0 ")
		x.sayUIDs(c, gone)
		c.say(")\r\n")
		return
	}
	x.say(c, " REMOVEFROM (")
	kept := x.order[:0]
	for i, said := 0, 0; i < len(x.order); i++ {
		if !gone.Contains(x.order[i]) {
			kept = append(kept, x.order[i])
			continue
		}
		x.sayPlace(c, len(kept)+1, x.order[i], said == 0)
		said++
	}
	x.order = kept
	c.say(")\r\n")
}

// add puts messages into the result, each at its place.
func (x *searchContext) add(c *conn, cur *store.Snapshot, uids store.UIDSet) error {
	if len(uids) == 0 {
		return nil
	}
	x.members = x.members.Union(uids)
	if x.sort == nil {
		x.say(c, " ADDTO (0 ")
		x.sayUIDs(c, uids)
		c.say(")\r\n")
		return nil
	}
	rows := cur.RowsOf(x.members)
	order, err := search.Sort(c.ctx, c.sel.acct, rows, x.sort, func(int) error { return nil })
	if err != nil {
		return err
	}
	x.order = x.order[:0]
	x.say(c, " ADDTO (")
	said := 0
	for i, at := range order {
		uid := rows[at].UID
		if x.order = append(x.order, uid); uids.Contains(uid) {
			x.sayPlace(c, i+1, uid, said == 0)
			said++
		}
	}
	c.say(")\r\n")
	return nil
}

// say begins an ESEARCH of this result.
func (x *searchContext) say(c *conn, what string) {
	c.say("* ESEARCH (TAG ")
	c.out = append(wire.AppendString(c.out, x.tag, false), ')')
	if x.byUID {
		c.say(" UID")
	}
	c.say(what)
}

// sayUIDs names messages as the command did.
func (x *searchContext) sayUIDs(c *conn, uids store.UIDSet) {
	if x.byUID {
		c.out = uids.AppendTo(c.out)
	} else {
		c.out = appendSpans(c.out, c.spansOf(uids))
	}
}

func (x *searchContext) sayPlace(c *conn, place int, uid store.UID, first bool) {
	if !first {
		c.out = append(c.out, ' ')
	}
	c.out = append(appendUint(c.out, uint64(place)), ' ')
	x.sayUIDs(c, store.UIDs(uid))
}
