package mtasts_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/smtpclient/smtptest"
	"posthouse/tlspolicy/mtasts"
)

const policy = "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmx: *.example.NET\r\nmax_age: 86400\r\n"

func TestParse(t *testing.T) {
	p, err := mtasts.Parse(policy)
	if err != nil || p.Mode != mtasts.Enforce || p.MaxAge != 24*time.Hour || p.String() != strings.ToLower(strings.Replace(policy, "STSv1", "stsv1", 1)) && p.String() != strings.Replace(policy, "NET", "net", 1) {
		t.Errorf("%+v, %v", p, err)
	}
	for host, want := range map[string]bool{"mx1.example.com": true, "MX1.Example.Com.": true, "mx2.example.com": false, "a.example.net": true,
		"a.b.example.net": false, "example.net": false, "": false} {
		if p.Covers(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
	for text, ok := range map[string]bool{
		"version: STSv1\nmode: none\nmax_age: 1\n":                                  true,
		"version: STSv1\nmode: testing\nmx: a\nmax_age: 99999999999\nnew: x\n\n":    true,
		"mode: enforce\nmx: a\nmax_age: 1\nversion: STSv1":                          true,
		"version: STSv2\nmode: enforce\nmx: a\nmax_age: 1\n":                        false,
		"version: STSv1\nmode: enforce\nmax_age: 1\n":                               false,
		"version: STSv1\nmode: maybe\nmx: a\nmax_age: 1\n":                          false,
		"version: STSv1\nmode: enforce\nmx: a\nmax_age: -1\n":                       false,
		"version: STSv1\nmode: enforce\nmx: a\n":                                    false,
		"<html>":                                                                    false,
		"version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n":                        false,
		strings.Repeat("x: y\n", 20_000) + "version: STSv1\nmode: none\nmax_age: 1": false,
	} {
		if _, err := mtasts.Parse(text); (err == nil) != ok || err != nil && !errors.Is(err, mtasts.ErrInvalid) {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}

func TestRecordID(t *testing.T) {
	for _, tt := range []struct {
		txt  []string
		want string
	}{
		{[]string{"v=STSv1; id=2019a;"}, "2019a"}, {[]string{"v=spf1 -all", "v=STSv1;id=x"}, "x"}, {[]string{"v=STSv1; x=y; id=1"}, "1"},
		{nil, ""}, {[]string{"v=STSv1; id=a", "v=STSv1; id=b"}, ""}, {[]string{"v=STSv1;"}, ""}, {[]string{"v=STSv1; id=a-b"}, ""}, {[]string{"v=STSv12; id=a"}, ""},
		{[]string{"v=STSv1; id=" + strings.Repeat("a", 33)}, ""},
	} {
		if got, ok := mtasts.RecordID(tt.txt); got != tt.want && ok || ok != (tt.want != "") {
			t.Errorf("%q: %q %v", tt.txt, got, ok)
		}
	}
}

func TestFetch(t *testing.T) {
	var answer http.HandlerFunc
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	conf := smtptest.Certificate(t, "mta-sts.a.test", "mta-sts.private.test")
	srv.TLS = conf
	srv.StartTLS()
	defer srv.Close()
	leaf, err := x509.ParseCertificate(conf.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	port := netip.MustParseAddrPort(srv.Listener.Addr().(*net.TCPAddr).String()).Port()
	d := dnstest.New(t, "mta-sts.a.test. A 127.0.0.1\nmta-sts.wrong.test. A 127.0.0.1\nmta-sts.private.test. A 127.0.0.2\n")
	f := &mtasts.Fetcher{Resolver: d.Client(t, dns.Options{}), Roots: roots, Port: port, AddrPolicy: func(a netip.AddrPort) error {
		if a.Addr() != netip.MustParseAddr("127.0.0.1") {
			return errors.New("not there")
		}
		return nil
	}}
	plain := func(status int, typ, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "mta-sts.a.test" || r.URL.Path != mtasts.Path {
				t.Errorf("asked %s%s", r.Host, r.URL)
			}
			w.Header().Set("Content-Type", typ)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for _, tt := range []struct {
		name, domain string
		answer       http.HandlerFunc
		want         error
	}{
		{"ok", "a.test", plain(200, "text/plain; charset=utf-8", policy), nil},
		{"redirect", "a.test", plain(301, "text/plain", policy), mtasts.ErrFetch},
		{"absent", "a.test", plain(404, "text/plain", policy), mtasts.ErrFetch},
		{"type", "a.test", plain(200, "text/html", policy), mtasts.ErrInvalid},
		{"long", "a.test", plain(200, "text/plain", policy+strings.Repeat("x: y\n", 20_000)), mtasts.ErrInvalid},
		{"wrong name", "wrong.test", plain(200, "text/plain", policy), mtasts.ErrFetch},
		{"private", "private.test", plain(200, "text/plain", policy), mtasts.ErrFetch},
		{"no host", "none.test", plain(200, "text/plain", policy), mtasts.ErrFetch},
	} {
		answer = tt.answer
		p, err := f.Fetch(t.Context(), tt.domain)
		if !errors.Is(err, tt.want) || err == nil && len(p.MX) != 2 {
			t.Errorf("%s: %+v, %v", tt.name, p, err)
		}
		var host *tls.CertificateVerificationError
		if tt.name == "wrong name" && !errors.As(err, &host) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(policy)
	f.Add("version: STSv1\nmode: none\nmax_age: 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := mtasts.Parse(text)
		if err != nil {
			return
		}
		again, err := mtasts.Parse(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q: %q, %v", text, p.String(), err)
		}
		mtasts.RecordID([]string{text})
	})
}
