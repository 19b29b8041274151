package imap

import (
	"strings"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/search"
	"posthouse/store"
)

// extFilters is FILTERS: searches that have names, kept as annotations of the
// account, RFC 5466 §3.
var extFilters = &extension{name: "FILTERS", rfc: "RFC 5466",
	search: []searchKey{{"FILTER", (*conn).readFilter}},
	check:  (*conn).checkFilter,
}

const filterValues = "/filters/values/"

// maxFilters is how deep filters may name others: a loop ends there (RFC 5466 §3.1).
const maxFilters = 10

// readFilter reads the name of a filter and puts the search that it stands for in its
// place.
func (c *conn) readFilter(d *wire.Decoder, s *searchCommand) search.Key {
	d.SP()
	name := d.Atom()
	if strings.Contains(name, "/") {
		d.Bad("bad name of a filter")
	}
	if s.dry || d.Err() != nil {
		return search.All{}
	}
	text, err := c.filter(name)
	undefined := no("UNDEFINED-FILTER "+name, "there is no such filter")
	switch {
	case mail.KindOf(err) == mail.NotFound && err != nil, s.filters >= maxFilters:
		d.Fail(undefined)
	case err != nil:
		d.Fail(err)
	}
	if d.Err() != nil {
		return search.All{}
	}
	s.filters++
	defer func() { s.filters-- }()
	inner := c.decodeText(text)
	key := c.readKeys(inner, s)
	if err := inner.Err(); err != nil {
		if r, told := outcome(err); told && r.cond == "BAD" {
			err = undefined
		}
		d.Fail(err)
	}
	return key
}

// filter finds the text of a filter: one's own before a shared one, RFC 5466 §3.2.
func (c *conn) filter(name string) (text []byte, err error) {
	err = c.acct.View(c.ctx, func(v *store.View) (err error) {
		for _, who := range []mail.AccountID{c.user.ID, 0} {
			if text, err = v.Annotation(0, who, filterValues+name); err == nil || mail.KindOf(err) != mail.NotFound {
				return err
			}
		}
		return err
	})
	return text, err
}

// decodeText makes a decoder of a stored text.
func (c *conn) decodeText(text []byte) *wire.Decoder {
	rd := wire.NewReader(strings.NewReader(string(text)+"\r\n"), nil)
	d := wire.NewDecoder(rd, func(wire.Literal) error { return nil })
	d.Fail(d.Begin(c.lim.wire(true)))
	return d
}

// checkFilter refuses a filter that is no search, RFC 5466 §3.2. Those that it names
// may come later.
func (c *conn) checkFilter(name string, value []byte) error {
	filter, ours := strings.CutPrefix(name, filterValues)
	if !ours {
		return nil
	}
	dia, hold := c.dia, c.hold
	defer func() { c.dia, c.hold = dia, hold }()
	d := c.decodeText(value)
	c.readKeys(d, &searchCommand{dry: true})
	if d.Err() != nil || filter == "" || strings.ContainsAny(filter, `/(){ %*"\]`) {
		return no("CANNOT", "this is no search")
	}
	return nil
}
