package wire

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const upperHex = "0123456789ABCDEF"

// AppendXtext appends s as xtext, RFC 3461 §4.
func AppendXtext(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			dst = append(dst, '+', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// DecodeXtext decodes xtext, RFC 3461 §4. Lower case hex digits are taken too.
func DecodeXtext(s string) (string, error) {
	if strings.IndexByte(s, '+') < 0 {
		return s, checkXchars(s)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+2 >= len(s) {
				return "", errSyntax("bad xtext")
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", errSyntax("bad xtext")
			}
			c = byte(v)
			i += 2
		} else if err := checkXchars(s[i : i+1]); err != nil {
			return "", err
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

func checkXchars(s string) error {
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '=' {
			return errSyntax("bad xtext")
		}
	}
	return nil
}

// ParseORCPT parses the value of ORCPT, "type;address" (RFC 3461 §4.2), with the
// address decoded. For the type utf-8 the three spellings of RFC 6533 §3 are
// taken. The result holds no control characters.
func ParseORCPT(value string) (string, error) {
	typ, enc, ok := strings.Cut(value, ";")
	if !ok || !isKeyword(typ) || enc == "" {
		return "", errSyntax("bad ORCPT")
	}
	var addr string
	var err error
	if strings.EqualFold(typ, "utf-8") {
		addr, err = decodeUTF8Addr(enc)
	} else {
		addr, err = DecodeXtext(enc)
	}
	if err != nil {
		return "", err
	}
	for i := range len(addr) {
		if addr[i] < ' ' || addr[i] == 0x7f {
			return "", errSyntax("control character in ORCPT")
		}
	}
	if !utf8.ValidString(addr) {
		return "", errSyntax("ORCPT is not UTF-8")
	}
	return typ + ";" + addr, nil
}

// AppendORCPT appends a decoded "type;address" as a value of ORCPT. With utf8
// false non-ASCII characters of the type utf-8 are spelled \x{HEX}; those of any
// other type go as xtext.
func AppendORCPT(dst []byte, original string, utf8 bool) []byte {
	typ, addr, _ := strings.Cut(original, ";")
	dst = append(append(dst, typ...), ';')
	if !strings.EqualFold(typ, "utf-8") {
		return AppendXtext(dst, addr)
	}
	for _, r := range addr {
		if r > '~' && utf8 {
			dst = append(dst, string(r)...)
		} else if r <= ' ' || r > '~' || r == '+' || r == '=' || r == '\\' {
			dst = append(dst, `\x{`...)
			dst = append(dst, strings.ToUpper(strconv.FormatInt(int64(r), 16))...)
			dst = append(dst, '}')
		} else {
			dst = append(dst, byte(r))
		}
	}
	return dst
}

// decodeUTF8Addr decodes utf-8-addr-xtext, utf-8-addr-unitext and plain UTF-8, RFC
// 6533 §3.
func decodeUTF8Addr(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		hex, rest, ok := strings.Cut(s[i:], "}")
		digits, ok2 := strings.CutPrefix(hex, `\x{`)
		if !ok || !ok2 || len(digits) > 6 {
			return "", errSyntax("bad ORCPT")
		}
		v, err := strconv.ParseUint(digits, 16, 32)
		if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
			return "", errSyntax("bad ORCPT")
		}
		b.WriteRune(rune(v))
		s = rest
	}
	return b.String(), nil
}
