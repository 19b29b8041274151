// Package wire is what JMAP looks like on the wire: JSON read strictly and within
// bounds (RFC 8620 §1.5 asks for I-JSON, RFC 7493), JSON written without
// reflection, pointers into it (RFC 6901 with the "*" of RFC 8620 §3.7), and the
// notation of types that the JMAP documents use ("Id[Boolean]|null"), which checks
// values and is the source of the client's types.
//
// It does no I/O and keeps no state.
package wire

import (
	"errors"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of what Parse reads. Zero values take the defaults.
type Limits struct {
	Depth  int // nested arrays and objects; 64
	Values int // values in all; 1,000,000
}

// Errors of Parse.
var (
	// ErrNotJSON: the text is no JSON, or not I-JSON.
	ErrNotJSON = errors.New("not valid I-JSON")
	// ErrTooDeep and ErrTooMany: it is over a limit.
	ErrTooDeep = errors.New("nested too deeply")
	ErrTooMany = errors.New("too many values")
)

// MaxInt is the largest whole number, RFC 8620 §1.3.
const MaxInt = 1<<53 - 1

// Parse reads one JSON text: nil, bool, int64 (whole numbers up to MaxInt), float64,
// string, []any and map[string]any. It refuses what I-JSON forbids: names that occur
// twice, text that is not UTF-8, lone surrogates.
func Parse(b []byte, l Limits) (any, error) {
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.Values <= 0 {
		l.Values = 1_000_000
	}
	if !utf8.Valid(b) {
		return nil, ErrNotJSON
	}
	p := &parser{b: b, depth: l.Depth, room: l.Values}
	v := p.value()
	p.space()
	if p.err == nil && p.i != len(b) {
		p.fail(ErrNotJSON)
	}
	if p.err != nil {
		return nil, p.err
	}
	return v, nil
}

// A parser reads from front to back. The first error sticks and moves it to the end.
type parser struct {
	b     []byte
	i     int
	depth int
	room  int
	err   error
}

func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.i = len(p.b)
}

func (p *parser) space() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return
		}
	}
}

// peek is the next byte that is no space, 0 at the end.
func (p *parser) peek() byte {
	p.space()
	if p.i == len(p.b) {
		return 0
	}
	return p.b[p.i]
}

func (p *parser) value() any {
	if p.room--; p.room < 0 {
		p.fail(ErrTooMany)
		return nil
	}
	switch c := p.peek(); {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"':
		return p.str()
	case c == 't':
		p.word("true")
		return true
	case c == 'f':
		p.word("false")
		return false
	case c == 'n':
		p.word("null")
		return nil
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	p.fail(ErrNotJSON)
	return nil
}

func (p *parser) word(w string) {
	if len(p.b)-p.i < len(w) || string(p.b[p.i:p.i+len(w)]) != w {
		p.fail(ErrNotJSON)
		return
	}
	p.i += len(w)
}

// enter begins an array or object.
func (p *parser) enter() bool {
	p.i++
	if p.depth--; p.depth < 0 {
		p.fail(ErrTooDeep)
	}
	return p.err == nil
}

// more moves behind a comma, or ends with the closing byte.
func (p *parser) more(closing byte) bool {
	switch p.peek() {
	case ',':
		p.i++
		return true
	case closing:
		p.i++
	default:
		p.fail(ErrNotJSON)
	}
	return false
}

func (p *parser) array() any {
	out := []any{}
	if !p.enter() {
		return out
	}
	if p.peek() == ']' {
		p.i++
	} else {
		for more := true; more && p.err == nil; more = p.more(']') {
			out = append(out, p.value())
		}
	}
	p.depth++
	return out
}

func (p *parser) object() any {
	out := map[string]any{}
	if !p.enter() {
		return out
	}
	if p.peek() == '}' {
		p.i++
	} else {
		for more := true; more && p.err == nil; more = p.more('}') {
			if p.peek() != '"' {
				p.fail(ErrNotJSON)
				break
			}
			name := p.str()
			if _, twice := out[name]; twice || p.peek() != ':' {
				p.fail(ErrNotJSON)
				break
			}
			p.i++
			out[name] = p.value()
		}
	}
	p.depth++
	return out
}

func (p *parser) str() string {
	p.i++
	start := p.i
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			s := string(p.b[start:p.i])
			p.i++
			return s
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			p.fail(ErrNotJSON)
			return ""
		}
		p.i++
	}
	p.fail(ErrNotJSON)
	return ""
}

// escaped reads on from the first backslash of a string that began at start.
func (p *parser) escaped(start int) string {
	out := append([]byte(nil), p.b[start:p.i]...)
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return string(out)
		case c < ' ':
			p.fail(ErrNotJSON)
			return ""
		case c != '\\':
			out = append(out, c)
			p.i++
		default:
			p.i++
			out = p.escape(out)
		}
	}
	p.fail(ErrNotJSON)
	return ""
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (p *parser) escape(out []byte) []byte {
	if p.i == len(p.b) {
		p.fail(ErrNotJSON)
		return out
	}
	c := p.b[p.i]
	p.i++
	if c != 'u' {
		if escapes[c] == 0 {
			p.fail(ErrNotJSON)
		}
		return append(out, escapes[c])
	}
	r := p.hex()
	if utf16.IsSurrogate(r) {
		if p.i+1 < len(p.b) && p.b[p.i] == '\\' && p.b[p.i+1] == 'u' {
			p.i += 2
			r = utf16.DecodeRune(r, p.hex())
		} else {
			r = utf8.RuneError
		}
		if r == utf8.RuneError { // alone: I-JSON has none, RFC 7493 §2.1
			p.fail(ErrNotJSON)
		}
	}
	return utf8.AppendRune(out, r)
}

func (p *parser) hex() rune {
	if len(p.b)-p.i < 4 {
		p.fail(ErrNotJSON)
		return 0
	}
	n, err := strconv.ParseUint(string(p.b[p.i:p.i+4]), 16, 32)
	if err != nil || p.b[p.i] == '+' {
		p.fail(ErrNotJSON)
		return 0
	}
	p.i += 4
	return rune(n)
}

func (p *parser) digits() int {
	n := 0
	for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' {
		p.i++
		n++
	}
	return n
}

func (p *parser) number() any {
	start := p.i
	if p.b[p.i] == '-' {
		p.i++
	}
	lead := p.i
	n := p.digits()
	bad := n == 0 || n > 1 && p.b[lead] == '0'
	whole := true
	if p.i < len(p.b) && p.b[p.i] == '.' {
		p.i++
		bad, whole = bad || p.digits() == 0, false
	}
	if p.i < len(p.b) && (p.b[p.i] == 'e' || p.b[p.i] == 'E') {
		p.i++
		if p.i < len(p.b) && (p.b[p.i] == '+' || p.b[p.i] == '-') {
			p.i++
		}
		bad, whole = bad || p.digits() == 0, false
	}
	if bad {
		p.fail(ErrNotJSON)
		return nil
	}
	text := string(p.b[start:p.i])
	if whole && len(text) <= 17 {
		if v, err := strconv.ParseInt(text, 10, 64); err == nil && v >= -MaxInt && v <= MaxInt {
			return v
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil { // out of the range of a double
		p.fail(ErrNotJSON)
		return nil
	}
	if f == math.Trunc(f) && math.Abs(f) <= MaxInt {
		return int64(f)
	}
	return f
}
