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
	// Codes weigh answers of their own: a list that says with 127.0.0.x why it knows an
	// address. The first that fits counts instead of Weight, for each answer; of several
	// answers the heaviest counts.
	Codes []Code
}

// A Code is a range of answers and what it weighs.
type Code struct {
	First, Last netip.Addr
	Weight      int
}

// weigh is what an answer weighs.
func (z *Zone) weigh(a netip.Addr) int {
	for _, c := range z.Codes {
		if !a.Less(c.First) && !c.Last.Less(a) {
			return c.Weight
		}
	}
	return z.Weight
}

// A Result is what the lists say of an address.
type Result struct {
	Weight int
	Zones  []Zone // that list it, in the order of the question, with what each weighs
}

// Check asks all zones at once about ip. Addresses that no list can know (loopback,
// private networks) are on none.
func Check(ctx context.Context, r dns.Resolver, zones []Zone, ip netip.Addr) Result {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return Result{}
	}
	listed := make([]bool, len(zones))
	weights := make([]int, len(zones))
	var group sync.WaitGroup
	prefix := reversed(ip)
	for i, z := range zones {
		group.Go(func() {
			a, err := r.LookupAddr(ctx, prefix+z.Name)
			if err == nil {
				weights[i], listed[i] = z.listing(a.Records)
			}
		})
	}
	group.Wait()
	var res Result
	for i, z := range zones {
		if listed[i] {
			z.Weight = weights[i]
			res.Weight += z.Weight
			res.Zones = append(res.Zones, z)
		}
	}
	return res
}

// listing is what answers weigh, if one of them is a listing: that which is farthest
// from zero.
func (z *Zone) listing(answers []netip.Addr) (weight int, listed bool) {
	for _, a := range answers {
		b := a.As16()
		if !a.Is4() || b[12] != 127 || b[13] == 255 && b[14] == 255 {
			continue
		}
		if w := z.weigh(a); !listed || max(w, -w) > max(weight, -weight) {
			weight = w
		}
		listed = true
	}
	return weight, listed
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
