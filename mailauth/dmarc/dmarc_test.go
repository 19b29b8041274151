package dmarc_test

import (
	"testing"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mailauth/dmarc"
)

const zone = `
_dmarc.example.org.       TXT "v=DMARC1; p=reject; sp=quarantine; rua=mailto:r@example.org,mailto:s@example.net"
_dmarc.strict.example.    TXT "v=DMARC1; p=quarantine; adkim=s; aspf=s"
_dmarc.none.example.      TXT "v=DMARC1;p=none"
_dmarc.share.example.     TXT "v=DMARC1; p=reject; pct=30"
_dmarc.two.example.       TXT "v=DMARC1; p=reject"
_dmarc.two.example.       TXT "v=DMARC1; p=none"
_dmarc.more.example.      TXT "v=spf1 -all"
_dmarc.more.example.      TXT "v=DMARC1 ; p = reject ;"
_dmarc.bad.example.       TXT "v=DMARC1; p=refuse"
_dmarc.badrua.example.    TXT "v=DMARC1; p=refuse; rua=mailto:a@badrua.example"
_dmarc.late.example.      TXT "p=reject; v=DMARC1"
_dmarc.old.example.       TXT "v=DMARC2; p=reject"
_dmarc.twice.example.     TXT "v=DMARC1; p=none; p=reject"
_dmarc.co.uk.             TXT "v=DMARC1; p=reject"
_dmarc.xn--bcher-kva.example. TXT "v=DMARC1; p=reject"
`

func TestJudge(t *testing.T) {
	srv := dnstest.New(t, zone)
	srv.SetFault("_dmarc.broken.example", "", dnstest.ServFail)
	c := srv.Client(t, dns.Options{})
	dkim := func(d ...string) dmarc.Evidence { return dmarc.Evidence{DKIM: d} }
	for _, tt := range []struct {
		from     string
		evidence dmarc.Evidence
		draw     int
		want     dmarc.Status
		apply    dmarc.Disposition
	}{
		{"example.org", dkim("example.org"), 0, dmarc.Pass, dmarc.Nothing},
		{"example.org", dkim("x.example", "mail.example.org"), 0, dmarc.Pass, dmarc.Nothing},
		{"EXAMPLE.org", dmarc.Evidence{SPF: "bounce.example.org"}, 0, dmarc.Pass, dmarc.Nothing},
		{"example.org", dmarc.Evidence{}, 0, dmarc.Fail, dmarc.Reject},
		{"example.org", dkim("notexample.org"), 0, dmarc.Fail, dmarc.Reject},
		{"example.org", dkim("org"), 0, dmarc.Fail, dmarc.Reject},
		{"a.b.example.org", dmarc.Evidence{}, 0, dmarc.Fail, dmarc.Quarantine},
		{"a.b.example.org", dkim("c.example.org"), 0, dmarc.Pass, dmarc.Nothing},
		{"example.org", dmarc.Evidence{Unsure: true}, 0, dmarc.TempError, dmarc.Nothing},
		{"strict.example", dkim("a.strict.example"), 0, dmarc.Fail, dmarc.Quarantine},
		{"strict.example", dmarc.Evidence{SPF: "strict.example"}, 0, dmarc.Pass, dmarc.Nothing},
		{"none.example", dmarc.Evidence{}, 0, dmarc.Fail, dmarc.Nothing},
		{"share.example", dmarc.Evidence{}, 29, dmarc.Fail, dmarc.Reject},
		{"share.example", dmarc.Evidence{}, 30, dmarc.Fail, dmarc.Quarantine},
		{"two.example", dmarc.Evidence{}, 0, dmarc.None, dmarc.Nothing},
		{"more.example", dmarc.Evidence{}, 0, dmarc.Fail, dmarc.Reject},
		{"bad.example", dmarc.Evidence{}, 0, dmarc.None, dmarc.Nothing},
		{"badrua.example", dmarc.Evidence{}, 0, dmarc.Fail, dmarc.Nothing},
		{"late.example", dmarc.Evidence{}, 0, dmarc.None, dmarc.Nothing},
		{"old.example", dmarc.Evidence{}, 0, dmarc.None, dmarc.Nothing},
		{"twice.example", dmarc.Evidence{}, 0, dmarc.None, dmarc.Nothing},
		{"absent.example", dmarc.Evidence{}, 0, dmarc.None, dmarc.Nothing},
		{"shop.co.uk", dmarc.Evidence{}, 0, dmarc.None, dmarc.Nothing}, // a public suffix speaks for nobody else
		{"broken.example", dmarc.Evidence{}, 0, dmarc.TempError, dmarc.Nothing},
		{"bücher.example", dmarc.Evidence{SPF: "xn--bcher-kva.example"}, 0, dmarc.Pass, dmarc.Nothing},
		{"[192.0.2.1]", dmarc.Evidence{}, 0, dmarc.None, dmarc.Nothing},
		{"localhost", dmarc.Evidence{}, 0, dmarc.None, dmarc.Nothing},
		{"", dmarc.Evidence{SPF: ""}, 0, dmarc.None, dmarc.Nothing},
	} {
		p := dmarc.Discover(t.Context(), c, tt.from)
		if got := p.Judge(t.Context(), c, tt.evidence, tt.draw); got.Status != tt.want || got.Apply != tt.apply {
			t.Errorf("%s with %+v: %+v, want %v, %v", tt.from, tt.evidence, got, tt.want, tt.apply)
		}
	}
	if p := dmarc.Discover(t.Context(), c, "x.example.org"); len(p.Record.Aggregate) != 2 || p.Domain != "example.org" {
		t.Errorf("%+v", p)
	}
}

