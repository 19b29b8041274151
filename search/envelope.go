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

// The lists of addresses of an envelope.
const (
	EnvelopeFrom = 2
	EnvelopeTo   = 5
	EnvelopeCc   = 6
	EnvelopeBcc  = 7
)

// Addresses calls f with each mailbox in lists of the ENVELOPE of a record: which of
// the lists it is in, its name decoded, and its address. What f is given points into
// the record or is new.
func Addresses(envelope []byte, f func(list int, name, address string)) {
	s := listScanner{b: envelope}
	s.open()
	for i := range EnvelopeBcc + 1 {
		if !isList(i) {
			s.str()
			continue
		}
		s.each(func(a address) {
			if len(a.mailbox) > 0 && len(a.host) > 0 {
				f(i, string(decoded(a.name)), string(a.mailbox)+"@"+string(a.host))
			}
		})
	}
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
func (s *listScanner) first() (first address) {
	n := 0
	s.each(func(a address) {
		if n++; n == 1 {
			first = a
		}
	})
	return first
}

// each reads a list of addresses.
func (s *listScanner) each(f func(address)) {
	if !s.open() {
		s.str() // NIL
		return
	}
	for s.open() {
		name, _, mailbox, host := s.str(), s.str(), s.str(), s.str()
		f(address{name, mailbox, host})
		s.shut()
	}
	s.shut()
}

// envelopeFields are the header fields whose text the envelope has as it was, or,
// for addresses, all that can be searched for (RFC 9051 §6.4.4). Sender and
// Reply-To are not: the envelope may have From in their place.
var envelopeFields = map[string]int{"DATE": 0, "SUBJECT": 1, "FROM": 2, "TO": 5, "CC": 6, "BCC": 7, "IN-REPLY-TO": 8, "MESSAGE-ID": 9}

// isList reports whether the envelope's member n is a list of addresses.
func isList(n int) bool { return n >= 2 && n <= 7 }

// member returns the text of member n of an envelope, decoded, as one reads it:
// "Name <mailbox@host>, …". It is in buf, or in b.
func member(b []byte, n int, buf []byte) []byte {
	s := listScanner{b: b}
	s.open()
	for i := range n {
		if isList(i) {
			s.each(func(address) {})
		} else {
			s.str()
		}
	}
	if !isList(n) {
		return decoded(s.str())
	}
	s.each(func(a address) {
		if len(buf) > 0 {
			buf = append(buf, ", "...)
		}
		buf = append(buf, decoded(a.name)...)
		switch {
		case a.mailbox == nil: // the end of a group
		case a.host == nil:
			buf = append(append(buf, a.mailbox...), ':')
		case len(a.name) == 0:
			buf = append(append(append(buf, a.mailbox...), '@'), a.host...)
		default:
			buf = append(append(append(append(append(buf, " <"...), a.mailbox...), '@'), a.host...), '>')
		}
	})
	return buf
}

// decoded is message.DecodeHeader without a copy for what is plain.
func decoded(b []byte) []byte {
	if plain(b) {
		return b
	}
	return []byte(message.DecodeHeader(b))
}

// plain reports whether a field's text means what it says: ASCII on one line,
// without encoded words (RFC 2047 §2).
func plain(b []byte) bool {
	for i, c := range b {
		if c >= 0x80 || c == '\r' || c == '\n' || c == '=' && i+1 < len(b) && b[i+1] == '?' {
			return false
		}
	}
	return true
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
	if n := bytes.IndexByte(rest, '"'); n >= 0 && bytes.IndexByte(rest[:n], '\\') < 0 {
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
