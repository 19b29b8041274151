package imap

import (
	"posthouse/imap/wire"
)

// extESearch is ESEARCH: results as ranges, RFC 4731 §3.1.
var extESearch = &extension{name: "ESEARCH", rfc: "RFC 4731",
	searchReturns: []searchReturn{{name: "MIN", bit: returnMin}, {name: "MAX", bit: returnMax}, {name: "ALL", bit: returnAll}, {name: "COUNT", bit: returnCount}},
}

// extSearchRes is SEARCHRES: a result is kept as "$", RFC 5182 §2.1.
var extSearchRes = &extension{name: "SEARCHRES", rfc: "RFC 5182",
	searchReturns: []searchReturn{{name: "SAVE", bit: returnSave}},
}

// reportExtended writes ESEARCH, RFC 9051 §7.3.4.
func (s *searchCommand) reportExtended(c *conn) {
	want := s.want &^ (returnContext | returnUpdate)
	if want == 0 {
		want = returnAll
	}
	if want == returnSave { // nothing is asked for but to keep it, RFC 5182 §2.1
		return
	}
	c.say(`* ESEARCH (TAG `)
	c.out = wire.AppendString(c.out, c.tag, false)
	if s.box != nil {
		c.say(" MAILBOX ")
		c.out = c.dia.appendMailbox(c.out, s.box.Path)
		c.out = appendUint(append(c.out, " UIDVALIDITY "...), uint64(s.snap.Mailbox().UIDValidity))
	}
	c.say(")")
	if c.cmd.byUID {
		c.say(" UID")
	}
	if s.n > 0 {
		s.appendMatches(c, want)
	}
	if want&returnPartial != 0 {
		s.appendPage(c)
	}
	if want&returnRelevancy != 0 {
		s.appendScores(c)
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
	first, last := s.ends()
	if want&returnMin != 0 {
		c.out = appendUint(append(c.out, " MIN "...), s.number(c, first))
	}
	if want&returnMax != 0 {
		c.out = appendUint(append(c.out, " MAX "...), s.number(c, last))
	}
	if want&returnAll != 0 {
		c.say(" ALL ")
		if s.sorted {
			s.sayOrder(c, s.order)
		} else {
			s.sayResult(c, s.spans)
		}
	}
}

// ends are the first and the last match.
func (s *searchCommand) ends() (first, last int) {
	if s.sorted {
		return int(s.order[0]), int(s.order[len(s.order)-1])
	}
	return s.spans[0].lo, s.spans[len(s.spans)-1].hi - 1
}

// number names a message as the command does.
func (s *searchCommand) number(c *conn, i int) uint64 {
	if c.cmd.byUID {
		return uint64(s.snap.UID(i))
	}
	return uint64(i + 1)
}

// sayResult writes a set of messages as the command names them.
func (s *searchCommand) sayResult(c *conn, spans []span) {
	if c.cmd.byUID {
		c.out = uidsIn(s.snap, spans).AppendTo(c.out)
	} else {
		c.out = appendSpans(c.out, spans)
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
