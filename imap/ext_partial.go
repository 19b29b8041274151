package imap

import "posthouse/imap/wire"

// extPartial is PARTIAL: results in pages, RFC 9394 §3.
var extPartial = &extension{name: "PARTIAL", rfc: "RFC 9394",
	searchReturns: []searchReturn{{"PARTIAL", returnPartial, func(_ *conn, d *wire.Decoder, s *searchCommand) {
		if s.page != (resultRange{}) {
			d.Bad("PARTIAL stands once")
		}
		s.page = readResultRange(d)
	}}},
	fetchMods: []fetchMod{{"PARTIAL", func(c *conn, d *wire.Decoder, f *fetch) {
		if !c.cmd.byUID || f.cut != (resultRange{}) {
			d.Bad("PARTIAL stands once, in UID FETCH")
		}
		f.cut = readResultRange(d)
	}}},
}

// A resultRange is a partial-range, RFC 9394 §4: results first to last counted
// from 1, from the end if back is set. The zero range is none.
type resultRange struct {
	first, last uint32
	back        bool
}

func readResultRange(d *wire.Decoder) (r resultRange) {
	d.SP()
	r.back = d.Try('-')
	r.first = d.NzNumber()
	d.Expect(':')
	if r.back {
		d.Expect('-')
	}
	r.last = d.NzNumber()
	return r
}

// appendTo appends the range as it was asked for.
func (r resultRange) appendTo(dst []byte) []byte {
	for i, n := range [2]uint32{r.first, r.last} {
		if i > 0 {
			dst = append(dst, ':')
		}
		if r.back {
			dst = append(dst, '-')
		}
		dst = appendUint(dst, uint64(n))
	}
	return dst
}

// bounds are the results lo <= i < hi of n that the range names.
func (r resultRange) bounds(n int) (lo, hi int) {
	first, last := int64(min(r.first, r.last)), int64(max(r.first, r.last))
	if r.back {
		first, last = int64(n)+1-last, int64(n)+1-first
	}
	lo, hi = int(max(first, 1))-1, int(min(last, int64(n)))
	return lo, max(lo, hi)
}

// of cuts the range out of spans.
func (r resultRange) of(spans []span) []span {
	lo, hi := r.bounds(spanned(spans))
	var out []span
	at := 0 // results before s
	for _, s := range spans {
		n := s.hi - s.lo
		if a, b := max(lo-at, 0), min(hi-at, n); a < b {
			out = append(out, span{s.lo + a, s.lo + b})
		}
		at += n
	}
	return out
}

// appendPage writes PARTIAL of ESEARCH, RFC 9394 §3.1.
func (s *searchCommand) appendPage(c *conn) {
	c.out = s.page.appendTo(append(c.out, " PARTIAL ("...))
	lo, hi := s.page.bounds(int(s.n))
	switch {
	case lo == hi:
		c.say(" NIL)")
		return
	case s.sorted:
		c.say(" ")
		s.sayOrder(c, s.order[lo:hi])
	default:
		c.say(" ")
		s.sayResult(c, s.page.of(s.spans))
	}
	c.say(")")
}

// cut is the page as spans, for "$".
func (s *searchCommand) cut() (spans []span) {
	if !s.sorted {
		return s.page.of(s.spans)
	}
	lo, hi := s.page.bounds(len(s.order))
	for _, i := range s.order[lo:hi] {
		spans = append(spans, span{int(i), int(i) + 1})
	}
	return spans
}
