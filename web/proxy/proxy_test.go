package proxy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"posthouse/internal/outward"
	"posthouse/mail"
)

const gif = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

func TestPublic(t *testing.T) {
	for a, want := range map[string]bool{
		"1.1.1.1:80": true, "1.1.1.1:443": true, "[2606:4700::1111]:443": true, "1.1.1.1:25": false, "1.1.1.1:8080": false,
		"127.0.0.1:80": false, "10.0.0.1:80": false, "172.16.0.1:80": false, "192.168.1.1:80": false, "169.254.169.254:80": false, "100.64.0.1:80": false,
		"0.0.0.0:80": false, "224.0.0.1:80": false, "255.255.255.255:80": false, "240.0.0.1:80": false, "198.18.0.1:80": false, "192.0.2.1:80": false,
		"[::1]:80": false, "[::]:80": false, "[fe80::1]:80": false, "[fc00::1]:80": false, "[ff02::1]:80": false, "[2001:db8::1]:80": false,
		"[64:ff9b::7f00:1]:80": false, "[2002:7f00:1::]:80": false, "[::ffff:127.0.0.1]:80": false, "[2001::1]:80": false,
	} {
		ap := netip.MustParseAddrPort(a)
		if got := outward.IsPublic(netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}

// No spelling of a private address and no redirect makes the proxy connect to it.
func TestPrivateIsNeverReached(t *testing.T) {
	var hits atomic.Int32
	private := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		_, _ = w.Write([]byte(gif))
	}))
	defer private.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(private.URL, "http://"), ":")
	p := New(Options{})
	for _, u := range []string{private.URL, "http://localhost:" + port, "http://2130706433:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://0x7f.1:" + port,
		"http://127.1:" + port, "file:///etc/passwd", "gopher://127.0.0.1:" + port, "http://a:b@127.0.0.1:" + port, "http://", "x"} {
		if _, err := p.Fetch(context.Background(), u); err == nil {
			t.Errorf("%s was fetched", u)
		}
	}
	public := httptest.NewServer(http.RedirectHandler(private.URL, http.StatusFound))
	defer public.Close()
	open := netip.MustParseAddrPort(strings.TrimPrefix(public.URL, "http://"))
	p = New(Options{Allow: func(a netip.AddrPort) bool { return a == open }})
	if _, err := p.Fetch(context.Background(), public.URL); mail.KindOf(err) != mail.Invalid {
		t.Errorf("redirect: %v", err)
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections to a private address", n)
	}
}

func TestFetch(t *testing.T) {
	var seen http.Header
	mux := http.NewServeMux()
	mux.HandleFunc("/gif", func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(gif))
	})
	mux.Handle("/moved", http.RedirectHandler("/gif", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.HandleFunc("/html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write([]byte("<script>alert(1)</script>"))
	})
	mux.HandleFunc("/svg", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="x"/>`))
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(gif + strings.Repeat("x", 5000))) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	p := New(Options{Bytes: 4096, Allow: func(netip.AddrPort) bool { return true }})
	for path, want := range map[string]mail.Kind{"/html": mail.Invalid, "/svg": mail.Invalid, "/large": mail.TooLarge, "/none": mail.Unavailable, "/loop": mail.Unavailable} {
		if _, err := p.Fetch(context.Background(), srv.URL+path); err == nil || mail.KindOf(err) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{"/gif", "/moved"} {
		img, err := p.Fetch(context.Background(), srv.URL+path)
		if err != nil || img.Type != "image/gif" || string(img.Data) != gif {
			t.Errorf("%s: %v %q", path, err, img.Type)
		}
		if seen.Get("Referer") != "" || seen.Get("Cookie") != "" || seen.Get("User-Agent") != agent {
			t.Errorf("%v", seen)
		}
	}
}
