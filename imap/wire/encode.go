package wire

import (
	"strconv"
	"unicode/utf8"
)

// AppendString appends s as a quoted string, or as a literal if it cannot be
// quoted. utf8ok lets UTF-8 stand in quotes (RFC 9051 §4.3, RFC 6855 §3).
func AppendString(dst []byte, s string, utf8ok bool) []byte {
	if !quotable(s, utf8ok) {
		return append(AppendLiteral(dst, int64(len(s))), s...)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// maxQuoted is the length from which a string is sent as a literal: parsers of
// clients bound their quoted strings and lines.
const maxQuoted = 1000

func quotable(s string, utf8ok bool) bool {
	if len(s) > maxQuoted {
		return false
	}
	eight := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0, c == '\r', c == '\n':
			return false
		case c >= utf8.RuneSelf:
			eight = true
		}
	}
	return !eight || utf8ok && utf8.ValidString(s)
}

// AppendLiteral appends the announcement of n bytes of a literal.
func AppendLiteral(dst []byte, n int64) []byte {
	dst = append(dst, '{')
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '}', '\r', '\n')
}

// AppendAstring appends s as an atom if it can be one, or as a string.
func AppendAstring(dst []byte, s string, utf8ok bool) []byte {
	if s == "" || len(s) > maxQuoted || (len(s) == 3 && (s[0]|0x20) == 'n' && (s[1]|0x20) == 'i' && (s[2]|0x20) == 'l') {
		return AppendString(dst, s, utf8ok)
	}
	for i := range len(s) {
		if !isAstringChar(s[i]) {
			return AppendString(dst, s, utf8ok)
		}
	}
	return append(dst, s...)
}

// AppendUint appends n in decimal.
func AppendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }
