package imap

import (
	"io"

	"posthouse/imap/wire"
	"posthouse/message"
)

// fetchBodyItems are read from the message's bytes, RFC 9051 §6.4.5 and RFC 3501
// §6.4.5.
var fetchBodyItems = []fetchItem{
	{"BODY", needRecord, readBody, writeBody},
	{"BODY.PEEK", needBytes, func(c *conn, d *wire.Decoder, b *boundItem) { c.readSection(d, b, "BODY") }, writeSection},
	{"RFC822", needBytes, whole(message.SpecAll, true), writeSection},
	{"RFC822.HEADER", needBytes, whole(message.SpecHeader, false), writeSection},
	{"RFC822.TEXT", needBytes, whole(message.SpecText, true), writeSection},
}

// A section is what stands in BODY[section]<partial>.
type section struct {
	label   []byte // as the response repeats it, a space behind it
	path    []int
	spec    message.Spec
	filter  bool // HEADER.FIELDS or HEADER.FIELDS.NOT
	not     bool
	names   []string
	kept    bool // records may have these fields
	fields  message.FieldSelection
	partial bool
	first   int64
	count   int64
}

// readBody: BODY alone is the structure, BODY[ a section that sets \Seen.
func readBody(c *conn, d *wire.Decoder, b *boundItem) {
	if d.Peek() != '[' {
		return
	}
	b.need, b.seen, b.write = needBytes, true, writeSection
	c.readSection(d, b, "BODY")
}

// writeBody writes BODY without a section.
func writeBody(f *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
	dst = append(dst, "BODY "...)
	if !f.table(m) {
		return dst
	}
	return m.msg.AppendBody(dst)
}

// whole makes the reader of an RFC822 item: a section without brackets.
func whole(spec message.Spec, seen bool) func(*conn, *wire.Decoder, *boundItem) {
	return func(_ *conn, _ *wire.Decoder, b *boundItem) {
		b.seen, b.section = seen, section{label: []byte(b.name + " "), spec: spec}
	}
}

// readSection reads "[" section "]" and a partial.
func (c *conn) readSection(d *wire.Decoder, b *boundItem, name string) {
	s := &b.section
	d.Expect('[')
	start := d.Mark()
	readPath(d, s)
	if d.Peek() != ']' {
		c.readSpec(d, s)
	}
	s.label = append([]byte(name+"["), d.Since(start)...)
	if s.filter {
		s.label = s.filterLabel(name)
		if !s.not && len(s.path) == 0 {
			s.fields, s.kept = message.SelectFields(s.names)
		}
		if s.kept {
			b.need = needFields
		}
	}
	d.Expect(']')
	s.label = append(s.label, ']')
	readPartial(d, s)
	s.label = append(s.label, ' ')
}

// readPath reads part numbers: "1.2" and the dot before what follows them.
func readPath(d *wire.Decoder, s *section) {
	for c := d.Peek(); c >= '0' && c <= '9'; c = d.Peek() {
		s.path = append(s.path, int(d.NzNumber()&0x7fffffff))
		if len(s.path) > 1000 {
			d.Bad("the section is too long")
		}
		if !d.Try('.') {
			if d.Peek() != ']' {
				d.Bad("bad section")
			}
			return
		}
		if d.Peek() == ']' {
			d.Bad("bad section")
		}
	}
}

func (c *conn) readSpec(d *wire.Decoder, s *section) {
	switch word := d.SectionWord(); word {
	case "HEADER":
		s.spec = message.SpecHeader
	case "TEXT":
		s.spec = message.SpecText
	case "MIME":
		if s.spec = message.SpecMIME; len(s.path) == 0 {
			d.Bad("MIME wants a part")
		}
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		s.spec, s.filter, s.not = message.SpecHeader, true, word == "HEADER.FIELDS.NOT"
		d.SP()
		d.List(func() {
			s.names = append(s.names, d.Astring())
			if len(s.names) > c.lim.HeaderNames {
				d.Bad("too many header names")
			}
		})
	default:
		d.Bad("bad section")
	}
}

