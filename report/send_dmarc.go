package report

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"strconv"
	"strings"

	"posthouse/mail"
	"posthouse/mailauth/dmarc"
	"posthouse/store/engine"
)

// xmlReport and its parts are the form of RFC 7489 §C.
type xmlReport struct {
	XMLName  xml.Name    `xml:"feedback"`
	Version  string      `xml:"version"`
	Metadata xmlMetadata `xml:"report_metadata"`
	Policy   xmlPolicy   `xml:"policy_published"`
	Records  []xmlRecord `xml:"record"`
}

type xmlMetadata struct {
	Org   string `xml:"org_name"`
	Email string `xml:"email"`
	ID    string `xml:"report_id"`
	Begin int64  `xml:"date_range>begin"`
	End   int64  `xml:"date_range>end"`
}

type xmlPolicy struct {
	Domain string `xml:"domain"`
	DKIM   string `xml:"adkim"`
	SPF    string `xml:"aspf"`
	P      string `xml:"p"`
	SP     string `xml:"sp"`
	NP     string `xml:"np,omitempty"`
	Pct    int    `xml:"pct"`
	FO     string `xml:"fo,omitempty"`
}

type xmlReason struct {
	Type    string `xml:"type"`
	Comment string `xml:"comment,omitempty"`
}

type xmlRecord struct {
	Source      string     `xml:"row>source_ip"`
	Count       int64      `xml:"row>count"`
	Disposition string     `xml:"row>policy_evaluated>disposition"`
	DKIM        string     `xml:"row>policy_evaluated>dkim"`
	SPF         string     `xml:"row>policy_evaluated>spf"`
	Reason      *xmlReason `xml:"row>policy_evaluated>reason"`
	Envelope    string     `xml:"identifiers>envelope_from"`
	From        string     `xml:"identifiers>header_from"`
	Sigs        []xmlDKIM  `xml:"auth_results>dkim"`
	Sender      xmlSPF     `xml:"auth_results>spf"`
}

type xmlDKIM struct {
	Domain   string `xml:"domain"`
	Selector string `xml:"selector,omitempty"`
	Result   string `xml:"result"`
}

type xmlSPF struct {
	Domain string `xml:"domain"`
	Scope  string `xml:"scope"`
	Result string `xml:"result"`
}

func passOrFail(pass bool) string {
	if pass {
		return "pass"
	}
	return "fail"
}

func (t *tallied) record() xmlRecord {
	x := xmlRecord{Source: t.Source, Count: t.N, Disposition: t.Applied, DKIM: passOrFail(t.DKIM), SPF: passOrFail(t.SPF),
		Envelope: t.Envelope, From: t.From, Sender: xmlSPF{t.SPFName, t.Scope, t.SPFSays}}
	if t.Reason != "" {
		x.Reason = &xmlReason{t.Reason, t.Comment}
	}
	for _, s := range t.Sigs {
		x.Sigs = append(x.Sigs, xmlDKIM(s))
	}
	return x
}

// buildDMARC makes the aggregate report of one domain and policy.
func (s *Sender) buildDMARC(r engine.Reader, group []byte, d *draft) error {
	out := xmlReport{Version: "1.0", Metadata: xmlMetadata{Org: s.opts.Organization, Email: d.from.String(), ID: d.id, Begin: d.begin.Unix(), End: d.end.Unix()}}
	var bad error
	loud := false
	err := r.Scan(group, after(group), func(key, val []byte) bool {
		if len(key) == len(group) {
			var p published
			bad = json.Unmarshal(val, &p)
			out.Policy = xmlPolicy(p)
			return bad == nil
		}
		var t tallied
		if bad = json.Unmarshal(val, &t); bad != nil {
			return false
		}
		loud = loud || !t.Quiet
		out.Records = append(out.Records, t.record())
		return true
	})
	switch {
	case err != nil:
		return err
	case bad != nil:
		return bad
	case !loud || out.Policy.Domain == "":
		return errEmpty
	}
	text, err := xml.MarshalIndent(out, "", " ")
	if err != nil {
		return err
	}
	d.name = d.fileName(".xml.gz")
	d.packed, err = pack(append([]byte(xml.Header), text...))
	return err
}

// dmarcPlaces asks again who wants reports (rua=): whoever does not any more gets none.
func (s *Sender) dmarcPlaces(ctx context.Context, domain string) (list []destination, failed bool) {
	return s.policyPlaces(ctx, domain, func(r *dmarc.Record) []string { return r.Aggregate }, func(c *dmarc.Consent) []string { return c.Aggregate })
}

// policyPlaces are the addresses that a domain's policy names, as far as those elsewhere
// agree, RFC 7489 §7.1.
func (s *Sender) policyPlaces(ctx context.Context, domain string, named func(*dmarc.Record) []string, instead func(*dmarc.Consent) []string) (list []destination, failed bool) {
	p := dmarc.Discover(ctx, s.opts.Resolver, domain)
	if p.Status == dmarc.TempError {
		return nil, true
	}
	if p.Status != dmarc.Pass || p.Domain != domain {
		return nil, false
	}
	seen := map[string]bool{}
	add := func(to destination) {
		if !seen[to.uri] {
			seen[to.uri] = true
			list = append(list, to)
		}
	}
	for _, uri := range named(&p.Record) {
		to, ok := mailto(uri)
		if !ok || len(list) >= maxDestinations {
			continue
		}
		c := dmarc.Accepts(ctx, s.opts.Resolver, domain, string(to.to.Domain))
		failed = failed || c.Failed
		switch {
		case !c.Given:
		case len(instead(&c)) == 0:
			add(to)
		default: // RFC 7489 §7.1: elsewhere, but at the same host
			for _, other := range overriding(instead(&c), to.to.Domain) {
				add(other)
			}
		}
	}
	return list, failed
}

// overriding are the destinations that a host wants instead; none if one of them is not
// at this host.
func overriding(uris []string, host mail.Domain) []destination {
	var list []destination
	for _, uri := range uris {
		to, ok := mailto(uri)
		if !ok || to.to.Domain != host {
			return nil
		}
		list = append(list, to)
	}
	return list
}

// mailto reads a URI of RFC 7489 §6.2 that leads to an address.
func mailto(uri string) (destination, bool) {
	uri, limit, limited := strings.Cut(uri, "!")
	d := destination{uri: strings.ToLower(uri)}
	if limited {
		if d.max = sizeOf(limit); d.max == 0 {
			return d, false
		}
	}
	var ok bool
	d.to, ok = addressIn(uri)
	return d, ok
}

// sizeOf reads a size as "50m"; 0 if it is none.
func sizeOf(s string) int64 {
	digits := strings.TrimRight(s, "kmgtKMGT")
	shift, known := map[string]int{"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[strings.ToLower(s[len(digits):])]
	n, err := strconv.ParseUint(digits, 10, 20)
	if err != nil || !known {
		return 0
	}
	return int64(n) << shift
}
