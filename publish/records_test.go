package publish

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posthouse/directory"
	"posthouse/dns/dnstest"
	"posthouse/tlspolicy/mtasts"
)

func TestMergeSPF(t *testing.T) {
	for _, tt := range []struct{ have, own, want string }{
		{"", "mx", "v=spf1 mx -all"},
		{"v=spf1 mx -all", "mx", "v=spf1 mx -all"},
		{"v=spf1 +MX ~all", "mx", "v=spf1 +MX ~all"},
		{"v=spf1 include:_spf.far.test ip4:192.0.2.1 ~all", "mx", "v=spf1 mx include:_spf.far.test ip4:192.0.2.1 ~all"},
		{"v=spf1 mx:other.test -all", "mx", "v=spf1 mx mx:other.test -all"},
		{"v=spf1 -ip4:192.0.2.9 a exp=why.test -all", "mx", "v=spf1 mx -ip4:192.0.2.9 a exp=why.test -all"},
		{"v=spf1 redirect=_spf.far.test", "mx", "v=spf1 mx redirect=_spf.far.test"},
		{"v=spf1 a", "mx", "v=spf1 mx a ~all"},
		{"v=spf1 a -all|v=spf1 include:x.test a ~all", "mx", "v=spf1 mx a include:x.test ~all"},
		{"v=spf1 redirect=x.test|v=spf1 redirect=y.test", "mx", "v=spf1 mx include:x.test include:y.test ~all"},
		{"v=spf1 redirect=x.test|v=spf1 a -all", "mx", "v=spf1 mx a include:x.test -all"},
	} {
		var have []string
		if tt.have != "" {
			have = strings.Split(tt.have, "|")
		}
		if got := mergeSPF(have, tt.own); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.have, got, tt.want)
		}
	}
}

func find(list []Entry, name, typ string) []Entry {
	var out []Entry
	for _, e := range list {
		if e.Name == name && e.Type == typ {
			out = append(out, e)
		}
	}
	return out
}

// What others published stays in what is proposed, and each record says why it is there.
func TestRecords(t *testing.T) {
	cert := certificate(t, "mx.demo.test", time.Unix(1_900_000_000, 0))
	r := newRig(t, func(o *Options) {
		o.Addresses = func() []netip.Addr {
			return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("2001:db8::5")}
		}
		o.Certificate = func() *x509.Certificate { return cert }
		o.Faces = []Face{{"imaps", 993}, {"submissions", 465}, {"https", 443}}
	})
	includes := ""
	for i := range 6 {
		includes += fmt.Sprintf("s%d.far.test. IN TXT \"v=spf1 a:x.far.test ip4:192.0.2.%d -all\"\n", i, i)
	}
	r.dns.SetZone(t, zone+includes+`demo.test. IN TXT "v=spf1 include:s0.far.test include:s1.far.test include:s2.far.test include:s3.far.test include:s4.far.test ~all"
_dmarc.demo.test. IN TXT "v=DMARC1; p=reject; ruf=mailto:x@demo.test"`)
	list, err := r.Records(t.Context(), "demo.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []Record{
		{"demo.test", "MX", "10 mx.demo.test"}, {"mx.demo.test", "A", "203.0.113.5"}, {"mx.demo.test", "AAAA", "2001:db8::5"},
		{"5.113.0.203.in-addr.arpa", "PTR", "mx.demo.test"},
		{"5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "PTR", "mx.demo.test"},
		{"demo.test", "TXT", "v=spf1 mx include:s0.far.test include:s1.far.test include:s2.far.test include:s3.far.test include:s4.far.test ~all"},
		{"mx.demo.test", "TXT", "v=spf1 a -all"},
		{"_dmarc.demo.test", "TXT", "v=DMARC1; p=reject; ruf=mailto:x@demo.test; rua=mailto:dmarc-reports@demo.test"},
		{"mta-sts.demo.test", "CNAME", "mx.demo.test"}, {"_smtp._tls.demo.test", "TXT", "v=TLSRPTv1; rua=mailto:tls-reports@demo.test"},
		{"_imaps._tcp.demo.test", "SRV", "0 1 993 mx.demo.test"}, {"_submissions._tcp.demo.test", "SRV", "0 1 465 mx.demo.test"},
		{"_jmap._tcp.demo.test", "SRV", "0 1 443 mx.demo.test"}, {"autoconfig.demo.test", "CNAME", "mx.demo.test"},
		{"mx.demo.test", "CAA", `0 issue "letsencrypt.org"`},
	} {
		if got := find(list, want.Name, want.Type); len(got) != 1 || got[0].Value != want.Value || got[0].Reason == "" || got[0].Effect == "" {
			t.Errorf("%+v: %+v", want, got)
		}
	}
	if e := find(list, "demo.test", "TXT"); len(e) != 1 || len(e[0].Replaces) != 1 || !strings.Contains(e[0].Reason, "WARNING: it needs 11 questions") {
		t.Errorf("%+v", e)
	}
	if e := find(list, "_25._tcp.mx.demo.test", "TLSA"); len(e) != 1 || !strings.HasPrefix(e[0].Value, "3 1 1 ") || len(e[0].Value) != 70 {
		t.Errorf("%+v", e)
	}
	if len(find(list, "_imap._tcp.demo.test", "SRV")) != 0 {
		t.Error("a service that nobody listens for")
	}
	r.dns.SetFault("demo.test", "TXT", dnstest.ServFail)
	if list, err = r.Records(t.Context(), "demo.test"); err != nil || !strings.Contains(find(list, "demo.test", "TXT")[0].Reason, "look yourself") {
		t.Errorf("%v: what DNS hides could be overwritten: %+v", err, find(list, "demo.test", "TXT"))
	}
}

