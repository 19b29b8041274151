package wire

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// mailboxBase64 is the alphabet of modified UTF-7, RFC 3501 §5.1.3.
var mailboxBase64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding).Strict()

// EncodeUTF7 spells a mailbox name in modified UTF-7, RFC 3501 §5.1.3.
func EncodeUTF7(s string) string {
	plain := true
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e || s[i] == '&' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		n := 0
		for n < len(s) && s[n] >= 0x20 && s[n] <= 0x7e {
			if b.WriteByte(s[n]); s[n] == '&' {
				b.WriteByte('-')
			}
			n++
		}
		if s = s[n:]; s == "" {
			break
		}
		var raw []byte
		for n = 0; n < len(s) && (s[n] < 0x20 || s[n] > 0x7e); {
			r, size := utf8.DecodeRuneInString(s[n:])
			for _, u := range utf16.AppendRune(nil, r) {
				raw = append(raw, byte(u>>8), byte(u))
			}
			n += size
		}
		s = s[n:]
		b.WriteByte('&')
		b.WriteString(mailboxBase64.EncodeToString(raw))
		b.WriteByte('-')
	}
	return b.String()
}

// DecodeUTF7 reads a mailbox name in modified UTF-7. Only the one spelling that
// EncodeUTF7 gives is taken, so that no name has an alias; text that is UTF-8
// already, as some clients send it, is taken as it is.
func DecodeUTF7(s string) (string, bool) {
	if strings.IndexByte(s, '&') < 0 {
		return s, utf8.ValidString(s)
	}
	var b strings.Builder
	for rest := s; rest != ""; {
		plain, tail, shifted := strings.Cut(rest, "&")
		b.WriteString(plain)
		if !shifted {
			break
		}
		code, after, ok := strings.Cut(tail, "-")
		if !ok {
			return "", false
		}
		if rest = after; code == "" {
			b.WriteByte('&')
			continue
		}
		raw, err := mailboxBase64.DecodeString(code)
		if err != nil || len(raw)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(raw)/2)
		for i := range units {
			units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
		}
		for _, r := range utf16.Decode(units) {
			b.WriteRune(r)
		}
	}
	out := b.String()
	return out, EncodeUTF7(out) == s
}
