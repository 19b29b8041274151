package dnsbl_test

import (
	"net/netip"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mailauth/dnsbl"
)

func TestCheck(t *testing.T) {
	srv := dnstest.New(t, `
99.2.0.192.bad.test.   A 127.0.0.2
99.2.0.192.worse.test. A 127.0.0.4
99.2.0.192.good.test.  A 127.0.10.1
98.2.0.192.bad.test.   A 127.255.255.254
97.2.0.192.bad.test.   A 198.51.100.1
96.2.0.192.bad.test.   AAAA ::1
1.0.0.127.bad.test.    A 127.0.0.2
1.0.0.10.bad.test.     A 127.0.0.2
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bad.test. A 127.0.0.2
`)
	srv.SetFault("95.2.0.192.bad.test", "", dnstest.ServFail)
	srv.SetFault("94.2.0.192.bad.test", "", dnstest.Fault{Silent: true})
	c := srv.Client(t, dns.Options{Timeout: 50 * time.Millisecond})
	zones := []dnsbl.Zone{{Name: "bad.test", Weight: 5}, {Name: "worse.test", Weight: 7}, {Name: "good.test", Weight: -3}, {Name: "none.test", Weight: 100}}
	for ip, want := range map[string]int{"192.0.2.99": 9, "::ffff:192.0.2.99": 9, "2001:db8::1": 5, "192.0.2.98": 0, "192.0.2.97": 0, "192.0.2.96": 0,
		"192.0.2.95": 0, "192.0.2.94": 0, "192.0.2.1": 0, "127.0.0.1": 0, "10.0.0.1": 0} {
		got := dnsbl.Check(t.Context(), c, zones, netip.MustParseAddr(ip))
		if got.Weight != want || want == 9 && (len(got.Zones) != 3 || got.Zones[1].Name != "worse.test") {
			t.Errorf("%s: %+v, want %d", ip, got, want)
		}
	}
	if got := dnsbl.Check(t.Context(), c, zones, netip.Addr{}); got.Weight != 0 {
		t.Errorf("no address: %+v", got)
	}
	if n := srv.Queries("1.0.0.10.bad.test", "A"); n != 0 {
		t.Errorf("a private address was asked about %d times", n)
	}
}

// Answers have weights of their own; the heaviest counts.
func TestCodes(t *testing.T) {
	srv := dnstest.New(t, `
1.2.0.192.bad.test. A 127.0.0.2
2.2.0.192.bad.test. A 127.0.0.10
3.2.0.192.bad.test. A 127.0.0.11
3.2.0.192.bad.test. A 127.0.0.2
4.2.0.192.bad.test. A 127.0.0.99
5.2.0.192.bad.test. A 127.0.1.1
5.2.0.192.bad.test. A 127.0.0.99
`)
	ip := netip.MustParseAddr
	zones := []dnsbl.Zone{{Name: "bad.test", Weight: 1, Codes: []dnsbl.Code{{First: ip("127.0.0.2"), Last: ip("127.0.0.2"), Weight: 10},
		{First: ip("127.0.0.10"), Last: ip("127.0.0.11"), Weight: 4}, {First: ip("127.0.1.0"), Last: ip("127.0.1.255"), Weight: -6}}}}
	c := srv.Client(t, dns.Options{})
	for a, want := range map[string]int{"192.0.2.1": 10, "192.0.2.2": 4, "192.0.2.3": 10, "192.0.2.4": 1, "192.0.2.5": -6, "192.0.2.6": 0} {
		if got := dnsbl.Check(t.Context(), c, zones, ip(a)); got.Weight != want || len(got.Zones) == 1 && got.Zones[0].Weight != want {
			t.Errorf("%s: %+v, want %d", a, got, want)
		}
	}
}
