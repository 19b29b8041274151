package spf

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"posthouse/dns"
)

var (
	errLookups = errors.New("more than 10 lookups")
	errVoid    = errors.New("more than 2 lookups without an answer")
	errMX      = errors.New("more than 10 MX records")
	errTemp    = errors.New("DNS failed")
	errNone    = errors.New("an included domain has no policy")
	errMany    = errors.New("several policies")
)

// Limits of RFC 7208 §4.6.4.
const (
	maxLookups = 10
	maxVoid    = 2
	maxNames   = 10 // of an MX or PTR answer
)

// An evaluation is one check_host() with those that it includes.
type evaluation struct {
	r       dns.Resolver
	in      Input
	ip      netip.Addr
	sender  string // local part
	domain  string // of the sender
	lookups int
	void    int
	names   []string // of ip, validated
	asked   bool     // names is known
	err     error    // of validating them
}

func fault(err error) Result {
	if errors.Is(err, errTemp) {
		return Result{Status: TempError, Reason: err.Error()}
	}
	return Result{Status: PermError, Reason: err.Error()}
}

// host is check_host(), RFC 7208 §4. The lookups bound the depth.
func (e *evaluation) host(ctx context.Context, domain string, depth int) Result {
	if !isName(domain) || !strings.Contains(domain, ".") {
		return Result{}
	}
	text, res := e.policy(ctx, domain)
	if text == "" {
		return res
	}
	rec, err := parseRecord(text)
	if err != nil {
		return fault(err)
	}
	for i := range rec.directives {
		d := &rec.directives[i]
		match, err := e.match(ctx, d, domain, depth)
		if err != nil {
			return fault(err)
		}
		if match {
			res = Result{Status: d.result, Mechanism: d.text}
			if d.result == Fail && depth == 0 && rec.has["exp"] {
				res.Explanation = e.explain(ctx, rec.exp, domain)
			}
			return res
		}
	}
	if !rec.has["redirect"] {
		return Result{Status: Neutral, Mechanism: "default"}
	}
	if err := e.count(); err != nil {
		return fault(err)
	}
	res = e.host(ctx, e.target(ctx, rec.redirect, domain), depth)
	if res.Status == None {
		return fault(errNone)
	}
	return res
}

// policy finds the one policy of domain.
func (e *evaluation) policy(ctx context.Context, domain string) (string, Result) {
	a, err := e.r.LookupTXT(ctx, domain)
	switch {
	case err != nil && dns.IsAbsent(err):
		return "", Result{}
	case err != nil:
		return "", fault(errTemp)
	}
	found := ""
	for _, txt := range a.Records {
		switch {
		case !isRecord(txt):
		case found != "":
			return "", fault(errMany)
		default:
			found = txt
		}
	}
	return found, Result{}
}

func (e *evaluation) count() error {
	if e.lookups++; e.lookups > maxLookups {
		return errLookups
	}
	return nil
}

// answered judges the error of a lookup: one without an answer counts.
func (e *evaluation) answered(err error, n int) error {
	switch {
	case err == nil && n > 0:
		return nil
	case err != nil && !dns.IsAbsent(err):
		return errTemp
	}
	if e.void++; e.void > maxVoid {
		return errVoid
	}
	return nil
}

// target is the domain that a domain-spec means, cut at the left if it is too long.
func (e *evaluation) target(ctx context.Context, spec, domain string) string {
	if spec == "" {
		return domain
	}
	name := strings.TrimSuffix(e.expand(ctx, spec, domain), ".")
	for len(name) > 253 {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return ""
		}
		name = rest
	}
	return strings.ToLower(name)
}

