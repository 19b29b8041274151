package queue_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/queue"
	"posthouse/smtpclient/smtptest"
	"posthouse/store/engine/mem"
	"posthouse/tlspolicy"
	"posthouse/tlspolicy/dane"
	"posthouse/tlspolicy/mtasts"
	"posthouse/tlspolicy/tlsrpt"
)

// A recorder keeps what TLS-RPT is told, in short.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *recorder) RecordTLS(_ string, p tlsrpt.Policy, d tlsrpt.Detail) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := p.Type + ":" + string(d.Result)
	if d.Result == tlsrpt.Success {
		s += "ok"
	}
	r.seen = append(r.seen, s)
}

func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.seen, " ")
	r.seen = nil
	return s
}

// A tlsCase is what a domain says, how its server behaves, and what must come of it.
type tlsCase struct {
	name       string
	secure     bool          // the zone is signed
	tlsa       string        // data of a TLSA record; RIGHT is that of the server's key
	fault      dnstest.Fault // of the TLSA lookup
	sts        string        // mode of the policy
	mx         string        // what it names; default the host
	starttls   bool
	trusted    bool // the certificate is one for the host, by a root that we trust
	requireTLS bool
	offers     bool // the server offers REQUIRETLS
	optional   bool // TLS-Required: No
	hook       func(smtptest.Command) smtptest.Reaction

	state  string // of the recipient: "" is delivered, else its status code
	tls    bool   // it went over TLS
	report string // to TLS-RPT
}

const wrongTLSA = "3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// TestTLSPolicies: RFC 7672, RFC 8461, RFC 8689. Each way in which a domain can ask for
// TLS, kept and broken: what becomes of the mail, and what TLS-RPT is told.
func TestTLSPolicies(t *testing.T) {
	for _, tt := range []tlsCase{
		{name: "nothing known", starttls: true, tls: true, report: "no-policy-found:ok"},
		{name: "no TLS at all", report: "no-policy-found:starttls-not-supported"},
		{name: "STARTTLS that is refused", starttls: true, hook: answer("STARTTLS", "", "454 4.7.0 not now"), report: "no-policy-found:validation-failure"},

		{name: "DANE", secure: true, tlsa: "RIGHT", starttls: true, tls: true, report: "tlsa:ok"},
		{name: "DANE in an unsigned zone", tlsa: wrongTLSA, starttls: true, tls: true, report: "no-policy-found:ok"},
		{name: "DANE, another key", secure: true, tlsa: wrongTLSA, starttls: true, state: "451 4.7.5", report: "tlsa:validation-failure"},
		{name: "DANE, no STARTTLS", secure: true, tlsa: "RIGHT", state: "451 4.7.5", report: "tlsa:starttls-not-supported"},
		{name: "DANE, STARTTLS refused", secure: true, tlsa: "RIGHT", starttls: true, hook: answer("STARTTLS", "", "454 4.7.0 not now"), state: "454 4.7.0", report: "tlsa:validation-failure"},
		{name: "DANE, no usable record", secure: true, tlsa: "0 0 1" + wrongTLSA[5:], starttls: true, tls: true, report: "tlsa:ok"},
		{name: "DANE, no usable record and no TLS", secure: true, tlsa: "0 0 1" + wrongTLSA[5:], state: "451 4.7.5", report: "tlsa:starttls-not-supported"},
		{name: "DANE, TLSA lookup fails", secure: true, fault: dnstest.ServFail, starttls: true, state: "451 4.7.5", report: "tlsa:dnssec-invalid"},
		{name: "DANE before MTA-STS", secure: true, tlsa: "RIGHT", sts: "enforce", mx: "else.test", starttls: true, tls: true, report: "tlsa:ok"},

		{name: "MTA-STS", sts: "enforce", starttls: true, trusted: true, tls: true, report: "sts:ok"},
		{name: "MTA-STS, untrusted certificate", sts: "enforce", starttls: true, state: "451 4.7.5", report: "sts:certificate-not-trusted"},
		{name: "MTA-STS, no STARTTLS", sts: "enforce", state: "451 4.7.5", report: "sts:starttls-not-supported"},
		{name: "MTA-STS, another host", sts: "enforce", mx: "else.test", starttls: true, trusted: true, state: "451 4.7.5", report: "sts:validation-failure"},
		{name: "MTA-STS testing, untrusted", sts: "testing", starttls: true, tls: true, report: "sts:certificate-not-trusted"},
		{name: "MTA-STS testing, another host", sts: "testing", mx: "else.test", starttls: true, trusted: true, tls: true, report: "sts:validation-failure"},
		{name: "MTA-STS testing, no STARTTLS", sts: "testing", report: "sts:starttls-not-supported"},
		{name: "MTA-STS ended", sts: "none", report: "no-policy-found:starttls-not-supported"},

		{name: "REQUIRETLS by DANE", requireTLS: true, offers: true, secure: true, tlsa: "RIGHT", starttls: true, tls: true, report: "tlsa:ok"},
		{name: "REQUIRETLS by MTA-STS", requireTLS: true, offers: true, sts: "enforce", starttls: true, trusted: true, tls: true, report: "sts:ok"},
		{name: "REQUIRETLS by a signed MX", requireTLS: true, offers: true, secure: true, starttls: true, trusted: true, tls: true, report: "no-policy-found:ok"},
		{name: "REQUIRETLS, nobody vouches", requireTLS: true, offers: true, starttls: true, trusted: true, state: "5.7.10", report: "no-policy-found:validation-failure"},
		{name: "REQUIRETLS, untrusted", requireTLS: true, offers: true, secure: true, starttls: true, state: "5.7.10", report: "no-policy-found:certificate-not-trusted"},
		{name: "REQUIRETLS, not offered", requireTLS: true, secure: true, tlsa: "RIGHT", starttls: true, state: "5.7.30"},
		{name: "REQUIRETLS, no STARTTLS", requireTLS: true, offers: true, secure: true, tlsa: "RIGHT", state: "5.7.10", report: "tlsa:starttls-not-supported"},

		{name: "TLS-Required: No", optional: true, secure: true, tlsa: wrongTLSA, sts: "enforce", mx: "else.test", starttls: true, tls: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t)
		})
	}
}

