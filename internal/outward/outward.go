// Package outward makes HTTP connections to where strangers point: image hosts, push
// services, links to unsubscribe. It dials public addresses only, and looks at them
// after their names were resolved, so that no name leads into the network of the
// server.
package outward

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrForbidden says that an address is not public.
var ErrForbidden = errors.New("address is not public")

// shared are global in form, and not for the public: what netip does not know.
var shared = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("5f00::/16"),
}

// IsPublic reports whether an address is one of the public network, at a port of the
// web.
func IsPublic(a netip.AddrPort) bool {
	ip := a.Addr()
	if a.Port() != 80 && a.Port() != 443 || !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return false
	}
	for _, p := range shared {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// Transport returns one that dials only what allow lets through; nil: IsPublic.
func Transport(allow func(netip.AddrPort) bool, timeout time.Duration) *http.Transport {
	if allow == nil {
		allow = IsPublic
	}
	dialer := &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address) // after resolution: names play no part
		if err != nil || !allow(netip.AddrPortFrom(to.Addr().Unmap(), to.Port())) {
			return ErrForbidden
		}
		return nil
	}}
	return &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, ForceAttemptHTTP2: true}
}
