// Package mtasts reads and fetches MTA-STS policies: which servers take mail for a
// domain, and that they prove it with a certificate, RFC 8461. It keeps nothing; the
// cache is its user's.
package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Mode says what follows when a server does not comply, RFC 8461 §5.
type Mode uint8

// The modes.
const (
	None    Mode = iota // there is no policy any more
	Testing             // report it, deliver all the same
	Enforce             // do not deliver there
)

var modes = [...]string{"none", "testing", "enforce"}

func (m Mode) String() string { return modes[m] }

// A Policy is what a domain says.
type Policy struct {
	Mode   Mode
	MX     []string // names, or "*." and a name
	MaxAge time.Duration
}

// Bounds of a policy. MaxBytes is that of RFC 8461 §3.3, MaxAge of §3.2.
const (
	MaxBytes = 64 << 10
	maxMX    = 1000
	maxAge   = 31557600 * time.Second
)

// ErrInvalid is a policy or a record that does not parse.
var ErrInvalid = errors.New("the MTA-STS policy is not valid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Parse reads the text of a policy, RFC 8461 §3.2. Fields that are not known do not
// count; of those that are, but mx, the first counts.
func Parse(text string) (Policy, error) {
	var p Policy
	if len(text) > MaxBytes {
		return p, invalid("more than %d bytes", MaxBytes)
	}
	seen := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
		if key = strings.TrimSpace(key); !ok || key == "" {
			if strings.TrimSpace(line) == "" {
				continue
			}
			return p, invalid("a line without a colon")
		}
		value = strings.Trim(value, " \t")
		if key == "mx" {
			if len(p.MX) < maxMX && isPattern(value) {
				p.MX = append(p.MX, strings.ToLower(strings.TrimSuffix(value, ".")))
			}
			continue
		}
		if _, twice := seen[key]; !twice {
			seen[key] = value
		}
	}
	if seen["version"] != "STSv1" {
		return p, invalid("no version STSv1")
	}
	mode := -1
	for i, name := range modes {
		if seen["mode"] == name {
			mode = i
		}
	}
	if mode < 0 {
		return p, invalid("mode %q", seen["mode"])
	}
	p.Mode = Mode(mode)
	seconds, err := strconv.ParseUint(seen["max_age"], 10, 40)
	if err != nil {
		return p, invalid("max_age %q", seen["max_age"])
	}
	p.MaxAge = min(time.Duration(min(seconds, 1<<31))*time.Second, maxAge)
	if len(p.MX) == 0 && p.Mode != None {
		return p, invalid("no mx")
	}
	return p, nil
}

// isPattern: letters, digits, hyphens and dots, with "*." in front at most.
func isPattern(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	return s != "" && len(s) <= 255 && !strings.HasPrefix(s, ".") && strings.IndexFunc(s, func(r rune) bool {
		return r != '-' && r != '.' && r != '_' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
	}) < 0
}

// Covers reports whether host may be an MX by the policy, RFC 8461 §4.1: a pattern
// stands for one label.
func (p Policy) Covers(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, parent, _ := strings.Cut(host, ".")
	for _, m := range p.MX {
		if m == host {
			return true
		}
		if rest, ok := strings.CutPrefix(m, "*."); ok && rest == parent {
			return true
		}
	}
	return false
}

// String is the text of the policy, as it is served.
func (p Policy) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\r\nmode: %s\r\n", p.Mode)
	for _, m := range p.MX {
		fmt.Fprintf(&b, "mx: %s\r\n", m)
	}
	fmt.Fprintf(&b, "max_age: %d\r\n", p.MaxAge/time.Second)
	return b.String()
}

// RecordID returns the id in the TXT records at "_mta-sts." and the domain, RFC 8461
// §3.1. Of records of this kind there must be one; false: there is no policy.
func RecordID(txt []string) (string, bool) {
	id, n := "", 0
	for _, s := range txt {
		if rest, ok := strings.CutPrefix(s, "v=STSv1"); ok && (rest == "" || strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";")) {
			n++
			id = idIn(rest)
		}
	}
	return id, n == 1 && id != ""
}

// idIn is the value of the tag id: 1 to 32 letters and digits.
func idIn(tags string) string {
	for tag := range strings.SplitSeq(tags, ";") {
		name, value, _ := strings.Cut(tag, "=")
		if strings.TrimSpace(name) != "id" {
			continue
		}
		value = strings.TrimSpace(value)
		bad := strings.IndexFunc(value, func(r rune) bool { return (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') })
		if len(value) > 32 || bad >= 0 {
			return ""
		}
		return value
	}
	return ""
}
