package message

// A lexer reads the tokens that structured header fields share, RFC 5322 §3.2.
// It never backtracks and never nests by recursion, so every field costs time
// in proportion to its length.
type lexer struct {
	b       []byte
	i       int
	comment []byte // text of the last comment that skip passed, if keep is set
	keep    bool
}

// more reports whether bytes are left.
func (x *lexer) more() bool { return x.i < len(x.b) }

// peek returns the next byte, 0 at the end.
func (x *lexer) peek() byte {
	if x.i < len(x.b) {
		return x.b[x.i]
	}
	return 0
}

// skip passes white space, line ends, NULs and comments (CFWS).
func (x *lexer) skip() {
	for x.i < len(x.b) {
		switch c := x.b[x.i]; {
		case isSpace(c) || c == 0:
			x.i++
		case c == '(':
			x.skipComment()
		default:
			return
		}
	}
}

// skipComment passes a comment with those inside it; one that is not closed
// ends where the field does.
func (x *lexer) skipComment() {
	depth := 0
	if x.keep {
		x.comment = x.comment[:0]
	}
	for ; x.i < len(x.b); x.i++ {
		c := x.b[x.i]
		switch c {
		case '(':
			if depth++; depth == 1 {
				continue
			}
		case ')':
			if depth--; depth == 0 {
				x.i++
				return
			}
		case '\\':
			if x.i+1 < len(x.b) {
				x.i++
				c = x.b[x.i]
			}
		case '\r', '\n', 0:
			continue
		}
		if x.keep {
			x.comment = append(x.comment, c)
		}
	}
}

// quoted appends the content of the quoted string at the cursor to dst. One
// that is not closed ends where the field does.
func (x *lexer) quoted(dst []byte) []byte {
	for x.i++; x.i < len(x.b); x.i++ {
		switch c := x.b[x.i]; c {
		case '"':
			x.i++
			return dst
		case '\\':
			if x.i+1 < len(x.b) {
				x.i++
				dst = append(dst, x.b[x.i])
			}
		case '\r', '\n', 0:
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// run returns the bytes up to the next one that is in the class stop.
func (x *lexer) run(stop *[256]bool) []byte {
	start := x.i
	for x.i < len(x.b) && !stop[x.b[x.i]] {
		x.i++
	}
	return x.b[start:x.i]
}

// byteClass makes a lexer class of white space, NUL and the bytes of s.
func byteClass(s string) *[256]bool {
	c := &[256]bool{0: true, ' ': true, '\t': true, '\r': true, '\n': true}
	for i := range len(s) {
		c[s[i]] = true
	}
	return c
}

var (
	notToken = byteClass(`()<>@,;:\"/[]?=`) // ends a token, RFC 2045 §5.1
	notValue = byteClass(`;"`)              // ends a parameter value as many mailers write it, without quotes
	notAtom  = byteClass(`()<>@,;:"[].`)    // ends an atom of an address
)
