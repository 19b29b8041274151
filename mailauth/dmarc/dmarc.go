// Package dmarc says whether the domain in From stands behind a message, and what it
// wants done if not: RFC 7489, with the public suffix list for organizational
// domains.
//
// [Discover] finds the policy and may be started before SPF and DKIM are known;
// [Policy.Judge] then weighs them. What DNS could not tell is TempError: such mail
// is neither refused nor praised. The package does no I/O but through its
// dns.Resolver.
package dmarc

import (
	"context"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"posthouse/dns"
)

// A Status is the outcome, RFC 7489 §11.2.
type Status uint8

// The outcomes.
const (
	None      Status = iota // the domain has no policy
	Pass                    // an aligned identifier passed
	Fail                    // none did
	TempError               // DNS failed; it may not later
	PermError               // there is no one author domain to ask
)

func (s Status) String() string {
	return [...]string{"none", "pass", "fail", "temperror", "permerror"}[s]
}

// A Disposition is what the domain wants done with mail that fails.
type Disposition uint8

// The dispositions, in order of severity.
const (
	Nothing Disposition = iota
	Quarantine
	Reject
)

func (d Disposition) String() string { return [...]string{"none", "quarantine", "reject"}[d] }

// A Policy is what was found for an author domain.
type Policy struct {
	Status Status // of the search: None, TempError, or Pass if there is a record
	From   string // the author domain, A-labels
	Domain string // where the record stands
	Record Record
}

// Discover finds the policy of the domain of From, RFC 7489 §6.6.3: at the domain,
// else at its organizational domain.
func Discover(ctx context.Context, r dns.Resolver, from string) Policy {
	from = ascii(from)
	p := Policy{From: from}
	if from == "" || !strings.Contains(from, ".") {
		return p
	}
	for _, domain := range [...]string{from, Organizational(from)} {
		if domain == "" || domain == p.Domain {
			continue
		}
		p.Domain = domain
		a, err := r.LookupTXT(ctx, "_dmarc."+domain)
		if err != nil && !dns.IsAbsent(err) {
			p.Status = TempError
			return p
		}
		if rec, ok := only(a.Records); ok {
			p.Record, p.Status = rec, Pass
			return p
		}
	}
	p.Domain = ""
	return p
}

// only returns the one DMARC record; none or several mean that there is none.
func only(records []string) (Record, bool) {
	var found Record
	n := 0
	for _, txt := range records {
		if !isRecord(txt) {
			continue
		}
		if n++; n > 1 {
			return Record{}, false
		}
		rec, ok := parseRecord(txt)
		if !ok {
			return Record{}, false
		}
		found = rec
	}
	return found, n == 1
}

// Evidence is what SPF and DKIM found: domains in A-labels.
type Evidence struct {
	SPF  string   // the domain for which SPF passed; "" if none
	DKIM []string // the d= of the signatures that passed
	// Unsure: a check that could have passed ended in a temporary error.
	Unsure bool
}

// A Result is the outcome for one author domain.
type Result struct {
	Status Status
	From   string
	Domain string      // of the policy
	Policy Disposition // that the domain publishes for From
	// Apply is what is to be done: less than Policy for the share of mail that pct=
	// leaves out.
	Apply Disposition
	By    string // "spf" or "dkim", of Pass
}

// Judge weighs the evidence. draw is a random number of 0 to 99 for pct=.
func (p Policy) Judge(e Evidence, draw int) Result {
	res := Result{Status: p.Status, From: p.From, Domain: p.Domain}
	if p.Status != Pass {
		return res
	}
	res.Policy = p.Record.Policy
	if p.From != p.Domain {
		res.Policy = p.Record.Subdomains
	}
	for _, d := range e.DKIM {
		if p.aligned(d, p.Record.StrictDKIM) {
			res.By = "dkim"
			return res
		}
	}
	if p.aligned(e.SPF, p.Record.StrictSPF) {
		res.By = "spf"
		return res
	}
	if res.Status = Fail; e.Unsure {
		res.Status = TempError
		return res
	}
	res.Apply = res.Policy
	if draw >= p.Record.Percent && res.Apply > Nothing {
		res.Apply-- // RFC 7489 §6.6.4
	}
	return res
}

// aligned compares an authenticated domain with the author's, RFC 7489 §3.1.
func (p Policy) aligned(domain string, strict bool) bool {
	if domain = ascii(domain); domain == "" {
		return false
	}
	if domain == p.From {
		return true
	}
	return !strict && Organizational(domain) == Organizational(p.From)
}

// Organizational is the organizational domain of a domain in A-labels, RFC 7489
// §3.2; for a public suffix it is the domain itself.
func Organizational(domain string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return org
}

func ascii(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	for i := range len(domain) {
		if domain[i] >= 0x80 {
			a, err := idna.Lookup.ToASCII(domain)
			if err != nil {
				return ""
			}
			return a
		}
	}
	if strings.ContainsAny(domain, "[]@ \t\r\n") || strings.Contains(domain, "..") || strings.HasPrefix(domain, ".") {
		return ""
	}
	return domain
}
