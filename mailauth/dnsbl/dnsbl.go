// Package dnsbl asks lists of addresses in DNS, RFC 5782: blocklists, and lists of
// those who are known to be good. Each list has a weight; what counts is the sum.
//
// A list that does not answer, or answers with what is no listing (RFC 5782 §2.1: all
// are in 127.0.0.0/8; those in 127.255.255.0/24 say that the question was refused),
// weighs nothing. The package does no I/O but through its dns.Resolver.
package dnsbl

import (
	"context"
	"net/netip"
	"strconv"
	"sync"

	"posthouse/dns"
)

// A Zone is a list. Its weight is positive for a blocklist, negative for a list of
// the good.
type Zone struct {
	Name   string
	Weight int
}

// A Result is what the lists say of an address.
type Result struct {
	Weight int
	Zones  []Zone // that list it, in the order of the question
}

// Check asks all zones at once about ip. Addresses that no list can know (loopback,
// private networks) are on none.
func Check(ctx context.Context, r dns.Resolver, zones []Zone, ip netip.Addr) Result {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return Result{}
	}
	listed := make([]bool, len(zones))
	var group sync.WaitGroup
	prefix := reversed(ip)
	for i, z := range zones {
		group.Go(func() {
			a, err := r.LookupAddr(ctx, prefix+z.Name)
			listed[i] = err == nil && isListing(a.Records)
		})
	}
	group.Wait()
	var res Result
	for i, z := range zones {
		if listed[i] {
			res.Weight += z.Weight
			res.Zones = append(res.Zones, z)
		}
	}
	return res
}

// isListing reports whether one of the addresses is a listing.
func isListing(answers []netip.Addr) bool {
	for _, a := range answers {
		if b := a.As16(); a.Is4() && b[12] == 127 && (b[13] != 255 || b[14] != 255) {
			return true
		}
	}
	return false
}

// reversed is the address as a name with a dot behind it, RFC 5782 §2.1 and §2.4.
func reversed(ip netip.Addr) string {
	b := make([]byte, 0, 64)
	if ip.Is4() {
		four := ip.As4()
		for i := 3; i >= 0; i-- {
			b = append(strconv.AppendUint(b, uint64(four[i]), 10), '.')
		}
		return string(b)
	}
	sixteen := ip.As16()
	for i := 15; i >= 0; i-- {
		b = append(b, "0123456789abcdef"[sixteen[i]&15], '.', "0123456789abcdef"[sixteen[i]>>4], '.')
	}
	return string(b)
}
