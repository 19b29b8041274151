// Package dmarc says whether the domain in From stands behind a message, and what it
// wants done if not: RFC 7489, with the tree walk and the tags of its successor, RFC
// 9989.
//
// [Discover] finds the policy and may be started before SPF and DKIM are known;
// [Policy.Judge] then weighs them. What DNS could not tell is TempError: such mail
// is neither refused nor praised. The package does no I/O but through its
// dns.Resolver.
package dmarc

import (
	"context"
	"errors"
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
	Org    string // the organizational domain of From
	unsure bool   // DNS did not say all about Org
	Absent bool   // From does not exist in DNS; only known where np= says something else
}

// Discover finds the policy of the domain of From: at the domain, else at its
// organizational domain, else at the public suffix above it, as the tree walk of RFC 9989
// finds them. That is what RFC 7489 §6.6.3 finds with a list of suffixes, but for domains
// that publish psd=.
//
// A record at a public suffix of the list that does not say that it is one (psd=y) is not
// heard: by the walk alone, all shops of a country that publishes a record for itself
// would be one organization.
func Discover(ctx context.Context, r dns.Resolver, from string) Policy {
	from = ascii(from)
	p := Policy{From: from, Org: from}
	if from == "" || !strings.Contains(from, ".") {
		return p
	}
	found, failed := walk(ctx, r, from, stopOf(from), from)
	if len(found) == 0 && !failed { // perhaps the suffix itself has a policy
		found, failed = walk(ctx, r, parent(stopOf(from), false), "", from)
	}
	p.Org, p.unsure = organization(from, found), failed
	if failed && (len(found) == 0 || found[0].domain != from) {
		p.Status = TempError
		return p
	}
	at := -1
	for i, s := range found {
		if s.domain == from || s.domain == p.Org || at < 0 && s.record.PSD == psdYes {
			if at = i; s.domain == from {
				break
			}
		}
	}
	if at < 0 {
		return p
	}
	p.Domain, p.Record, p.Status = found[at].domain, found[at].record, Pass
	if p.Domain != from && p.Record.Absent != p.Record.Subdomains {
		_, err := r.LookupAddr(ctx, from)
		p.Absent = errors.Is(err, dns.ErrNotExist)
	}
	return p
}

// stopOf is where a walk from a domain may end: at the shortest name that is not a
// public suffix. What a suffix says matters only if nothing below it says anything.
func stopOf(domain string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return org
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
	// DKIM and SPF say which of the two passed for a domain that is aligned, for reports.
	DKIM, SPF bool
	Sampled   bool // Apply is less than Policy because of pct= or t=
}

// Judge weighs the evidence. draw is a random number of 0 to 99 for pct=.
func (p Policy) Judge(ctx context.Context, r dns.Resolver, e Evidence, draw int) Result {
	res := Result{Status: p.Status, From: p.From, Domain: p.Domain}
	if p.Status != Pass {
		return res
	}
	switch {
	case p.From == p.Domain:
		res.Policy = p.Record.Policy
	case p.Absent:
		res.Policy = p.Record.Absent
	default:
		res.Policy = p.Record.Subdomains
	}
	unsure := e.Unsure || p.unsure
	for _, d := range e.DKIM {
		ok, failed := p.aligned(ctx, r, d, p.Record.StrictDKIM)
		if unsure = unsure || failed; ok {
			res.DKIM = true
			break
		}
	}
	if !res.DKIM || len(p.Record.Aggregate) > 0 { // else nobody wants to know
		ok, failed := p.aligned(ctx, r, e.SPF, p.Record.StrictSPF)
		unsure, res.SPF = unsure || failed, ok
	}
	switch {
	case res.DKIM:
		res.By = "dkim"
		return res
	case res.SPF:
		res.By = "spf"
		return res
	}
	if res.Status = Fail; unsure {
		res.Status = TempError
		return res
	}
	res.Apply = res.Policy
	if (draw >= p.Record.Percent || p.Record.Testing) && res.Apply > Nothing {
		res.Apply, res.Sampled = res.Apply-1, true // RFC 7489 §6.6.4, and t= of RFC 9989
	}
	return res
}

// aligned compares an authenticated domain with the author's, RFC 7489 §3.1: relaxed,
// both must belong to one organization. failed: DNS did not say.
func (p Policy) aligned(ctx context.Context, r dns.Resolver, domain string, strict bool) (ok, failed bool) {
	domain = ascii(domain)
	switch {
	case domain == "":
		return false, false
	case domain == p.From, !strict && domain == p.Org:
		return true, false
	case strict || !isBelow(domain, p.Org):
		return false, false
	}
	found, failed := walk(ctx, r, domain, p.Org, domain)
	return !failed && !bounded(found, domain, p.Org), failed
}

// bounded reports that an organization begins between domain and org, above which it
// stands.
func bounded(found []step, domain, org string) bool {
	for _, s := range found {
		if s.domain != org && (s.record.PSD == psdNo || s.record.PSD == psdYes && s.domain != domain) {
			return true
		}
	}
	return false
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
