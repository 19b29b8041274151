package report

import (
	"encoding/json"
	"net/netip"
	"strings"

	"posthouse/mail"
	"posthouse/mailauth/dkim"
	"posthouse/mailauth/dmarc"
	"posthouse/mailauth/spf"
	"posthouse/message"
)

// An Evaluation is what DMARC made of one message, for the report to the domain whose
// policy it is (RFC 7489 §7.2).
type Evaluation struct {
	Source       netip.Addr // of the client
	EnvelopeFrom string     // domain of the reverse-path; "" is null
	Policy       dmarc.Policy
	Result       dmarc.Result
	Applied      dmarc.Disposition // what was done because of it
	Reason       string            // why not what the policy says: a PolicyOverrideType of RFC 7489 §C
	Comment      string            // about Reason
	Hello        bool              // SPF judged HELO, for there was no reverse-path
	SPF          spf.Result
	DKIM         []dkim.Result
	// Quiet does not by itself make a report: of mail that is a report itself. Two servers
	// would go on for ever.
	Quiet bool
	// Sender is the reverse-path and Header that of the message, for failure reports;
	// neither is told as it is.
	Sender mail.Address
	Header *message.Header
}

// maxDKIM is how many signatures of a message are reported.
const maxDKIM = 10

// A published is the policy under which messages were counted.
type published struct {
	Domain string `json:"domain"`
	DKIM   string `json:"adkim"`
	SPF    string `json:"aspf"`
	P      string `json:"p"`
	SP     string `json:"sp"`
	NP     string `json:"np,omitempty"`
	Pct    int    `json:"pct"`
	FO     string `json:"fo,omitempty"`
}

// A tallied is one row of an aggregate report as it is stored; N messages are alike.
type tallied struct {
	N        int64        `json:"n"`
	Source   string       `json:"i"`
	Applied  string       `json:"a"`
	DKIM     bool         `json:"dk,omitempty"`
	SPF      bool         `json:"sp,omitempty"`
	Reason   string       `json:"r,omitempty"`
	Comment  string       `json:"c,omitempty"`
	From     string       `json:"f"`
	Envelope string       `json:"e,omitempty"`
	Scope    string       `json:"ss"` // of SPF: mfrom or helo
	SPFName  string       `json:"sd,omitempty"`
	SPFSays  string       `json:"sr"`
	Sigs     []talliedSig `json:"k,omitempty"`
	Quiet    bool         `json:"q,omitempty"`
}

type talliedSig struct {
	Domain   string `json:"d"`
	Selector string `json:"s,omitempty"`
	Result   string `json:"r"`
}

func strictness(strict bool) string {
	if strict {
		return "s"
	}
	return "r"
}

func policyOf(e *Evaluation) published {
	rec := &e.Policy.Record
	p := published{Domain: e.Policy.Domain, DKIM: strictness(rec.StrictDKIM), SPF: strictness(rec.StrictSPF),
		P: rec.Policy.String(), SP: rec.Subdomains.String(), Pct: rec.Percent, FO: clip(rec.FailureOptions)}
	if rec.Absent != rec.Subdomains {
		p.NP = rec.Absent.String()
	}
	return p
}

func rowOf(e *Evaluation) tallied {
	row := tallied{Source: e.Source.Unmap().WithZone("").String(), Applied: e.Applied.String(), DKIM: e.Result.DKIM, SPF: e.Result.SPF,
		Reason: e.Reason, Comment: clip(e.Comment), From: e.Policy.From, Envelope: clip(e.EnvelopeFrom),
		Scope: "mfrom", SPFName: clip(e.SPF.Domain), SPFSays: e.SPF.Status.String(), Quiet: e.Quiet}
	if e.Hello {
		row.Scope = "helo"
	}
	for _, s := range e.DKIM[:min(len(e.DKIM), maxDKIM)] {
		if s.Domain != "" {
			row.Sigs = append(row.Sigs, talliedSig{clip(s.Domain), clip(s.Selector), s.Status.String()})
		}
	}
	return row
}

// RecordDMARC counts one message if the domain wants reports: aggregates, of failures or both.
func (t *Tally) RecordDMARC(e *Evaluation) {
	if t == nil || !keyable(e.Policy.Domain) || !e.Source.IsValid() {
		return
	}
	t.recordFailure(e)
	if !t.opts.DMARC || len(e.Policy.Record.Aggregate) == 0 {
		return
	}
	p, row := policyOf(e), rowOf(e)
	group := append(appendGroup(nil, dmarcPrefix, dayOf(t.opts.Now()), p.Domain), hashOf(p, 4)...)
	t.add(group, func(counter) counter { return policyCounter(p) })
	t.add(append(group[:len(group):len(group)], hashOf(row, 8)...), func(c counter) counter {
		counted, ok := c.(*rowCounter)
		if !ok {
			counted = &rowCounter{row}
		}
		counted.N++
		return counted
	})
}

type policyCounter published

func (p policyCounter) onto([]byte) ([]byte, error) { return json.Marshal(published(p)) }

type rowCounter struct{ tallied }

func (r *rowCounter) onto(old []byte) ([]byte, error) {
	sum := r.tallied
	var was tallied
	if old != nil && json.Unmarshal(old, &was) == nil {
		sum.N += was.N
	}
	return json.Marshal(sum)
}

// Looks reports whether a message has the form of a report, whoever sent it.
func Looks(m *message.Message) bool {
	if strings.HasPrefix(m.Header.Text("Subject"), "Report Domain:") || m.Header.Has("TLS-Report-Domain") {
		return true
	}
	if len(m.Parts) == 0 {
		return false
	}
	if t := reportType(m); t == "feedback-report" || t == "tlsrpt" {
		return true
	}
	for i := range m.Parts[:min(len(m.Parts), maxParts)] {
		p := &m.Parts[i]
		if name := p.Filename(); !p.IsMultipart() && strings.Count(name, "!") >= 3 && (isTLS(m, p) || isDMARC(m, p)) {
			return true
		}
	}
	return false
}
