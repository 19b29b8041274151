package authres

import "strings"

// A lexer walks over a value. Its methods are false where the grammar ends.
type lexer struct {
	b []byte
	i int
}

func (l *lexer) peek() byte {
	if l.i < len(l.b) {
		return l.b[l.i]
	}
	return 0
}

func (l *lexer) take(c byte) bool {
	if l.peek() != c || l.i == len(l.b) {
		return false
	}
	l.i++
	return true
}

// skip passes CFWS, RFC 5322 §3.2.2; false is a comment without end.
func (l *lexer) skip() bool {
	depth := 0
	for ; l.i < len(l.b); l.i++ {
		switch c := l.b[l.i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			l.i++
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || depth > 0:
		default:
			return true
		}
	}
	return depth == 0
}

// value reads CFWS and a token or a quoted string.
func (l *lexer) value() (string, bool) {
	if !l.skip() {
		return "", false
	}
	if l.peek() == '"' {
		return l.quoted()
	}
	return l.run("=;")
}

// run reads up to white space, a comment or one of ends.
func (l *lexer) run(ends string) (string, bool) {
	start := l.i
	for l.i < len(l.b) {
		c := l.b[l.i]
		if c <= ' ' || c == '(' || c == '"' || c == 0x7f || strings.IndexByte(ends, c) >= 0 {
			break
		}
		l.i++
	}
	return string(l.b[start:l.i]), l.i > start
}

func (l *lexer) quoted() (string, bool) {
	var b strings.Builder
	for l.i++; l.i < len(l.b); l.i++ {
		switch c := l.b[l.i]; c {
		case '"':
			l.i++
			return b.String(), true
		case '\\':
			if l.i++; l.i < len(l.b) {
				b.WriteByte(l.b[l.i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// clause reads a resinfo, or the "none" of a server that did nothing.
func (l *lexer) clause() (c Clause, none bool, err error) {
	name, ok := l.run("=;/")
	if !ok || !l.skip() {
		return c, false, errSyntax
	}
	if l.take('/') { // version of the method
		if _, ok = l.value(); !ok || !l.skip() {
			return c, false, errSyntax
		}
	}
	if l.i == len(l.b) || l.peek() == ';' {
		if strings.EqualFold(name, "none") {
			return c, true, nil
		}
		return c, false, errSyntax
	}
	if !l.take('=') {
		return c, false, errSyntax
	}
	c.Method = strings.ToLower(name)
	if c.Result, ok = l.value(); !ok {
		return c, false, errSyntax
	}
	c.Result = strings.ToLower(c.Result)
	for {
		if !l.skip() {
			return c, false, errSyntax
		}
		if l.i == len(l.b) || l.peek() == ';' {
			return c, false, nil
		}
		if len(c.Props) == maxProps {
			return c, false, errMany
		}
		if err := l.property(&c); err != nil {
			return c, false, err
		}
	}
}

// property reads a propspec, or reason=.
func (l *lexer) property(c *Clause) error {
	ptype, ok := l.run("=;.")
	if !ok || !l.skip() {
		return errSyntax
	}
	property, dotted := "", l.take('.')
	if dotted {
		if property, ok = l.value(); !ok || !l.skip() {
			return errSyntax
		}
	}
	if !l.take('=') || !l.skip() {
		return errSyntax
	}
	var v string
	if l.peek() == '"' {
		if v, ok = l.quoted(); ok && l.peek() == '@' { // a quoted local part
			rest, _ := l.run(";")
			v += rest
		}
	} else {
		v, ok = l.run(";")
	}
	if !ok {
		return errSyntax
	}
	ptype = strings.ToLower(ptype)
	switch {
	case dotted:
		c.Props = append(c.Props, Prop{ptype, strings.ToLower(property), v})
	case ptype == "reason":
		c.Reason = v
	case ptype == "action": // Quirk: Microsoft 365, 2026, adds one without a type.
	default:
		return errSyntax
	}
	return nil
}
