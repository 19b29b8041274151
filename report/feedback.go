package report

import (
	"strings"

	"posthouse/message"
)

// maxFeedback is far more than the fields of a report take.
const maxFeedback = 64 << 10

// readFeedback reads the fields of RFC 5965 §3.
func readFeedback(b []byte) (*Report, error) {
	if len(b) > maxFeedback {
		return nil, errBounds
	}
	h := message.ParseHeader(append(b, "\r\n\r\n"...), message.Limits{})
	kind := strings.ToLower(h.Text("Feedback-Type"))
	if kind == "" {
		return nil, errNone
	}
	r := &Report{Reporter: h.Text("User-Agent"), Domain: h.Text("Reported-Domain"), Policy: kind}
	if t, ok := message.ParseDate(h.RawValue("Arrival-Date")); ok {
		r.Begin, r.End = t.UTC(), t.UTC()
	}
	from := strings.Trim(h.Text("Original-Mail-From"), "<> ")
	if r.Domain == "" {
		_, r.Domain, _ = strings.Cut(from, "@")
	}
	r.Sender = from
	row := Row{Source: h.Text("Source-IP"), Count: 1, Result: kind, Detail: "from " + from}
	if to := strings.Trim(h.Text("Original-Rcpt-To"), "<> "); to != "" {
		row.Detail += " to " + to
		r.To = to
	}
	if id := h.Text("Original-Envelope-Id"); id != "" {
		row.Detail += ", envelope id " + id
	}
	return r, r.add(row)
}
