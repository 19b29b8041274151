package spf

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A macro is one %{…}, RFC 7208 §7.1.
type macro struct {
	letter  byte // lower case
	escape  bool // it was upper case
	keep    int  // right-hand labels; 0: all
	reverse bool
	delims  string
}

// parseMacro reads what stands between the braces.
func parseMacro(s string) (macro, error) {
	m := macro{delims: "."}
	if s == "" || strings.IndexByte("slodiphcrtv", s[0]|0x20) < 0 {
		return m, errMacro
	}
	m.letter, m.escape = s[0]|0x20, s[0] < 'a'
	s = s[1:]
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n > 0 {
		k, err := strconv.Atoi(s[:min(n, 6)])
		if err != nil || k == 0 {
			return m, errMacro
		}
		m.keep = k
		s = s[n:]
	}
	if s != "" && s[0]|0x20 == 'r' {
		m.reverse = true
		s = s[1:]
	}
	if s != "" {
		if strings.Trim(s, ".-+,/_=") != "" {
			return m, errMacro
		}
		m.delims = s
	}
	return m, nil
}

// checkMacros checks the syntax of a macro-string; those of explanations may use
// the letters c, r and t.
func checkMacros(s string, explanation bool) error {
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		i++
		switch {
		case i == len(s):
			return errMacro
		case s[i] == '%' || s[i] == '_' || s[i] == '-':
		case s[i] == '{':
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return errMacro
			}
			m, err := parseMacro(s[i+1 : i+end])
			if err != nil || !explanation && strings.IndexByte("crt", m.letter) >= 0 {
				return errMacro
			}
			i += end
		default:
			return errMacro
		}
	}
	return nil
}

// maxExpanded bounds what macros can blow up.
const maxExpanded = 2048

// expand replaces the macros of s, which checkMacros has seen. domain is that of the
// policy at hand.
func (e *evaluation) expand(ctx context.Context, s, domain string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxExpanded; i++ {
		if s[i] != '%' || i+1 >= len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case '_':
			b.WriteByte(' ')
		case '-':
			b.WriteString("%20")
		case '{':
			end := strings.IndexByte(s[i:], '}')
			m, err := parseMacro(s[i+1 : i+max(end, 1)])
			if end < 0 || err != nil {
				return b.String()
			}
			i += end
			b.WriteString(m.apply(e.letter(ctx, m.letter, domain)))
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// apply splits, turns round, cuts and escapes a value, RFC 7208 §7.3.
func (m macro) apply(v string) string {
	parts := split(v, m.delims)
	if m.reverse {
		slices.Reverse(parts)
	}
	if m.keep > 0 && m.keep < len(parts) {
		parts = parts[len(parts)-m.keep:]
	}
	v = strings.Join(parts, ".")
	if !m.escape {
		return v
	}
	var b strings.Builder
	for i := range len(v) {
		if c := v[i]; isAlpha(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(strconv.FormatInt(int64(c)|0x100, 16)[1:]))
		}
	}
	return b.String()
}

func split(v, delims string) []string {
	var parts []string
	for {
		at := strings.IndexAny(v, delims)
		if at < 0 {
			return append(parts, v)
		}
		parts = append(parts, v[:at])
		v = v[at+1:]
	}
}

// letter is the value of a macro letter, RFC 7208 §7.2.
func (e *evaluation) letter(ctx context.Context, c byte, domain string) string {
	switch c {
	case 's':
		return e.sender + "@" + e.domain
	case 'l':
		return e.sender
	case 'o':
		return e.domain
	case 'd':
		return domain
	case 'i':
		return dotted(e.ip)
	case 'p':
		return e.validated(ctx, domain)
	case 'v':
		if e.ip.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'h':
		return e.in.Hello
	case 'c':
		return e.ip.String()
	case 'r':
		if e.in.Host == "" {
			return "unknown"
		}
		return e.in.Host
	case 't':
		return strconv.FormatInt(e.in.Now.Unix(), 10)
	}
	return ""
}

// dotted is the address as "192.0.2.1", or the nibbles of an IPv6 one.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	b := make([]byte, 0, 64)
	for _, c := range ip.As16() {
		b = append(b, "0123456789ABCDEF"[c>>4], '.', "0123456789ABCDEF"[c&15], '.')
	}
	return string(b[:len(b)-1])
}
