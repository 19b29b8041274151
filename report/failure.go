package report

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/mailauth/dkim"
	"posthouse/mailauth/spf"
	"posthouse/message"
)

// A failure is one message that DMARC, DKIM or SPF did not confirm, and how many more of
// the day were like it. It holds what a report may tell (RFC 6590): nothing of recipients,
// subject and content, and of the envelope's sender only the domain.
type failure struct {
	tallied
	Kind    string    `json:"ft"` // of Auth-Failure, RFC 6591 §3.3
	Came    time.Time `json:"t"`  // the first
	Sender  string    `json:"ms,omitempty"`
	Header  string    `json:"h"`
	Signers []signer  `json:"g,omitempty"`
}

// A signer is what one DKIM signature says of itself.
type signer struct {
	Domain   string `json:"d"`
	Identity string `json:"i"`
	Selector string `json:"s"`
}

// The values of Auth-Failure: RFC 7489 §7.3.1 and RFC 6591 §3.3.
const (
	failedDMARC     = "dmarc"
	failedSignature = "signature"
	failedSPF       = "spf"
)

// maxFailures is how many failure reports a domain gets in a day; what is alike is one.
const maxFailures = 10

// failureOf is the failure that the domain wants to hear of by fo=, RFC 7489 §6.3; "" if
// it does not. One message makes one report: of DMARC, if several are asked for.
func failureOf(e *Evaluation) string {
	rec := &e.Policy.Record
	if len(rec.Failure) == 0 || e.Quiet || !strings.Contains(strings.ToLower(rec.Format), "afrf") {
		return ""
	}
	kind := ""
	for _, option := range strings.Split(strings.ToLower(rec.FailureOptions), ":") {
		switch strings.TrimSpace(option) {
		case "0":
			if !e.Result.DKIM && !e.Result.SPF && !e.unsure() {
				return failedDMARC
			}
		case "1":
			if (!e.Result.DKIM || !e.Result.SPF) && !e.unsure() {
				return failedDMARC
			}
		case "d":
			for _, s := range e.DKIM {
				if s.Status == dkim.Fail && s.Domain != "" {
					kind = failedSignature
				}
			}
		case "s":
			if kind == "" && (e.SPF.Status == spf.Fail || e.SPF.Status == spf.SoftFail || e.SPF.Status == spf.PermError) {
				kind = failedSPF
			}
		}
	}
	return kind
}

// unsure: DNS did not say all, so nothing has failed for certain.
func (e *Evaluation) unsure() bool {
	for _, s := range e.DKIM {
		if s.Status == dkim.TempError {
			return true
		}
	}
	return e.SPF.Status == spf.TempError
}

// recordFailure keeps a message for a report about it by itself.
func (t *Tally) recordFailure(e *Evaluation) {
	kind := ""
	if t.opts.Failures {
		kind = failureOf(e)
	}
	if kind == "" {
		return
	}
	f := failure{tallied: rowOf(e), Kind: kind}
	like := append(appendGroup(nil, failurePrefix, dayOf(t.opts.Now()), e.Policy.Domain), hashOf(f, 8)...)
	t.add(like, func(c counter) counter {
		counted, ok := c.(*failureCounter)
		if !ok {
			f.Came, f.Sender, f.Header = t.opts.Now().UTC(), t.redact(e.Sender), tellable(e.Header)
			for _, s := range e.DKIM[:min(len(e.DKIM), maxDKIM)] {
				if s.Domain != "" && s.Status != dkim.Pass {
					f.Signers = append(f.Signers, signer{clip(s.Domain), clip(s.Identity), clip(s.Selector)})
				}
			}
			counted = &failureCounter{f}
		}
		counted.N++
		return counted
	})
}

type failureCounter struct{ failure }

// onto keeps the first that came, and counts.
func (f *failureCounter) onto(old []byte) ([]byte, error) {
	var was failure
	if old == nil || json.Unmarshal(old, &was) != nil {
		return json.Marshal(f.failure)
	}
	was.N += f.N
	return json.Marshal(was)
}

// redact hides the local part so that the same one looks the same, RFC 6590 §2. The key
// lives as long as the process.
func (t *Tally) redact(a mail.Address) string {
	if a.IsNull() {
		return ""
	}
	domain, err := asciiDomain(a.Domain)
	if err != nil {
		return ""
	}
	h := hmac.New(sha256.New, t.veil)
	h.Write([]byte(a.Local))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12]) + "@" + clip(domain)
}

// tellable are the fields of a header that a report shows: those by which the author's
// domain finds out which of its programs wrote it, and why its signature broke.
func tellable(h *message.Header) string {
	if h == nil {
		return ""
	}
	var b strings.Builder
	for _, name := range []string{"From", "Date", "Message-ID", "MIME-Version", "Content-Type", "List-Id", "DKIM-Signature"} {
		n := 0
		for v := range h.RawValues(name) {
			if n++; n > maxDKIM || b.Len()+len(v) > maxFailureHeader {
				break
			}
			b.WriteString(name + ":")
			b.Write(asciiOf(v))
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

const maxFailureHeader = 8 << 10

// asciiOf replaces what no header of ASCII may hold; folds stay.
func asciiOf(v []byte) []byte {
	out := make([]byte, 0, len(v)+1)
	if len(v) > 0 && v[0] != ' ' && v[0] != '\t' {
		out = append(out, ' ')
	}
	for _, c := range []byte(strings.TrimRight(string(v), "\r\n")) {
		if (c < ' ' || c > '~') && c != '\t' && c != '\r' && c != '\n' {
			c = '?'
		}
		out = append(out, c)
	}
	return out
}
