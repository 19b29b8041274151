package sasl

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Prepare maps a name or password as SASLprep does (RFC 4013 §2.1 and §2.2), so that
// it is derived from what SCRAM clients derive it from: every space is a space, what
// cannot be seen goes, NFKC. What SASLprep forbids is left in: a client that
// forbids it never sends it.
func Prepare(s string) string {
	if isASCII(s) {
		return s
	}
	return norm.NFKC.String(strings.Map(prepared, s))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// prepared is the mapping of tables C.1.2 and B.1 of RFC 3454.
func prepared(r rune) rune {
	switch {
	case r == 0xa0, r == 0x1680, r >= 0x2000 && r <= 0x200b, r == 0x202f, r == 0x205f, r == 0x3000:
		return ' '
	case r == 0xad, r == 0x34f, r == 0x1806, r >= 0x180b && r <= 0x180d, r == 0x200c, r == 0x200d, r == 0x2060,
		r >= 0xfe00 && r <= 0xfe0f, r == 0xfeff:
		return -1
	}
	return r
}
