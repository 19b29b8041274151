// Package tlspolicy decides how to talk TLS to the mail servers of a domain: DANE (RFC
// 7672), MTA-STS (RFC 8461), what the message itself asks for (RFC 8689), else TLS
// where it is offered. [decisions] is the whole decision, one row for each case.
//
// Guarantees:
//
//   - A TLSA record counts only if each lookup that leads to it was validated: MX,
//     addresses, TLSA. If it may exist and cannot be had, the server is not used.
//   - DANE comes before MTA-STS, which never softens it (RFC 8461 §2).
//   - A policy in the cache holds until it expires, over restarts, whatever keeps the
//     domain from renewing it (RFC 8461 §5.1). It is renewed in the background.
//   - Fetching a policy connects to no address that the AddrPolicy refuses.
//   - Each session that was tried is told to the [Recorder], for TLS-RPT.
//
// The MTA-STS cache is the keys "xs" of engine account 0. STS.mu guards what is in
// memory; nothing is locked and no I/O done under it.
package tlspolicy

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"time"

	"posthouse/dns"
	"posthouse/mail"
	"posthouse/smtpclient"
	"posthouse/tlspolicy/dane"
	"posthouse/tlspolicy/mtasts"
	"posthouse/tlspolicy/tlsrpt"
)

// A Recorder counts sessions for TLS-RPT. It must not block.
type Recorder interface {
	// RecordTLS is told of a session with a server of domain (A-labels), and of a policy of
	// domain that cannot be had.
	RecordTLS(domain string, p tlsrpt.Policy, d tlsrpt.Detail)
}

// Options of New. Resolver is required.
type Options struct {
	Resolver dns.Resolver
	// STS is the cache of MTA-STS policies; nil: MTA-STS is not asked.
	STS *STS
	// Record is told of each session; nil: nobody is.
	Record Recorder
	// Verify checks a certificate against the roots of the system for a name.
	Verify func(name string) func(tls.ConnectionState) error
	Port   uint16 // of MX hosts, for the names of TLSA records: 25
	Now    func() time.Time
}

// A Planner makes plans. Its methods may be called at once.
type Planner struct{ opts Options }