func certificate(t *testing.T, host string, until time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Let's Encrypt"}}, IsCA: true, BasicConstraintsValid: true}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: until, DNSNames: []string{host}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// level is the worst that a check said, and what.
func level(list []Finding, check string) (Level, string) {
	worst, text := OK, ""
	for _, f := range list {
		if f.Check == check {
			worst, text = max(worst, f.Level), text+f.Text+" "+f.Fix+" "
		}
	}
	return worst, text
}

// What domain records prints passes domain check, and each fault in it is found.
func TestCheck(t *testing.T) {
	cert := certificate(t, "mx.demo.test", time.Unix(1_900_000_000, 0))
	policy := func() (mtasts.Policy, error) { return mtasts.Policy{}, errors.New("nobody answers") }
	r := newRig(t, func(o *Options) {
		o.Addresses = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("203.0.113.5")} }
		o.Certificate = func() *x509.Certificate { return cert }
		o.Faces = []Face{{"imaps", 993}}
		o.Fetch = func(context.Context, string) (mtasts.Policy, error) { return policy() }
	})
	ctx := t.Context()
	list, err := r.Records(ctx, "demo.test")
	if err != nil {
		t.Fatal(err)
	}
	good := ""
	for _, e := range list {
		if e.Value != "" {
			good += ZoneLine(e.Record) + "\n"
		}
	}
	r.dns.SetSecure("demo.test")
	r.dns.SetZone(t, good)
	policy = func() (mtasts.Policy, error) {
		p, _, err := r.STSPolicy(ctx, "demo.test")
		return p, err
	}
	found, err := r.Check(ctx, "demo.test")
	if err != nil || len(found) < 15 {
		t.Fatal(err, found)
	}
	for _, f := range found {
		if f.Level != OK {
			t.Errorf("%+v", f)
		}
	}
	if _, err := r.dir.SetDomain(ctx, "demo.test", func(d *directory.Domain) { d.STS = "enforce" }); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, old, new string // of the zone
		check          string
		level          Level
		says           string
	}{
		{"the id of another policy", "", "", "mta-sts", Warning, "older policy"},
		{"no MX", "demo.test. IN MX 10 mx.demo.test.", "", "mx", Error, "no MX record"},
		{"null MX", "demo.test. IN MX 10 mx.demo.test.", "demo.test. IN MX 0 .", "mx", Error, "takes no mail"},
		{"MX elsewhere", "demo.test. IN MX 10 mx.demo.test.", "demo.test. IN MX 10 mx.far.test.", "mx", Error, "goes to mx.far.test"},
		{"an MX that the policy does not name", "demo.test. IN MX 10 mx.demo.test.", "demo.test. IN MX 10 mx.demo.test.\ndemo.test. IN MX 20 b.test.", "mta-sts", Error, "does not name the MX b.test"},
		{"another address", "mx.demo.test. IN A 203.0.113.5", "mx.demo.test. IN A 203.0.113.6", "address", Warning, "does not"},
		{"no name", "5.113.0.203.in-addr.arpa. IN PTR mx.demo.test.", "", "rdns", Error, "has no name"},
		{"a false name", "5.113.0.203.in-addr.arpa. IN PTR mx.demo.test.", "5.113.0.203.in-addr.arpa. IN PTR mx.far.test.", "rdns", Error, "does not lead back"},
		{"no SPF", `demo.test. IN TXT "v=spf1 mx -all"`, "", "spf", Error, "no SPF"},
		{"two SPF", `demo.test. IN TXT "v=spf1 mx -all"`, "demo.test. IN TXT \"v=spf1 mx -all\"\ndemo.test. IN TXT \"v=spf1 -all\"", "spf", Error, "2 SPF records"},
		{"SPF without us", `demo.test. IN TXT "v=spf1 mx -all"`, `demo.test. IN TXT "v=spf1 -all"`, "spf", Error, "does not let this server send"},
		{"SPF for all", `demo.test. IN TXT "v=spf1 mx -all"`, `demo.test. IN TXT "v=spf1 mx +all"`, "spf", Error, "everybody"},
		{"another key", "p=MII", "p=MIJ", "dkim", Error, "not right"},
		{"no DMARC", "p=quarantine", "p=none", "dmarc", Warning, "is none"},
		{"no TLSA", "TLSA 3 1 1", "TLSA 3 1 2", "tlsa", Warning, "can be used"},
		{"no reports", "v=TLSRPTv1", "v=TLSRPTv2", "tls-rpt", Error, "can be read"},
		{"another server", "SRV 0 1 993", "SRV 0 1 994", "programs", Warning, "994"},
		{"another authority", "letsencrypt.org", "pki.goog", "caa", Error, "do not allow"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(good, tt.old) {
				t.Fatalf("no %q in %s", tt.old, good)
			}
			var text string
			if strings.HasPrefix(tt.old, "demo.test.") { // not of mx.demo.test
				text = strings.Replace("\n"+good, "\n"+tt.old, "\n"+tt.new, 1)
			} else {
				text = strings.Replace(good, tt.old, tt.new, 1)
			}
			r.dns.SetZone(t, text)
			found, err := r.Check(ctx, "demo.test")
			if l, says := level(found, tt.check); err != nil || l != tt.level || !strings.Contains(says, tt.says) {
				t.Errorf("%v %s: %s", err, l, says)
			}
		})
	}
	t.Run("another certificate", func(t *testing.T) {
		r.dns.SetZone(t, good)
		cert = certificate(t, "mx.demo.test", r.clk.Now().Add(24*time.Hour))
		found, err := r.Check(ctx, "demo.test")
		if l, says := level(found, "tlsa"); err != nil || l != Error || !strings.Contains(says, "who knows DANE") {
			t.Error(l, says, err)
		}
		if l, says := level(found, "certificate"); l != Warning {
			t.Error(l, says)
		}
	})
	t.Run("no answers", func(t *testing.T) {
		for _, name := range []string{"demo.test", "mx.demo.test", "_dmarc.demo.test", "_mta-sts.demo.test"} {
			r.dns.SetFault(name, "", dnstest.ServFail)
		}
		policy = func() (mtasts.Policy, error) { return mtasts.Policy{}, errors.New("nobody answers") }
		found, err := r.Check(ctx, "demo.test")
		for _, check := range []string{"mx", "address", "spf", "dmarc", "mta-sts"} {
			if l, says := level(found, check); err != nil || l != Warning {
				t.Error(check, l, says, err)
			}
		}
	})
}

// The id of a policy changes exactly when it does.
func TestSTSPolicy(t *testing.T) {
	r := newRig(t, nil)
	seen := map[string]string{}
	for _, mode := range []string{"", "testing", "enforce", "none", "enforce"} {
		if _, err := r.dir.SetDomain(t.Context(), "demo.test", func(d *directory.Domain) { d.STS = mode }); err != nil {
			t.Fatal(err)
		}
		p, id, err := r.STSPolicy(t.Context(), "demo.test")
		if err != nil || id == "" || len(id) > 32 {
			t.Fatal(id, err)
		}
		if was, ok := seen[id]; ok && was != p.String() {
			t.Errorf("%s: one id for two policies", mode)
		}
		seen[id] = p.String()
		if again, err := mtasts.Parse(p.String()); err != nil || again.Mode != p.Mode || !again.Covers("mx.demo.test") {
			t.Errorf("%s: %v, %v", mode, again, err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%v", seen)
	}
}
