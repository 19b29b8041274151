package imap

import (
	"posthouse/imap/wire"
	"posthouse/search"
	"posthouse/store"
)

// extSort is SORT, RFC 5256 §3.
var extSort = &extension{name: "SORT", rfc: "RFC 5256",
	commands: []command{
		{"SORT", stateSelected, tellNoExpunge, false, (*conn).sortCmd},
		{"UID SORT", stateSelected, tellAll, true, (*conn).sortCmd},
	},
	sortKeys: []sortKey{
		{name: "ARRIVAL", by: search.ByArrival}, {name: "CC", by: search.ByCc}, {name: "DATE", by: search.ByDate}, {name: "FROM", by: search.ByFrom},
		{name: "SIZE", by: search.BySize}, {name: "SUBJECT", by: search.BySubject}, {name: "TO", by: search.ByTo},
	},
}

// extSortDisplay sorts by the names that clients show, RFC 5957 §4.
var extSortDisplay = &extension{name: "SORT=DISPLAY", rfc: "RFC 5957",
	sortKeys: []sortKey{{name: "DISPLAYFROM", by: search.ByDisplayFrom}, {name: "DISPLAYTO", by: search.ByDisplayTo}},
}

// extESort announces result options in SORT, RFC 5267 §3.
var extESort = &extension{name: "ESORT", rfc: "RFC 5267"}

// A sortKey is one sort criterion.
type sortKey struct {
	name string
	by   search.SortBy
	read func(c *conn, d *wire.Decoder, k *search.SortKey) // what stands behind the name; nil: nothing
}

// maxSortKeys is more criteria than there are.
const maxSortKeys = 20

// sortCmd is SORT and UID SORT, RFC 5256 §3.
func (c *conn) sortCmd(d *wire.Decoder) error {
	s := &searchCommand{sorted: true}
	d.SP()
	c.readReturns(d, s)
	order := c.readOrder(d)
	d.SP()
	c.readCharset(d)
	d.SP()
	key := c.readProgram(d, s)
	if byScore(order) && !s.fuzzy {
		d.Bad("RELEVANCY wants a FUZZY key")
	}
	err := d.Err()
	if err == nil {
		err = c.findWhole(s, key)
	}
	if err == nil {
		err = c.sort(s, order)
	}
	return c.conclude(s, key, order, err)
}

// readOrder reads sort criteria.
func (c *conn) readOrder(d *wire.Decoder) (keys []search.SortKey) {
	d.List(func() {
		var k search.SortKey
		word := string(d.Word())
		if word == "REVERSE" {
			k.Reverse = true
			d.SP()
			word = string(d.Word())
		}
		row := c.tab.sortKeys[word]
		if row == nil || len(keys) >= maxSortKeys {
			d.Bad("unknown sort criterion, or too many")
			return
		}
		if k.By = row.by; row.read != nil {
			row.read(c, d, &k)
		}
		keys = append(keys, k)
	})
	if len(keys) == 0 {
		d.Bad("SORT wants a criterion")
	}
	return keys
}

// sort brings the matches into order.
func (c *conn) sort(s *searchCommand, keys []search.SortKey) error {
	rows, places := s.matched()
	for i := range keys {
		keys[i].Scores = s.scores
	}
	order, err := search.Sort(c.ctx, c.sel.acct, rows, keys, func(done int) error { return c.progress(done, len(rows)) })
	if err != nil {
		return err
	}
	if s.fuzzy {
		scores := make([]uint8, len(order))
		for i := range order {
			scores[i] = s.scores[order[i]]
		}
		s.scores = scores
	}
	for i := range order {
		order[i] = places[order[i]]
	}
	s.order = order
	if n := len(order); n > 0 { // MODSEQ of MIN and MAX
		s.first, s.last = c.sel.snap.Row(int(order[0])).ModSeq, c.sel.snap.Row(int(order[n-1])).ModSeq
	}
	return nil
}

// matched are the rows of the matches, and their places in the selection.
func (s *searchCommand) matched() ([]store.Row, []int32) {
	rows, places := make([]store.Row, 0, s.n), make([]int32, 0, s.n)
	for _, sp := range s.spans {
		for i, row := range s.snap.Rows(sp.lo, sp.hi) {
			rows, places = append(rows, row), append(places, int32(i))
		}
	}
	return rows, places
}

// reportSort writes the SORT response, RFC 5256 §4.
func (s *searchCommand) reportSort(c *conn) error {
	c.say("* SORT")
	for _, i := range s.order {
		c.out = appendUint(append(c.out, ' '), s.number(c, int(i)))
		if err := c.drain(); err != nil {
			return err
		}
	}
	if s.modseq && s.n > 0 {
		c.out = append(appendUint(append(c.out, " (MODSEQ "...), uint64(s.highest)), ')')
	}
	c.say("\r\n")
	return nil
}

// sayOrder writes messages in an order of their own as a sequence-set. Ranges stand
// only for numbers that follow each other (RFC 5267 §3.2).
func (s *searchCommand) sayOrder(c *conn, order []int32) {
	for k := 0; k < len(order); {
		end := k + 1
		for end < len(order) && s.number(c, int(order[end])) == s.number(c, int(order[end-1]))+1 {
			end++
		}
		if k > 0 {
			c.out = append(c.out, ',')
		}
		c.out = appendRange(c.out, s.number(c, int(order[k])), s.number(c, int(order[end-1])))
		k = end
	}
}
