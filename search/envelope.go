package search

import (
	"bytes"
	"strconv"

	"posthouse/message"
)

// An envelope is the ENVELOPE of a message as its record holds it (RFC 9051
// §7.5.2), its strings not decoded. It points into the record.
type envelope struct {
	date, subject []byte
	from, to, cc  address // the first of each list
	inReplyTo, id []byte
}

type address struct{ name, mailbox, host []byte }

// parseEnvelope reads what was written at delivery; of what is broken, as much as
// can be read.
func parseEnvelope(b []byte) (e envelope) {
	s := listScanner{b: b}
	s.open()
	e.date, e.subject = s.str(), s.str()
	e.from = s.first()
	s.first()
	s.first()
	e.to = s.first()
	e.cc = s.first()
	s.first()
	e.inReplyTo, e.id = s.str(), s.str()
	return e
}

// display is the value of DISPLAYFROM and DISPLAYTO, RFC 5957 §3.
func (a address) display() []byte {
	if name := message.DecodeHeader(a.name); name != "" {
		return []byte(name)
	}
	switch {
	case a.mailbox == nil:
		return nil
	case a.host == nil:
		return a.mailbox
	}
	return append(append(bytes.Clone(a.mailbox), '@'), a.host...)
}

// A listScanner reads nested lists of strings.
type listScanner struct {
	b []byte
	i int
}

func (s *listScanner) space() {
	for s.i < len(s.b) && s.b[s.i] == ' ' {
		s.i++
	}
}

// open reads "(" if it is next.
func (s *listScanner) open() bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == '(' {
		s.i++
		return true
	}
	return false
}

func (s *listScanner) shut() bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] != ')' {
		return false
	}
	s.i++
	return true
}

// first reads a list of addresses and returns its first.
func (s *listScanner) first() (a address) {
	if !s.open() {
		s.str() // NIL
		return a
	}
	for n := 0; s.open(); n++ {
		name, _, mailbox, host := s.str(), s.str(), s.str(), s.str()
		if n == 0 {
			a = address{name, mailbox, host}
		}
		s.shut()
	}
	s.shut()
	return a
}

// str reads a quoted string, a literal, or NIL, which is nil.
func (s *listScanner) str() []byte {
	s.space()
	if s.i >= len(s.b) {
		return nil
	}
	switch s.b[s.i] {
	case '"':
		return s.quoted()
	case '{':
		return s.literal()
	}
	for s.i < len(s.b) && s.b[s.i] != ' ' && s.b[s.i] != ')' && s.b[s.i] != '(' {
		s.i++
	}
	return nil
}

func (s *listScanner) quoted() []byte {
	rest := s.b[s.i+1:]
	if n := bytes.IndexAny(rest, `"\`); n >= 0 && rest[n] == '"' {
		s.i += n + 2
		return rest[:n:n]
	}
	out := []byte{}
	for n := 0; n < len(rest); n++ {
		switch rest[n] {
		case '"':
			s.i += n + 2
			return out
		case '\\':
			if n++; n == len(rest) {
				continue
			}
		}
		out = append(out, rest[n])
	}
	s.i = len(s.b)
	return out
}

func (s *listScanner) literal() []byte {
	rest := s.b[s.i:]
	end := bytes.Index(rest, []byte("}\r\n"))
	if end < 0 {
		s.i = len(s.b)
		return nil
	}
	n, err := strconv.Atoi(string(rest[1:end]))
	if err != nil || n < 0 || n > len(rest)-end-3 {
		s.i = len(s.b)
		return nil
	}
	s.i += end + 3 + n
	return rest[end+3 : end+3+n : end+3+n]
}
