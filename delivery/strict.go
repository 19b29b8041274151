package delivery

import (
	"bytes"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// parseStrict parses a mailbox-list of RFC 5322 §3.4 of which there are no two
// opinions: without groups, routes, empty elements and other forms that one reader
// takes for this address and another for that. A field that was written to deceive
// does not parse.
func parseStrict(value []byte) ([]mail.Address, bool) {
	p := strictParser{b: value}
	var list []mail.Address
	for {
		a, ok := p.mailbox()
		if !ok {
			return nil, false
		}
		list = append(list, a)
		if !p.skip() {
			return nil, false
		}
		if p.i == len(p.b) {
			return list, true
		}
		if p.b[p.i] != ',' {
			return nil, false
		}
		p.i++
	}
}

type strictParser struct {
	b []byte
	i int
}

// peek is the next octet, 0 at the end; a NUL never parses.
func (p *strictParser) peek() byte {
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

// skip passes white space and comments; it is false for a comment without end.
func (p *strictParser) skip() bool {
	depth := 0
	for ; p.i < len(p.b); p.i++ {
		switch c := p.b[p.i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			p.i++
		case depth > 0 && (c >= ' ' && c != 0x7f || c == '\t' || c == '\r' || c == '\n'):
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		default:
			return depth == 0
		}
	}
	return depth == 0
}

// mailbox parses [display-name] "<" addr-spec ">" or addr-spec.
func (p *strictParser) mailbox() (mail.Address, bool) {
	if !p.skip() {
		return mail.Address{}, false
	}
	start := p.i
	if a, ok := p.addrSpec(); ok {
		return a, true
	}
	for p.i = start; p.peek() != '<'; {
		if !p.word() || !p.skip() {
			return mail.Address{}, false
		}
	}
	p.i++
	if !p.skip() {
		return mail.Address{}, false
	}
	a, ok := p.addrSpec()
	if !ok || !p.skip() || p.peek() != '>' {
		return mail.Address{}, false
	}
	p.i++
	return a, true
}

// word passes one word of a display-name: an atom, a quoted string, or the dots
// that people put behind initials.
func (p *strictParser) word() bool {
	switch c := p.peek(); {
	case c == '"':
		_, ok := p.quoted()
		return ok
	case c == '.' || isAtext(c):
		p.i++
		return true
	}
	return false
}

// addrSpec parses local-part "@" domain, with nothing between.
func (p *strictParser) addrSpec() (mail.Address, bool) {
	var a mail.Address
	ok := true
	if p.peek() == '"' {
		a.Local, ok = p.quoted()
	} else {
		a.Local = p.run()
	}
	if !ok || a.Local == "" || hasControl(a.Local) || p.peek() != '@' {
		return mail.Address{}, false
	}
	p.i++
	d, err := wire.ParseDomain(p.run())
	a.Domain = d
	return a, err == nil
}

func (p *strictParser) run() string {
	start := p.i
	for p.i < len(p.b) && (p.b[p.i] == '.' || isAtext(p.b[p.i])) {
		p.i++
	}
	return string(p.b[start:p.i])
}

// quoted parses a quoted-string and returns what it quotes.
func (p *strictParser) quoted() (string, bool) {
	var s []byte
	for p.i++; p.i < len(p.b); p.i++ {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return string(s), true
		case c == '\\':
			if p.i++; p.i == len(p.b) {
				return "", false
			}
			s = append(s, p.b[p.i])
		case c < ' ' && c != '\t' && c != '\r' && c != '\n', c == 0x7f:
			return "", false
		default:
			s = append(s, c)
		}
	}
	return "", false
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// isAtext: RFC 5322 §3.2.3, widened by RFC 6532 §3.2.
func isAtext(c byte) bool {
	return c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
		c != 0 && bytes.IndexByte([]byte("!#$%&'*+-/=?^_`{|}~"), c) >= 0
}
