package imap

import (
	"strings"

	"posthouse/imap/wire"
	"posthouse/search"
	"posthouse/store"
)

// A searchKey is one key of SEARCH, RFC 9051 §6.4.4. It reads what stands behind
// its name.
type searchKey struct {
	name string
	read func(c *conn, d *wire.Decoder, s *searchCommand) search.Key
}

// A searchReturn is one result option, RFC 4731 §3.1.
type searchReturn struct {
	name string
	bit  returns
	read func(c *conn, d *wire.Decoder, s *searchCommand) // its arguments, if it has any
}

// returns are the result options of a SEARCH.
type returns uint16

const (
	returnMin returns = 1 << iota
	returnMax
	returnAll
	returnCount
	returnSave
	returnPartial
	returnContext
	returnUpdate
	returnRelevancy
)

// A searchCommand is one SEARCH or UID SEARCH under way.
type searchCommand struct {
	extended bool // RETURN was given
	want     returns
	modseq   bool // a MODSEQ key was given
	keys     int
	fuzzy    bool        // a FUZZY key was given
	dry      bool        // it is only read, to see whether it could be run
	filters  int         // how deep in filters
	page     resultRange // of PARTIAL

	spans []span // matches, as places in the selection
	// snap is what the places are in, and cur what is searched: the selection and
	// its present state, or twice another mailbox, which is box then.
	acct      *store.Account
	snap, cur *store.Snapshot
	from      int // the first place in cur that is looked at
	box       *place
	multi     bool // ESEARCH: message numbers mean nothing

	sorted  bool // by SORT: order holds them in their order
	order   []int32
	scores  []uint8 // of the matches, in the order in which they are told, if fuzzy
	n       uint64
	highest store.ModSeq // of all matches
	first   store.ModSeq // of the first and the last match
	last    store.ModSeq
}

// searchCmd is SEARCH and UID SEARCH, RFC 9051 §6.4.4.
func (c *conn) searchCmd(d *wire.Decoder) error {
	s := &searchCommand{}
	d.SP()
	c.readReturns(d, s)
	if d.TryWord("CHARSET") {
		d.SP()
		c.readCharset(d)
		d.SP()
	}
	key := c.readProgram(d, s)
	err := d.Err()
	if err == nil {
		err = c.find(s, key)
	}
	return c.conclude(s, key, nil, err)
}

// conclude ends SEARCH and SORT: the result is kept, told and followed. One that was
// to be kept and failed empties "$", RFC 5182 §2.1.
func (c *conn) conclude(s *searchCommand, key search.Key, order []search.SortKey, err error) error {
	if err != nil {
		if r, told := outcome(err); told && r.cond == "NO" && s.want&returnSave != 0 {
			c.sel.saved = nil
		}
		return c.gone(err)
	}
	s.save(c)
	if err := s.report(c); err != nil {
		return err
	}
	c.follow(s, key, order)
	return nil
}

// readReturns reads the result options, if there are any, and the space behind
// them.
func (c *conn) readReturns(d *wire.Decoder, s *searchCommand) {
	if !d.TryWord("RETURN") {
		return
	}
	s.extended = true
	d.SP()
	d.List(func() {
		r := c.tab.searchReturns[string(d.Word())]
		if r == nil {
			d.Bad("unknown SEARCH result option")
			return
		}
		s.want |= r.bit
		if r.read != nil {
			r.read(c, d, s)
		}
	})
	if s.want&(returnAll|returnPartial) == returnAll|returnPartial {
		d.Bad("PARTIAL stands without ALL") // RFC 9394 §3.1
	}
	d.SP()
}

// readProgram reads search keys to the end of the command.
func (c *conn) readProgram(d *wire.Decoder, s *searchCommand) search.Key {
	key := c.readKeys(d, s)
	if s.want&returnRelevancy != 0 && !s.fuzzy {
		d.Bad("RELEVANCY wants a FUZZY key") // RFC 6203 §4
	}
	return key
}

// readKeys reads search keys to the end of d.
func (c *conn) readKeys(d *wire.Decoder, s *searchCommand) search.Key {
	key := search.And{c.readKey(d, s)}
	for !d.AtEnd() {
		d.SP()
		key = append(key, c.readKey(d, s))
	}
	d.End()
	return key
}

// readCharset reads the charset of the strings: US-ASCII and UTF-8 are known.
func (c *conn) readCharset(d *wire.Decoder) {
	if c.dia.utf8accept { // RFC 6855 §3
		d.Bad("strings are UTF-8: no charset may be named")
	}
	switch strings.ToUpper(d.Astring()) {
	case "UTF-8", "US-ASCII", "UTF8", "ASCII":
	default:
		d.Fail(no("BADCHARSET (US-ASCII UTF-8)", "unknown charset"))
	}
}

