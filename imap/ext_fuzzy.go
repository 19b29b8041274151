package imap

import (
	"slices"

	"posthouse/imap/wire"
	"posthouse/search"
)

// extFuzzy is SEARCH=FUZZY: words that are only nearly there, and how nearly, RFC
// 6203 §3. Package search says what is near.
var extFuzzy = &extension{name: "SEARCH=FUZZY", rfc: "RFC 6203",
	search: []searchKey{{"FUZZY", func(c *conn, d *wire.Decoder, s *searchCommand) search.Key {
		s.fuzzy = true
		return search.Fuzzy{Key: c.nested(d, s)}
	}}},
	searchReturns: []searchReturn{{name: "RELEVANCY", bit: returnRelevancy}},
	sortKeys:      []sortKey{{name: "RELEVANCY", by: search.ByScore}},
}

// byScore reports whether an order is by relevancy.
func byScore(order []search.SortKey) bool {
	return slices.ContainsFunc(order, func(k search.SortKey) bool { return k.By == search.ByScore })
}

// appendScores writes RELEVANCY: the scores of ALL, or of the page, RFC 6203 §4.
func (s *searchCommand) appendScores(c *conn) {
	scores := s.scores
	if s.want&returnPartial != 0 {
		lo, hi := s.page.bounds(len(scores))
		scores = scores[lo:hi]
	}
	c.say(" RELEVANCY (")
	for i, n := range scores {
		if i > 0 {
			c.out = append(c.out, ' ')
		}
		c.out = appendUint(c.out, uint64(n))
	}
	c.say(")")
}