// RFC 9989: the organization is found by asking upwards.
func TestTreeWalk(t *testing.T) {
	srv := dnstest.New(t, `
_dmarc.big.example.        TXT "v=DMARC1; p=reject; np=quarantine; sp=none"
_dmarc.dept.big.example.   TXT "v=DMARC1; p=none; psd=n"
_dmarc.host.example.       TXT "v=DMARC1; p=quarantine; psd=y"
_dmarc.a.host.example.     TXT "v=DMARC1; p=reject"
_dmarc.try.example.        TXT "v=DMARC1; p=reject; t=y"
_dmarc.t2.t3.t4.t5.t6.t7.deep.example. TXT "v=DMARC1; p=reject"
_dmarc.bank.               TXT "v=DMARC1; p=reject; psd=y"
_dmarc.only.example.       TXT "v=DMARC1; psd=n"
there.big.example.         A 192.0.2.1
x.mail.example.            A 192.0.2.1
`)
	srv.SetFault("_dmarc.flaky.big.example", "", dnstest.ServFail)
	c := srv.Client(t, dns.Options{})
	for _, tt := range []struct {
		from, dkim  string
		org, policy string
		want        dmarc.Status
		apply       dmarc.Disposition
	}{
		{"there.big.example", "", "big.example", "big.example", dmarc.Fail, dmarc.Nothing},
		{"gone.big.example", "", "big.example", "big.example", dmarc.Fail, dmarc.Quarantine},
		{"there.big.example", "x.y.big.example", "big.example", "big.example", dmarc.Pass, dmarc.Nothing},
		{"big.example", "dept.big.example", "big.example", "big.example", dmarc.Fail, dmarc.Reject},
		{"big.example", "a.dept.big.example", "big.example", "big.example", dmarc.Fail, dmarc.Reject},
		{"a.dept.big.example", "dept.big.example", "dept.big.example", "dept.big.example", dmarc.Pass, dmarc.Nothing},
		{"dept.big.example", "big.example", "dept.big.example", "dept.big.example", dmarc.Fail, dmarc.Nothing},
		{"big.example", "flaky.big.example", "big.example", "big.example", dmarc.TempError, dmarc.Nothing},
		{"a.host.example", "b.host.example", "a.host.example", "a.host.example", dmarc.Fail, dmarc.Reject},
		{"x.b.host.example", "b.host.example", "b.host.example", "host.example", dmarc.Pass, dmarc.Nothing},
		{"x.b.host.example", "c.host.example", "b.host.example", "host.example", dmarc.Fail, dmarc.Quarantine},
		{"host.example", "", "host.example", "host.example", dmarc.Fail, dmarc.Quarantine},
		{"try.example", "", "try.example", "try.example", dmarc.Fail, dmarc.Quarantine},
		{"t1.t2.t3.t4.t5.t6.t7.deep.example", "", "t1.t2.t3.t4.t5.t6.t7.deep.example", "", dmarc.None, dmarc.Nothing},
		{"first.bank", "", "first.bank", "bank", dmarc.Fail, dmarc.Reject},
		{"www.first.bank", "first.bank", "first.bank", "bank", dmarc.Pass, dmarc.Nothing},
		{"www.first.bank", "second.bank", "first.bank", "bank", dmarc.Fail, dmarc.Reject},
		{"only.example", "", "only.example", "only.example", dmarc.Fail, dmarc.Nothing},
		{"x.mail.example", "mail.example", "x.mail.example", "", dmarc.None, dmarc.Nothing},
	} {
		p := dmarc.Discover(t.Context(), c, tt.from)
		if got := p.Judge(t.Context(), c, dmarc.Evidence{DKIM: []string{tt.dkim}}, 0); got.Status != tt.want || got.Apply != tt.apply || p.Org != tt.org || p.Domain != tt.policy {
			t.Errorf("%s signed by %q: org %s, policy of %q, %+v; want %+v", tt.from, tt.dkim, p.Org, p.Domain, got, tt)
		}
	}
	if n := srv.Queries("_dmarc.example", "TXT"); n > 4 {
		t.Errorf("the suffix was asked %d times", n)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("v=DMARC1; p=reject; sp=none; pct=5; rua=mailto:a@b!10m; adkim=s; fo=1; ri=3600")
	f.Fuzz(func(t *testing.T, s string) {
		if rec, ok := dmarc.ParseRecord(s); ok && (rec.Percent < 0 || rec.Percent > 100 || len(rec.Aggregate) > 20) {
			t.Errorf("%+v", rec)
		}
	})
}
