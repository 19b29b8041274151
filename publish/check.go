package publish

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"posthouse/directory"
	"posthouse/dns"
	"posthouse/mail"
	"posthouse/mailauth/dmarc"
	"posthouse/mailauth/iprev"
	"posthouse/mailauth/spf"
	"posthouse/tlspolicy/dane"
	"posthouse/tlspolicy/mtasts"
	"posthouse/tlspolicy/tlsrpt"
)

// A Level says how bad a finding is.
type Level uint8

// The levels.
const (
	OK      Level = iota
	Warning       // mail works; something could be better, or could not be found out
	Error         // mail is lost, refused or distrusted
)

func (l Level) String() string { return [...]string{"ok", "warning", "error"}[min(l, Error)] }

// A Finding is what one look at DNS or the network showed.
type Finding struct {
	Check string // what was looked at, as "mx"
	Level Level
	Text  string
	Fix   string // what to do; "" if nothing
}

// checkTime bounds a whole check.
const checkTime = time.Minute

// A checker checks one domain. Each of its checks adds findings.
type checker struct {
	s     *Service
	d     mail.Domain
	name  string // of the domain, in DNS
	host  string // of the server
	now   string // the check that runs
	found []Finding

	mx    []dns.MX
	addrs []netip.Addr // of host, in DNS
}

// A check looks at one thing.
type check struct {
	name string
	run  func(ctx context.Context)
}

// checks are all that is checked, in this order.
func (c *checker) checks() []check {
	return []check{
		{"mx", c.checkMX}, {"address", c.checkAddress}, {"reach", c.checkReach}, {"rdns", c.checkReverse}, {"dnssec", c.checkDNSSEC},
		{"spf", c.checkSPF}, {"dkim", c.checkDKIM}, {"dmarc", c.checkDMARC}, {"certificate", c.checkCertificate},
		{"mta-sts", c.checkSTS}, {"tlsa", c.checkTLSA}, {"tls-rpt", c.checkTLSRPT}, {"programs", c.checkPrograms},
		{"caa", c.checkCAA},
	}
}

// Check looks whether a domain publishes what it should, and whether it is right.
func (s *Service) Check(ctx context.Context, d mail.Domain) ([]Finding, error) {
	name, err := s.ascii(ctx, "publish.Check", d)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	c := &checker{s: s, d: d, name: name, host: strings.ToLower(strings.TrimSuffix(s.opts.Hostname, "."))}
	for _, ch := range c.checks() {
		c.now = ch.name
		ch.run(ctx)
	}
	return c.found, nil
}

func (c *checker) add(l Level, fix, format string, args ...any) {
	c.found = append(c.found, Finding{c.now, l, fmt.Sprintf(format, args...), fix})
}

// failed says why a lookup brought nothing: if the record is not there, at that level;
// else that DNS does not answer.
func (c *checker) failed(err error, absent Level, name, typ, fix string) {
	if dns.IsAbsent(err) {
		c.add(absent, fix, "%s has no %s record.", name, typ)
		return
	}
	c.add(Warning, "Try again; if it stays, look at the name servers of the domain.", "DNS does not answer about %s %s: %v", name, typ, err)
}

const seeRecords = "posthouse domain records shows the record."

func (c *checker) checkMX(ctx context.Context) {
	a, err := c.s.opts.Resolver.LookupMX(ctx, c.name)
	if err != nil {
		c.failed(err, Error, c.name, "MX", seeRecords)
		return
	}
	c.mx = a.Records
	best, ours := uint16(0xffff), uint16(0)
	found := false
	for _, r := range c.mx {
		best = min(best, r.Preference)
		if r.Host == c.host {
			found, ours = true, r.Preference
		}
	}
	switch {
	case c.mx[0].Host == ".":
		c.add(Error, seeRecords, "%s says that it takes no mail (null MX).", c.name)
	case !found:
		c.add(Error, seeRecords, "Mail for %s goes to %s, not to this server (%s).", c.name, c.mx[0].Host, c.host)
	case ours > best:
		c.add(Warning, "Give this server the lowest number, if the other is not on purpose in front of it.", "Other servers are tried before this one.")
	default:
		c.add(OK, "", "Mail for %s comes to %s.", c.name, c.host)
	}
	for _, r := range c.mx {
		if _, err := netip.ParseAddr(r.Host); err == nil {
			c.add(Error, "Name the server, and give the name an address.", "The MX record names an address (%s) instead of a host.", r.Host)
		}
	}
}

