package queue

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"posthouse/dns"
	"posthouse/mail"
	"posthouse/sasl"
	"posthouse/smtp/wire"
	"posthouse/smtpclient"
	"posthouse/tlspolicy"
)

// A Hop is a server that the operator named: it takes mail without regard to MX
// records and may have any address.
type Hop struct {
	Host string // a name, in A-labels, or an IP address
	Port uint16
	Unix string // path of a socket instead of them, for LMTP
	Mode smtpclient.Mode
	TLS  smtpclient.TLSPolicy
	Auth *sasl.Credentials
	// PlainAuth allows Auth without TLS.
	PlainAuth bool
}

// name is the destination of what goes to the hop. No domain contains a slash.
func (h Hop) name() string {
	if h.Unix != "" {
		return h.Unix
	}
	return fmt.Sprintf("%s/%d", h.Host, h.Port)
}

// parseHop reads a hop as name spells it.
func parseHop(name string) (Hop, error) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return Hop{}, fmt.Errorf("queue: %q is no host/port", name)
	}
	port, err := strconv.ParseUint(name[i+1:], 10, 16)
	if err != nil || i == 0 {
		return Hop{Unix: name, Mode: smtpclient.LMTP}, nil
	}
	return Hop{Host: name[:i], Port: uint16(port)}, nil
}

// A Router says which mail does not go by MX.
type Router interface {
	// Route returns the hop for a domain, or false: by MX.
	Route(d mail.Domain) (Hop, bool)
}

// Routes is the Router of the configuration file.
type Routes struct {
	Smarthost *Hop                // for every domain that is not in Domains
	Domains   map[mail.Domain]Hop // exact
	Below     map[mail.Domain]Hop // every domain below the key, the nearest first
}

// Route implements Router.
func (r Routes) Route(d mail.Domain) (Hop, bool) {
	if h, ok := r.Domains[d]; ok {
		return h, true
	}
	for rest, more := string(d), len(r.Below) > 0; more; {
		if _, rest, more = strings.Cut(rest, "."); more {
			if h, ok := r.Below[mail.Domain(rest)]; ok {
				return h, true
			}
		}
	}
	if r.Smarthost != nil {
		return *r.Smarthost, true
	}
	return Hop{}, false
}

