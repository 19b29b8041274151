package queue_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/queue"
	"posthouse/smtpclient/smtptest"
	"posthouse/tlspolicy"
	"posthouse/tlspolicy/dane"
	"posthouse/tlspolicy/mtasts"
)

// A failCase is one thing that can be wrong with the TLS or the DNS of a domain, and all that
// must come of it: what the queue notes, what TLS-RPT is told, what the sender reads.
type failCase struct {
	name   string
	zone   string // beside MX and address of b.test; a line that begins "MX" is instead of both
	secure bool
	faults map[string]dnstest.Fault // by "name type"
	noTLS  bool
	cert   string   // the name in it; default the server's
	expire bool     // it is over
	sts    []any    // what each fetch of the policy gives: the host that it names, or an error
	age    int      // days that the policy holds; default 30
	later  []string // zones of more messages, 20 hours later each

	to     string // default x@b.test
	reply  string // of the last message; "" if it goes
	report string // to TLS-RPT, about the last message
	status string // in the DSN that returns it at last; "" is 4.4.7
	says   string // in what people read of the DSN
}

// TestFailureModes is the table of what can be wrong.
func TestFailureModes(t *testing.T) {
	tlsaOf := func(data string) string { return "_PORT._tcp.mx.b.test. TLSA " + data + "\n" }
	unreachable := errors.New("mta-sts.b.test: connection refused")
	fail := func(name string) map[string]dnstest.Fault { return map[string]dnstest.Fault{name: dnstest.ServFail} }
	const sts = "_mta-sts.b.test. TXT \"v=STSv1; id=1\"\n"
	moved := "MX b.test. MX 10 mx2.b.test.\nmx2.b.test. A 127.0.0.1\n_mta-sts.b.test. TXT \"v=STSv1; id=2\"\n"
	named := []any{"mx.b.test"}
	for _, tt := range []failCase{
		{name: "STARTTLS is missing, MTA-STS", zone: sts, sts: named, noTLS: true, reply: "451 4.7.5", report: "sts:starttls-not-supported", says: "no secure connection with mx.b.test"},
		{name: "STARTTLS is missing, DANE", zone: tlsaOf("RIGHT"), secure: true, noTLS: true, reply: "451 4.7.5", report: "tlsa:starttls-not-supported", says: "no secure connection with mx.b.test"},
		{name: "the certificate is another's", zone: sts, sts: named, cert: "www.b.test", reply: "451 4.7.5", report: "sts:certificate-host-mismatch", says: "certificate is valid for www.b.test"},
		{name: "the certificate is over", zone: sts, sts: named, expire: true, reply: "451 4.7.5", report: "sts:certificate-expired", says: "expired"},
		{name: "nobody vouches for the certificate", zone: sts, sts: named, cert: "-", reply: "451 4.7.5", report: "sts:certificate-not-trusted", says: "unknown authority"},
		{name: "TLSA names another key", zone: tlsaOf(wrongTLSA), secure: true, reply: "451 4.7.5", report: "tlsa:validation-failure", says: "TLSA"},
		{name: "TLSA does not validate", zone: tlsaOf("RIGHT"), secure: true, faults: fail("_PORT._tcp.mx.b.test TLSA"), reply: "451 4.7.5", report: "tlsa:dnssec-invalid", says: "cannot be looked up securely"},
		{name: "TLSA is not answered", zone: tlsaOf("RIGHT"), secure: true, faults: map[string]dnstest.Fault{"_PORT._tcp.mx.b.test TLSA": {Silent: true}}, reply: "451 4.7.5", report: "tlsa:dnssec-invalid", says: "cannot be looked up securely"},

		{name: "the policy host is down", zone: sts, sts: []any{unreachable}, report: "sts:sts-policy-fetch-error no-policy-found:ok"},
		{name: "the policy is none", zone: sts, sts: []any{fmt.Errorf("line 1: %w", mtasts.ErrInvalid)}, report: "sts:sts-policy-invalid no-policy-found:ok"},
		{name: "the policy host's certificate is wrong", zone: sts, sts: []any{&tls.CertificateVerificationError{Err: errors.New("x")}}, report: "sts:sts-webpki-invalid no-policy-found:ok"},
		{name: "the policy names another host", zone: sts, sts: []any{"mx.else.test"}, reply: "451 4.7.5", report: "sts:validation-failure", says: "the MTA-STS policy of b.test does not allow the mail server mx.b.test"},
		{name: "the policy cannot be renewed, and holds", zone: sts, sts: []any{"mx.b.test", unreachable}, later: []string{moved}, reply: "451 4.7.5", report: "sts:sts-policy-fetch-error sts:validation-failure", says: "does not allow the mail server mx2.b.test"},
		{name: "the policy cannot be renewed, and is over", zone: sts, age: 2, sts: []any{"mx.b.test", unreachable, unreachable, unreachable}, later: []string{sts, sts, moved}, report: "sts:sts-policy-fetch-error no-policy-found:ok"},

		{name: "the MX lookup fails", faults: fail("b.test MX"), reply: "451 4.4.3", says: "the mail servers of b.test cannot be looked up just now"},
		{name: "the MX lookup is not answered", faults: map[string]dnstest.Fault{"b.test MX": {Silent: true}}, reply: "451 4.4.3", says: "the mail servers of b.test cannot be looked up just now"},
		{name: "the server's address cannot be had", faults: fail("mx.b.test "), reply: "451 4.4.3", says: "the addresses of the mail servers of b.test cannot be looked up just now"},
		{name: "there is no such domain", to: "x@gone.test", reply: "550 5.1.2", status: "5.1.2", says: "gone.test"},
		{name: "there is no such server", zone: "MX b.test. MX 10 gone.test.\n", reply: "550 5.1.2", status: "5.1.2", says: "the domain b.test has no mail server"},
		{name: "null MX", zone: "MX b.test. MX 0 .\n", reply: "556 5.1.10", status: "5.1.10", says: "the domain b.test takes no mail"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t)
		})
	}
}

