package wire

import (
	"bytes"
	"errors"
	"math"
	"strings"
)

// A Literal is the announcement of a literal, RFC 9051 §4.3 and RFC 7888 §3.
type Literal struct {
	Size   int64
	Sync   bool // the peer waits for a continuation request
	Binary bool // literal8, "~{5}"
}

// A Decoder reads one command. Its methods follow the grammar; the first error
// sticks and makes all later calls return zero values, so that a command is read
// without a test after each word and asked for Err at its end.
type Decoder struct {
	rd     *Reader
	lim    Limits
	accept func(Literal) error // lets the peer send a synchronising literal

	line  []byte
	pos   int
	err   error
	lost  error // of the connection: there is no next command
	depth int
	kept  int64   // bytes of literals and further lines so far
	owed  Literal // announced and not read
	owes  bool
	name  [24]byte // of Word
}

// NewDecoder returns a Decoder of commands from rd. accept is called for each
// literal before it is read; it writes the continuation request if the peer
// waits for one.
func NewDecoder(rd *Reader, accept func(Literal) error) *Decoder {
	return &Decoder{rd: rd, accept: accept}
}

// Begin reads the first line of the next command. With ErrLineTooLong the tag
// can still be read.
func (d *Decoder) Begin(lim Limits) error {
	*d = Decoder{rd: d.rd, accept: d.accept, lim: lim}
	line, err := d.rd.Line(lim.Line, lim.Flood)
	d.line = line
	return err
}

// Err is the first error.
func (d *Decoder) Err() error { return d.err }

// Fail makes err the error of the command unless there is one.
func (d *Decoder) Fail(err error) {
	if d.err == nil && err != nil {
		d.err = err
	}
}

// lose ends the command and the connection.
func (d *Decoder) lose(err error) {
	if err != nil && !errors.Is(err, ErrLineTooLong) {
		d.lost = err
	}
	d.Fail(err)
}

// Bad is Fail with a SyntaxError.
func (d *Decoder) Bad(text string) { d.Fail(&SyntaxError{Text: text}) }

// Rest reads and drops what is left of the command after an error, so that the
// next line is a command again. A synchronising literal that was not accepted is
// never sent; a non-synchronising one follows in any case (RFC 7888 §4).
// Literals of more than limit bytes are ErrTooLargeToSkip.
func (d *Decoder) Rest(limit int64) error {
	if d.lost != nil {
		return d.lost
	}
	end := d.line
	if d.rd.tail != nil {
		end = d.rd.tail
	}
	for {
		lit, ok := d.owed, d.owes
		if !ok {
			lit, _, ok = literalAtEnd(end)
		}
		if !ok || lit.Sync {
			return nil
		}
		if limit -= lit.Size; limit < 0 {
			return ErrTooLargeToSkip
		}
		d.owes = false
		if err := d.rd.Discard(lit.Size); err != nil {
			return err
		}
		line, err := d.rd.Line(d.lim.Line, d.lim.Flood)
		if end = line; errors.Is(err, ErrLineTooLong) {
			end = d.rd.tail
		} else if err != nil {
			return err
		}
	}
}

// Peek is the next byte, or 0 at the end of the command.
func (d *Decoder) Peek() byte {
	if d.err != nil || d.pos >= len(d.line) {
		return 0
	}
	return d.line[d.pos]
}

// PeekAt is the byte n places behind Peek.
func (d *Decoder) PeekAt(n int) byte {
	if d.err != nil || d.pos+n >= len(d.line) {
		return 0
	}
	return d.line[d.pos+n]
}

// AtEnd reports the end of the command, or an error.
func (d *Decoder) AtEnd() bool { return d.err != nil || d.pos >= len(d.line) }

// Try reads c if it is next.
func (d *Decoder) Try(c byte) bool {
	if d.Peek() != c || c == 0 {
		return false
	}
	d.pos++
	return true
}

// TryWord reads word, in any case, if it is next and followed by something that
// cannot belong to an atom.
func (d *Decoder) TryWord(word string) bool {
	if d.err != nil || len(d.line)-d.pos < len(word) {
		return false
	}
	if !bytes.EqualFold(d.line[d.pos:d.pos+len(word)], []byte(word)) {
		return false
	}
	if end := d.pos + len(word); end < len(d.line) && isAtomChar(d.line[end]) {
		return false
	}
	d.pos += len(word)
	return true
}

// Expect reads c.
func (d *Decoder) Expect(c byte) {
	if !d.Try(c) {
		d.Bad("expected " + string(rune(c)))
	}
}