func (tt *tlsCase) run(t *testing.T) {
	conf := smtptest.Certificate(t, "mx.b.test")
	leaf, err := x509.ParseCertificate(conf.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if tt.trusted {
		roots.AddCert(leaf)
	}
	o := smtptest.Options{Extensions: extensions, Hook: tt.hook}
	if tt.starttls {
		o.TLS = conf
	}
	if tt.offers {
		o.Extensions = append(o.Extensions[:len(o.Extensions):len(o.Extensions)], "REQUIRETLS")
	}
	srv := smtptest.New(t, o)
	port := srv.Addr.Port()
	rec := &recorder{}
	eng := mem.New()
	w := newWorld(t, port, func(o *queue.Options) {
		o.Engine = eng
		d := dnstest.New(t, tt.zone(port, dane.String(dane.RecordOf(leaf))))
		if tt.secure {
			d.SetSecure("b.test")
		}
		if tt.fault != (dnstest.Fault{}) {
			d.SetFault(fmt.Sprintf("_%d._tcp.mx.b.test", port), "TLSA", tt.fault)
		}
		o.Resolver = d.Client(t, dns.Options{Now: o.Now})
		sts, err := tlspolicy.OpenSTS(tlspolicy.STSOptions{Engine: eng, Resolver: o.Resolver, Record: rec, Now: o.Now, Fetch: tt.fetch})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sts.Close() })
		o.TLS = tlspolicy.New(tlspolicy.Options{Resolver: o.Resolver, STS: sts, Record: rec, Port: port,
			Verify: func(name string) func(tls.ConnectionState) error { return tlspolicy.VerifyName(name, roots) }})
	})
	w.eng = eng
	env := envelope("x@b.test")
	env.RequireTLS, env.TLSOptional = tt.requireTLS, tt.optional
	w.addEnv(env)
	w.idle()
	if got := rec.take(); got != tt.report {
		t.Errorf("TLS-RPT: %q, want %q", got, tt.report)
	}
	tt.judge(t, w, srv)
}

func (tt *tlsCase) zone(port uint16, right string) string {
	zone := "b.test. MX 10 mx.b.test.\nmx.b.test. A 127.0.0.1\n"
	if tt.tlsa != "" {
		zone += fmt.Sprintf("_%d._tcp.mx.b.test. TLSA %s\n", port, strings.Replace(tt.tlsa, "RIGHT", right, 1))
	}
	if tt.sts != "" {
		zone += "_mta-sts.b.test. TXT \"v=STSv1; id=1\"\n"
	}
	return zone
}

func (tt *tlsCase) fetch(context.Context, string) (mtasts.Policy, error) {
	mx := tt.mx
	if mx == "" {
		mx = "mx.b.test"
	}
	return mtasts.Parse("version: STSv1\nmode: " + tt.sts + "\nmx: " + mx + "\nmax_age: 86400\n")
}

func (tt *tlsCase) judge(t *testing.T, w *world, srv *smtptest.Server) {
	msgs := srv.Messages()
	switch {
	case tt.state == "":
		if len(msgs) != 1 || msgs[0].TLS != tt.tls || tt.requireTLS != strings.Contains(msgs[0].From, "REQUIRETLS") {
			t.Errorf("arrived: %+v; waiting: %+v", msgs, w.list())
		}
	case len(msgs) > 0:
		t.Errorf("it went: %+v", msgs)
	case strings.HasPrefix(tt.state, "4"): // it waits
		if l := w.list(); len(l) != 1 || !strings.HasPrefix(l[0].Recipients[0].LastReply.String(), tt.state) {
			t.Errorf("%+v", l)
		}
		w.clock.add(6 * 24 * time.Hour) // and its sender is told at last
		w.idle()
		if d := w.inj.all(); len(d) != 1 || !strings.Contains(d[0].content, "Action: failed") || !strings.Contains(d[0].content, "Status: 4.4.7") {
			t.Errorf("%+v", d)
		}
	default: // the sender is told at once
		if d := w.inj.all(); len(d) != 1 || !strings.Contains(d[0].content, "Status: "+tt.state) {
			t.Errorf("%+v; waiting: %+v", d, w.list())
		}
	}
}
