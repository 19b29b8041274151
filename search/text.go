package search

import (
	"errors"
	"io"
	"strings"

	"posthouse/message"
	"posthouse/store"
)

// maxHeader is how much of one header section is searched, as much as the parser
// interprets.
const maxHeader = 1 << 20

// loaded is what was read of a message's bytes.
type loaded struct {
	raw   []byte     // the whole message, if it is small
	body  store.Body // otherwise
	table *message.Message
	head  message.Header // of the message itself
	ready bool
}

func (l *loaded) close() {
	if l.body != nil {
		l.body.Close()
	}
	*l = loaded{}
}

// load opens the message if it was not read yet, and parses its header section.
func (c *candidate) load() error {
	l := &c.msg
	if l.ready {
		return nil
	}
	var err error
	if l.raw == nil && l.body == nil {
		if l.body, err = c.acct.Open(c.ctx, c.email); err != nil {
			return err
		}
	}
	top, _, err := c.email.Top()
	if err != nil {
		return err
	}
	raw, err := c.section(top, &c.scratch.head)
	if err != nil {
		return err
	}
	l.head, l.ready = message.ParseHeader(raw, message.Limits{}), true
	return nil
}

// section returns a header section, in buf if it has to be read.
func (c *candidate) section(r message.Range, buf *[]byte) ([]byte, error) {
	n := int(min(r.Len(), maxHeader))
	if raw := c.msg.raw; raw != nil {
		if r.Start+int64(n) > int64(len(raw)) {
			return nil, io.ErrUnexpectedEOF
		}
		return raw[r.Start : r.Start+int64(n)], nil
	}
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	b := (*buf)[:n]
	k, err := c.msg.body.ReadAt(b, r.Start)
	if err != nil && !(errors.Is(err, io.EOF) && k == n) {
		return nil, err
	}
	return b, nil
}

// parts decodes the part table.
func (c *candidate) parts() ([]message.Part, error) {
	if c.msg.table == nil {
		var err error
		if c.msg.table, err = c.email.Message(); err != nil {
			return nil, err
		}
	}
	return c.msg.table.Parts, nil
}

// text reads the text of a part, until the next call.
func (c *candidate) text(p *message.Part) io.Reader {
	c.scratch.text.Reset(c.reader(message.Range{Start: p.BodyStart, End: p.BodyEnd}), p)
	return &c.scratch.text
}

// reader reads a piece of the message.
func (c *candidate) reader(r message.Range) io.Reader {
	if raw := c.msg.raw; raw != nil && r.End <= int64(len(raw)) {
		c.scratch.source.Reset(raw[r.Start:r.End])
		return &c.scratch.source
	}
	if c.msg.body == nil {
		return strings.NewReader("")
	}
	return io.NewSectionReader(c.msg.body, r.Start, r.Len())
}

// headerNeedle is a Header made ready for comparing.
type headerNeedle struct {
	name   string
	member int // of the envelope; -1: it is not there
	needle needle
}

func newHeaderNeedle(k Header) headerNeedle {
	n := headerNeedle{k.Name, -1, newNeedle(k.Text)}
	if i, ok := envelopeFields[strings.ToUpper(k.Name)]; ok && len(n.needle) > 0 {
		n.member = i
	}
	return n
}

func (k headerNeedle) cost() cost {
	if k.member >= 0 {
		return byRecord
	}
	return byHeader
}

func (k headerNeedle) eval(c *candidate) (answer, error) {
	if k.member >= 0 {
		if c.email == nil {
			return unknown, nil
		}
		text := member(c.email.Envelope, k.member, c.scratch.part[:0])
		return decided(k.needle.in(text, &c.scratch.folded)), nil
	}
	if !c.bytes {
		return unknown, nil
	}
	if err := c.load(); err != nil {
		return no, err
	}
	for name, value := range c.msg.head.All() {
		if strings.EqualFold(name, k.name) && (len(k.needle) == 0 || k.needle.in(decoded(value), &c.scratch.folded)) {
			return yes, nil
		}
	}
	return no, nil
}

// textNeedle is a Body, or a Text where header is set, made ready for comparing.
type textNeedle struct {
	needle needle
	header bool
}

func (textNeedle) cost() cost { return byText }

func (k textNeedle) eval(c *candidate) (answer, error) {
	if len(k.needle) == 0 {
		return yes, nil
	}
	if !c.bytes {
		return unknown, nil
	}
	if err := c.load(); err != nil {
		return no, err
	}
	if k.header && c.headerHolds(&c.msg.head, k.needle) {
		return yes, nil
	}
	parts, err := c.parts()
	if err != nil {
		return no, err
	}
	for i := range parts {
		found, err := c.partHolds(&parts[i], i > 0, k.needle)
		if found || err != nil {
			return decided(found), err
		}
	}
	return no, nil
}

// headerHolds looks into all fields, their names included: TEXT searches the
// header as it stands, decoded (RFC 9051 §6.4.4).
func (c *candidate) headerHolds(h *message.Header, n needle) bool {
	for name, value := range h.All() {
		c.scratch.part = append(append(append(c.scratch.part[:0], name...), ": "...), decoded(value)...)
		if n.in(c.scratch.part, &c.scratch.folded) {
			return true
		}
	}
	return false
}

// partHolds looks into the header of a part inside the message, which belongs to
// the message's body, and into its text if it is text.
func (c *candidate) partHolds(p *message.Part, inside bool, n needle) (bool, error) {
	if inside {
		raw, err := c.section(message.Range{Start: p.HeaderStart, End: p.BodyStart}, &c.scratch.inner)
		if err != nil {
			return false, err
		}
		h := message.ParseHeader(raw, message.Limits{})
		if c.headerHolds(&h, n) {
			return true, nil
		}
	}
	if p.Children > 0 || !p.IsText() {
		return false, nil
	}
	return n.inReader(c.text(p), &c.scratch)
}
