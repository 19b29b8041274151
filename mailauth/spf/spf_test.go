package spf_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/mailauth/spf"
)

func input(ip, sender, hello string) spf.Input {
	in := spf.Input{IP: netip.MustParseAddr(ip), Hello: hello, Now: time.Unix(1e9, 0)}
	if local, domain, ok := strings.Cut(sender, "@"); ok {
		in.Sender = mail.Address{Local: local, Domain: mail.Domain(domain)}
	}
	return in
}

// Against a real resolver, with its faults.
func TestOverDNS(t *testing.T) {
	srv := dnstest.New(t, `
example.org.        TXT "v=spf1 ip4:192.0.2.0/24 " "mx -all"
example.org.        TXT "other"
example.org.        MX 10 mx.example.org.
mx.example.org.     A 198.51.100.1
mx.example.org.     AAAA 2001:db8::1
slow.example.       TXT "v=spf1 a:silent.example -all"
xn--bcher-kva.example. TXT "v=spf1 ip4:192.0.2.1 -all"
half.example.       TXT "v=spf1 a -all"
half.example.       AAAA 2001:db8::1
half4.example.      TXT "v=spf1 exists:half4.example a -all"
half4.example.      A 192.0.2.5
halfmx.example.     TXT "v=spf1 mx -all"
halfmx.example.     MX 10 half.example.
noexist.example.    TXT "v=spf1 exists:half.example -all"
`)
	srv.SetFault("half.example", "A", dnstest.ServFail)
	srv.SetFault("half4.example", "AAAA", dnstest.ServFail)
	srv.SetFault("silent.example", "", dnstest.Fault{Silent: true})
	srv.SetFault("broken.example", "", dnstest.ServFail)
	c := srv.Client(t, dns.Options{Timeout: 50 * time.Millisecond})
	for _, tt := range []struct{ ip, sender, hello, want, mechanism string }{
		{"192.0.2.9", "a@example.org", "h.example", "pass", "ip4:192.0.2.0/24"},
		{"192.0.2.9", "a@half.example", "h.example", "temperror", ""}, // its A records cannot be had
		{"2001:db8::1", "a@half.example", "h.example", "pass", "a"},
		{"2001:db8::2", "a@half.example", "h.example", "fail", "-all"},
		{"192.0.2.9", "a@halfmx.example", "h.example", "temperror", ""},
		{"192.0.2.9", "a@noexist.example", "h.example", "temperror", ""},
		{"2001:db8::2", "a@half4.example", "h.example", "pass", "exists:half4.example"},
		{"::ffff:192.0.2.9", "a@example.org", "h.example", "pass", "ip4:192.0.2.0/24"},
		{"2001:db8::1", "a@EXAMPLE.org", "h.example", "pass", "mx"},
		{"203.0.113.1", "a@example.org", "h.example", "fail", "-all"},
		{"203.0.113.1", "", "example.org", "fail", "-all"},
		{"203.0.113.1", "a@none.example", "h.example", "none", ""},
		{"203.0.113.1", "", "[203.0.113.1]", "none", ""},
		{"203.0.113.1", "", "localhost", "none", ""},
		{"203.0.113.1", "a@broken.example", "h.example", "temperror", ""},
		{"203.0.113.1", "a@slow.example", "h.example", "temperror", ""},
		{"192.0.2.1", "a@bücher.example", "h.example", "pass", "ip4:192.0.2.1"},
	} {
		got := spf.Check(t.Context(), c, input(tt.ip, tt.sender, tt.hello))
		if got.Status.String() != tt.want || got.Mechanism != tt.mechanism {
			t.Errorf("%s from %s: %+v, want %s", tt.sender, tt.ip, got, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := spf.Check(ctx, c, input("192.0.2.1", "a@late.example", "h")); got.Status != spf.TempError {
		t.Errorf("after the time: %+v", got)
	}
	if got := spf.CheckHello(t.Context(), c, input("203.0.113.1", "a@none.example", "example.org")); got.Status != spf.Fail || got.Domain != "example.org" {
		t.Errorf("hello: %+v", got)
	}
}

// Policies made to cost much cost little: a tree of includes, a loop, macros that
// multiply.
func TestBounded(t *testing.T) {
	z := zone{"loop.example": {map[string]any{"TXT": "v=spf1 include:loop.example -all"}},
		"self.example": {map[string]any{"TXT": "v=spf1 redirect=self.example"}},
		"long.example": {map[string]any{"TXT": "v=spf1 exists:" + strings.Repeat("%{s}.%{h}", 500) + ".example -all"}}}
	for i := range 10 {
		inc := ""
		for j := range 10 {
			inc += fmt.Sprintf(" include:%d.tree.example", (i+j+1)%10)
		}
		z[fmt.Sprintf("%d.tree.example", i)] = []any{map[string]any{"TXT": "v=spf1" + inc + " -all"}}
	}
	for _, domain := range []string{"loop.example", "self.example", "0.tree.example"} {
		got := spf.Check(t.Context(), z, input("192.0.2.1", "a@"+domain, "h.example"))
		if got.Status != spf.PermError || got.Lookups > 11 {
			t.Errorf("%s: %+v", domain, got)
		}
	}
	if got := spf.Check(t.Context(), z, input("192.0.2.1", "a@long.example", strings.Repeat("h", 250))); got.Status != spf.Fail {
		t.Errorf("long: %+v", got)
	}
}

func FuzzRecord(f *testing.F) {
	for _, s := range []string{"ip4:192.0.2.0/24 -all", "a:%{ir}.%{v}.%{d2r-}/24//64 mx/0 ptr", "redirect=%{d} exp=x.%{o}", "exists:%{L9r+-,/_=}.e.x ?all", "include:a.b"} {
		f.Add(s, "a%b@c", "192.0.2.1")
	}
	f.Fuzz(func(t *testing.T, rec, sender, ip string) {
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			return
		}
		z := zone{"f.example": {map[string]any{"TXT": "v=spf1 " + rec}}}
		in := spf.Input{IP: addr, Hello: sender, Sender: mail.Address{Local: sender, Domain: "f.example"}}
		got := spf.Check(t.Context(), z, in)
		for i := range len(got.Explanation) {
			if c := got.Explanation[i]; c < ' ' || c > '~' {
				t.Errorf("%q", got.Explanation)
			}
		}
	})
}