// destOf is the destination of mail for d.
func (q *Queue) destOf(d mail.Domain) string {
	if h, ok := q.set().Router.Route(d); ok {
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

// A server is one host: its addresses, and how to talk to it.
type server struct {
	targets []smtpclient.Target
	plan    *tlspolicy.Plan // nil: none
}

// A route is the servers for one attempt, in the order in which to try them.
type route struct {
	servers []server
	site    string // whose servers they are; "": one's own
	need    tlspolicy.Need
	hop     bool // named by the operator
	unsure  bool // there may be more servers, which cannot be asked for now
}

// route finds the servers for mail of e to d. An error is a *verdict.
func (q *Queue) route(ctx context.Context, e *entry, d mail.Domain) (route, error) {
	need := tlspolicy.NeedOf(&e.rec.env)
	if h, ok := q.hopOf(e, d); ok {
		t, err := q.hopTargets(ctx, h, need)
		return route{servers: []server{{targets: t}}, need: need, hop: true}, err
	}
	if ip, ok := wire.LiteralAddr(d); ok {
		if slices.Contains(q.opts.SelfAddrs, ip) {
			return route{}, loop(string(d))
		}
		if need == tlspolicy.NeedTLS {
			return route{}, denied(550, [3]uint8{5, 7, 10}, "the message requires verified TLS, and nobody vouches for %s", d)
		}
		return route{servers: []server{{targets: []smtpclient.Target{{Host: ip.String(), Addr: netip.AddrPortFrom(ip, q.opts.MXPort)}}}}}, nil
	}
	name, err := wire.DomainToASCII(d)
	if err != nil || name == "" {
		return route{}, denied(553, [3]uint8{5, 1, 2}, "%q is not a mail domain", d)
	}
	mx, err := q.exchangers(ctx, name)
	if err != nil {
		return route{}, err
	}
	var td *tlspolicy.Domain
	if q.set().TLS != nil {
		td = q.set().TLS.Domain(ctx, name, mx.secure, need)
	} else if need == tlspolicy.NeedTLS {
		return route{}, denied(550, [3]uint8{5, 7, 10}, "the message requires verified TLS, which is not configured here")
	}
	rt, err := q.mxServers(ctx, d, mx, td)
	rt.need, rt.site = need, siteOf(mx.records)
	return rt, err
}

// siteOf names the site of servers: the organizational domain of the most preferred
// one, the first by name.
func siteOf(mx []dns.MX) string {
	first := mx[0]
	for _, m := range mx {
		if m.Preference == first.Preference && m.Host < first.Host {
			first = m
		}
	}
	if org, err := publicsuffix.EffectiveTLDPlusOne(first.Host); err == nil {
		return org
	}
	return first.Host
}

// hopOf is the hop for mail of e to d, if it has one.
func (q *Queue) hopOf(e *entry, d mail.Domain) (Hop, bool) {
	if e.st.route != "" {
		if h, err := parseHop(e.st.route); err == nil {
			return h, true
		}
	}
	return q.set().Router.Route(d)
}

// A mxSet is the MX records of a domain in order.
type mxSet struct {
	records []dns.MX
	secure  bool // validated by DNSSEC
}

// exchangers returns the MX records of a domain in order: by preference, equal ones
// shuffled. RFC 5321 §5.1.
func (q *Queue) exchangers(ctx context.Context, name string) (mxSet, error) {
	a, err := q.opts.Resolver.LookupMX(ctx, name)
	var de *dns.Error
	switch {
	case errors.Is(err, dns.ErrNoData):
		return mxSet{[]dns.MX{{Host: name}}, errors.As(err, &de) && de.Secure}, nil // the implicit MX
	case errors.Is(err, dns.ErrNotExist), errors.Is(err, dns.ErrBadName):
		return mxSet{}, denied(550, [3]uint8{5, 1, 2}, "the domain %s does not exist", name)
	case err != nil:
		return mxSet{}, denied(451, [3]uint8{4, 4, 3}, "the mail servers of %s cannot be looked up just now", name)
	}
	if len(a.Records) == 1 && a.Records[0].Host == "." { // RFC 7505 §4.2
		return mxSet{}, denied(556, [3]uint8{5, 1, 10}, "the domain %s takes no mail", name)
	}
	mx := shuffled(a.Records, q.opts.Rand)
	slices.SortStableFunc(mx, func(a, b dns.MX) int { return int(a.Preference) - int(b.Preference) })
	return mxSet{mx, a.Secure}, nil
}

// loop is the verdict for mail that would come back to us: nobody here has the
// address, and everybody else would send it here.
func loop(name string) error {
	return denied(554, [3]uint8{5, 4, 6}, "mail for %s loops back to this server, which does not know the domain", name)
}

// mxServers looks up the addresses of MX hosts, and how to talk to them. If one of them
// is ourselves, it and those that are as far away or farther are no way forward (RFC
// 5321 §5.1). td is nil where nothing is known about TLS.
func (q *Queue) mxServers(ctx context.Context, d mail.Domain, mx mxSet, td *tlspolicy.Domain) (route, error) {
	var rt route
	var prefs []uint16
	var excluded *tlspolicy.Excluded
	n := 0
	for _, m := range mx.records {
		if m.Host == "." || n >= maxHosts {
			continue
		}
		sv, addrs, err := q.mxServer(ctx, m.Host, td)
		if q.isSelf(m.Host, addrs) {
			at, _ := slices.BinarySearch(prefs, m.Preference)
			if at == 0 && !rt.unsure && excluded == nil {
				return route{}, loop(string(d))
			}
			rt.servers = rt.servers[:at]
			break
		}
		var ex *tlspolicy.Excluded
		switch {
		case errors.As(err, &ex):
			if excluded == nil || !ex.Reply.Permanent() {
				excluded = ex
			}
		case err != nil:
			rt.unsure = rt.unsure || !dns.IsAbsent(err)
		default:
			n += len(sv.targets)
			rt.servers, prefs = append(rt.servers, sv), append(prefs, m.Preference)
		}
	}
	rt.unsure = rt.unsure || excluded != nil && !excluded.Reply.Permanent()
	switch {
	case len(rt.servers) > 0:
		return rt, nil
	case excluded != nil && (!rt.unsure || excluded.Reply.Transient()):
		return route{}, &verdict{excluded.Reply}
	case rt.unsure || ctx.Err() != nil:
		return route{}, denied(451, [3]uint8{4, 4, 3}, "the addresses of the mail servers of %s cannot be looked up just now", d)
	}
	return route{}, denied(550, [3]uint8{5, 1, 2}, "the domain %s has no mail server", d)
}

func (q *Queue) isSelf(host string, addrs []netip.Addr) bool {
	return strings.EqualFold(host, q.opts.Hostname) ||
		slices.ContainsFunc(addrs, func(ip netip.Addr) bool { return slices.Contains(q.opts.SelfAddrs, ip) })
}

// mxServer looks up one host. The addresses are returned with an *Excluded too.
func (q *Queue) mxServer(ctx context.Context, host string, td *tlspolicy.Domain) (server, []netip.Addr, error) {
	if strings.EqualFold(host, q.opts.Hostname) {
		return server{}, nil, nil
	}
	a, err := q.opts.Resolver.LookupAddr(ctx, host)
	if err != nil {
		return server{}, nil, err
	}
	sv := server{}
	var policy smtpclient.TLSPolicy
	if td != nil && !q.isSelf(host, a.Records) {
		if sv.plan, err = td.Plan(ctx, host, a); err != nil {
			return server{}, a.Records, err
		}
		policy = sv.plan.TLS
	}
	for _, ip := range interleave(shuffled(a.Records, q.opts.Rand)) {
		sv.targets = append(sv.targets, smtpclient.Target{Host: host, Addr: netip.AddrPortFrom(ip, q.opts.MXPort), TLS: policy})
	}
	sv.targets = sv.targets[:min(len(sv.targets), maxHosts)]
	return sv, a.Records, nil
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
func (q *Queue) hopTargets(ctx context.Context, h Hop, need tlspolicy.Need) ([]smtpclient.Target, error) {
	t := smtpclient.Target{Host: h.Host, Unix: h.Unix, Mode: h.Mode, TLS: h.TLS, Auth: h.Auth, PlainAuth: h.PlainAuth}
	t.TLS.Key = "hop"
	if need == tlspolicy.NeedTLS && h.Unix == "" {
		if h.TLS.Verify == nil {
			return nil, denied(550, [3]uint8{5, 7, 10}, "the message requires verified TLS, which is not configured for the next server, %s", h.Host)
		}
		t.TLS.Offer, t.TLS.Key = "REQUIRETLS", "hop required"
	}
	if h.Unix != "" {
		return []smtpclient.Target{t}, nil
	}
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
	out := make([]smtpclient.Target, min(len(ips), maxHosts))
	for i := range out {
		out[i] = t
		out[i].Addr = netip.AddrPortFrom(ips[i], h.Port)
	}
	return out, nil
}
