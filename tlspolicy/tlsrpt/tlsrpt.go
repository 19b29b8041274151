// Package tlsrpt is the form of SMTP TLS reports, RFC 8460: what is counted about
// each domain that we send to, and what its owner is told once a day. It does no I/O.
package tlsrpt

import (
	"encoding/json"
	"strings"
	"time"
)

// A Result is why a session with a server was not as the policy wants it, RFC 8460
// §4.3; empty: it was.
type Result string

// The results.
const (
	Success             Result = ""
	NoStartTLS          Result = "starttls-not-supported"
	HostMismatch        Result = "certificate-host-mismatch"
	CertExpired         Result = "certificate-expired"
	CertUntrusted       Result = "certificate-not-trusted"
	ValidationFailure   Result = "validation-failure"
	TLSAInvalid         Result = "tlsa-invalid"
	DNSSECInvalid       Result = "dnssec-invalid"
	STSFetchError       Result = "sts-policy-fetch-error"
	STSInvalid          Result = "sts-policy-invalid"
	STSWebPKIInvalid    Result = "sts-webpki-invalid"
	maxDetails                 = 100 // of one policy in a report
	maxRecipients              = 5   // of reports about one domain
	recordVersion              = "v=TLSRPTv1"
	defaultOrganization        = "Posthouse"
)

// Policy types, RFC 8460 §4.4.
const (
	TypeTLSA = "tlsa"
	TypeSTS  = "sts"
	TypeNone = "no-policy-found"
)

// A Policy is what was applied to a session.
type Policy struct {
	Type   string   `json:"policy-type"`
	String []string `json:"policy-string,omitempty"`
	Domain string   `json:"policy-domain"`
	MX     []string `json:"mx-host,omitempty"`
}

// A Detail is one kind of failure, counted.
type Detail struct {
	Result      Result `json:"result-type"`
	SendingIP   string `json:"sending-mta-ip,omitempty"`
	MX          string `json:"receiving-mx-hostname,omitempty"`
	Hello       string `json:"receiving-mx-helo,omitempty"`
	ReceivingIP string `json:"receiving-ip,omitempty"`
	Count       int64  `json:"failed-session-count"`
	Reason      string `json:"failure-reason-code,omitempty"`
}

// Counts are what was seen under one policy.
type Counts struct {
	Policy  Policy `json:"policy"`
	Summary struct {
		Successes int64 `json:"total-successful-session-count"`
		Failures  int64 `json:"total-failure-session-count"`
	} `json:"summary"`
	Details []Detail `json:"failure-details,omitempty"`
}

// Add counts one session; d.Result says how it went. What does not fit any more
// counts in the summary only.
func (c *Counts) Add(d Detail) {
	if d.Result == Success {
		c.Summary.Successes++
		return
	}
	c.Summary.Failures++
	d.Count = 0
	for i := range c.Details {
		at := c.Details[i]
		if at.Count = 0; at == d {
			c.Details[i].Count++
			return
		}
	}
	if len(c.Details) < maxDetails {
		d.Count = 1
		c.Details = append(c.Details, d)
	}
}

// Merge adds what o counted under the same policy.
func (c *Counts) Merge(o Counts) {
	c.Summary.Successes += o.Summary.Successes
	c.Summary.Failures += o.Summary.Failures
next:
	for _, d := range o.Details {
		want := d
		want.Count = 0
		for i := range c.Details {
			at := c.Details[i]
			if at.Count = 0; at == want {
				c.Details[i].Count += d.Count
				continue next
			}
		}
		if len(c.Details) < maxDetails {
			c.Details = append(c.Details, d)
		}
	}
}

// Same reports whether two policies are one.
func (p Policy) Same(q Policy) bool {
	return p.Type == q.Type && p.Domain == q.Domain && strings.Join(p.String, "\n") == strings.Join(q.String, "\n")
}

// A Report is one report, RFC 8460 §4.4.
type Report struct {
	Organization string    `json:"organization-name"`
	DateRange    DateRange `json:"date-range"`
	Contact      string    `json:"contact-info"`
	ID           string    `json:"report-id"`
	Policies     []Counts  `json:"policies"`
}

// A DateRange is the time that a report is about.
type DateRange struct {
	Start time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

// JSON is the report as it is sent.
func (r Report) JSON() ([]byte, error) {
	if r.Organization == "" {
		r.Organization = defaultOrganization
	}
	r.DateRange.Start, r.DateRange.End = r.DateRange.Start.UTC(), r.DateRange.End.UTC()
	return json.Marshal(r)
}

// Recipients returns the places to which a domain wants reports sent, from the TXT
// records at "_smtp._tls." and the domain, RFC 8460 §3: URIs as published, mailto and
// https. Of records of this kind there must be one.
func Recipients(txt []string) []string {
	var out []string
	n := 0
	for _, s := range txt {
		rest, ok := strings.CutPrefix(s, recordVersion)
		if !ok || rest != "" && !strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			continue
		}
		n++
		for tag := range strings.SplitSeq(rest, ";") {
			name, value, _ := strings.Cut(tag, "=")
			if strings.TrimSpace(name) != "rua" {
				continue
			}
			for uri := range strings.SplitSeq(value, ",") {
				if uri = strings.TrimSpace(uri); len(out) < maxRecipients && (hasScheme(uri, "mailto:") || hasScheme(uri, "https:")) {
					out = append(out, uri)
				}
			}
		}
	}
	if n != 1 {
		return nil
	}
	return out
}

func hasScheme(uri, scheme string) bool {
	return len(uri) > len(scheme) && strings.EqualFold(uri[:len(scheme)], scheme)
}
