package report

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/mailauth/authres"
	"posthouse/mailauth/dmarc"
	"posthouse/message"
	"posthouse/store/engine"
)

// buildFailure reads the failure of a group.
func (s *Sender) buildFailure(r engine.Reader, group []byte, d *draft) error {
	val, err := r.Get(group)
	if err != nil {
		return err
	}
	d.failure = &failure{}
	return json.Unmarshal(val, d.failure)
}

// failurePlaces asks again who wants failure reports (ruf=).
func (s *Sender) failurePlaces(ctx context.Context, domain string) (list []destination, failed bool) {
	return s.policyPlaces(ctx, domain, func(r *dmarc.Record) []string { return r.Failure }, func(c *dmarc.Consent) []string { return c.Failure })
}

// failureMail is the report of RFC 6591 §3.1 with the fields of RFC 7489 §7.3.1.
func (s *Sender) failureMail(d *draft, to mail.Address) ([]byte, error) {
	boundary, err := message.NewBoundary(s.opts.Rand)
	if err != nil {
		return nil, err
	}
	f := d.failure
	text := fmt.Sprintf("The mail server %s got mail from %s in the name of %s\nthat is not confirmed by DKIM or SPF as the domain wishes. Messages like it on %s: %d.\n\n"+
		"It is sent because the DNS of %s asks for it (ruf). Recipients, subject and\ncontent are left out.\n",
		s.opts.Hostname, f.Source, f.From, d.begin.Format(time.DateOnly), f.N, d.domain)
	m := message.Multipart("report", boundary, []*message.Entity{
		message.Text("plain", text),
		message.Raw("message/feedback-report", "7bit", s.failureFields(d)),
		message.Raw("text/rfc822-headers", "7bit", []byte(f.Header)),
	}, message.Param{Name: "report-type", Value: "feedback-report"})
	return s.address(m, d, to)
}

// failureFields is the part for programs.
func (s *Sender) failureFields(d *draft) []byte {
	f := d.failure
	var b []byte
	add := func(name, value string) {
		if value != "" {
			b = append(append(append(append(b, name...), ':'), asciiOf([]byte(value))...), "\r\n"...)
		}
	}
	add("Feedback-Type", "auth-failure")
	add("User-Agent", "Posthouse/1")
	add("Version", "1")
	add("Auth-Failure", f.Kind)
	add("Authentication-Results", s.opts.Hostname+"; "+f.clause().String())
	add("Identity-Alignment", f.aligned())
	add("Delivery-Result", map[string]string{"reject": "reject", "quarantine": "spam", "none": "delivered"}[f.Applied])
	add("Original-Mail-From", "<"+f.Sender+">")
	add("Source-IP", f.Source)
	add("Reported-Domain", d.domain)
	add("Arrival-Date", f.Came.Format(time.RFC1123Z))
	add("Incidents", fmt.Sprint(f.N))
	if len(f.Signers) > 0 {
		add("DKIM-Domain", f.Signers[0].Domain)
		add("DKIM-Identity", f.Signers[0].Identity)
		add("DKIM-Selector", f.Signers[0].Selector)
	}
	for _, policy := range s.policiesOfSPF(f.SPFName) {
		add("SPF-DNS", "txt : "+f.SPFName+" : "+policy)
	}
	return b
}

// clause is the one result that the report is about, RFC 6591 §3.1.
func (f *failure) clause() authres.Clause {
	switch f.Kind {
	case failedSignature:
		for _, s := range f.Sigs {
			if s.Result == "fail" {
				return authres.Clause{Method: "dkim", Result: s.Result, Props: []authres.Prop{{Type: "header", Name: "d", Value: s.Domain}, {Type: "header", Name: "s", Value: s.Selector}}}
			}
		}
	case failedSPF:
		name := "mailfrom"
		if f.Scope == "helo" {
			name = "helo"
		}
		return authres.Clause{Method: "spf", Result: f.SPFSays, Props: []authres.Prop{{Type: "smtp", Name: name, Value: f.SPFName}}}
	}
	return authres.Clause{Method: "dmarc", Result: passOrFail(f.DKIM || f.SPF), Props: []authres.Prop{{Type: "header", Name: "from", Value: f.From}}}
}

// aligned is the value of Identity-Alignment, RFC 7489 §7.3.1.
func (f *failure) aligned() string {
	var list []string
	if f.DKIM {
		list = append(list, "dkim")
	}
	if f.SPF {
		list = append(list, "spf")
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// policiesOfSPF are the records of a domain as DNS has them now, quoted.
func (s *Sender) policiesOfSPF(domain string) (list []string) {
	if domain == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	a, err := s.opts.Resolver.LookupTXT(ctx, domain)
	if err != nil {
		return nil // what cannot be had is left out
	}
	for _, txt := range a.Records {
		if v, _, _ := strings.Cut(txt, " "); strings.EqualFold(v, "v=spf1") && len(list) < 2 {
			list = append(list, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(asciiOf([]byte(clip(txt)))[1:]))+`"`)
		}
	}
	return list
}
