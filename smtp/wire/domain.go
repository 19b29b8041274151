package wire

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"posthouse/mail"
)

// Limits of DNS, in octets of the A-label form; RFC 5321 §4.5.3.1.2 has the same.
const (
	maxDomain = 253
	maxLabel  = 63
)

// domains is IDNA2008 as UTS #46 maps it for lookup, without the transitional
// mappings. The names of hosts are checked by checkASCII, not by the profile: it
// would refuse the underscore, which exists in the wild.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true),
	idna.StrictDomainName(false), idna.Transitional(false))

// ParseDomain brings a domain name or an address literal (RFC 5321 §4.1.3), as
// A-labels or U-labels, in any case, with or without a trailing dot, into the
// normal form of [mail.Domain].
func ParseDomain(s string) (mail.Domain, error) {
	if strings.HasPrefix(s, "[") {
		return parseLiteral(s)
	}
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 4*maxDomain {
		return "", errSyntax("bad domain name")
	}
	lower, plain := lowerASCII(s)
	if plain {
		if !checkASCII(lower) {
			return "", errSyntax("bad domain name")
		}
		return mail.Domain(lower), nil
	}
	if !utf8.ValidString(s) {
		return "", errSyntax("domain name is not UTF-8")
	}
	u, err := domains.ToUnicode(s)
	if err != nil {
		return "", errSyntax("bad internationalised domain name")
	}
	// What has no A-label form can be neither looked up nor compared.
	if a, err := domains.ToASCII(u); err != nil || !checkASCII(a) {
		return "", errSyntax("bad internationalised domain name")
	} else if again, err := domains.ToUnicode(a); err != nil || again != u {
		return "", errSyntax("bad internationalised domain name")
	}
	return mail.Domain(u), nil
}

// DomainToASCII spells d with A-labels (RFC 5891 §4.4), as DNS and servers without
// SMTPUTF8 need it. Address literals stay as they are.
func DomainToASCII(d mail.Domain) (string, error) {
	s := string(d)
	if strings.HasPrefix(s, "[") || isASCII(s) {
		return s, nil
	}
	a, err := domains.ToASCII(s)
	if err != nil || !checkASCII(a) {
		return "", errSyntax("bad internationalised domain name")
	}
	return a, nil
}

// LiteralAddr returns the IP address of an address literal, RFC 5321 §4.1.3.
func LiteralAddr(d mail.Domain) (netip.Addr, bool) {
	s := string(d)
	if len(s) < 3 || s[0] != '[' || s[len(s)-1] != ']' {
		return netip.Addr{}, false
	}
	s = s[1 : len(s)-1]
	six := len(s) > 5 && strings.EqualFold(s[:5], "IPv6:")
	if six {
		s = s[5:]
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" || ip.Is4() == six {
		return netip.Addr{}, false
	}
	return ip, true
}

// Literal spells ip as an address literal, RFC 5321 §4.1.3.
func Literal(ip netip.Addr) mail.Domain {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return mail.Domain("[" + ip.String() + "]")
	}
	return mail.Domain("[IPv6:" + ip.String() + "]")
}

func parseLiteral(s string) (mail.Domain, error) {
	ip, ok := LiteralAddr(mail.Domain(s))
	if !ok {
		return "", errSyntax("bad address literal")
	}
	return Literal(ip), nil
}

// lowerASCII lowers s and reports whether that is all it needs: it is ASCII and
// has no A-label.
func lowerASCII(s string) (string, bool) {
	if !isASCII(s) {
		return "", false
	}
	s = strings.ToLower(s)
	return s, !strings.HasPrefix(s, "xn--") && !strings.Contains(s, ".xn--")
}

// checkASCII checks lengths and the letters, digits and hyphens of RFC 5321
// §4.1.2, and lets an underscore pass.
func checkASCII(s string) bool {
	if len(s) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !isLDH(label[i]) && label[i] != '_' {
				return false
			}
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
