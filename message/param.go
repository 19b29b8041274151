package message

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// parseMediaType parses the value of Content-Type, RFC 2045 §5.1. ok is false if
// it has no type that makes sense.
func parseMediaType(v []byte, l Limits) (typ, subtype string, params []Param, ok bool) {
	x := lexer{b: v}
	x.skip()
	t := x.run(notToken)
	x.skip()
	if len(t) == 0 || x.peek() != '/' {
		if len(t) == 4 && equalFold(t, "text") { // "text" alone is of old mailers
			return "text", "plain", parseParams(&x, l), true
		}
		return "", "", nil, false
	}
	x.i++
	x.skip()
	s := x.run(notToken)
	if len(s) == 0 {
		return "", "", nil, false
	}
	return internLower(t), internLower(s), parseParams(&x, l), true
}

// parseDisposition parses the value of Content-Disposition, RFC 2183 §2.
func parseDisposition(v []byte, l Limits) (string, []Param) {
	x := lexer{b: v}
	x.skip()
	d := x.run(notToken)
	if len(d) == 0 {
		return "", nil
	}
	return internLower(d), parseParams(&x, l)
}

// parseParams parses *(";" attribute "=" value) and joins the segments of RFC
// 2231 §3. Of parameters with the same name the first counts.
func parseParams(x *lexer, l Limits) []Param {
	var ps []Param
	var segs []segment
	var scratch [128]byte
	for n := 0; n < l.Params; n++ {
		if !nextParam(x) {
			break
		}
		name := x.run(notToken)
		x.skip()
		if x.peek() != '=' {
			n--
			if len(name) == 0 && x.more() && x.peek() != ';' {
				x.i++ // a stray byte
			}
			continue
		}
		x.i++
		value := paramValue(x, scratch[:0])
		if len(name) == 0 {
			continue
		}
		if star := bytes.IndexByte(name, '*'); star >= 0 {
			if s, ok := parseSegment(name, star, value); ok {
				segs = append(segs, s)
				continue
			}
		}
		ps = addParam(ps, Param{internLower(name), internValue(value)})
	}
	return joinSegments(ps, segs)
}

// nextParam moves the cursor to where the next parameter begins.
func nextParam(x *lexer) bool {
	for x.skip(); x.peek() == ';'; x.skip() {
		x.i++
	}
	return x.more()
}

// paramValue reads a quoted string or what stands there up to the next ";".
func paramValue(x *lexer, dst []byte) []byte {
	x.skip()
	if x.peek() == '"' {
		dst = x.quoted(dst)
		x.skip()
		return dst
	}
	dst = append(dst, x.run(notValue)...)
	for { // words until ";": an unquoted file name with spaces
		x.skip()
		if !x.more() || x.peek() == ';' || looksLikeParam(x.b[x.i:]) {
			return dst
		}
		dst = append(dst, ' ')
		if x.peek() == '"' {
			dst = x.quoted(dst)
			continue
		}
		dst = append(dst, x.run(notValue)...)
	}
}

// looksLikeParam reports whether b begins with a token and "=": a parameter
// whose ";" was forgotten.
func looksLikeParam(b []byte) bool {
	for i, c := range b[:min(len(b), 64)] {
		if c == '=' {
			return i > 0
		}
		if notToken[c] {
			return false
		}
	}
	return false
}

func addParam(ps []Param, p Param) []Param {
	if slices.ContainsFunc(ps, func(q Param) bool { return q.Name == p.Name }) {
		return ps
	}
	return append(ps, p)
}

// A segment is one piece of a parameter of RFC 2231: name*2*=value.
type segment struct {
	name  string
	num   int
	ext   bool // its value is percent-encoded
	value string
}

// parseSegment parses a parameter name with a star: name*, name*0, name*0*.
func parseSegment(name []byte, star int, value []byte) (segment, bool) {
	s := segment{name: internLower(name[:star]), value: string(value)}
	rest := name[star+1:]
	if len(rest) > 0 && rest[len(rest)-1] == '*' {
		s.ext, rest = true, rest[:len(rest)-1]
	}
	if len(rest) == 0 {
		s.ext = true
		return s, !bytes.HasSuffix(name, []byte("**")) && star > 0
	}
	n, err := strconv.ParseUint(string(rest), 10, 16)
	s.num = int(n)
	return s, err == nil && star > 0
}

// joinSegments puts the pieces together in the order of their numbers, up to the
// first that is missing, and appends the parameters to ps. An RFC 2231 form
// takes the place of a plain parameter of the same name: RFC 2231 §4 is the
// better text, the plain one a fallback.
func joinSegments(ps []Param, segs []segment) []Param {
	slices.SortStableFunc(segs, func(a, b segment) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return a.num - b.num
	})
	for len(segs) > 0 {
		n := 1
		for n < len(segs) && segs[n].name == segs[0].name {
			n++
		}
		if p, ok := joinParam(segs[:n]); ok {
			ps = addParam(ps, p)
		}
		segs = segs[n:]
	}
	return ps
}

// joinParam joins the segments of one parameter, ordered by number.
func joinParam(segs []segment) (Param, bool) {
	p := Param{Name: segs[0].name}
	if segs[0].num != 0 {
		return p, false
	}
	ext := false
	for _, s := range segs {
		ext = ext || s.ext
	}
	var v strings.Builder
	if ext && !segs[0].ext {
		v.WriteString("''") // no charset was named
	}
	next := 0
	for _, s := range segs {
		if s.num != next {
			if s.num < next {
				continue // the same number twice
			}
			break
		}
		next++
		if ext && !s.ext {
			v.WriteString(percentEncode(s.value))
		} else {
			v.WriteString(s.value)
		}
	}
	p.Value = v.String()
	if ext {
		p.Name += "*"
	}
	return p, true
}

// percentEncode writes s so that percentDecode gives it back, RFC 2231 §7.
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; notToken[c] || c == '%' || c == '\'' || c == '*' || c < ' ' || c > '~' {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func percentDecode(s string) []byte {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if h, l := unhex(s[i+1]), unhex(s[i+2]); h >= 0 && l >= 0 {
				b = append(b, byte(h<<4|l))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return b
}

// unhex returns the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// paramText returns the value of the parameter called name as UTF-8. Encoded
// words do not belong here, but many mailers write them, so they are decoded.
func paramText(ps []Param, name string) string {
	plain, found := "", false
	for _, p := range ps {
		if p.Name == name {
			plain, found = p.Value, true
			continue
		}
		if len(p.Name) == len(name)+1 && p.Name[len(name)] == '*' && p.Name[:len(name)] == name {
			return extendedText(p.Value)
		}
	}
	if !found || isASCIIString(plain) && !strings.Contains(plain, "=?") {
		return plain
	}
	return DecodeHeader([]byte(plain))
}

// extendedText decodes charset'language'text, RFC 2231 §4.
func extendedText(v string) string {
	charset, rest, ok := strings.Cut(v, "'")
	if ok {
		if _, text, ok := strings.Cut(rest, "'"); ok {
			return decodeString(charset, percentDecode(text))
		}
	}
	return decodeString("", percentDecode(v))
}
