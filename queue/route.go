package queue

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"posthouse/dns"
	"posthouse/mail"
	"posthouse/sasl"
	"posthouse/smtp/wire"
	"posthouse/smtpclient"
)

// A Hop is a server that the operator named: it takes mail without regard to MX
// records and may have any address.
type Hop struct {
	Host string // a name, in A-labels, or an IP address
	Port uint16
	Mode smtpclient.Mode
	TLS  smtpclient.TLSPolicy
	Auth *sasl.Credentials
	// PlainAuth allows Auth without TLS.
	PlainAuth bool
}

// name is the destination of what goes to the hop. No domain contains a slash.
func (h Hop) name() string { return fmt.Sprintf("%s/%d", h.Host, h.Port) }

// A Router says which mail does not go by MX.
type Router interface {
	// Route returns the hop for a domain, or false: by MX.
	Route(d mail.Domain) (Hop, bool)
}

// Routes is the Router of the configuration file.
type Routes struct {
	Smarthost *Hop                // for every domain that is not in Domains
	Domains   map[mail.Domain]Hop // exact
}

// Route implements Router.
func (r Routes) Route(d mail.Domain) (Hop, bool) {
	if h, ok := r.Domains[d]; ok {
		return h, true
	}
	if r.Smarthost != nil {
		return *r.Smarthost, true
	}
	return Hop{}, false
}

// destOf is the destination of mail for d.
func (q *Queue) destOf(d mail.Domain) string {
	if h, ok := q.opts.Router.Route(d); ok {
		return h.name()
	}
	return string(d)
}

// maxHosts bounds the addresses tried in one attempt, and maxSessions those of
// them that took a connection: a second opinion is worth having, a tenth is not.
const (
	maxHosts    = 10
	maxSessions = 2
)

// A verdict is why there is no host to try.
type verdict struct{ reply mail.Reply }

func (v *verdict) Error() string { return v.reply.String() }

func denied(code int, enhanced [3]uint8, format string, args ...any) error {
	return &verdict{mail.Reply{Code: code, Enhanced: enhanced, Text: fmt.Sprintf(format, args...)}}
}

// A route is the servers for one attempt, in the order in which to try them.
type route struct {
	targets []smtpclient.Target
	hop     bool // named by the operator
}

// route finds the servers for mail to d. An error is a *verdict.
func (q *Queue) route(ctx context.Context, d mail.Domain) (route, error) {
	if h, ok := q.opts.Router.Route(d); ok {
		t, err := q.hopTargets(ctx, h)
		return route{t, true}, err
	}
	if ip, ok := wire.LiteralAddr(d); ok {
		if slices.Contains(q.opts.SelfAddrs, ip) {
			return route{}, loop(string(d))
		}
		return route{targets: []smtpclient.Target{{Host: ip.String(), Addr: netip.AddrPortFrom(ip, q.opts.MXPort)}}}, nil
	}
	name, err := wire.DomainToASCII(d)
	if err != nil || name == "" {
		return route{}, denied(553, [3]uint8{5, 1, 2}, "%q is not a mail domain", d)
	}
	mx, err := q.exchangers(ctx, name)
	if err != nil {
		return route{}, err
	}
	t, err := q.mxTargets(ctx, d, mx)
	return route{targets: t}, err
}

// exchangers returns the MX records of a domain in order: by preference, equal ones
// shuffled. RFC 5321 §5.1.
func (q *Queue) exchangers(ctx context.Context, name string) ([]dns.MX, error) {
	a, err := q.opts.Resolver.LookupMX(ctx, name)
	switch {
	case errors.Is(err, dns.ErrNoData):
		return []dns.MX{{Host: name}}, nil // the implicit MX
	case errors.Is(err, dns.ErrNotExist), errors.Is(err, dns.ErrBadName):
		return nil, denied(550, [3]uint8{5, 1, 2}, "the domain %s does not exist", name)
	case err != nil:
		return nil, denied(451, [3]uint8{4, 4, 3}, "the mail servers of %s cannot be looked up just now", name)
	}
	if len(a.Records) == 1 && a.Records[0].Host == "." { // RFC 7505 §4.2
		return nil, denied(556, [3]uint8{5, 1, 10}, "the domain %s takes no mail", name)
	}
	mx := shuffled(a.Records, q.opts.Rand)
	slices.SortStableFunc(mx, func(a, b dns.MX) int { return int(a.Preference) - int(b.Preference) })
	return mx, nil
}

