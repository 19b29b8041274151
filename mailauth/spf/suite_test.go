package spf_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"posthouse/dns"
	"posthouse/mail"
	"posthouse/mailauth/spf"
)

// zone is the zonedata of the suite.
type zone map[string][]any

func (z zone) at(name, qtype string) ([]any, error) {
	fail := &dns.Error{Name: name, Type: qtype, Err: dns.ErrNotExist}
	var rrs []any
	found := false
	for owner, v := range z {
		if strings.EqualFold(owner, name) {
			rrs, found = v, true
		}
	}
	if !found {
		for _, label := range strings.Split(name, ".") {
			if len(label) > 63 || label == "" {
				fail.Err = dns.ErrBadName
			}
		}
		return nil, fail
	}
	var out []any
	fail.Err = dns.ErrNoData
	for _, rr := range rrs {
		if rr == "TIMEOUT" { // of every type that is not there
			fail.Err = dns.ErrTemporary
			continue
		}
		for k, v := range rr.(map[string]any) {
			switch {
			case v == "TIMEOUT" && k == qtype:
				return nil, &dns.Error{Name: name, Type: qtype, Err: dns.ErrTemporary}
			case k == qtype && v != "NONE":
				out = append(out, v)
			case k == "CNAME" && qtype != "CNAME":
				return z.at(v.(string), qtype)
			}
		}
	}
	if qtype == "TXT" && len(out) == 0 && !hasTXT(rrs) { // the suite says SPF where it means both
		for _, rr := range rrs {
			if m, _ := rr.(map[string]any); m["SPF"] != nil && m["SPF"] != "TIMEOUT" {
				out = append(out, m["SPF"])
			}
		}
	}
	if len(out) == 0 {
		return nil, fail
	}
	return out, nil
}

func hasTXT(rrs []any) bool {
	return slices.ContainsFunc(rrs, func(rr any) bool { m, _ := rr.(map[string]any); return m["TXT"] != nil })
}

func answer[T any](z zone, name, qtype string, conv func(any) T) (dns.Answer[T], error) {
	rrs, err := z.at(name, qtype)
	var a dns.Answer[T]
	for _, rr := range rrs {
		a.Records = append(a.Records, conv(rr))
	}
	return a, err
}

func (z zone) LookupTXT(_ context.Context, name string) (dns.Answer[string], error) {
	return answer(z, name, "TXT", func(v any) string {
		if parts, ok := v.([]any); ok {
			s := ""
			for _, p := range parts {
				s += fmt.Sprint(p)
			}
			return s
		}
		return fmt.Sprint(v)
	})
}

func (z zone) LookupMX(_ context.Context, name string) (dns.Answer[dns.MX], error) {
	return answer(z, name, "MX", func(v any) dns.MX {
		host := fmt.Sprint(v.([]any)[1])
		if host == "" {
			host = "."
		}
		return dns.MX{Preference: uint16(v.([]any)[0].(int)), Host: host}
	})
}

func (z zone) LookupAddr(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	conv := func(v any) netip.Addr { return netip.MustParseAddr(v.(string)) }
	a, err := answer(z, name, "AAAA", conv)
	b, err4 := answer(z, name, "A", conv)
	a.Records = append(a.Records, b.Records...)
	if len(a.Records) > 0 {
		return a, nil
	}
	if errors.Is(err, dns.ErrTemporary) {
		return a, err
	}
	return a, err4
}

func (z zone) LookupPTR(_ context.Context, ip netip.Addr) (dns.Answer[string], error) {
	name := ""
	if ip.Is4() {
		for _, b := range ip.As4() {
			name = fmt.Sprintf("%d.%s", b, name)
		}
		name += "in-addr.arpa"
	} else {
		for _, b := range ip.As16() {
			name = fmt.Sprintf("%x.%x.%s", b&15, b>>4, name)
		}
		name += "ip6.arpa"
	}
	return answer(z, name, "PTR", func(v any) string { return v.(string) })
}

func (zone) LookupTLSA(context.Context, string) (dns.Answer[dns.TLSA], error) { panic("TLSA") }

type scenario struct {
	Description string
	Tests       map[string]struct {
		Helo, Host, Mailfrom, Explanation string
		Result                            any
	}
	Zonedata zone
}

// The suite of openspf.org for RFC 7208, whole.
func TestSuite(t *testing.T) {
	text, err := os.ReadFile("testdata/rfc7208-tests.yml")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var s scenario
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for name, tt := range s.Tests {
			count++
			var want []string
			if list, ok := tt.Result.([]any); ok {
				for _, v := range list {
					want = append(want, v.(string))
				}
			} else {
				want = []string{tt.Result.(string)}
			}
			in := spf.Input{IP: netip.MustParseAddr(tt.Host), Hello: tt.Helo, Now: time.Unix(1e9, 0)}
			if at := strings.LastIndexByte(tt.Mailfrom, '@'); at >= 0 {
				in.Sender = mail.Address{Local: tt.Mailfrom[:at], Domain: mail.Domain(tt.Mailfrom[at+1:])}
			} else if tt.Mailfrom != "" {
				in.Sender.Domain = mail.Domain(tt.Mailfrom)
			}
			got := spf.Check(t.Context(), s.Zonedata, in)
			if !slices.Contains(want, got.Status.String()) {
				t.Errorf("%s: %s: %+v, want %v", s.Description, name, got, want)
			}
			if tt.Explanation != "" && tt.Explanation != "DEFAULT" && got.Status == spf.Fail && got.Explanation != tt.Explanation {
				t.Errorf("%s: %s: explained %q, want %q", s.Description, name, got.Explanation, tt.Explanation)
			}
		}
	}
	if count < 200 {
		t.Errorf("only %d cases", count)
	}
}