// certificate is one for the case's server, and the roots that vouch for it.
func (tt *failCase) certificate(t *testing.T) (*tls.Config, *x509.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := tt.cert
	if name == "" || name == "-" {
		name = "mx.b.test"
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name, "mx2.b.test"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour)}
	if tt.expire {
		tmpl.NotAfter = time.Now().Add(-24 * time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if tt.cert != "-" {
		roots.AddCert(leaf)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, leaf, roots
}

func (tt *failCase) run(t *testing.T) {
	conf, leaf, roots := tt.certificate(t)
	o := smtptest.Options{Extensions: extensions}
	if !tt.noTLS {
		o.TLS = conf
	}
	srv := smtptest.New(t, o)
	port := srv.Addr.Port()
	zoneOf := func(text string) string {
		text = strings.NewReplacer("PORT", fmt.Sprint(port), "RIGHT", dane.String(dane.RecordOf(leaf))).Replace(text)
		if rest, whole := strings.CutPrefix(text, "MX "); whole {
			return rest
		}
		return "b.test. MX 10 mx.b.test.\nmx.b.test. A 127.0.0.1\n" + text
	}
	d := dnstest.New(t, zoneOf(tt.zone))
	if tt.secure {
		d.SetSecure("b.test")
	}
	for at, f := range tt.faults {
		name, typ, _ := strings.Cut(strings.ReplaceAll(at, "PORT", fmt.Sprint(port)), " ")
		d.SetFault(name, typ, f)
	}
	rec := &recorder{}
	w := newWorld(t, port, func(o *queue.Options) {
		o.Resolver = d.Client(t, dns.Options{Now: o.Now, Timeout: 200 * time.Millisecond})
		policies, err := tlspolicy.OpenSTS(tlspolicy.STSOptions{Engine: o.Engine, Resolver: o.Resolver, Record: rec, Now: o.Now, Fetch: tt.fetcher()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = policies.Close() })
		o.TLS = tlspolicy.New(tlspolicy.Options{Resolver: o.Resolver, STS: policies, Record: rec, Port: port,
			Verify: func(name string) func(tls.ConnectionState) error { return tlspolicy.VerifyName(name, roots) }})
	})
	to := tt.to
	if to == "" {
		to = "x@b.test"
	}
	w.add(to)
	w.idle()
	for _, zone := range tt.later {
		rec.take()
		d.SetZone(t, zoneOf(zone))
		w.clock.add(20 * time.Hour)
		w.add(to)
		w.idle()
	}
	if got := rec.take(); got != tt.report {
		t.Errorf("TLS-RPT: %q, want %q", got, tt.report)
	}
	if n := len(srv.Messages()); n != len(tt.later)+1 && tt.reply == "" || n != len(tt.later) && tt.reply != "" {
		t.Errorf("%d messages arrived; waiting: %+v", n, w.list())
	}
	if tt.reply != "" {
		tt.judge(t, w, to)
	}
}

// fetcher gives one policy after the other.
func (tt *failCase) fetcher() func(context.Context, string) (mtasts.Policy, error) {
	var mu sync.Mutex
	n, days := 0, tt.age
	if days == 0 {
		days = 30
	}
	return func(context.Context, string) (mtasts.Policy, error) {
		mu.Lock()
		defer mu.Unlock()
		got := tt.sts[min(n, len(tt.sts)-1)]
		n++
		if err, ok := got.(error); ok {
			return mtasts.Policy{}, err
		}
		return mtasts.Parse(fmt.Sprintf("version: STSv1\nmode: enforce\nmx: %s\nmax_age: %d\n", got, 86400*days))
	}
}

// judge looks at what waits, at the note of the delay, and at the DSN in the end.
func (tt *failCase) judge(t *testing.T, w *world, to string) {
	t.Helper()
	status := tt.status
	if status == "" { // it waits, and its sender is told so
		l := w.list()
		if len(l) != 1 || !strings.HasPrefix(l[0].Recipients[0].LastReply.String(), tt.reply) {
			t.Fatalf("waiting: %+v", l)
		}
		status = "4.4.7"
		w.clock.add(5 * time.Hour)
		w.idle()
		if all := w.inj.all(); len(all) == 1 {
			plain, fields, _ := parts(t, all[0])
			contains(t, plain, "has not been delivered yet", to, tt.says)
			contains(t, fields, "Action: delayed\r\n", "Status: "+tt.reply[4:9], tt.reply)
		} else {
			t.Errorf("%d notes of the delay", len(all))
		}
		w.clock.add(6 * 24 * time.Hour)
		w.idle()
	}
	all := w.inj.all()
	if len(all) == 0 {
		t.Fatalf("no DSN; waiting: %+v", w.list())
	}
	plain, fields, _ := parts(t, all[len(all)-1])
	contains(t, plain, "could not be delivered", to, tt.says)
	contains(t, fields, "Final-Recipient: rfc822; "+to, "Action: failed\r\n", "Status: "+status+"\r\n", tt.reply)
	w.empty()
}
