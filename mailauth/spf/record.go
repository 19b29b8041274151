package spf

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

var (
	errMechanism = errors.New("unknown mechanism")
	errSyntax    = errors.New("malformed mechanism or modifier")
	errPrefix    = errors.New("malformed prefix length")
	errNetwork   = errors.New("malformed network")
	errTwice     = errors.New("redirect or exp is there twice")
	errMacro     = errors.New("malformed macro")
	errSpec      = errors.New("malformed domain")
	errASCII     = errors.New("the record is not ASCII")
)

// A record is a parsed policy, RFC 7208 §4.6.1.
type record struct {
	directives    []directive
	redirect, exp string // domain-spec
	has           map[string]bool
}

// A directive is a mechanism with its qualifier.
type directive struct {
	result Status
	name   string // lower case
	spec   string // domain-spec; "" is the domain itself
	net    netip.Prefix
	bits4  int
	bits6  int
	text   string // as written
}

// isRecord reports whether a TXT record is a policy, RFC 7208 §4.5.
func isRecord(s string) bool {
	const version = "v=spf1"
	return len(s) >= len(version) && strings.EqualFold(s[:len(version)], version) && (len(s) == len(version) || s[len(version)] == ' ')
}

func parseRecord(s string) (*record, error) {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] < ' ' {
			return nil, errASCII
		}
	}
	rec := &record{has: map[string]bool{}}
	for term := range strings.SplitSeq(s[len("v=spf1"):], " ") {
		if term == "" {
			continue
		}
		at := strings.IndexAny(term, "=:/")
		var err error
		if at >= 0 && term[at] == '=' {
			err = rec.modifier(term[:at], term[at+1:])
		} else {
			err = rec.directive(term)
		}
		if err != nil {
			return nil, err
		}
	}
	return rec, nil
}

// modifier reads name=value, RFC 7208 §6.
func (rec *record) modifier(name, value string) error {
	for i := range len(name) {
		c := name[i]
		if !isAlpha(c) && (i == 0 || !isDigit(c) && c != '-' && c != '_' && c != '.') {
			return errSyntax
		}
	}
	name = strings.ToLower(name)
	var to *string
	switch name {
	case "":
		return errSyntax
	case "redirect":
		to = &rec.redirect
	case "exp":
		to = &rec.exp
	default:
		return checkMacros(value, true)
	}
	if rec.has[name] {
		return errTwice
	}
	rec.has[name], *to = true, value
	return checkSpec(value)
}

// A mechanism says what may follow a name: a domain-spec, or it must, and prefix
// lengths.
type mechanism struct{ spec, needSpec, prefix bool }

var mechanisms = map[string]mechanism{
	"all": {}, "include": {spec: true, needSpec: true}, "a": {spec: true, prefix: true}, "mx": {spec: true, prefix: true},
	"ptr": {spec: true}, "exists": {spec: true, needSpec: true}, "ip4": {}, "ip6": {},
}

var qualifiers = map[byte]Status{'+': Pass, '-': Fail, '~': SoftFail, '?': Neutral}

// directive reads a mechanism, RFC 7208 §5.
func (rec *record) directive(term string) error {
	d := directive{result: Pass, text: term, bits4: 32, bits6: 128}
	if q, ok := qualifiers[term[0]]; ok {
		d.result = q
		term = term[1:]
	}
	end := strings.IndexAny(term, ":/")
	if end < 0 {
		end = len(term)
	}
	d.name = strings.ToLower(term[:end])
	rest := term[end:]
	m, ok := mechanisms[d.name]
	if !ok {
		return errMechanism
	}
	var err error
	switch {
	case d.name == "ip4" || d.name == "ip6":
		d.net, err = parseNetwork(d.name, rest)
	default:
		if m.prefix {
			rest, err = d.prefixes(rest)
		}
		if err == nil {
			err = d.domain(rest, m)
		}
	}
	rec.directives = append(rec.directives, d)
	return err
}

func (d *directive) domain(rest string, m mechanism) error {
	if rest == "" {
		if m.needSpec {
			return errSyntax
		}
		return nil
	}
	if !m.spec || rest[0] != ':' {
		return errSyntax
	}
	d.spec = rest[1:]
	return checkSpec(d.spec)
}

// prefixes cuts the dual-cidr-length off the end of s.
func (d *directive) prefixes(s string) (string, error) {
	var err error
	if at := strings.LastIndex(s, "//"); at >= 0 && digits(s[at+2:]) {
		if d.bits6, err = prefixLength(s[at+2:], 128); err != nil {
			return s, err
		}
		s = s[:at]
	}
	if at := strings.LastIndexByte(s, '/'); at >= 0 && digits(s[at+1:]) {
		if d.bits4, err = prefixLength(s[at+1:], 32); err != nil {
			return s, err
		}
		s = s[:at]
	}
	return s, nil
}

func digits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

func prefixLength(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > most || len(s) > 1 && s[0] == '0' || !digits(s) {
		return 0, errPrefix
	}
	return n, nil
}

// parseNetwork reads what follows ip4 and ip6.
func parseNetwork(name, s string) (netip.Prefix, error) {
	if s == "" || s[0] != ':' {
		return netip.Prefix{}, errSyntax
	}
	text, length, hasLength := strings.Cut(s[1:], "/")
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Is4() != (name == "ip4") || ip.Zone() != "" {
		return netip.Prefix{}, errNetwork
	}
	bits := ip.BitLen()
	if hasLength {
		if bits, err = prefixLength(length, bits); err != nil {
			return netip.Prefix{}, err
		}
	}
	return netip.PrefixFrom(ip, bits), nil
}

// checkSpec checks a domain-spec: macros, and an end that is a macro or a top-level
// label with a dot before it (RFC 7208 §7.1).
func checkSpec(s string) error {
	if s == "" {
		return errSpec
	}
	if err := checkMacros(s, false); err != nil {
		return err
	}
	if s[len(s)-1] == '}' {
		if at := strings.LastIndex(s, "%{"); at >= 0 && strings.IndexByte(s[at:], '}') == len(s)-at-1 {
			return nil
		}
	}
	s = strings.TrimSuffix(s, ".")
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 {
		return errSpec
	}
	top := s[dot+1:]
	alpha := false
	for i := range len(top) {
		c := top[i]
		if !isAlpha(c) && !isDigit(c) && c != '-' {
			return errSpec
		}
		alpha = alpha || !isDigit(c)
	}
	if !alpha || top[0] == '-' || top[len(top)-1] == '-' {
		return errSpec
	}
	return nil
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
