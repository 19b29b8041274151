package wire

import (
	"bytes"
	"unicode/utf8"
)

// literalAtEnd parses the announcement of a literal at the end of a line and
// returns where it begins.
func literalAtEnd(line []byte) (lit Literal, at int, ok bool) {
	n := len(line)
	if n < 3 || line[n-1] != '}' {
		return lit, 0, false
	}
	at = bytes.LastIndexByte(line, '{')
	if at < 0 {
		return lit, 0, false
	}
	digits := line[at+1 : n-1]
	lit.Sync = true
	if len(digits) > 0 && digits[len(digits)-1] == '+' {
		lit.Sync, digits = false, digits[:len(digits)-1]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return lit, 0, false
	}
	for _, c := range digits {
		if !isDigit(c) {
			return lit, 0, false
		}
		if lit.Size = lit.Size*10 + int64(c-'0'); lit.Size < 0 {
			return lit, 0, false
		}
	}
	if at > 0 && line[at-1] == '~' {
		lit.Binary = true
		at--
	}
	return lit, at, true
}

// Announced reads the announcement of a literal that the caller wants to read
// itself from the Reader, as APPEND does. It calls [Decoder.Accept] next.
func (d *Decoder) Announced() Literal {
	if d.err != nil {
		return Literal{}
	}
	lit, at, ok := literalAtEnd(d.line)
	if !ok || at != d.pos {
		d.Bad("expected a literal")
		return Literal{}
	}
	d.pos = len(d.line)
	d.owed, d.owes = lit, true
	return lit
}

// Accept lets the peer send the announced literal. The caller must then read
// exactly its bytes from the Reader and call [Decoder.Resume].
func (d *Decoder) Accept() {
	if d.err == nil && d.owes {
		d.owes = false
		d.line, d.pos = nil, 0
		d.lose(d.accept(d.owed))
	}
}

// Resume reads the line behind a literal.
func (d *Decoder) Resume() {
	if d.err != nil {
		return
	}
	line, err := d.rd.Line(d.lim.Line, d.lim.Flood)
	d.line, d.pos = line, 0
	d.kept += int64(len(line))
	d.lose(err)
}

// literal reads a literal into memory.
func (d *Decoder) literal() []byte {
	lit := d.Announced()
	if d.err != nil {
		return nil
	}
	// Each literal costs at least a line of its own.
	if d.kept += lit.Size + 16; lit.Size > d.lim.Literal || d.kept > d.lim.Literals {
		d.Fail(&SyntaxError{Text: "the literal is too large", TooBig: true})
		return nil
	}
	if d.Accept(); d.err != nil {
		return nil
	}
	b := make([]byte, 0, lit.Size)
	for int64(len(b)) < lit.Size {
		p, err := d.rd.Next(int(lit.Size) - len(b))
		if err != nil {
			d.lose(err)
			return nil
		}
		b = append(b, p...)
	}
	d.Resume()
	if !lit.Binary && bytes.IndexByte(b, 0) >= 0 {
		d.Bad("NUL in a literal") // CHAR8, RFC 9051 §9
	}
	return b
}

// String reads a quoted string or a literal.
func (d *Decoder) String() string {
	switch d.Peek() {
	case '"':
		return d.quoted()
	case '{':
		return string(d.literal())
	case '~':
		return string(d.literal())
	}
	d.Bad("expected a string")
	return ""
}

// Astring reads an atom or a string.
func (d *Decoder) Astring() string {
	switch d.Peek() {
	case '"', '{':
		return d.String()
	}
	return string(d.span(isAstringChar8, "a string"))
}

// isAstringChar8 also takes bytes over 127: clients send UTF-8 names as atoms.
// What is made of them decides the caller.
func isAstringChar8(c byte) bool { return c >= 0x80 || isAstringChar(c) }

// Nstring reads a string or NIL.
func (d *Decoder) Nstring() (s string, ok bool) {
	if d.TryWord("NIL") {
		return "", false
	}
	return d.String(), true
}

// ListMailbox reads a mailbox pattern of LIST: wildcards may stand unquoted.
func (d *Decoder) ListMailbox() string {
	switch d.Peek() {
	case '"', '{':
		return d.String()
	}
	return string(d.span(func(c byte) bool {
		return c == '%' || c == '*' || isAstringChar8(c)
	}, "a mailbox pattern"))
}

// quoted reads a quoted string. RFC 9051 allows UTF-8 in it; what is not UTF-8
// is refused.
func (d *Decoder) quoted() string {
	d.Expect('"')
	if d.err != nil {
		return ""
	}
	rest := d.line[d.pos:]
	i := bytes.IndexAny(rest, "\"\\")
	if i >= 0 && rest[i] == '"' { // nothing to unescape
		d.pos += i + 1
		return d.text(rest[:i])
	}
	var b []byte
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; c {
		case '"':
			d.pos += i + 1
			return d.text(b)
		case '\\':
			if i++; i >= len(rest) || rest[i] != '"' && rest[i] != '\\' {
				d.Bad("bad escape in a quoted string")
				return ""
			}
			b = append(b, rest[i])
		default:
			b = append(b, c)
		}
	}
	d.Bad("a quoted string does not end")
	return ""
}

func (d *Decoder) text(b []byte) string {
	if bytes.IndexByte(b, 0) >= 0 || bytes.IndexByte(b, '\r') >= 0 || !utf8.Valid(b) {
		d.Bad("a quoted string holds a byte that may not be there")
		return ""
	}
	return string(b)
}
