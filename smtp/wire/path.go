package wire

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"posthouse/mail"
)

// maxLocal bounds a local part. RFC 5321 §4.5.3.1.1 promises 64 octets only, but
// VERP and SRS make longer ones and refusing them loses mail.
const maxLocal = 255

// A PathArg is the argument of MAIL or RCPT: RFC 5321 §4.1.1.2 and §4.1.1.3.
type PathArg struct {
	Address mail.Address
	// NonASCII: the path was written with UTF-8, which RFC 6531 §3.4 allows only
	// together with SMTPUTF8. A U-label in Address alone does not say so.
	NonASCII bool
	Params   Params
}

// ParseMail parses the argument of MAIL: "FROM:" reverse-path and parameters.
func ParseMail(arg string) (PathArg, error) {
	rest, ok := cutPrefixFold(arg, "FROM:")
	if !ok {
		return PathArg{}, errSyntax("use MAIL FROM:<address>")
	}
	rest = strings.TrimLeft(rest, " \t")
	if after, ok := strings.CutPrefix(rest, "<>"); ok {
		return withParams(PathArg{}, after)
	}
	return parsePathArg(rest, false)
}

// ParseRcpt parses the argument of RCPT: "TO:" forward-path and parameters.
// "<postmaster>" without a domain is allowed.
func ParseRcpt(arg string) (PathArg, error) {
	rest, ok := cutPrefixFold(arg, "TO:")
	if !ok {
		return PathArg{}, errSyntax("use RCPT TO:<address>")
	}
	return parsePathArg(strings.TrimLeft(rest, " \t"), true)
}

// ParseAddress parses a Mailbox without angle brackets, as in "ada@example.org".
func ParseAddress(s string) (mail.Address, error) {
	a, rest, err := parseMailbox(s)
	if err != nil {
		return mail.Address{}, err
	}
	if rest != "" {
		return mail.Address{}, errSyntax("bad address")
	}
	return a, nil
}

// AppendPath appends a as a path in angle brackets. With utf8 false the domain is
// written with A-labels; a local part that needs SMTPUTF8 is then an error.
func AppendPath(dst []byte, a mail.Address, utf8 bool) ([]byte, error) {
	if !utf8 && !isASCII(a.Local) {
		return dst, errSyntax("address needs SMTPUTF8")
	}
	if !utf8 && !isASCII(string(a.Domain)) {
		d, err := DomainToASCII(a.Domain)
		if err != nil {
			return dst, err
		}
		a.Domain = mail.Domain(d)
	}
	return append(a.AppendTo(append(dst, '<')), '>'), nil
}

// NeedsUTF8 reports whether a cannot be written without SMTPUTF8: a domain alone
// can always be spelled with A-labels.
func NeedsUTF8(a mail.Address) bool { return !isASCII(a.Local) }

func parsePathArg(s string, forward bool) (PathArg, error) {
	rest, ok := strings.CutPrefix(s, "<")
	if !ok {
		return PathArg{}, errSyntax("the address must stand in angle brackets")
	}
	rest, err := cutSourceRoute(rest)
	if err != nil {
		return PathArg{}, err
	}
	if n := len("postmaster"); forward && len(rest) > n && rest[n] == '>' && strings.EqualFold(rest[:n], "postmaster") {
		return withParams(PathArg{Address: mail.Address{Local: rest[:n]}}, rest[n+1:])
	}
	a, after, err := parseMailbox(rest)
	if err != nil {
		return PathArg{}, err
	}
	raw := rest[:len(rest)-len(after)]
	after, ok = strings.CutPrefix(after, ">")
	if !ok {
		return PathArg{}, errSyntax("the address does not end in >")
	}
	return withParams(PathArg{Address: a, NonASCII: !isASCII(raw)}, after)
}

func withParams(p PathArg, rest string) (PathArg, error) {
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return PathArg{}, errSyntax("a space must follow the address")
	}
	var err error
	p.Params, err = ParseParams(rest)
	return p, err
}

// cutSourceRoute drops an A-d-l, which RFC 5321 §3.3 says must be accepted and
// should be ignored.
func cutSourceRoute(s string) (string, error) {
	if !strings.HasPrefix(s, "@") {
		return s, nil
	}
	route, rest, ok := strings.Cut(s, ":")
	// The colon of "[IPv6:...]" belongs to a literal, which no route of today has.
	if !ok || strings.ContainsAny(route, "<> \t\"[") {
		return "", errSyntax("bad source route")
	}
	for hop := range strings.SplitSeq(route, ",") {
		d, ok := strings.CutPrefix(hop, "@")
		if !ok {
			return "", errSyntax("bad source route")
		}
		if _, err := ParseDomain(d); err != nil {
			return "", err
		}
	}
	return rest, nil
}

// parseMailbox parses Mailbox, RFC 5321 §4.1.2, and returns what follows it.
func parseMailbox(s string) (a mail.Address, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		a.Local, rest, err = parseQuoted(s)
	} else {
		a.Local, rest, err = parseDotString(s)
	}
	if err != nil {
		return mail.Address{}, "", err
	}
	if err := checkLocal(a.Local); err != nil {
		return mail.Address{}, "", err
	}
	rest, ok := strings.CutPrefix(rest, "@")
	if !ok {
		return mail.Address{}, "", errSyntax("the address has no domain")
	}
	end := strings.IndexAny(rest, "> \t")
	if strings.HasPrefix(rest, "[") {
		end = strings.IndexByte(rest, ']') + 1
	}
	if end < 0 {
		end = len(rest)
	}
	a.Domain, err = ParseDomain(rest[:end])
	if err != nil {
		return mail.Address{}, "", err
	}
	return a, rest[end:], nil
}

// parseDotString parses a Dot-string. Dots at the ends or side by side, which some
// phones really have in their addresses, are kept: the address is then printed
// quoted.
func parseDotString(s string) (local, rest string, err error) {
	n := 0
	for n < len(s) && (isAtext(s[n]) || s[n] == '.') {
		n++
	}
	if n == 0 {
		return "", "", errSyntax("the address has no local part")
	}
	return s[:n], s[n:], nil
}

// parseQuoted parses a Quoted-string and removes the quoting.
func parseQuoted(s string) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			return b.String(), s[i+1:], nil
		}
		if c == '\\' {
			if i++; i == len(s) {
				break
			}
			c = s[i]
			if c >= utf8.RuneSelf {
				return "", "", errSyntax("bad quoted local part")
			}
		}
		b.WriteByte(c)
	}
	return "", "", errSyntax("the quoted local part has no end")
}

// checkLocal checks what both spellings of a local part have in common: its length,
// and that it is UTF-8 without control characters and line separators, which would
// reach logs and headers.
func checkLocal(local string) error {
	if len(local) > maxLocal {
		return errSyntax("local part too long")
	}
	if !utf8.ValidString(local) {
		return errSyntax("the address is not UTF-8")
	}
	for _, r := range local {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return errSyntax("control character in the address")
		}
	}
	return nil
}

func isAtext(c byte) bool {
	return c >= utf8.RuneSelf || isAlnum(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