// filterLabel spells a HEADER.FIELDS section, whose names may have come as
// literals.
func (s *section) filterLabel(name string) []byte {
	dst := append([]byte(name), '[')
	for _, n := range s.path {
		dst = append(appendUint(dst, uint64(n)), '.')
	}
	dst = append(dst, "HEADER.FIELDS"...)
	if s.not {
		dst = append(dst, ".NOT"...)
	}
	dst = append(dst, " ("...)
	for i, n := range s.names {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = wire.AppendAstring(dst, n, false)
	}
	return append(dst, ')')
}

// readPartial reads "<first.count>".
func readPartial(d *wire.Decoder, s *section) {
	if !d.Try('<') {
		return
	}
	s.partial = true
	s.first = int64(d.Number64())
	d.Expect('.')
	if s.count = int64(d.Number64()); s.count == 0 {
		d.Bad("the count of a partial must not be 0")
	}
	d.Expect('>')
	s.label = append(s.label, '<')
	s.label = appendUint(s.label, uint64(s.first))
	s.label = append(s.label, '>')
}

// writeSection writes BODY[section].
func writeSection(f *fetch, m *fetched, b *boundItem, dst []byte) []byte {
	s := &b.section
	dst = append(dst, s.label...)
	if s.kept {
		var ok bool
		if f.part, ok = m.email.AppendFields(f.part[:0], &s.fields); ok {
			return s.appendPart(dst, f.part)
		}
		if m.raw == nil && m.body == nil {
			m.short = true
			return dst
		}
	}
	r, ok := f.section(m, s.path, s.spec)
	if !ok {
		return append(dst, "NIL"...)
	}
	if s.filter {
		return f.writeFiltered(m, s, r, dst)
	}
	if s.partial {
		r = r.Cut(s.first, s.count)
	}
	return f.literal(m, r, dst)
}

// writeFiltered writes chosen header fields.
func (f *fetch) writeFiltered(m *fetched, s *section, r message.Range, dst []byte) []byte {
	header, err := f.bytes(m, r)
	if err != nil {
		f.c.broken(err)
		return dst
	}
	f.part = message.AppendHeaderFields(f.part[:0], header, s.names, s.not)
	return s.appendPart(dst, f.part)
}

// appendPart writes chosen header fields, or what is asked for of them.
func (s *section) appendPart(dst, p []byte) []byte {
	if s.partial {
		cut := message.Range{End: int64(len(p))}.Cut(s.first, s.count)
		p = p[cut.Start:cut.End]
	}
	return append(wire.AppendLiteral(dst, int64(len(p))), p...)
}

// bytes returns a piece of the message in memory.
func (f *fetch) bytes(m *fetched, r message.Range) ([]byte, error) {
	if m.raw != nil {
		if r.Start > r.End || r.End > int64(len(m.raw)) {
			return nil, io.ErrUnexpectedEOF
		}
		return m.raw[r.Start:r.End], nil
	}
	b := make([]byte, r.Len())
	_, err := io.ReadFull(io.NewSectionReader(m.body, r.Start, r.Len()), b)
	return b, err
}

// literal writes a piece of the message as a literal. What is not in memory is
// copied through the output buffer, which is written whenever it is full.
func (f *fetch) literal(m *fetched, r message.Range, dst []byte) []byte {
	dst = wire.AppendLiteral(dst, r.Len())
	if m.raw != nil {
		b, err := f.bytes(m, r)
		if err != nil {
			f.c.broken(err)
		}
		return append(dst, b...)
	}
	return f.c.copyOut(dst, io.NewSectionReader(m.body, r.Start, r.Len()), r.Len())
}

// copyOut appends exactly n bytes from r, writing to the client as they come.
func (c *conn) copyOut(dst []byte, r io.Reader, n int64) []byte {
	const chunk = 32 << 10
	c.out = dst
	for n > 0 && c.werr == nil {
		if err := c.drain(); err != nil {
			break
		}
		at, want := len(c.out), int(min(n, chunk))
		c.out = append(c.out, make([]byte, want)...)
		got, err := io.ReadFull(r, c.out[at:])
		c.out = c.out[:at+got]
		n -= int64(got)
		if err != nil {
			c.broken(err)
		}
	}
	return c.out
}

// broken ends the connection in the middle of a response that cannot be
// completed: nothing that could be said there would be understood.
func (c *conn) broken(err error) {
	if c.werr == nil {
		c.log.Error("imap: message bytes", "tid", c.trace, "err", err)
		c.werr = err
	}
}
