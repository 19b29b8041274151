package dmarc

import (
	"context"
	"strings"

	"golang.org/x/net/publicsuffix"

	"posthouse/dns"
)

// The tree walk of RFC 9989 (DMARC's successor) finds the organizational domain by
// asking DNS upwards from a name, so that who runs a domain says where it begins, and
// no list must be kept. The public suffix list only keeps the walk from going too far:
// see [Discover].

// maxWalk is how many names of one walk are asked: a longer name loses its labels in
// the middle.
const maxWalk = 8

// A step is one name of a walk with its record, if it has exactly one.
type step struct {
	domain string
	record Record
	found  bool
}

// walk asks the names from start upwards and returns those with a record, the longest
// first. It ends at a record that says where an organization begins (psd=), and above
// stop. origin is the name that is asked about, for which what it says of itself always
// counts. failed: DNS did not say; nothing above is known.
func walk(ctx context.Context, r dns.Resolver, start, stop, origin string) (found []step, failed bool) {
	for n, name := 0, start; name != "" && n < maxWalk; n++ {
		a, err := r.LookupTXT(ctx, "_dmarc."+name)
		if err != nil && !dns.IsAbsent(err) {
			return found, true
		}
		if rec, ok := only(a.Records); ok && (name == origin || rec.PSD != psdUnset || !isSuffix(name)) {
			found = append(found, step{name, rec, true})
			if rec.PSD == psdNo || rec.PSD == psdYes && name != origin {
				return found, false
			}
		}
		if name == stop {
			return found, false
		}
		name = parent(name, n == 0)
	}
	return found, false
}

// parent is the next name of a walk: from one of more than eight labels on to its last
// seven, else without its first label.
func parent(name string, first bool) string {
	if labels := strings.Count(name, ".") + 1; first && labels > maxWalk {
		for ; labels > maxWalk-1; labels-- {
			_, name, _ = strings.Cut(name, ".")
		}
		return name
	}
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// isSuffix reports a name under which strangers have names, by the public suffix list.
func isSuffix(name string) bool {
	suffix, _ := publicsuffix.PublicSuffix(name)
	return suffix == name
}

// organization is the organizational domain that a walk from domain found; domain
// itself if it found nothing.
func organization(domain string, found []step) string {
	org := domain
	for _, s := range found { // the longest first
		switch {
		case s.record.PSD == psdNo:
			return s.domain
		case s.record.PSD == psdYes && s.domain != domain:
			return below(domain, s.domain)
		}
		org = s.domain
	}
	return org
}

// below is the ancestor of domain that is one label longer than suffix.
func below(domain, suffix string) string {
	for name := domain; ; {
		rest := parent(name, false)
		if rest == suffix || rest == "" {
			return name
		}
		name = rest
	}
}

// isBelow reports whether name is a subdomain of domain.
func isBelow(name, domain string) bool {
	return len(name) > len(domain) && strings.HasSuffix(name, domain) && name[len(name)-len(domain)-1] == '.'
}