// SP reads one space.
func (d *Decoder) SP() {
	if !d.Try(' ') {
		d.Bad("expected a space")
	}
}

// End reads the end of the command.
func (d *Decoder) End() {
	if d.err == nil && d.pos < len(d.line) {
		d.Bad("unexpected text after the command")
	}
}

// Open reads "(", and counts the depth of nesting.
func (d *Decoder) Open() {
	d.Expect('(')
	d.enter()
}

// Close reads ")".
func (d *Decoder) Close() {
	d.Expect(')')
	d.depth--
}

func (d *Decoder) enter() {
	if d.depth++; d.depth > d.lim.Depth {
		d.Bad("nested too deeply")
	}
}

// Nest runs f one level deeper: for recursion without parentheses, as NOT.
func (d *Decoder) Nest(f func()) {
	d.enter()
	if d.err == nil {
		f()
	}
	d.depth--
}

// List reads "(" item *(SP item) ")", or "()" .
func (d *Decoder) List(item func()) {
	d.Open()
	if !d.Try(')') {
		item()
		for d.err == nil && !d.Try(')') {
			d.SP()
			item()
		}
	}
	d.depth--
}

// span reads the bytes that are in class, at least one.
func (d *Decoder) span(in func(byte) bool, what string) []byte {
	if d.err != nil {
		return nil
	}
	i := d.pos
	for i < len(d.line) && in(d.line[i]) {
		i++
	}
	if i == d.pos {
		d.Bad("expected " + what)
		return nil
	}
	b := d.line[d.pos:i]
	d.pos = i
	return b
}

// Tag reads a command's tag.
func (d *Decoder) Tag() string {
	return string(d.span(func(c byte) bool { return isAstringChar(c) && c != '+' }, "a tag"))
}

// Atom reads an atom.
func (d *Decoder) Atom() string { return string(d.span(isAtomChar, "an atom")) }

// Token reads what comes up to the next space: base64 of SASL. The bytes are
// valid until the next literal or command.
func (d *Decoder) Token() []byte {
	return d.span(func(c byte) bool { return c > ' ' && c < 0x7f }, "a token")
}

// SectionWord reads a word of BODY[section], in upper case.
func (d *Decoder) SectionWord() string {
	return strings.ToUpper(string(d.span(func(c byte) bool { return c == '.' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }, "a section")))
}

// Mark remembers a place in the line and Since returns what was read from there,
// unless a literal came between.
func (d *Decoder) Mark() int { return d.pos }

// Since returns the bytes from a Mark. They are valid until the next command.
func (d *Decoder) Since(mark int) []byte {
	if d.err != nil || mark > d.pos || d.pos > len(d.line) {
		return nil
	}
	return d.line[mark:d.pos]
}

// Word reads a name of the grammar (a command, an item, a key) and returns it in
// upper case. The bytes are valid until the next call.
func (d *Decoder) Word() []byte {
	b := d.span(isWordChar, "a name")
	if len(b) > len(d.name) {
		return bytes.ToUpper(b)
	}
	up := d.name[:len(b)]
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	return up
}

// Number reads an unsigned 32-bit number.
func (d *Decoder) Number() uint32 { return uint32(d.number(math.MaxUint32)) }

// NzNumber reads an unsigned 32-bit number that is not 0.
func (d *Decoder) NzNumber() uint32 {
	n := d.Number()
	if n == 0 {
		d.Bad("the number must not be 0")
	}
	return n
}

// Number64 reads an unsigned 63-bit number, RFC 9051 §9.
func (d *Decoder) Number64() uint64 { return d.number(math.MaxInt64) }

func (d *Decoder) number(limit uint64) uint64 {
	var n uint64
	for _, c := range d.span(isDigit, "a number") {
		if n > (limit-uint64(c-'0'))/10 {
			d.Bad("the number is too large")
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isAtomChar is ATOM-CHAR of RFC 9051 §9.
func isAtomChar(c byte) bool {
	if c <= ' ' || c >= 0x7f {
		return false
	}
	switch c {
	case '(', ')', '{', '%', '*', '"', '\\', ']':
		return false
	}
	return true
}

// isAstringChar is ASTRING-CHAR: also "]".
func isAstringChar(c byte) bool { return c == ']' || isAtomChar(c) }

// isWordChar ends at "[" and "<", so that BODY[1]<0.9> begins with the word BODY.
func isWordChar(c byte) bool { return c != '[' && c != '<' && isAtomChar(c) }
