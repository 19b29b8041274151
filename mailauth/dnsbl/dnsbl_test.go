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
	zones := []dnsbl.Zone{{"bad.test", 5}, {"worse.test", 7}, {"good.test", -3}, {"none.test", 100}}
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
