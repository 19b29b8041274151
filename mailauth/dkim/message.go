package dkim

import (
	"bytes"
	"hash/maphash"
)

// A Field is a header field as it stands in the message.
type Field struct {
	raw         []byte // with its line end
	name, colon int    // where they end and stand
}

// Name is the name as written.
func (f Field) Name() []byte { return f.raw[:f.name] }

// Value is what follows the colon, with all white space and line ends but the last.
func (f Field) Value() []byte {
	v := f.raw[f.colon+1:]
	return bytes.TrimSuffix(bytes.TrimSuffix(v, []byte{'\n'}), []byte{'\r'})
}

// Named reports whether f has that name, without regard to case.
func (f Field) Named(name string) bool { return equalFold(f.Name(), name) }

func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// splitFields finds the fields of a header section, as package message does: a line
// without a colon is part of no field. It stops, and says so, at limit fields.
func splitFields(b []byte, dst []Field, limit int) ([]Field, bool) {
	open := false
	start := 0
	for at := 0; at < len(b); {
		end := at + bytes.IndexByte(b[at:], '\n') + 1
		if end == at {
			end = len(b)
		}
		line := b[at:end]
		if line[0] == ' ' || line[0] == '\t' {
			if open {
				dst[len(dst)-1].raw = b[start:end:end]
			}
			at = end
			continue
		}
		colon := bytes.IndexByte(line, ':')
		name := bytes.TrimRight(line[:max(0, colon)], " \t")
		if open = len(name) > 0 && bytes.IndexByte(name, ' ') < 0; open {
			if len(dst) == limit {
				return dst, false
			}
			start = at
			dst = append(dst, Field{b[at:end:end], len(name), colon})
		}
		at = end
	}
	return dst, true
}

// A Message is a message as signatures see it. Write it whole, call Finish, then
// Verify or AppendSignature.
type Message struct {
	limits  Limits
	head    []byte // the header section, without the empty line
	line    int    // where its last line starts
	body    bool   // the header section has ended
	tooLong bool   // and was larger than the limits

	fields []Field
	index  index
	sigs   []*Signature // DKIM-Signature fields, from the top
	arc    *Signature   // the ARC-Message-Signature of the highest instance

	digests  [2]*bodyDigest // simple, relaxed; nil: not wanted
	finished bool
	scratch  []byte
}

// NewMessage returns an empty Message. One that is to be signed digests its body
// even if no signature in it asks for that.
func NewMessage(l Limits, sign bool) *Message {
	m := &Message{limits: l.withDefaults()}
	if sign {
		m.digests[1] = newBodyDigest(true)
	}
	return m
}

// Write takes the next bytes. It never fails.
func (m *Message) Write(p []byte) (int, error) {
	n := len(p)
	if !m.body {
		p = m.writeHead(p)
	}
	if len(p) > 0 {
		for _, d := range m.digests {
			if d != nil {
				d.write(p)
			}
		}
	}
	return n, nil
}

// writeHead takes lines of the header section and returns what is left of p.
func (m *Message) writeHead(p []byte) []byte {
	if m.head == nil {
		m.head = make([]byte, 0, headRoom(p))
	}
	for len(p) > 0 && !m.body {
		end := bytes.IndexByte(p, '\n') + 1
		part := p
		if end > 0 {
			part = p[:end]
		}
		if len(m.head)+len(part) > m.limits.HeaderBytes {
			m.tooLong, m.body = true, true
			return nil
		}
		m.head = append(m.head, part...)
		p = p[len(part):]
		if end == 0 {
			break
		}
		if line := m.head[m.line:]; len(line) == 1 || len(line) == 2 && line[0] == '\r' {
			m.head = m.head[:m.line]
			m.endHead()
		}
		m.line = len(m.head)
	}
	return p
}

// headRoom is how much room the header section of a message needs that begins with p.
func headRoom(p []byte) int {
	if end := bytes.Index(p, []byte("\r\n\r\n")); end >= 0 {
		return end + 4
	}
	return 4096
}

