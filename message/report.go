package message

import (
	"io"
	"strings"
)

// A Report is what a multipart/report tells a program about a message that was sent:
// a delivery status notification (RFC 3464) or a message disposition notification
// (RFC 8098). It is as its author wrote it, who may be anybody.
type Report struct {
	Disposition bool   // it is an MDN
	EnvelopeID  string // ENVID of the submission, "" if it is not told
	MessageID   string // of the message, with its angle brackets; "" if it is not told
	Recipients  []ReportedRecipient
}

// A ReportedRecipient is what a [Report] says of one recipient.
type ReportedRecipient struct {
	Original, Final string // addresses without their type; "" if not told
	Action          string // in lower case: "failed", "delayed", "delivered", "relayed", "expanded"
	Status          string // "5.1.1"
	Diagnostic      string // Diagnostic-Code with its type, as "smtp; 550 no"
	Displayed       bool   // of an MDN: its type is "displayed"
}

// maxReport bounds what is read of each part of a report, maxReported the recipients.
const (
	maxReport   = 64 << 10
	maxReported = 1000
)

// ReadReport reads the message m, whose bytes are in src, as a report; nil if it is none.
func ReadReport(m *Message, src io.ReaderAt) (*Report, error) {
	if len(m.Parts) < 2 || m.Parts[0].Type != "multipart" || m.Parts[0].Subtype != "report" {
		return nil, nil
	}
	var r *Report
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.Parent != 0 || r != nil || p.Type != "message" {
			continue
		}
		switch strings.TrimPrefix(p.Subtype, "global-") {
		case "delivery-status":
			r = &Report{}
		case "disposition-notification":
			r = &Report{Disposition: true}
		default:
			continue
		}
		text, err := reportPart(src, p)
		if err != nil {
			return nil, err
		}
		r.read(text)
	}
	if r == nil || r.MessageID != "" {
		return r, nil
	}
	return r, r.identify(m, src)
}

// reportPart reads the beginning of a part.
func reportPart(src io.ReaderAt, p *Part) (string, error) {
	b, err := io.ReadAll(io.LimitReader(NewTextReader(io.NewSectionReader(src, p.BodyStart, p.Size()), p), maxReport))
	return strings.ReplaceAll(string(b), "\r\n", "\n"), err
}

// read takes the groups of fields, RFC 3464 §2.1: the first is about the message, each
// other about a recipient. An MDN has one group.
func (r *Report) read(text string) {
	for i, group := range strings.SplitN(strings.TrimLeft(text, "\n"), "\n\n", maxReported+2) {
		h := ParseHeader([]byte(group+"\n"), Limits{})
		one := ReportedRecipient{Original: untyped(h.Value("Original-Recipient")), Final: untyped(h.Value("Final-Recipient"))}
		switch {
		case r.Disposition:
			r.MessageID = firstMessageID(&h, "Original-Message-ID")
			_, kind, _ := strings.Cut(h.Value("Disposition"), ";")
			kind, _, _ = strings.Cut(kind, "/")
			one.Displayed = strings.EqualFold(strings.TrimSpace(kind), "displayed")
			r.Recipients = append(r.Recipients, one)
			return
		case i == 0:
			r.EnvelopeID = strings.TrimSpace(h.Value("Original-Envelope-Id"))
		case len(r.Recipients) < maxReported && h.Has("Action"):
			one.Action = strings.ToLower(strings.TrimSpace(withoutComment(h.Value("Action"))))
			one.Status = strings.TrimSpace(withoutComment(h.Value("Status")))
			one.Diagnostic = strings.TrimSpace(h.Text("Diagnostic-Code"))
			r.Recipients = append(r.Recipients, one)
		}
	}
}

// untyped is the address of a field like "rfc822; ada@demo.test".
func untyped(s string) string {
	if _, after, typed := strings.Cut(s, ";"); typed {
		s = after
	}
	s = strings.TrimSpace(s)
	return strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
}

func withoutComment(s string) string {
	s, _, _ = strings.Cut(s, "(")
	return s
}

func firstMessageID(h *Header, name string) string {
	ids := AppendMessageIDs(nil, h.RawValue(name), 1)
	if len(ids) == 0 {
		return ""
	}
	return "<" + ids[0] + ">"
}

// identify looks for the Message-ID in what was returned of the message, or takes the
// one that the report answers.
func (r *Report) identify(m *Message, src io.ReaderAt) error {
	for i := range m.Parts {
		p := &m.Parts[i]
		var text string
		var err error
		switch {
		case p.Type == "text" && p.Subtype == "rfc822-headers", p.Type == "message" && (p.Subtype == "global-headers" || p.Subtype == "global"):
			text, err = reportPart(src, p)
		case p.IsMessage() && p.Children == 1:
			inner := &m.Parts[i+1]
			var b []byte
			b, err = io.ReadAll(io.NewSectionReader(src, inner.HeaderStart, min(inner.BodyStart-inner.HeaderStart, maxReport)))
			text = string(b)
		default:
			continue
		}
		if err != nil {
			return err
		}
		h := ParseHeader([]byte(text), Limits{})
		if r.MessageID = firstMessageID(&h, "Message-ID"); r.MessageID != "" {
			return nil
		}
	}
	r.MessageID = firstMessageID(&m.Header, "In-Reply-To")
	return nil
}
