package publish

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"posthouse/directory"
	"posthouse/dns"
	"posthouse/mail"
	"posthouse/mailauth/dmarc"
	"posthouse/tlspolicy/dane"
	"posthouse/tlspolicy/mtasts"
)

// An Entry is a record that a domain needs, or may do without by now.
type Entry struct {
	Record          // Value "": what it says is not ours to know
	Reason   string // why it is needed
	Effect   string // what follows if it is there, or is not
	Optional bool
	Remove   bool // it may be deleted
	// Replaces are the records that are there and that this one stands in place of.
	Replaces []string
}

// A plan gathers the entries of a domain.
type plan struct {
	s       *Service
	d       directory.Domain
	name    string // of the domain, in DNS
	host    string // of the server
	entries []Entry
}

// lookTime bounds how long DNS is looked at for one answer of ours.
const lookTime = 20 * time.Second

// Records lists the records that a domain needs. It makes the keys that sign its mail if
// there are none. What is live is looked at where it must be kept; where DNS does not say
// what there is, the reason warns of it.
func (s *Service) Records(ctx context.Context, d mail.Domain) ([]Entry, error) {
	const op = "publish.Records"
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	name, err := s.ascii(ctx, op, d)
	if err != nil {
		return nil, err
	}
	dom, err := s.opts.Directory.Domain(ctx, d)
	if err != nil {
		return nil, err
	}
	keys, err := s.opts.Directory.EnsureSigningKeys(ctx, d)
	if err != nil {
		return nil, err
	}
	looked, err := s.look(ctx, op, name, keys)
	if err != nil {
		return nil, err
	}
	p := &plan{s: s, d: dom, name: name, host: s.opts.Hostname}
	p.way()
	p.spf(ctx)
	p.keys(looked)
	p.dmarc(ctx)
	p.sts(ctx)
	p.tlsa()
	p.programs()
	p.caa()
	return p.entries, nil
}

func (p *plan) add(name, typ, value, reason, effect string) *Entry {
	p.entries = append(p.entries, Entry{Record: Record{name, typ, value}, Reason: reason, Effect: effect})
	return &p.entries[len(p.entries)-1]
}

// way: MX, and the addresses that it leads to and back.
func (p *plan) way() {
	p.add(p.name, "MX", "10 "+p.host, "Other servers bring mail for "+p.name+" to this server.",
		"Without it they try the address of "+p.name+" itself, and mostly nothing arrives.")
	addrs := public(p.s.opts.Addresses())
	if len(addrs) == 0 {
		p.add(p.host, "A", "", "The address of this server, which only you know here: it has none of the public internet itself. An AAAA record too, if it has one of IPv6.",
			"The MX leads to nowhere without it.")
		p.add("", "PTR", "", "At who gives you the address (not in your zone): its name must be "+p.host+", which must have that address.",
			"Most servers refuse mail from an address that has no name, or another.")
	}
	for _, a := range addrs {
		typ := "A"
		if a.Is6() {
			typ = "AAAA"
		}
		p.add(p.host, typ, a.String(), "The address of this server.", "The MX leads to nowhere without it.")
		p.add(reverse(a), "PTR", p.host, "At who gives you the address (not in your zone): the address leads back to the name.",
			"Most servers refuse mail from an address that has no name, or another.")
	}
}

// public are the addresses that others can reach.
func public(list []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range list {
		if a = a.Unmap().WithZone(""); a.IsGlobalUnicast() && !a.IsPrivate() {
			out = append(out, a)
		}
	}
	return out
}

// reverse is the name at which the PTR record of an address stands.
func reverse(a netip.Addr) string {
	var b strings.Builder
	raw := a.AsSlice()
	for i := len(raw) - 1; i >= 0; i-- {
		if a.Is4() {
			fmt.Fprintf(&b, "%d.", raw[i])
		} else {
			fmt.Fprintf(&b, "%x.%x.", raw[i]&15, raw[i]>>4)
		}
	}
	if a.Is4() {
		return b.String() + "in-addr.arpa"
	}
	return b.String() + "ip6.arpa"
}

