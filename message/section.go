package message

import "slices"

// A Spec says which piece of a part a section names, RFC 9051 §6.4.5.
type Spec uint8

// The pieces of a part. HEADER.FIELDS is SpecHeader put through
// AppendHeaderFields.
const (
	SpecAll    Spec = iota // BODY[] and BODY[1.2]
	SpecHeader             // BODY[HEADER] and, of an attached message, BODY[1.2.HEADER]
	SpecText               // BODY[TEXT] and, of an attached message, BODY[1.2.TEXT]
	SpecMIME               // BODY[1.2.MIME]
)

// A Range is a range of bytes of a message: Start ≤ byte < End.
type Range struct{ Start, End int64 }

// Len returns the number of bytes in r.
func (r Range) Len() int64 { return r.End - r.Start }

// Cut returns the piece of r that <first.count> names: count bytes from first,
// RFC 9051 §6.4.5. A first byte after the end gives an empty range.
func (r Range) Cut(first, count int64) Range {
	r.Start += min(max(first, 0), r.Len())
	r.End = r.Start + min(max(count, 0), r.Len())
	return r
}

// PartAt returns the index in Parts of the part that a path of part numbers
// names, RFC 9051 §6.4.5.1. Part 1 of what is no multipart is its only body. The
// empty path is the message. ok is false if there is no such part.
func (m *Message) PartAt(path []int) (i int, ok bool) {
	part := false // i is what a number named, not the message around it
	for _, n := range path {
		p := &m.Parts[i]
		if part && p.IsMessage() && p.Children > 0 { // the numbers go on in the attached message
			i++
			p, part = &m.Parts[i], false
		}
		switch {
		case p.IsMultipart():
			if i, ok = m.child(i, n); !ok {
				return 0, false
			}
		case part || n != 1:
			return 0, false
		}
		part = true
	}
	return i, true
}

// child returns the n-th part directly inside Parts[i], counted from 1.
func (m *Message) child(i, n int) (int, bool) {
	if n < 1 || n > int(m.Parts[i].Children) {
		return 0, false
	}
	c := int32(i) + 1
	for ; n > 1; n-- {
		c = m.Parts[c].Next
	}
	return int(c), true
}

// Section returns where the bytes of BODY[path.spec] lie. ok is false if there
// is no such section; IMAP answers NIL for it. BINARY[path] is the same range as
// BODY[path], put through NewDecoder.
func (m *Message) Section(path []int, spec Spec) (r Range, ok bool) {
	i, ok := m.PartAt(path)
	if !ok {
		return Range{}, false
	}
	p := &m.Parts[i]
	if len(path) == 0 {
		switch spec {
		case SpecAll:
			return Range{0, m.Size}, true
		case SpecMIME:
			return Range{}, false // MIME must be prefixed by a part number
		}
	} else {
		switch spec {
		case SpecAll:
			return Range{p.BodyStart, p.BodyEnd}, true
		case SpecMIME:
			return Range{p.HeaderStart, p.BodyStart}, true
		}
		if !p.IsMessage() || p.Children == 0 {
			return Range{}, false
		}
		p = &m.Parts[i+1]
	}
	if spec == SpecHeader {
		return Range{p.HeaderStart, p.BodyStart}, true
	}
	return Range{p.BodyStart, p.BodyEnd}, true
}

// Path returns the part numbers that name Parts[i]. A multipart that is the whole
// of a message has no number of its own: its path is that of the message.
func (m *Message) Path(i int) []int {
	var path []int
	for ; i >= 0; i = int(m.Parts[i].Parent) {
		up := m.Parts[i].Parent
		switch {
		case up >= 0 && m.Parts[up].IsMultipart():
			path = append(path, m.number(i))
		case !m.Parts[i].IsMultipart():
			path = append(path, 1)
		}
	}
	slices.Reverse(path)
	return path
}

// number returns the place of Parts[i] among the parts of its multipart, from 1.
func (m *Message) number(i int) int {
	n := 1
	for c := range m.ChildrenOf(int(m.Parts[i].Parent)) {
		if c == i {
			break
		}
		n++
	}
	return n
}
