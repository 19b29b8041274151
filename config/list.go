package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A List is what smtp.lists says of a zone: a weight for some answers, and one for all
// others.
type List struct {
	Weight int
	Codes  []ListCode
}

// A ListCode is the weight of a range of answers.
type ListCode struct {
	First, Last netip.Addr
	Weight      int
}

// ParseList reads "10", or "127.0.0.2=10, 127.0.0.10-127.0.0.11=4, 6".
func ParseList(s string) (List, error) {
	var l List
	rest := false
	for item := range strings.SplitSeq(s, ",") {
		answers, weight, coded := strings.Cut(strings.TrimSpace(item), "=")
		if !coded {
			answers, weight = "", answers
		}
		n, err := strconv.Atoi(strings.TrimSpace(weight))
		if err != nil || n < -100 || n > 100 {
			return l, fmt.Errorf("%q is not a weight, -100 to 100", weight)
		}
		if !coded {
			if rest {
				return l, fmt.Errorf("%q has two weights for all other answers", s)
			}
			l.Weight, rest = n, true
			continue
		}
		first, last, ranged := strings.Cut(answers, "-")
		if !ranged {
			last = first
		}
		c := ListCode{Weight: n}
		if c.First, err = netip.ParseAddr(strings.TrimSpace(first)); err == nil {
			c.Last, err = netip.ParseAddr(strings.TrimSpace(last))
		}
		if err != nil || !c.First.Is4() || !c.Last.Is4() || c.Last.Less(c.First) {
			return l, fmt.Errorf("%q are not answers, as 127.0.0.2 or 127.0.0.4-127.0.0.7", answers)
		}
		l.Codes = append(l.Codes, c)
	}
	return l, nil
}

// ParseNetwork reads an address or a network.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().Prefix(a.Unmap().BitLen())
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}
