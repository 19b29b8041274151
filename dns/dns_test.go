package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"go.uber.org/goleak"

	"posthouse/dns"
	"posthouse/dns/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const zone = `
example.org.      MX 10 mx1.example.org.
example.org.      MX 20 mx2.example.org.
example.org.      TXT "v=spf1 " "-all" 
example.org.      TXT "a\"b\\c\200"
mx1.example.org.  A 192.0.2.1
mx1.example.org.  AAAA 2001:db8::1
mx2.example.org.  A 192.0.2.2
null.example.     MX 0 .
alias.example.    CNAME www.alias.example.
www.alias.example. CNAME mx1.example.org.
loop.example.     CNAME loop.example.
gone.example.     CNAME nothing.example.
*.wild.example.   MX 5 mx.wild.example.
_25._tcp.mx1.example.org. TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
1.2.0.192.in-addr.arpa. PTR mx1.example.org.
`

func TestLookups(t *testing.T) {
	srv := dnstest.New(t, zone)
	srv.SetSecure("example.org")
	c := srv.Client(t, dns.Options{})
	ctx := t.Context()

	mx, err := c.LookupMX(ctx, "Example.ORG.")
	if err != nil || len(mx.Records) != 2 || !mx.Secure || mx.Name != "example.org" || !slices.Contains(mx.Records, dns.MX{Preference: 10, Host: "mx1.example.org"}) {
		t.Errorf("MX: %+v, %v", mx, err)
	}
	if mx, err := c.LookupMX(ctx, "null.example"); err != nil || mx.Records[0].Host != "." || mx.Secure {
		t.Errorf("null MX: %+v, %v", mx, err)
	}
	if mx, err := c.LookupMX(ctx, "a.b.wild.example"); err != nil || mx.Records[0].Host != "mx.wild.example" {
		t.Errorf("wildcard: %+v, %v", mx, err)
	}
	ip, err := c.LookupAddr(ctx, "mx1.example.org")
	if want := []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")}; err != nil || !slices.Equal(ip.Records, want) || !ip.Secure {
		t.Errorf("addresses: %+v, %v", ip, err)
	}
	// There is no AAAA, and the absence is secure too.
	if ip, err := c.LookupAddr(ctx, "mx2.example.org"); err != nil || len(ip.Records) != 1 || !ip.Secure {
		t.Errorf("address: %+v, %v", ip, err)
	}
	srv.SetFault("mx1.example.org", "AAAA", dnstest.ServFail) // must not switch DNSSEC off
	if ip, err := srv.Client(t, dns.Options{}).LookupAddr(ctx, "mx1.example.org"); err != nil || len(ip.Records) != 1 || !ip.Secure || !errors.Is(ip.Missing, dns.ErrTemporary) {
		t.Errorf("AAAA fails: %+v, %v", ip, err)
	}
	srv.SetFault("mx1.example.org", "AAAA", dnstest.Fault{})
	if ip, err := c.LookupAddr(ctx, "alias.example"); err != nil || ip.Name != "mx1.example.org" || len(ip.Records) != 2 || ip.Secure {
		t.Errorf("alias: %+v, %v", ip, err)
	}
	txt, err := c.LookupTXT(ctx, "example.org")
	if err != nil || !slices.Contains(txt.Records, "v=spf1 -all") || !slices.Contains(txt.Records, "a\"b\\c\xc8") {
		t.Errorf("TXT: %q, %v", txt.Records, err)
	}
	if ptr, err := c.LookupPTR(ctx, netip.MustParseAddr("::ffff:192.0.2.1")); err != nil || ptr.Records[0] != "mx1.example.org" {
		t.Errorf("PTR: %+v, %v", ptr, err)
	}
	if tlsa, err := c.LookupTLSA(ctx, "_25._tcp.mx1.example.org"); err != nil || tlsa.Records[0].Usage != 3 || len(tlsa.Records[0].Data) != 32 {
		t.Errorf("TLSA: %+v, %v", tlsa, err)
	}
}

func TestErrors(t *testing.T) {
	srv := dnstest.New(t, zone)
	srv.SetFault("fail.example", "", dnstest.ServFail)
	srv.SetFault("refused.example", "", dnstest.Fault{Rcode: mdns.RcodeRefused})
	srv.SetFault("silent.example", "", dnstest.Fault{Silent: true})
	srv.SetFault("wrong.example", "", dnstest.Fault{WrongID: true})
	srv.SetFault("empty.example", "", dnstest.Fault{Empty: true})
	srv.SetFault("cut.example", "", dnstest.Fault{Truncated: true})
	srv.SetFault("mx2.example.org", "A", dnstest.ServFail)
	c := srv.Client(t, dns.Options{Timeout: 100 * time.Millisecond})
	for name, want := range map[string]error{
		"nothing.example": dns.ErrNotExist, "gone.example": dns.ErrNotExist, "mx1.example.org": dns.ErrNoData,
		"org": dns.ErrNoData, "fail.example": dns.ErrTemporary, "refused.example": dns.ErrTemporary,
		"silent.example": dns.ErrTemporary, "wrong.example": dns.ErrTemporary, "empty.example": dns.ErrNoData,
		"cut.example": dns.ErrTemporary, "loop.example": dns.ErrTemporary, "": dns.ErrBadName, "a..b": dns.ErrBadName,
		strings.Repeat("a", 64) + ".example": dns.ErrBadName,
	} {
		_, err := c.LookupMX(t.Context(), name)
		var e *dns.Error
		if !errors.Is(err, want) || !errors.As(err, &e) || e.Type != "MX" {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
		if dns.IsAbsent(err) == errors.Is(err, dns.ErrTemporary) {
			t.Errorf("%q: IsAbsent(%v)", name, err)
		}
	}
	// No AAAA, and nobody knows about A: not certain, so not absent.
	if _, err := c.LookupAddr(t.Context(), "mx2.example.org"); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("half an answer: %v", err)
	}
}

func TestTruncatedAnswerGoesToTCP(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "many.example. MX %d a-rather-long-name-%d.many.example.\n", i, i)
	}
	b.WriteString("few.example. MX 1 mx.few.example.\n")
	srv := dnstest.New(t, b.String())
	srv.SetFault("few.example", "MX", dnstest.Fault{Truncate: true})
	c := srv.Client(t, dns.Options{})
	if mx, err := c.LookupMX(t.Context(), "many.example"); err != nil || len(mx.Records) != 100 {
		t.Errorf("%d records, %v", len(mx.Records), err)
	}
	if mx, err := c.LookupMX(t.Context(), "few.example"); err != nil || len(mx.Records) != 1 {
		t.Errorf("%+v, %v", mx, err)
	}
	if n := srv.Queries("few.example", "MX"); n != 2 {
		t.Errorf("%d queries, want UDP and TCP", n)
	}
}

func TestSecondServerAnswers(t *testing.T) {
	bad, good := dnstest.New(t, ""), dnstest.New(t, zone)
	bad.SetFault("example.org", "", dnstest.ServFail)
	c := dns.New(dns.Options{Servers: []dns.Server{{Addr: bad.Addr}, {Addr: good.Addr}}, Timeout: time.Second})
	defer c.Close()
	if mx, err := c.LookupMX(t.Context(), "example.org"); err != nil || len(mx.Records) != 2 {
		t.Errorf("%+v, %v", mx, err)
	}
}

func TestCache(t *testing.T) {
	srv := dnstest.New(t, zone+"short.example. 5 MX 1 a.example.\nzero.example. 0 MX 1 a.example.\n")
	now := time.Unix(1e9, 0)
	c := srv.Client(t, dns.Options{Now: func() time.Time { return now }, CacheEntries: 50})
	ask := func(name string, after time.Duration, wantQueries int) {
		t.Helper()
		now = now.Add(after)
		_, _ = c.LookupMX(t.Context(), name)
		if n := srv.Queries(name, "MX"); n != wantQueries {
			t.Errorf("%s: %d queries, want %d", name, n, wantQueries)
		}
	}
	ask("short.example", 0, 1)
	ask("short.example", 4*time.Second, 1)
	ask("short.example", 2*time.Second, 2)
	ask("zero.example", 0, 1)
	ask("zero.example", 0, 2)
	ask("nothing.example", 0, 1) // absence is kept by the SOA: 60 s
	ask("nothing.example", 59*time.Second, 1)
	ask("nothing.example", 2*time.Second, 2)
	srv.SetFault("fail.example", "", dnstest.ServFail)
	ask("fail.example", 0, 2) // two attempts
	ask("fail.example", time.Second, 2)
	srv.SetFault("fail.example", "", dnstest.Fault{})
	ask("fail.example", 2*time.Second, 3)
	for i := range 200 {
		_, _ = c.LookupMX(t.Context(), fmt.Sprintf("n%d.example", i))
	}
	if n := c.Stats().CacheEntries; n > 50 {
		t.Errorf("%d entries", n)
	}
}

// Who may not ask gets what is known, as long as it may be believed, with its DNSSEC
// status, and is told when that was not all.
func TestOffline(t *testing.T) {
	srv := dnstest.New(t, "short.example. 5 MX 1 a.example.\nshort.example. 5 A 192.0.2.1\n")
	srv.SetSecure("short.example")
	now := time.Unix(1e9, 0)
	c := srv.Client(t, dns.Options{Now: func() time.Time { return now }})
	offline := func(missed bool) {
		t.Helper()
		off := c.Offline(t.Context())
		mx, err := c.LookupMX(off, "short.example")
		ip, errIP := c.LookupAddr(off, "short.example")
		_, errNone := c.LookupTXT(off, "none.example")
		switch {
		case off.Missed() != missed:
			t.Errorf("missed: %v", off.Missed())
		case missed && (!errors.Is(err, dns.ErrTemporary) || !errors.Is(errIP, dns.ErrTemporary) || !errors.Is(errNone, dns.ErrTemporary)):
			t.Errorf("%v, %v, %v", err, errIP, errNone)
		case !missed && (err != nil || !mx.Secure || errIP != nil || !ip.Secure || !errors.Is(errNone, dns.ErrNotExist)):
			t.Errorf("%+v %v, %+v %v, %v", mx, err, ip, errIP, errNone)
		}
	}
	offline(true)
	if n := c.Stats().Queries; n != 0 {
		t.Errorf("%d queries", n)
	}
	_, _ = c.LookupMX(t.Context(), "short.example")
	_, _ = c.LookupAddr(t.Context(), "short.example")
	_, _ = c.LookupTXT(t.Context(), "none.example")
	offline(false)
	now = now.Add(4 * time.Second)
	offline(false)
	now = now.Add(2 * time.Second)
	off := c.Offline(t.Context())
	if _, err := c.LookupMX(off, "short.example"); err == nil || !off.Missed() {
		t.Errorf("believed beyond its time: %v", err)
	}
}

func TestOneFlight(t *testing.T) {
	srv := dnstest.New(t, zone)
	srv.SetFault("example.org", "", dnstest.Fault{Slow: 100 * time.Millisecond})
	c := srv.Client(t, dns.Options{Timeout: 5 * time.Second})
	gone, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			ctx := t.Context()
			if i == 0 {
				ctx = gone
				cancel()
			}
			if _, err := c.LookupMX(ctx, "example.org"); (err != nil) != (i == 0) {
				t.Errorf("lookup %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := srv.Queries("example.org", "MX"); n != 1 {
		t.Errorf("%d queries", n)
	}
}

func TestClose(t *testing.T) {
	srv := dnstest.New(t, zone)
	srv.SetFault("example.org", "", dnstest.Fault{Silent: true})
	c := srv.Client(t, dns.Options{Timeout: time.Minute})
	done := make(chan error)
	go func() {
		_, err := c.LookupMX(context.Background(), "example.org")
		done <- err
	}()
	for srv.Queries("example.org", "MX") == 0 {
		time.Sleep(time.Millisecond)
	}
	_ = c.Close()
	if err := <-done; !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("%v", err)
	}
	if _, err := c.LookupMX(context.Background(), "other.example"); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("after Close: %v", err)
	}
}

func TestADIsNotBelieved(t *testing.T) {
	// A server that is not loopback cannot be had in a test; resolv.conf can.
	path := filepath.Join(t.TempDir(), "resolv.conf")
	now := time.Unix(1e9, 0)
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
		if err := os.Chtimes(path, now, now); err != nil {
			t.Fatal(err)
		}
	}
	c := dns.New(dns.Options{ResolvConf: path, Now: func() time.Time { return now }})
	defer c.Close()
	for _, tt := range []struct{ text, want string }{
		{"# x\nnameserver 192.0.2.53 # y\nsearch a b\n", "192.0.2.53:53 false"},
		{"nameserver 192.0.2.53\nnameserver fe80::1%eth0\noptions ndots:2 trust-ad\n", "192.0.2.53:53 true,[fe80::1%eth0]:53 true"},
		{"nameserver x\n", "127.0.0.1:53 false"},
		{"nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n", "1.1.1.1:53 false,1.1.1.2:53 false,1.1.1.3:53 false"},
	} {
		write(tt.text)
		servers, err := dns.ServersOf(c)
		var got []string
		for _, s := range servers {
			got = append(got, fmt.Sprintf("%s %v", s.Addr, s.TrustAD))
		}
		if err != nil || strings.Join(got, ",") != tt.want {
			t.Errorf("%q: %v, %v; want %s", tt.text, got, err, tt.want)
		}
	}
}
