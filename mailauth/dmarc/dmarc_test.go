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
		if got := p.Judge(tt.evidence, tt.draw); got.Status != tt.want || got.Apply != tt.apply {
			t.Errorf("%s with %+v: %+v, want %v, %v", tt.from, tt.evidence, got, tt.want, tt.apply)
		}
	}
	if p := dmarc.Discover(t.Context(), c, "x.example.org"); len(p.Record.Aggregate) != 2 || p.Domain != "example.org" {
		t.Errorf("%+v", p)
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
