package mail

import (
	"strings"
	"unicode/utf8"
)

// A Domain is a mail domain in its normal form: lower case, without a trailing
// dot, internationalised labels as U-labels in NFC (RFC 6531 §3.2). An address
// literal keeps its brackets, as in "[192.0.2.1]".
type Domain string

// An Address is a mailbox address, RFC 5321 §4.1.2. Local is the unquoted local
// part, kept exactly as written. The zero Address is the null reverse-path "<>".
type Address struct {
	Local  string
	Domain Domain
}

// IsNull reports whether a is the null reverse-path "<>" (RFC 5321 §4.5.5).
func (a Address) IsNull() bool { return a.Local == "" && a.Domain == "" }

// String spells a as an RFC 5321 Mailbox, with the local part quoted where it
// must be. The null address is the empty string.
func (a Address) String() string {
	if a.IsNull() {
		return ""
	}
	local := a.Local
	if !isDotString(local) {
		local = quoteLocal(local)
	}
	if a.Domain == "" { // "postmaster" alone, RFC 5321 §4.1.1.3
		return local
	}
	return local + "@" + string(a.Domain)
}

// AppendTo appends a as String spells it.
func (a Address) AppendTo(dst []byte) []byte {
	if a.Domain == "" || !isDotString(a.Local) {
		return append(dst, a.String()...)
	}
	return append(append(append(dst, a.Local...), '@'), a.Domain...)
}

// IsASCII reports whether a can be sent to a server without SMTPUTF8.
func (a Address) IsASCII() bool { return isASCII(a.Local) && isASCII(string(a.Domain)) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isDotString reports whether s is a Dot-string, RFC 5321 §4.1.2 as widened by
// RFC 6531 §3.3.
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '.' && !isAtext(c) {
			return false
		}
	}
	return true
}

func isAtext(c byte) bool {
	switch {
	case c >= utf8.RuneSelf, c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func quoteLocal(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}