// spf: one record, which keeps what others wrote.
func (p *plan) spf(ctx context.Context) {
	have, err := p.s.spfOf(ctx, p.name)
	value := mergeSPF(have, "mx")
	reason := "SPF: only this server (it is the MX) may send mail of " + p.name + "."
	switch {
	case err != nil:
		reason += " WARNING: DNS does not answer, so look yourself: if there is such a record already, add mx to it instead, for two are an error."
	case len(have) == 1 && have[0] == value:
		reason = "SPF: who may send mail of " + p.name + ". It stands there already, and covers this server."
	case len(have) == 1:
		reason = "SPF: who may send mail of " + p.name + ". It takes the place of the record that is there and keeps all of it; mx, this server, is new."
	case len(have) > 1:
		reason = fmt.Sprintf("SPF: who may send mail of %s. It takes the place of the %d records that are there: two are an error, and count as none.", p.name, len(have))
	}
	if n := p.s.spfLookups(ctx, value); n > maxSPF {
		reason += fmt.Sprintf(" WARNING: it needs %d questions to DNS, and receivers stop at %d with an error. Take out an include that nobody needs, or write the addresses (ip4:, ip6:) in its place.", n, maxSPF)
	}
	e := p.add(p.name, "TXT", value, reason, "Mail of "+p.name+" from other servers fails the check; mail from here passes it, but not where somebody forwards it.")
	for _, r := range have {
		if r != value {
			e.Replaces = append(e.Replaces, r)
		}
	}
	if p.host == p.name {
		return
	}
	if have, err = p.s.spfOf(ctx, p.host); err != nil {
		have = nil
	}
	value = mergeSPF(have, "a")
	e = p.add(p.host, "TXT", value, "SPF for reports of this server (bounces), which come from nobody: receivers look at its own name.", "Without it bounces look less trustworthy.")
	for _, r := range have {
		if r != value {
			e.Replaces = append(e.Replaces, r)
		}
	}
}

func (p *plan) keys(keys []Key) {
	for _, k := range keys {
		reason := "DKIM: receivers check with it that mail of " + p.name + " was sent from here and not changed (RSA, which everybody understands)."
		if k.Kind == "Ed25519" {
			reason = "DKIM with Ed25519: shorter and stronger, for those who know it already."
		}
		effect := "The key is " + k.State.String()
		if k.Advice != "" {
			effect += ": " + k.Advice
		}
		if k.State == directory.KeyRetired {
			if k.Sight == directory.Present {
				p.add(k.Record.Name, "TXT", "", "DKIM: nothing that this old key signed is on its way any more.", "The record may be deleted.").Remove = true
			}
			continue
		}
		p.add(k.Record.Name, "TXT", k.Record.Value, reason, effect+".")
	}
}

// dmarc keeps a policy that is there.
func (p *plan) dmarc(ctx context.Context) {
	value := "v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@" + p.name
	reason := "DMARC: what receivers do with mail that claims to be from " + p.name + " and is neither sent from here nor signed; and where they report about it: posthouse report list."
	effect := "Such mail goes to junk. When everything that sends for you is signed (the reports show it), say p=reject: it is refused."
	at := "_dmarc." + p.name
	if a, err := p.s.opts.Resolver.LookupTXT(ctx, at); err == nil {
		if policy := dmarc.Discover(ctx, p.s.opts.Resolver, p.name); policy.Status == dmarc.Pass && policy.Domain == p.name {
			for _, txt := range a.Records {
				if strings.HasPrefix(strings.TrimSpace(txt), "v=DMARC1") {
					value = txt
				}
			}
			if len(policy.Record.Aggregate) == 0 {
				value = strings.TrimRight(value, "; ") + "; rua=mailto:dmarc-reports@" + p.name
			}
			reason += " Your policy stays as it is."
			effect = "The policy is " + policy.Record.Policy.String() + "."
		}
	}
	p.add(at, "TXT", value, reason, effect)
}

