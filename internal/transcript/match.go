package transcript

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Vars are the words that $name captured.
type vars map[string]string

// A piece of a pattern: literal bytes, any text, or one word with a name.
type piece struct {
	lit  string
	name string
	any  bool
}

var varRE = regexp.MustCompile(`^\$[a-z][a-z0-9_]*`)

// unescape reads the escape at the start of s: \xNN always, \r \n \t \\ where raw.
func unescape(s string, raw bool) (c byte, n int) {
	if len(s) >= 4 && s[1] == 'x' {
		if v, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
			return byte(v), 4
		}
	}
	if raw && len(s) >= 2 {
		if i := strings.IndexByte(`rnt\`, s[1]); i >= 0 {
			return "\r\n\t\\"[i], 2
		}
	}
	return s[0], 1
}

// expand gives the bytes that a C text stands for.
func expand(s string, raw bool, v vars) string {
	var b strings.Builder
	for s != "" {
		if name := varRE.FindString(s); name != "" {
			if x, ok := v[name]; ok {
				b.WriteString(x)
			} else { // not captured: a keyword such as $label1
				b.WriteString(name)
			}
			s = s[len(name):]
			continue
		}
		c, n := s[0], 1
		if c == '\\' {
			c, n = unescape(s, raw)
		}
		b.WriteByte(c)
		s = s[n:]
	}
	return b.String()
}

// compile cuts an S text into pieces; captured names become literal.
func compile(s string, v vars) []piece {
	var ps []piece
	var lit []byte
	flush := func(p piece) {
		if len(lit) > 0 {
			ps = append(ps, piece{lit: string(lit)})
			lit = nil
		}
		ps = append(ps, p)
	}
	for s != "" {
		name := varRE.FindString(s)
		x, bound := v[name]
		switch {
		case strings.HasPrefix(s, "..."):
			flush(piece{any: true})
			s = s[3:]
		case bound:
			lit = append(lit, x...)
			s = s[len(name):]
		case name != "":
			flush(piece{name: name})
			s = s[len(name):]
		default:
			c, n := s[0], 1
			if c == '\\' {
				c, n = unescape(s, false)
			}
			lit = append(lit, c)
			s = s[n:]
		}
	}
	flush(piece{})
	return ps[:len(ps)-1]
}

// match reports whether the server's line is what want says, and if so adds what
// its names captured to v.
func match(want, got string, v vars) bool {
	found := vars{}
	if !matchPieces(compile(want, v), got, found) {
		return false
	}
	for k, x := range found {
		v[k] = x
	}
	return true
}

func matchPieces(ps []piece, s string, found vars) bool {
	if len(ps) == 0 {
		return s == ""
	}
	p, rest := ps[0], ps[1:]
	switch {
	case p.any:
		for i := 0; i <= len(s); i++ {
			if matchPieces(rest, s[i:], found) {
				return true
			}
		}
		return false
	case p.name != "":
		if x, ok := found[p.name]; ok {
			return strings.HasPrefix(s, x) && matchPieces(rest, s[len(x):], found)
		}
		for n := wordLen(s); n > 0; n-- {
			found[p.name] = s[:n]
			if matchPieces(rest, s[n:], found) {
				return true
			}
		}
		delete(found, p.name)
		return false
	}
	return strings.HasPrefix(s, p.lit) && matchPieces(rest, s[len(p.lit):], found)
}

// wordLen is how far a $name may reach: to a blank, a bracket or a parenthesis.
func wordLen(s string) int {
	if i := strings.IndexAny(s, " \t\r\n[]()"); i >= 0 {
		return i
	}
	return len(s)
}

// spell writes a server's line so that, as an S text, it stands for itself only.
func spell(got string) string {
	var b strings.Builder
	for i := 0; i < len(got); {
		r, n := utf8.DecodeRuneInString(got[i:])
		c, s := got[i], got[i:]
		_, esc := unescape(s, false)
		switch {
		case r == utf8.RuneError && n == 1, c < ' ', c == 0x7f,
			c == '\\' && esc == 4, strings.HasPrefix(s, "..."), varRE.MatchString(s),
			c == ' ' && i == len(got)-1: // else an editor eats it
			fmt.Fprintf(&b, `\x%02x`, c)
			n = 1
		default:
			b.WriteString(s[:n])
		}
		i += n
	}
	return b.String()
}

// Prose for people, which no transcript should hold a server to: the text after
// the code of an IMAP status response or of an SMTP reply with an enhanced code.
var proseRE = regexp.MustCompile(`^(\S+ (?:OK|NO|BAD|BYE|PREAUTH)(?: \[[^\]]*\])?|\+|\d{3}[ -][245]\.\d+\.\d+|(?:220|221|354)[ -]) ?\S.*$`)

// abbreviate spells a server's line for -update, its prose as "...".
func abbreviate(got string) string {
	if m := proseRE.FindStringSubmatch(got); m != nil {
		return spell(strings.TrimRight(m[1], " ")) + " ..."
	}
	return spell(got)
}