// endHead finds the signatures, and which digests they need.
func (m *Message) endHead() {
	m.body = true
	var whole bool
	if m.fields, whole = splitFields(m.head, make([]Field, 0, min(bytes.Count(m.head, []byte{'\n'}), 32)), m.limits.Fields); !whole {
		m.tooLong = true
		return
	}
	for _, f := range m.fields {
		switch {
		case f.Named("DKIM-Signature"):
			if len(m.sigs) < m.limits.Signatures {
				s := parseSignature(f, kindDKIM, m.limits)
				m.sigs = append(m.sigs, s)
				m.wantBody(s)
			}
		case f.Named("ARC-Message-Signature"):
			if s := parseSignature(f, kindARC, m.limits); s.err == nil && (m.arc == nil || s.Instance > m.arc.Instance) {
				m.arc = s
			}
		}
	}
	if m.arc != nil {
		m.wantBody(m.arc)
	}
}

func (m *Message) wantBody(s *Signature) {
	if s.err != nil {
		return
	}
	d := &m.digests[b2i(s.relaxedBody)]
	if *d == nil {
		*d = newBodyDigest(s.relaxedBody)
	}
	if s.length >= 0 {
		(*d).want(s.length)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Finish ends the message.
func (m *Message) Finish() {
	if m.finished {
		return
	}
	m.finished = true
	if !m.body {
		m.endHead()
	}
	for _, d := range m.digests {
		if d != nil {
			d.finish()
		}
	}
	if !m.tooLong && (len(m.sigs) > 0 || m.arc != nil) {
		m.index.build(m.fields)
	}
}

// Fields are all header fields, from the top. They are nil if the header section
// exceeds the limits.
func (m *Message) Fields() []Field {
	if m.tooLong {
		return nil
	}
	return m.fields
}

// TooLong reports that the header section exceeds the limits: nothing can pass.
func (m *Message) TooLong() bool { return m.tooLong }

// An index finds fields by name from the bottom up, RFC 6376 §5.4.2, in constant
// time: names and fields may be many.
type index struct {
	fields []Field
	slots  []int32 // hash table: the lowest field of a name, plus 1
	prev   []int32 // of each field: the next one above with its name, plus 1
	cursor []int32 // of each slot, for the signature at hand
	seed   maphash.Seed
}

func (x *index) build(fs []Field) {
	size := 16
	for size < 2*len(fs) {
		size *= 2
	}
	room := make([]int32, 2*size+len(fs))
	x.fields, x.slots, x.cursor, x.prev = fs, room[:size], room[size:2*size], room[2*size:]
	x.seed = maphash.MakeSeed()
	for i, f := range fs {
		s := x.slot(f.Name())
		x.prev[i] = x.slots[s]
		x.slots[s] = int32(i) + 1
	}
}

func (x *index) reset() { copy(x.cursor, x.slots) }

// next is the lowest field called name that reset's signature has not taken yet.
func (x *index) next(name []byte) (Field, bool) {
	s := x.slot(name)
	i := x.cursor[s]
	if i == 0 {
		return Field{}, false
	}
	x.cursor[s] = x.prev[i-1]
	return x.fields[i-1], true
}

// slot is where name stands or belongs.
func (x *index) slot(name []byte) int {
	var room [64]byte
	low := room[:0]
	for _, c := range name {
		low = append(low, lower(c))
	}
	mask := len(x.slots) - 1
	for s := int(maphash.Bytes(x.seed, low)) & mask; ; s = (s + 1) & mask {
		i := x.slots[s]
		if i == 0 || equalFold(x.fields[i-1].Name(), string(low)) {
			return s
		}
	}
}

// Split returns the fields of a header section.
func Split(head []byte) []Field {
	fs, _ := splitFields(head, nil, Limits{}.withDefaults().Fields)
	return fs
}
