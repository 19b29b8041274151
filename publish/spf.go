package publish

import (
	"context"
	"slices"
	"strings"

	"posthouse/dns"
)

// maxSPF is how many terms of a policy, with those that it leads to, may ask DNS (RFC 7208
// §4.6.4).
const maxSPF = 10

// isSPF reports whether a TXT record is an SPF policy.
func isSPF(txt string) bool {
	version, _, _ := strings.Cut(txt, " ")
	return strings.EqualFold(version, "v=spf1")
}

// spfOf returns the SPF records at name.
func (s *Service) spfOf(ctx context.Context, name string) ([]string, error) {
	a, err := s.opts.Resolver.LookupTXT(ctx, name)
	if err != nil && !dns.IsAbsent(err) {
		return nil, err
	}
	var out []string
	for _, txt := range a.Records {
		if isSPF(txt) {
			out = append(out, txt)
		}
	}
	return out, nil
}

// mergeSPF is one SPF record in place of those that are there, which lets through what each
// of them does, and own besides. Nothing of others is dropped but what stands there twice.
func mergeSPF(have []string, own string) string {
	if len(have) == 0 {
		return "v=spf1 " + own + " -all"
	}
	var terms []string
	var redirects []string
	all := ""
	for _, record := range have {
		mine, ends := "", false // its redirect; not followed beside an all (RFC 7208 §6.1)
		for _, term := range strings.Fields(record)[1:] {
			switch name := strings.ToLower(strings.TrimLeft(term, "+-~?")); {
			case name == "all":
				all, ends = laxer(all, term), true
			case strings.HasPrefix(name, "redirect="):
				mine = term
			case !slices.ContainsFunc(terms, func(t string) bool { return sameTerm(t, term) }):
				terms = append(terms, term)
			}
		}
		if mine != "" && !ends {
			redirects = append(redirects, mine)
		}
	}
	if !slices.ContainsFunc(terms, func(t string) bool { return sameTerm(t, own) }) {
		terms = slices.Insert(terms, 0, own)
	}
	if all == "" && len(redirects) == 1 {
		return "v=spf1 " + strings.Join(append(terms, redirects[0]), " ")
	}
	for _, r := range redirects {
		terms = append(terms, "include:"+r[len("redirect="):])
	}
	if all == "" {
		all = "~all"
	}
	terms = append(terms, all)
	return "v=spf1 " + strings.Join(terms, " ")
}

func sameTerm(a, b string) bool {
	return strings.EqualFold(strings.TrimPrefix(a, "+"), strings.TrimPrefix(b, "+"))
}

// laxer is the one of two "all" that lets more through.
func laxer(a, b string) string {
	rank := func(t string) int {
		if t == "" {
			return -1
		}
		return strings.Index("-~?+", t[:1]) // "all" alone is not found: as "+"
	}
	norm := func(t string) string {
		if strings.EqualFold(t, "all") {
			return "+all"
		}
		return t
	}
	if a, b = norm(a), norm(b); rank(a) >= rank(b) {
		return a
	}
	return b
}

// spfLookups counts the terms of a policy that ask DNS, with those of the policies that it
// names; more than twice what is allowed are not counted.
func (s *Service) spfLookups(ctx context.Context, record string) int {
	n := 0
	s.countSPF(ctx, record, &n, 0)
	return n
}

func (s *Service) countSPF(ctx context.Context, record string, n *int, depth int) {
	for _, term := range strings.Fields(record)[1:] {
		term = strings.ToLower(strings.TrimLeft(term, "+-~?"))
		at := strings.IndexAny(term, ":=/")
		name, rest := term, ""
		if at >= 0 {
			name, rest = term[:at], term[at+1:]
		}
		if !slices.Contains([]string{"include", "redirect", "a", "mx", "ptr", "exists"}, name) {
			continue
		}
		if *n++; *n > 2*maxSPF || depth > maxSPF || name != "include" && name != "redirect" || strings.Contains(rest, "%") {
			continue
		}
		if list, err := s.spfOf(ctx, rest); err == nil && len(list) == 1 {
			s.countSPF(ctx, list[0], n, depth+1)
		}
	}
}