func (c *checker) checkAddress(ctx context.Context) {
	a, err := c.s.opts.Resolver.LookupAddr(ctx, c.host)
	if err != nil {
		c.failed(err, Error, c.host, "A or AAAA", seeRecords)
		return
	}
	c.addrs = a.Records
	own := c.s.opts.Addresses()
	if len(own) == 0 || slices.ContainsFunc(own, func(o netip.Addr) bool { return slices.Contains(c.addrs, o.Unmap()) }) {
		c.add(OK, "", "%s has the address %s.", c.host, join(c.addrs))
		return
	}
	c.add(Warning, "Fine behind a router that passes the ports on; else give the name the address of this machine.", "%s has the address %s, which this machine (%s) does not.", c.host, join(c.addrs), join(own))
}

func join(list []netip.Addr) string {
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}

// senders are the addresses from which others see us send.
func (c *checker) senders() []netip.Addr {
	if own := public(c.s.opts.Addresses()); len(own) > 0 {
		return own
	}
	return c.addrs
}

func (c *checker) checkReverse(ctx context.Context) {
	for _, a := range c.senders() {
		fix := "At who gives you the address: let it lead to " + c.host + "."
		r := iprev.Check(ctx, c.s.opts.Resolver, a)
		switch {
		case r.Status == iprev.Pass && strings.EqualFold(r.Name, c.host):
			c.add(OK, "", "%s leads to %s and back.", a, c.host)
		case r.Status == iprev.Pass:
			c.add(Warning, fix, "%s leads to %s and back, but this server calls itself %s.", a, r.Name, c.host)
		case r.Status == iprev.TempError:
			c.add(Warning, "Try again.", "DNS does not answer about the name of %s.", a)
		case r.Status == iprev.PermError:
			c.add(Error, fix, "%s has no name (PTR): most servers refuse mail from it.", a)
		default:
			c.add(Error, fix, "The name of %s does not lead back to it: most servers refuse mail from it.", a)
		}
	}
}

func (c *checker) checkDNSSEC(ctx context.Context) {
	for _, name := range slices.Compact([]string{c.name, c.host}) {
		secure := false
		if name == c.name {
			a, err := c.s.opts.Resolver.LookupMX(ctx, name)
			secure = err == nil && a.Secure
		} else {
			a, err := c.s.opts.Resolver.LookupAddr(ctx, name)
			secure = err == nil && a.Secure
		}
		if secure {
			c.add(OK, "", "%s is signed, and the resolver here has validated it.", name)
		} else {
			c.add(Warning, "Sign the zone (DNSSEC) where it is kept. If it is signed, let this server ask a resolver that validates, best on this machine.",
				"%s is not signed, or the resolver here does not validate: without it, DANE does not count.", name)
		}
	}
}

func (c *checker) checkSPF(ctx context.Context) {
	list, err := c.s.spfOf(ctx, c.name)
	switch {
	case err != nil:
		c.failed(err, Error, c.name, "TXT", "")
		return
	case len(list) == 0:
		c.add(Error, seeRecords, "%s has no SPF record: nobody knows who may send its mail.", c.name)
		return
	case len(list) > 1:
		c.add(Error, "posthouse domain records shows one that holds what all of them say.", "%s has %d SPF records: receivers take that for an error, and mail for unauthorized.", c.name, len(list))
		return
	}
	switch n := c.s.spfLookups(ctx, list[0]); {
	case n > maxSPF:
		c.add(Error, "Take out an include that nobody needs, or write the addresses (ip4:, ip6:) in its place.", "The SPF record needs %d questions to DNS; receivers stop at %d with an error.", n, maxSPF)
	case n >= maxSPF-1:
		c.add(Warning, "Leave room: what you include may grow.", "The SPF record needs %d questions to DNS of %d that are allowed.", n, maxSPF)
	}
	if strings.HasSuffix(strings.ToLower(list[0]), "+all") || strings.HasSuffix(strings.ToLower(list[0]), " all") {
		c.add(Error, "End it with -all or ~all.", "The SPF record lets everybody send mail of %s.", c.name)
	}
	sender := mail.Address{Local: "postmaster", Domain: mail.Domain(c.name)}
	for _, a := range c.senders() {
		r := spf.Check(ctx, c.s.opts.Resolver, spf.Input{IP: a, Hello: c.host, Sender: sender, Host: c.host, Now: c.s.opts.Now()})
		switch r.Status {
		case spf.Pass:
			c.add(OK, "", "SPF lets this server send (%s, by %s).", a, r.Mechanism)
		case spf.TempError:
			c.add(Warning, "Try again.", "SPF for %s cannot be found out: %s.", a, r.Reason)
		default:
			c.add(Error, seeRecords, "SPF does not let this server send from %s: %s. %s", a, r.Status, r.Reason)
		}
	}
}

