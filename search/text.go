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
	body  store.Body
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

// load opens the message and reads its header section.
func (c *candidate) load() error {
	l := &c.msg
	if l.ready {
		return nil
	}
	var err error
	if l.table, err = c.email.Message(); err != nil {
		return err
	}
	if l.body, err = c.acct.Open(c.ctx, c.email); err != nil {
		return err
	}
	raw, err := c.section(0, &c.scratch.head)
	if err != nil {
		return err
	}
	l.head, l.ready = message.ParseHeader(raw, message.Limits{}), true
	return nil
}

// section reads the header section of part i into buf.
func (c *candidate) section(i int, buf *[]byte) ([]byte, error) {
	p := &c.msg.table.Parts[i]
	n := int(min(p.BodyStart-p.HeaderStart, maxHeader))
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	b := (*buf)[:n]
	k, err := c.msg.body.ReadAt(b, p.HeaderStart)
	if err != nil && !(errors.Is(err, io.EOF) && k == n) {
		return nil, err
	}
	return b, nil
}

// headerNeedle is a Header made ready for comparing.
type headerNeedle struct {
	name   string
	needle needle
}

func (headerNeedle) cost() cost { return byHeader }

func (k headerNeedle) eval(c *candidate) (answer, error) {
	if !c.bytes {
		return unknown, nil
	}
	if err := c.load(); err != nil {
		return no, err
	}
	for name, value := range c.msg.head.All() {
		if strings.EqualFold(name, k.name) && (len(k.needle) == 0 || c.fieldHolds(value, k.needle)) {
			return yes, nil
		}
	}
	return no, nil
}

// fieldHolds looks into the decoded value of a header field.
func (c *candidate) fieldHolds(value []byte, n needle) bool {
	return n.in([]byte(message.DecodeHeader(value)), &c.scratch.folded)
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
	if k.header {
		if c.headerHolds(&c.msg.head, k.needle) {
			return yes, nil
		}
	}
	for i := range c.msg.table.Parts {
		found, err := c.partHolds(i, k.needle)
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
		if n.in([]byte(name+": "+message.DecodeHeader(value)), &c.scratch.folded) {
			return true
		}
	}
	return false
}

// partHolds looks into the header of a part inside the message, which belongs to
// the message's body, and into its text if it is text.
func (c *candidate) partHolds(i int, n needle) (bool, error) {
	p := &c.msg.table.Parts[i]
	if i > 0 {
		raw, err := c.section(i, &c.scratch.part)
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
	r := message.NewTextReader(io.NewSectionReader(c.msg.body, p.BodyStart, p.Size()), p)
	return n.inReader(r, &c.scratch)
}