// New returns a Planner.
func New(o Options) *Planner {
	if o.Port == 0 {
		o.Port = 25
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Verify == nil {
		o.Verify = verifySystem
	}
	return &Planner{opts: o}
}

// A Need is what a message asks for.
type Need uint8

// The needs.
const (
	NeedUsual    Need = iota // what the receiver's domain says counts
	NeedTLS                  // REQUIRETLS: verified, or not at all
	NeedDelivery             // "TLS-Required: No": delivery counts more
)

// NeedOf is what an envelope asks for. A bounce needs nothing more than usual (RFC
// 8689 §5).
func NeedOf(env *mail.Envelope) Need {
	switch {
	case env.RequireTLS && !env.ReversePath.IsNull():
		return NeedTLS
	case env.TLSOptional:
		return NeedDelivery
	}
	return NeedUsual
}

// A Domain is what is known about the domain of recipients for one attempt.
type Domain struct {
	p      *Planner
	name   string // A-labels
	secure bool   // its MX records, or that there are none, were validated
	need   Need
	sts    *mtasts.Policy
}

// Domain gathers what holds for all servers of a domain. mxSecure says that its MX
// lookup was validated.
func (p *Planner) Domain(ctx context.Context, name string, mxSecure bool, need Need) *Domain {
	d := &Domain{p: p, name: name, secure: mxSecure, need: need}
	if p.opts.STS != nil && need != NeedDelivery {
		d.sts = p.opts.STS.Policy(ctx, name)
	}
	return d
}

// A Plan is how to talk to one server.
type Plan struct {
	TLS smtpclient.TLSPolicy

	d       *Domain
	kind    kind
	policy  tlsrpt.Policy
	host    string
	names   []string
	check   func(tls.ConnectionState) error // of a policy that is only tested
	violate string                          // what already breaks a policy that is only tested
}

// An Excluded is a server that must not be used, and the verdict if no other can be.
type Excluded struct {
	Reply  mail.Reply
	Result tlsrpt.Result
}

func (e *Excluded) Error() string { return e.Reply.Text }

// Plan decides for one MX host, with its addresses. An error is an *Excluded.
func (d *Domain) Plan(ctx context.Context, host string, addrs dns.Answer[netip.Addr]) (*Plan, error) {
	in := facts{need: d.need, mxSecure: d.secure}
	p := &Plan{d: d, host: host, names: []string{host, d.name}}
	var records []dns.TLSA
	if d.need != NeedDelivery && d.secure && addrs.Secure {
		records, in.dane = d.tlsa(ctx, host, addrs.Name, p)
	}
	if d.sts != nil {
		in.sts, in.covered = d.sts.Mode, d.sts.Covers(host)
	}
	row := decide(in)
	p.kind = row.kind
	p.policy = d.report(row.kind, records)
	if p.policy.Type == tlsrpt.TypeTLSA {
		p.policy.Domain = p.names[0] // RFC 8460 §1.1: the TLSA base domain
	}
	if row.exclude != "" {
		e := &Excluded{Reply: exclusion(row, host, d.name), Result: row.result}
		p.record(tlsrpt.Detail{Result: e.Result, Reason: row.exclude})
		return nil, e
	}
	if row.kind == stsTest && !in.covered {
		p.violate = "mx-mismatch"
	}
	p.arm(records)
	return p, nil
}

// tlsa looks the TLSA records of a host up, at the end of its aliases first and then
// at its own name (RFC 7672 §2.2.2).
func (d *Domain) tlsa(ctx context.Context, host, expanded string, p *Plan) ([]dns.TLSA, daneState) {
	names := []string{expanded}
	if expanded == "" || expanded == host {
		names = []string{host}
	} else {
		names = append(names, host)
	}
	for _, base := range names {
		a, err := d.p.opts.Resolver.LookupTLSA(ctx, tlsaName(d.p.opts.Port, base))
		switch {
		case err != nil && !dns.IsAbsent(err):
			return nil, daneBroken // RFC 7672 §2.1.2: as if the server could not be reached
		case err != nil || !a.Secure:
			continue
		}
		p.names = []string{base, host, d.name}
		if usable := dane.Usable(a.Records); len(usable) > 0 {
			return usable, daneUsable
		}
		return a.Records, daneUnusable
	}
	return nil, daneNone
}

// report is the policy as TLS-RPT names it.
func (d *Domain) report(k kind, records []dns.TLSA) tlsrpt.Policy {
	r := tlsrpt.Policy{Type: tlsrpt.TypeNone, Domain: d.name}
	switch k {
	case daneVerify, daneEncrypt, daneFail:
		r.Type = tlsrpt.TypeTLSA
		for _, t := range records {
			r.String = append(r.String, dane.String(t))
		}
	case stsVerify, stsTest, stsFail:
		r.Type, r.MX, r.String = tlsrpt.TypeSTS, d.sts.MX, stsLines(d.sts)
	}
	return r
}

// arm sets the TLS policy of the kind. Its Key is the same for plans that demand the
// same of a connection.
func (p *Plan) arm(records []dns.TLSA) {
	o := &p.d.p.opts
	p.TLS.ServerName = p.names[0]
	switch p.kind {
	case daneVerify:
		p.TLS.Mode = smtpclient.TLSRequired
		p.TLS.Verify = func(cs tls.ConnectionState) error { return dane.Verify(cs, records, p.names, o.Now()) }
	case daneEncrypt:
		p.TLS.Mode = smtpclient.TLSRequired
	case stsVerify, pkixVerify:
		p.TLS.Mode, p.TLS.ServerName = smtpclient.TLSRequired, p.host
		p.TLS.Verify = o.Verify(p.host)
	case stsTest:
		p.TLS.ServerName = p.host
		p.check = o.Verify(p.host)
	}
	p.TLS.Key = p.kind.name()
	if p.kind == daneVerify || p.kind == daneEncrypt { // they hold for these records
		for _, s := range p.policy.String {
			p.TLS.Key += " " + s
		}
		p.TLS.Key += " " + p.d.name
	}
	if p.d.need == NeedTLS {
		p.TLS.Offer = "REQUIRETLS"
		p.TLS.Key += " required"
	}
}

// Verified reports whether the plan proves who the server is.
func (p *Plan) Verified() bool { return p.TLS.Verify != nil }

// Done tells the Recorder how a connection by the plan ended up: c, or err if there is
// none. A server that could not be reached says nothing about TLS.
func (p *Plan) Done(c *smtpclient.Conn, addr netip.Addr, err error) {
	if p == nil || p.d.p.opts.Record == nil || p.d.need == NeedDelivery {
		return
	}
	var ce *smtpclient.Error
	switch {
	case err == nil:
		d := tlsrpt.Detail{Hello: c.ServerName(), ReceivingIP: spell(addr), SendingIP: spell(c.LocalAddr().Addr())}
		d.Result, d.Reason = p.outcome(c)
		p.record(d)
	case errors.As(err, &ce) && ce.TLS():
		cause := ce.Err
		if cause == nil {
			cause = ce
		}
		d := tlsrpt.Detail{ReceivingIP: spell(addr)}
		d.Result, d.Reason = classify(cause)
		p.record(d)
	}
}

// outcome judges a connection that was made.
func (p *Plan) outcome(c *smtpclient.Conn) (tlsrpt.Result, string) {
	cs := c.TLS()
	switch {
	case cs == nil && c.TLSFailure() != nil:
		return classify(c.TLSFailure())
	case cs == nil:
		return tlsrpt.NoStartTLS, ""
	case p.violate != "":
		return tlsrpt.ValidationFailure, p.violate
	case p.check != nil:
		if err := p.check(*cs); err != nil {
			return classify(err)
		}
	}
	return tlsrpt.Success, ""
}

// spell writes an address, or nothing.
func spell(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

// record tells of one session; of one that went well only that it did.
func (p *Plan) record(d tlsrpt.Detail) {
	o := &p.d.p.opts
	if o.Record == nil {
		return
	}
	if d.Result == tlsrpt.Success {
		d = tlsrpt.Detail{}
	} else {
		d.MX = p.host
	}
	o.Record.RecordTLS(p.d.name, p.policy, d)
}
