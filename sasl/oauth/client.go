package oauth

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	timeout   = 10 * time.Second
	maxAnswer = 1 << 20
)

var (
	errRedirect = errors.New("a redirect is not followed")
	errTooSoon  = errors.New("the keys were asked for a moment ago")
	errPlain    = errors.New("not over TLS")
)

// newClient returns a client that goes only where it is meant to.
func newClient(o Options) *http.Client {
	d := &net.Dialer{Timeout: timeout}
	if !o.AllowPrivate {
		d.Control = onlyPublic
	}
	t := &http.Transport{DialContext: d.DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
		MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 2, IdleConnTimeout: time.Minute}
	return &http.Client{Transport: &bounded{t, !o.AllowPrivate}, Timeout: timeout, CheckRedirect: noRedirect}
}

func noRedirect(*http.Request, []*http.Request) error { return errRedirect }

// onlyPublic judges the address that a name became, so that a name which changes its
// mind between two look-ups gains nothing.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	a := ap.Addr().Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return fmt.Errorf("%s is not a public address", a)
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return fmt.Errorf("%s is not a public address", a)
		}
	}
	return nil
}

// notPublic are ranges that lead inside in some networks: carriers' NAT, benchmarks,
// and IPv6 that holds IPv4.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
}

// bounded bounds what is read of an answer.
type bounded struct {
	next   http.RoundTripper
	secure bool // TLS only
}

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.secure && r.URL.Scheme != "https" {
		return nil, errPlain
	}
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// spaced lets requests through one at a time, with some time between. A token that
// names a key which nobody knows makes us ask for the keys again.
type spaced struct {
	next  http.RoundTripper
	every time.Duration
	now   func() time.Time

	mu   sync.Mutex
	last time.Time
}

func (s *spaced) RoundTrip(r *http.Request) (*http.Response, error) {
	if !s.turn() {
		return nil, errTooSoon
	}
	return s.next.RoundTrip(r)
}

func (s *spaced) turn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if passed := now.Sub(s.last); passed >= 0 && passed < s.every {
		return false
	}
	s.last = now
	return true
}