// readKey reads one search-key: a list of keys, a sequence-set or one of the
// table.
func (c *conn) readKey(d *wire.Decoder, s *searchCommand) search.Key {
	if s.keys++; s.keys > c.lim.SearchKeys {
		d.Bad("too many search keys")
		return search.All{}
	}
	if d.Peek() == '(' {
		var all search.And
		d.List(func() { all = append(all, c.readKey(d, s)) })
		if len(all) == 0 {
			d.Bad("an empty list of search keys")
		}
		return all
	}
	if d.IsNumSet() {
		if s.dry {
			d.NumSet()
			return search.All{}
		}
		if c.dia.uidonly {
			d.Fail(errUIDRequired)
			return search.All{}
		}
		if s.multi {
			d.Bad("message numbers mean nothing in ESEARCH")
			return search.All{}
		}
		c.hold = tellNoExpunge // also in UID SEARCH, RFC 7162 §3.2.10.2
		return c.messages(d, false)
	}
	row := c.tab.search[string(d.Word())]
	if row == nil {
		d.Bad("unknown search key")
		return search.All{}
	}
	return row.read(c, d, s)
}

// messages reads a set of messages, which are numbers of this session, and names
// them for the search. What is beyond the mailbox matches nothing.
func (c *conn) messages(d *wire.Decoder, byUID bool) search.Key {
	set := d.NumSet()
	if d.Err() != nil {
		return search.All{}
	}
	if !byUID {
		n := uint32(c.sel.snap.Len())
		kept := set.Ranges[:0]
		for _, r := range set.Ranges {
			if min(r.First, r.Last) > n {
				continue
			}
			kept = append(kept, wire.Range{First: min(r.First, n), Last: min(r.Last, n)})
		}
		if set.Ranges = kept; n == 0 {
			return search.UIDs(nil)
		}
	}
	spans, err := c.numbers(set, byUID)
	d.Fail(err)
	return search.UIDs(c.uids(spans))
}

// find runs the search on the present state and keeps what the client knows.
func (c *conn) find(s *searchCommand, key search.Key) (err error) {
	s.acct, s.snap = c.sel.acct, c.sel.snap
	if s.cur, err = c.current(); err != nil {
		return err
	}
	s.from = c.window(s.cur, key)
	return c.findIn(s, key)
}

func (c *conn) findIn(s *searchCommand, key search.Key) error {
	const block = 1024
	ahead := 0 // how far the last message stood from where the client sees it
	for lo := s.from; lo < s.cur.Len(); lo += block {
		w := search.Window{Snap: s.cur, Lo: lo, Hi: min(lo+block, s.cur.Len())}
		err := search.RunScored(c.ctx, s.acct, w, key, func(i int, row store.Row, score uint8) bool {
			if s.cur != s.snap {
				seen, known := s.snap.SearchNear(row.UID, i-ahead)
				if ahead = i - seen; !known {
					return true
				}
				i = seen
			}
			if s.match(i, row.ModSeq); s.fuzzy {
				s.scores = append(s.scores, score)
			}
			return true
		})
		if err == nil {
			err = c.progress(lo+block, s.cur.Len())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *searchCommand) match(i int, m store.ModSeq) {
	if n := len(s.spans); n > 0 && s.spans[n-1].hi == i {
		s.spans[n-1].hi++
	} else {
		s.spans = append(s.spans, span{i, i + 1})
	}
	if s.n++; s.n == 1 {
		s.first = m
	}
	s.last = m
	s.highest = max(s.highest, m)
}

// save keeps the result as "$" if it was asked for, RFC 5182 §2.1 and §2.4, and RFC
// 9394 §3.2: with MIN, MAX or PARTIAL but not COUNT only those.
func (s *searchCommand) save(c *conn) {
	if s.want&returnSave == 0 {
		return
	}
	kept := s.spans
	if s.want&(returnAll|returnCount) == 0 && s.want&(returnMin|returnMax|returnPartial) != 0 && s.n > 0 {
		kept = nil
		if s.want&returnPartial != 0 {
			kept = s.cut()
		}
		first, last := s.ends()
		if s.want&returnMin != 0 {
			kept = append(kept, span{first, first + 1})
		}
		if s.want&returnMax != 0 {
			kept = append(kept, span{last, last + 1})
		}
		kept = joinSpans(kept)
	}
	c.sel.saved = c.uids(kept)
}

// report writes the result. IMAP4rev2 knows only the extended form (RFC 9051
// §6.4.4).
func (s *searchCommand) report(c *conn) error {
	switch {
	case s.extended, c.dia.rev2 && !s.sorted:
		s.reportExtended(c)
		return nil
	case s.sorted:
		return s.reportSort(c)
	}
	c.say("* SEARCH")
	for _, sp := range s.spans {
		for i := sp.lo; i < sp.hi; i++ {
			c.out = appendUint(append(c.out, ' '), s.number(c, i))
			if err := c.drain(); err != nil {
				return err
			}
		}
	}
	if s.modseq && s.n > 0 {
		c.out = append(appendUint(append(c.out, " (MODSEQ "...), uint64(s.highest)), ')')
	}
	c.say("\r\n")
	return nil
}
