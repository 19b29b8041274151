package delivery

import (
	"context"
	"slices"
	"strings"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/mailauth/dkim"
	"posthouse/message"
	"posthouse/report"
)

// checkReport keeps the reports that other servers send to the addresses for them. The
// mail is delivered as any other; what cannot be read is left to people.
var checkReport = stage{name: "report",
	message: func(_ context.Context, t *Transaction, h *message.Header) Verdict {
		o := &t.s.opts
		if o.Reports == nil || t.sess.Origin == FromServer || t.sess.Origin == FromSubmission || !t.toReports() {
			return Verdict{}
		}
		r, found, err := report.Read(t.staged.Message(), t.staged)
		if found {
			if list := message.ParseAddresses(h.RawValue("From"), 1); len(list) == 1 {
				r.From = list[0].Address.String()
			}
			r.Signed = t.signers()
			b, perr := o.Reports.Prepare(r)
			if err = perr; err == nil {
				t.also = append(t.also, b)
				return Verdict{Findings: []mail.Finding{{Check: "report", Result: string(r.Kind), Text: "about " + r.Domain}}}
			}
		}
		if err != nil {
			return Verdict{Findings: []mail.Finding{{Check: "report", Result: "unreadable", Text: err.Error()}}}
		}
		return Verdict{}
	},
}

// toReports reports whether one of the recipients is an address for reports.
func (t *Transaction) toReports() bool {
	return slices.ContainsFunc(t.Env.Recipients, func(r mail.Recipient) bool {
		return slices.ContainsFunc(t.s.opts.ReportAddresses, func(a mail.Address) bool {
			if a.Domain == "" {
				base, _, _ := strings.Cut(r.Address.Local, "+")
				return strings.EqualFold(base, a.Local)
			}
			return directory.SameAddress(a, r.Address)
		})
	})
}

// signers are the domains whose signatures hold.
func (t *Transaction) signers() []string {
	list := []string{}
	if t.found != nil {
		for _, r := range t.found.dkim {
			if r.Status == dkim.Pass {
				list = append(list, r.Domain)
			}
		}
	}
	return list
}
