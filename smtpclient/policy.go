package smtpclient

import (
	"fmt"
	"net/netip"
)

// An AddrPolicy decides whether a connection to an address may be made. An error
// says why not.
type AddrPolicy func(netip.AddrPort) error

// AnyAddr allows every address: for smarthosts and LMTP servers that the operator
// named, for tests and the demo.
func AnyAddr(netip.AddrPort) error { return nil }

// notPublic are the ranges that no MX of someone else stands in, from the IANA
// special-purpose registries.
var notPublic = func() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
		"::/96", "100::/64", "2001:db8::/32", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

// embedding are the IPv6 ranges that carry an IPv4 address, at an offset in bytes.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
}

// PublicOnly refuses loopback, private, link-local, multicast and other addresses
// that are not of the public internet, also inside of IPv6.
func PublicOnly(ap netip.AddrPort) error {
	ip := ap.Addr().Unmap().WithZone("")
	if !ip.IsValid() {
		return fmt.Errorf("no address")
	}
	for _, e := range embedding {
		if e.prefix.Contains(ip) {
			b := ip.As16()
			ip = netip.AddrFrom4([4]byte(b[e.at : e.at+4]))
			break
		}
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return fmt.Errorf("%s is not a public address", ap.Addr())
		}
	}
	return nil
}
