package dmarc

import (
	"context"
	"strings"

	"posthouse/dns"
)

// A Consent is what the host of an address for reports says about those of a domain.
type Consent struct {
	Given bool
	// Aggregate and Failure, if there are any, are where it wants them instead: URIs as
	// published, of which those at another host must not be used.
	Aggregate, Failure []string
	Failed             bool // DNS did not say
}

// Accepts asks whether host takes reports about the domain whose policy names an address
// there, RFC 7489 §7.1. Within one organization nobody is asked.
func Accepts(ctx context.Context, r dns.Resolver, domain, host string) Consent {
	domain, host = ascii(domain), ascii(host)
	if domain == "" || host == "" {
		return Consent{}
	}
	if domain == host {
		return Consent{Given: true}
	}
	from, to := Discover(ctx, r, domain), Discover(ctx, r, host)
	switch {
	case from.unsure || to.unsure:
		return Consent{Failed: true}
	case from.Org == to.Org:
		return Consent{Given: true}
	}
	a, err := r.LookupTXT(ctx, domain+"._report._dmarc."+host)
	if err != nil {
		return Consent{Failed: !dns.IsAbsent(err)}
	}
	var c Consent
	for _, txt := range a.Records {
		if !isRecord(txt) || len(txt) > maxRecord || strings.Count(txt, ";") > maxTags {
			continue
		}
		c.Given = true
		rec, _ := parseRecord(txt) // it needs no policy
		c.Aggregate, c.Failure = append(c.Aggregate, rec.Aggregate...), append(c.Failure, rec.Failure...)
	}
	return c
}