func (c *checker) checkDKIM(ctx context.Context) {
	keys, err := c.s.Keys(ctx, c.d)
	if err != nil {
		c.add(Error, "posthouse check", "The keys cannot be read: %v", err)
		return
	}
	if len(keys) == 0 {
		c.add(Error, "posthouse domain records makes the keys.", "Mail of %s is not signed: there are no keys.", c.name)
	}
	for _, k := range keys {
		l := OK
		text := fmt.Sprintf("%s (%s) is %s, and its record is there.", k.Selector, k.Kind, k.State)
		if k.Sight != directory.Present {
			text = fmt.Sprintf("%s (%s) is %s: %s.", k.Selector, k.Kind, k.State, k.Why)
			l = Warning
			if k.Sight == directory.Absent && k.State == directory.KeyActive {
				l = Error
			}
		}
		if k.State == directory.KeyRetired && k.Sight == directory.Absent {
			continue
		}
		fix := ""
		if k.Act {
			fix = "posthouse domain keys: " + k.Advice + "."
			l = max(l, Warning)
		}
		c.add(l, fix, "%s", text)
	}
}

func (c *checker) checkDMARC(ctx context.Context) {
	p := dmarc.Discover(ctx, c.s.opts.Resolver, c.name)
	switch {
	case p.Status == dmarc.TempError:
		c.add(Warning, "Try again.", "DNS does not answer about the DMARC policy.")
	case p.Status != dmarc.Pass:
		c.add(Error, seeRecords, "%s has no DMARC policy that can be read: large receivers want one.", c.name)
	default:
		if p.Record.Policy == 0 {
			c.add(Warning, "When the reports show that all your mail is signed or from here: p=quarantine, then p=reject.", "The DMARC policy at %s is none: forgeries are delivered.", p.Domain)
		} else {
			c.add(OK, "", "The DMARC policy at %s is %s.", p.Domain, p.Record.Policy)
		}
		if len(p.Record.Aggregate) == 0 {
			c.add(Warning, seeRecords, "Nobody is reported to (rua): you do not learn who sends in your name.")
		}
	}
}

func (c *checker) checkCertificate(context.Context) {
	cert := c.s.opts.Certificate()
	if cert == nil {
		c.add(Warning, "Set tls.cert and tls.key.", "The server has no certificate that lasts: mail programs warn, and MTA-STS cannot be kept.")
		return
	}
	if err := cert.VerifyHostname(c.host); err != nil {
		c.add(Error, "Get a certificate that names "+c.host+".", "The certificate does not hold for %s.", c.host)
		return
	}
	left := cert.NotAfter.Sub(c.s.opts.Now())
	switch {
	case left <= 0:
		c.add(Error, "Renew it and send SIGHUP.", "The certificate ended on %s.", cert.NotAfter.UTC().Format(time.DateOnly))
	case left < 14*24*time.Hour:
		c.add(Warning, "Renew it and send SIGHUP.", "The certificate ends on %s.", cert.NotAfter.UTC().Format(time.DateOnly))
	default:
		c.add(OK, "", "The certificate holds for %s until %s.", c.host, cert.NotAfter.UTC().Format(time.DateOnly))
	}
}

func (c *checker) checkSTS(ctx context.Context) {
	want, id, err := c.s.STSPolicy(ctx, c.d)
	if err != nil {
		return
	}
	name := "_mta-sts." + c.name
	a, err := c.s.opts.Resolver.LookupTXT(ctx, name)
	if err != nil {
		c.failed(err, Warning, name, "TXT", seeRecords)
		return
	}
	switch live, ok := mtasts.RecordID(a.Records); {
	case !ok:
		c.add(Error, seeRecords, "%s is not one record that can be read: nobody knows the policy.", name)
	case live != id:
		c.add(Warning, seeRecords, "The id of the MTA-STS record is not that of the policy: who knows an older policy goes on with it.")
	default:
		c.add(OK, "", "The MTA-STS record is right.")
	}
	if c.s.opts.Fetch == nil {
		return
	}
	got, err := c.s.opts.Fetch(ctx, c.name)
	switch {
	case err != nil:
		c.add(Error, "Let "+mtasts.Host(c.name)+" lead to this server, with listen.https and a certificate for that name.", "The MTA-STS policy cannot be had: %v", err)
		return
	case got.String() != want.String():
		c.add(Error, "Let "+mtasts.Host(c.name)+" lead to this server, or change what is served there.", "The MTA-STS policy that is served is not this server's.")
	default:
		c.add(OK, "", "The MTA-STS policy is served, in mode %s.", got.Mode)
	}
	for _, r := range c.mx {
		if !got.Covers(r.Host) && got.Mode == mtasts.Enforce {
			c.add(Error, "Take the MX away, or put it into the policy.", "The MTA-STS policy does not name the MX %s: nobody who knows the policy delivers there.", r.Host)
		}
	}
}

