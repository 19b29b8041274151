// Package spf answers whether a host may send mail in the name of a domain, by the
// Sender Policy Framework, RFC 7208.
//
// [Check] is the check_host() of RFC 7208 §4 for the reverse-path, [CheckHello] for
// the name in EHLO. What DNS could not tell is TempError. An evaluation makes at
// most 10 lookups that count, 2 of them without an answer, at most 10 addresses per
// MX or PTR, and ends with its context. The package does no I/O but through its
// dns.Resolver and keeps no state.
package spf

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"posthouse/dns"
	"posthouse/mail"
)

// A Status is the outcome, RFC 7208 §2.6.
type Status uint8

// The outcomes.
const (
	None      Status = iota // there is no policy
	Neutral                 // the domain does not say
	Pass                    // the host may
	Fail                    // it may not
	SoftFail                // it probably may not
	TempError               // DNS failed; it may not later
	PermError               // the policy cannot be understood
)

func (s Status) String() string {
	return [...]string{"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}[s]
}

// A Result is the outcome of one check.
type Result struct {
	Status    Status
	Domain    string // whose policy it is, A-labels
	Mechanism string // what decided, as "ip4:192.0.2.0/24" or "default"
	Reason    string // of TempError and PermError
	// Explanation is what the domain itself says of a Fail (RFC 7208 §6.2): printable
	// ASCII, by a stranger; "" if nothing.
	Explanation string
	Lookups     int // that counted
}

// Input is what a check knows of the peer.
type Input struct {
	IP     netip.Addr
	Hello  string       // as the peer names itself
	Sender mail.Address // the reverse-path; null: postmaster at Hello
	Host   string       // this server, for explanations
	Now    time.Time    // for explanations
}

// Check judges the reverse-path; if that is null, the name in EHLO (RFC 7208 §2.4).
func Check(ctx context.Context, r dns.Resolver, in Input) Result {
	domain := string(in.Sender.Domain)
	if in.Sender.IsNull() {
		domain = in.Hello
	}
	return check(ctx, r, in, domain)
}

// CheckHello judges the name in EHLO, RFC 7208 §2.3.
func CheckHello(ctx context.Context, r dns.Resolver, in Input) Result {
	in.Sender = mail.Address{}
	return check(ctx, r, in, in.Hello)
}

func check(ctx context.Context, r dns.Resolver, in Input, domain string) Result {
	domain, ok := usable(domain)
	if !ok || !in.IP.IsValid() {
		return Result{Domain: domain}
	}
	e := &evaluation{r: r, in: in, ip: in.IP.Unmap().WithZone(""), sender: "postmaster", domain: domain}
	if in.Sender.Local != "" {
		e.sender = in.Sender.Local
	}
	res := e.host(ctx, domain, 0)
	res.Domain, res.Lookups = domain, e.lookups
	if res.Status != Fail {
		res.Explanation = ""
	}
	return res
}

// usable checks a domain as RFC 7208 §4.3 wants it: several labels, none of them
// empty or too long. A literal has no policy.
func usable(domain string) (string, bool) {
	for i := range len(domain) {
		if domain[i] >= 0x80 {
			a, err := idna.Lookup.ToASCII(domain)
			if err != nil {
				return "", false
			}
			domain = a
			break
		}
	}
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	return domain, strings.Contains(domain, ".") && isName(domain) && domain[len(domain)-1] != ']'
}

// isName reports whether DNS can be asked for s.
func isName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