func (p *plan) sts(ctx context.Context) {
	policy, id, err := p.s.STSPolicy(ctx, p.d.Name)
	if err != nil {
		return
	}
	effect := map[mtasts.Mode]string{
		mtasts.Testing: "The policy says testing: faults are reported, and mail comes all the same. When the reports are good: posthouse domain set " + p.name + " --mta-sts enforce",
		mtasts.Enforce: "The policy says enforce: who knows it delivers only over TLS to " + p.host + " with a certificate for that name, and nobody in between can prevent it.",
		mtasts.None:    "The policy says none: keep record and policy for two weeks, then both may be deleted.",
	}[policy.Mode]
	p.add("_mta-sts."+p.name, "TXT", "v=STSv1; id="+id, "MTA-STS: other servers find at mta-sts."+p.name+" how mail for the domain comes safely. The id changes with the policy: publish it anew then.", effect)
	p.add(mtasts.Host(p.name), "CNAME", p.host, "MTA-STS: this server shows the policy there over HTTPS; its certificate must hold for that name too.",
		"Without it there is no policy, whatever the record above says.")
	p.add("_smtp._tls."+p.name, "TXT", "v=TLSRPTv1; rua=mailto:tls-reports@"+p.name, "TLS reports: other servers tell you daily whether mail came to you safely: posthouse report list.",
		"Without it nobody tells you when MTA-STS or DANE fail.")
}

func (p *plan) tlsa() {
	name := "_25._tcp." + p.host
	cert := p.s.opts.Certificate()
	if cert == nil {
		p.add(name, "TLSA", "", "DANE: the certificate of this server, said by DNS itself. It has none that lasts (tls.cert) by now.", "Without it other servers believe any certificate, unless MTA-STS asks for more.").Optional = true
		return
	}
	p.add(name, "TLSA", dane.String(dane.RecordOf(cert)), "DANE: the key of this server's certificate, said by DNS itself. It counts where the zone of "+p.host+" is signed (DNSSEC).",
		"Who knows DANE delivers only to a server with this key. It stays right when the certificate is renewed with the same key; for another key, publish the new record beside this one a day before you change it, and take the old one away a day after.").Optional = true
}

// A program is a service that mail programs find by an SRV record.
type program struct{ face, label, what string }

var programs = []program{
	{"imaps", "_imaps", "read mail with TLS from the first byte"}, {"imap", "_imap", "read mail, with STARTTLS"},
	{"submissions", "_submissions", "send mail with TLS from the first byte"}, {"submission", "_submission", "send mail, with STARTTLS"},
	{"https", "_jmap", "use JMAP (RFC 8620)"},
}

// programs: RFC 6186 with RFC 8314, and the ways of Thunderbird and Outlook.
func (p *plan) programs() {
	web := false
	for _, pr := range programs {
		for _, f := range p.s.opts.Faces {
			if f.Name != pr.face {
				continue
			}
			web = web || f.Name == "https"
			p.add(pr.label+"._tcp."+p.name, "SRV", fmt.Sprintf("0 1 %d %s", f.Port, p.host), "Mail programs find here where to "+pr.what+".", "Without it people type the name of the server.").Optional = true
			break
		}
	}
	if !web {
		return
	}
	p.add("autoconfig."+p.name, "CNAME", p.host, "Thunderbird and others ask there for their settings; the certificate must hold for that name too.", "Without it they guess, or ask the person.").Optional = true
	p.add("_autodiscover._tcp."+p.name, "SRV", "0 1 443 "+p.host, "Outlook asks there for its settings.", "Without it, it guesses, or asks the person.").Optional = true
}

// issuers are authorities by the organization in their certificates, with what they look
// for in CAA.
var issuers = map[string]string{
	"Let's Encrypt": "letsencrypt.org", "ZeroSSL": "sectigo.com", "Sectigo Limited": "sectigo.com", "Google Trust Services": "pki.goog",
	"DigiCert Inc": "digicert.com", "Buypass AS-983163327": "buypass.com", "GlobalSign nv-sa": "globalsign.com",
}

func (p *plan) caa() {
	value := ""
	if id := issuerOf(p.s.opts.Certificate()); id != "" {
		value = `0 issue "` + id + `"`
	}
	p.add(p.host, "CAA", value, "CAA: only this authority may make certificates for the name of the server.", "Whoever cheats another authority gets no certificate in your name.").Optional = true
}

func issuerOf(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	for _, o := range c.Issuer.Organization {
		if id, ok := issuers[o]; ok {
			return id
		}
	}
	return ""
}

var _ Resolver = (*dns.Client)(nil)
