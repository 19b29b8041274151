package iprev_test

import (
	"net/netip"
	"strings"
	"testing"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mailauth/iprev"
)

func TestCheck(t *testing.T) {
	many := strings.Repeat("9.2.0.192.in-addr.arpa. PTR x.example.\n", 1)
	for i := range 30 {
		many += "9.2.0.192.in-addr.arpa. PTR n" + strings.Repeat("x", i) + ".example.\n"
	}
	srv := dnstest.New(t, `
1.2.0.192.in-addr.arpa. PTR other.example.
1.2.0.192.in-addr.arpa. PTR mx.example.
mx.example. A 192.0.2.1
mx.example. AAAA 2001:db8::1
other.example. A 192.0.2.200
2.2.0.192.in-addr.arpa. PTR mx.example.
3.2.0.192.in-addr.arpa. PTR broken.example.
6.2.0.192.in-addr.arpa. PTR half.example.
half.example. AAAA 2001:db8::1
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx.example.
`+many)
	srv.SetFault("broken.example", "", dnstest.ServFail)
	srv.SetFault("half.example", "A", dnstest.ServFail)
	srv.SetFault("4.2.0.192.in-addr.arpa", "", dnstest.ServFail)
	c := srv.Client(t, dns.Options{})
	for ip, want := range map[string]iprev.Result{
		"192.0.2.1": {Status: iprev.Pass, Name: "mx.example"}, "2001:db8::1": {Status: iprev.Pass, Name: "mx.example"}, "::ffff:192.0.2.1": {Status: iprev.Pass, Name: "mx.example"},
		"192.0.2.2": {Status: iprev.Fail}, "192.0.2.3": {Status: iprev.TempError}, "192.0.2.4": {Status: iprev.TempError},
		"192.0.2.5": {Status: iprev.PermError}, "192.0.2.6": {Status: iprev.TempError}, "192.0.2.9": {Status: iprev.Fail},
	} {
		if got := iprev.Check(t.Context(), c, netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %+v", ip, got)
		}
	}
	if got := iprev.Check(t.Context(), c, netip.Addr{}); got.Status != iprev.None {
		t.Errorf("%+v", got)
	}
}
