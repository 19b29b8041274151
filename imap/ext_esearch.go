package imap

import (
	"posthouse/imap/wire"
)

// extESearch is ESEARCH: results as ranges, RFC 4731 §3.1.
var extESearch = &extension{name: "ESEARCH", rfc: "RFC 4731",
	searchReturns: []searchReturn{{"MIN", returnMin}, {"MAX", returnMax}, {"ALL", returnAll}, {"COUNT", returnCount}},
}

// extSearchRes is SEARCHRES: a result is kept as "$", RFC 5182 §2.1.
var extSearchRes = &extension{name: "SEARCHRES", rfc: "RFC 5182",
	searchReturns: []searchReturn{{"SAVE", returnSave}},
}

// reportExtended writes ESEARCH, RFC 9051 §7.3.4.
func (s *searchCommand) reportExtended(c *conn) {
	want := s.want
	if want == 0 {
		want = returnAll
	}
	if want == returnSave { // nothing is asked for but to keep it, RFC 5182 §2.1
		return
	}
	c.say(`* ESEARCH (TAG `)
	c.out = wire.AppendString(c.out, c.tag, false)
	c.say(")")
	if c.cmd.byUID {
		c.say(" UID")
	}
	if s.n > 0 {
		s.appendMatches(c, want)
	}
	if want&returnCount != 0 {
		c.out = appendUint(append(c.out, " COUNT "...), s.n)
	}
	if s.modseq && s.n > 0 {
		c.out = appendUint(append(c.out, " MODSEQ "...), uint64(s.modSeq(want)))
	}
	c.say("\r\n")
}

func (s *searchCommand) appendMatches(c *conn, want returns) {
	number := func(i int) uint64 {
		if c.cmd.byUID {
			return uint64(c.sel.snap.UID(i))
		}
		return uint64(i + 1)
	}
	if want&returnMin != 0 {
		c.out = appendUint(append(c.out, " MIN "...), number(s.spans[0].lo))
	}
	if want&returnMax != 0 {
		c.out = appendUint(append(c.out, " MAX "...), number(s.spans[len(s.spans)-1].hi-1))
	}
	if want&returnAll == 0 {
		return
	}
	c.say(" ALL ")
	if c.cmd.byUID {
		c.out = c.uids(s.spans).AppendTo(c.out)
	} else {
		c.out = appendSpans(c.out, s.spans)
	}
}

// modSeq is the MODSEQ of a result, RFC 4731 §3.2: of the messages that are named.
func (s *searchCommand) modSeq(want returns) uint64 {
	switch want &^ returnSave {
	case returnMin:
		return uint64(s.first)
	case returnMax:
		return uint64(s.last)
	case returnMin | returnMax:
		return uint64(max(s.first, s.last))
	}
	return uint64(s.highest)
}