// match evaluates one mechanism, RFC 7208 §5.
func (e *evaluation) match(ctx context.Context, d *directive, domain string, depth int) (bool, error) {
	switch d.name {
	case "all":
		return true, nil
	case "ip4", "ip6":
		return d.net.Contains(e.ip), nil
	}
	if err := e.count(); err != nil {
		return false, err
	}
	switch d.name {
	case "include":
		return e.include(ctx, e.target(ctx, d.spec, domain), depth+1)
	case "a":
		return e.address(ctx, d, e.target(ctx, d.spec, domain))
	case "mx":
		return e.mx(ctx, d, e.target(ctx, d.spec, domain))
	case "exists":
		a, err := e.r.LookupAddr(ctx, e.target(ctx, d.spec, domain))
		four := slices.ContainsFunc(a.Records, netip.Addr.Is4)
		return four, e.found(a.Missing, err, b2i(four))
	}
	return e.ptr(ctx, e.target(ctx, d.spec, domain))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (e *evaluation) include(ctx context.Context, domain string, depth int) (bool, error) {
	switch res := e.host(ctx, domain, depth); res.Status {
	case Pass:
		return true, nil
	case TempError:
		return false, errTemp
	case PermError:
		return false, errors.New(res.Reason)
	case None:
		return false, errNone
	}
	return false, nil
}

// address compares the client with the addresses of name.
func (e *evaluation) address(ctx context.Context, d *directive, name string) (bool, error) {
	a, err := e.r.LookupAddr(ctx, name)
	n := 0
	match := false
	for _, ip := range a.Records {
		if ip.Is4() != e.ip.Is4() {
			continue
		}
		n++
		bits := d.bits6
		if ip.Is4() {
			bits = d.bits4
		}
		match = match || netip.PrefixFrom(ip, bits).Contains(e.ip)
	}
	return match, e.found(a.Missing, err, n)
}

// found is answered for addresses of the one family that counts, of which there are n. If
// there are only others, and DNS did not say whether there are any of these, nothing is
// known (RFC 7208 §5).
func (e *evaluation) found(missing, err error, n int) error {
	if n == 0 && missing != nil {
		return errTemp
	}
	return e.answered(err, n)
}

func (e *evaluation) mx(ctx context.Context, d *directive, name string) (bool, error) {
	a, err := e.r.LookupMX(ctx, name)
	if err := e.answered(err, len(a.Records)); err != nil {
		return false, err
	}
	if len(a.Records) > maxNames {
		return false, errMX
	}
	for _, mx := range a.Records {
		if mx.Host == "." {
			continue
		}
		if match, err := e.address(ctx, d, mx.Host); match || err != nil {
			return match, err
		}
	}
	return false, nil
}

// ptr compares domain with the names of the client, RFC 7208 §5.5.
func (e *evaluation) ptr(ctx context.Context, domain string) (bool, error) {
	if err := e.reverse(ctx); err != nil {
		return false, err
	}
	return slices.ContainsFunc(e.names, func(n string) bool { return n == domain || strings.HasSuffix(n, "."+domain) }), nil
}

// reverse finds the names of the client that lead back to it.
func (e *evaluation) reverse(ctx context.Context) error {
	if e.asked {
		return e.err
	}
	e.asked = true
	a, err := e.r.LookupPTR(ctx, e.ip)
	if err != nil {
		if dns.IsAbsent(err) {
			e.err = e.answered(err, 0)
		}
		return e.err // a failure of DNS means no names
	}
	for _, name := range a.Records[:min(len(a.Records), maxNames)] {
		b, err := e.r.LookupAddr(ctx, name)
		if err == nil && slices.Contains(b.Records, e.ip) {
			e.names = append(e.names, strings.ToLower(strings.TrimSuffix(name, ".")))
		}
	}
	return nil
}

// validated is the value of %{p}: domain itself if the client has that name, else
// one below it, else any.
func (e *evaluation) validated(ctx context.Context, domain string) string {
	if e.reverse(ctx) != nil || len(e.names) == 0 {
		return "unknown"
	}
	if slices.Contains(e.names, domain) {
		return domain
	}
	for _, n := range e.names {
		if strings.HasSuffix(n, "."+domain) {
			return n
		}
	}
	return e.names[0]
}

// explain fetches what the domain has to say of a failure, RFC 7208 §6.2: nothing if
// anything is wrong with it.
func (e *evaluation) explain(ctx context.Context, spec, domain string) string {
	name := e.target(ctx, spec, domain)
	if !isName(name) {
		return ""
	}
	a, err := e.r.LookupTXT(ctx, name)
	if err != nil || len(a.Records) != 1 || checkMacros(a.Records[0], true) != nil {
		return ""
	}
	text := e.expand(ctx, a.Records[0], domain)
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return ""
		}
	}
	return text
}