// loop is the verdict for mail that would come back to us: nobody here has the
// address, and everybody else would send it here.
func loop(name string) error {
	return denied(554, [3]uint8{5, 4, 6}, "mail for %s loops back to this server, which does not know the domain", name)
}

// mxTargets looks up the addresses of MX hosts. If one of them is ourselves, it and
// those that are as far away or farther are no way forward (RFC 5321 §5.1).
func (q *Queue) mxTargets(ctx context.Context, d mail.Domain, mx []dns.MX) ([]smtpclient.Target, error) {
	var out []smtpclient.Target
	var prefs []uint16
	unsure := false
	for _, m := range mx {
		if m.Host == "." || len(out) >= maxHosts {
			continue
		}
		var ips []netip.Addr
		policy := smtpclient.TLSPolicy{}
		self := strings.EqualFold(m.Host, q.opts.Hostname)
		if !self {
			a, err := q.opts.Resolver.LookupAddr(ctx, m.Host)
			if err == nil && q.opts.TLS != nil {
				policy, err = q.opts.TLS(ctx, d, m.Host)
			}
			if err != nil {
				unsure = unsure || !dns.IsAbsent(err)
				continue
			}
			ips = interleave(shuffled(a.Records, q.opts.Rand))
			self = slices.ContainsFunc(ips, func(ip netip.Addr) bool { return slices.Contains(q.opts.SelfAddrs, ip) })
		}
		if self {
			n, _ := slices.BinarySearch(prefs, m.Preference)
			if n == 0 && !unsure {
				return nil, loop(string(d))
			}
			out = out[:n]
			break
		}
		for _, ip := range ips {
			out = append(out, smtpclient.Target{Host: m.Host, Addr: netip.AddrPortFrom(ip, q.opts.MXPort), TLS: policy})
			prefs = append(prefs, m.Preference)
		}
	}
	switch {
	case len(out) > 0:
		return out[:min(len(out), maxHosts)], nil
	case unsure || ctx.Err() != nil:
		return nil, denied(451, [3]uint8{4, 4, 3}, "the addresses of the mail servers of %s cannot be looked up just now", d)
	}
	return nil, denied(550, [3]uint8{5, 1, 2}, "the domain %s has no mail server", d)
}

// shuffled returns a copy of s in random order.
func shuffled[T any](s []T, random func() float64) []T {
	s = slices.Clone(s)
	for i := len(s) - 1; i > 0; i-- {
		j := min(i, int(random()*float64(i+1)))
		s[i], s[j] = s[j], s[i]
	}
	return s
}

// interleave alternates between the families, so that a broken one costs one try.
func interleave(ips []netip.Addr) []netip.Addr {
	var four, six, out []netip.Addr
	for _, ip := range ips {
		if ip.Is4() {
			four = append(four, ip)
		} else {
			six = append(six, ip)
		}
	}
	for len(four) > 0 || len(six) > 0 {
		if len(six) > 0 {
			out, six = append(out, six[0]), six[1:]
		}
		if len(four) > 0 {
			out, four = append(out, four[0]), four[1:]
		}
	}
	return out
}

// hopTargets looks up the addresses of a hop. Its failures are never final: a wrong
// name is the operator's mistake, not the sender's.
func (q *Queue) hopTargets(ctx context.Context, h Hop) ([]smtpclient.Target, error) {
	var ips []netip.Addr
	if ip, err := netip.ParseAddr(h.Host); err == nil {
		ips = []netip.Addr{ip}
	} else if strings.EqualFold(h.Host, "localhost") {
		ips = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	} else {
		a, err := q.opts.Resolver.LookupAddr(ctx, h.Host)
		if err != nil {
			return nil, denied(451, [3]uint8{4, 4, 3}, "the next server, %s, cannot be looked up", h.Host)
		}
		ips = interleave(shuffled(a.Records, q.opts.Rand))
	}
	var out []smtpclient.Target
	for _, ip := range ips[:min(len(ips), maxHosts)] {
		out = append(out, smtpclient.Target{Host: h.Host, Addr: netip.AddrPortFrom(ip, h.Port),
			Mode: h.Mode, TLS: h.TLS, Auth: h.Auth, PlainAuth: h.PlainAuth})
	}
	return out, nil
}