func (c *checker) checkTLSA(ctx context.Context) {
	name := "_25._tcp." + c.host
	cert := c.s.opts.Certificate()
	a, err := c.s.opts.Resolver.LookupTLSA(ctx, name)
	if err != nil {
		l := Warning
		if cert == nil {
			l = OK
		}
		c.failed(err, l, name, "TLSA", "")
		return
	}
	usable := dane.Usable(a.Records)
	switch {
	case cert == nil:
		c.add(Error, "Set tls.cert, or delete the record.", "%s names a key, but the certificate of this server does not last.", name)
	case len(usable) == 0:
		c.add(Warning, seeRecords, "No record at %s can be used for mail (RFC 7672): usage must be 2 or 3.", name)
	case !slices.ContainsFunc(usable, func(r dns.TLSA) bool { return dane.String(r) == dane.String(dane.RecordOf(cert)) || covers(r, cert) }):
		c.add(Error, seeRecords, "No record at %s fits the certificate in use: who knows DANE delivers nothing here.", name)
	case !a.Secure:
		c.add(Warning, "", "The TLSA record fits the certificate, but the zone is not signed: it does not count.")
	default:
		c.add(OK, "", "The TLSA record fits the certificate, and the zone is signed.")
		if len(usable) > 1 {
			c.add(OK, "", "There are %d TLSA records: those of keys that you no longer use may be deleted.", len(usable))
		}
	}
}

// covers reports whether a record of another form (the whole certificate, another digest)
// names the certificate too. What names an issuer is believed.
func covers(r dns.TLSA, cert *x509.Certificate) bool {
	return r.Usage == 2 || dane.Names(r, cert)
}

func (c *checker) checkTLSRPT(ctx context.Context) {
	name := "_smtp._tls." + c.name
	a, err := c.s.opts.Resolver.LookupTXT(ctx, name)
	switch {
	case err != nil:
		c.failed(err, Warning, name, "TXT", seeRecords)
	case len(tlsrpt.Recipients(a.Records)) == 0:
		c.add(Error, seeRecords, "%s is not one record that can be read.", name)
	default:
		c.add(OK, "", "TLS reports go to %s.", strings.Join(tlsrpt.Recipients(a.Records), ", "))
	}
}

func (c *checker) checkPrograms(ctx context.Context) {
	for _, pr := range programs {
		at := slices.IndexFunc(c.s.opts.Faces, func(f Face) bool { return f.Name == pr.face })
		name := pr.label + "._tcp." + c.name
		a, err := c.s.opts.Resolver.LookupSRV(ctx, name)
		switch {
		case at < 0 && err == nil && a.Records[0].Target == c.host:
			c.add(Error, "Delete the record, or let the server listen.", "%s leads here, where nobody listens.", name)
		case at < 0:
		case err != nil && dns.IsAbsent(err): // may be left out
		case err != nil:
			c.failed(err, Warning, name, "SRV", "")
		case !slices.ContainsFunc(a.Records, func(r dns.SRV) bool { return r.Target == c.host && r.Port == c.s.opts.Faces[at].Port }):
			c.add(Warning, seeRecords, "%s leads to %s:%d, not to this server.", name, a.Records[0].Target, a.Records[0].Port)
		default:
			c.add(OK, "", "%s leads here.", name)
		}
	}
}

func (c *checker) checkCAA(ctx context.Context) {
	id := issuerOf(c.s.opts.Certificate())
	a, err := c.s.opts.Resolver.LookupCAA(ctx, c.host)
	if err != nil || id == "" {
		return // may be left out; an issuer that is not known cannot be compared
	}
	var allowed []string
	for _, r := range a.Records {
		if strings.EqualFold(r.Tag, "issue") {
			name, _, _ := strings.Cut(r.Value, ";")
			allowed = append(allowed, strings.TrimSpace(name))
		}
	}
	if len(allowed) > 0 && !slices.Contains(allowed, id) {
		c.add(Error, seeRecords, "The CAA records of %s do not allow %s, who made the certificate: it cannot be renewed.", c.host, id)
		return
	}
	c.add(OK, "", "CAA allows who made the certificate (%s).", id)
}
