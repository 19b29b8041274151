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
	"posthouse/smtp/wire"
)

// checkReport keeps the reports that other servers send to the addresses for them. The
// mail is delivered as any other; what cannot be read is left to people.
var checkReport = stage{name: "report",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
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
				t.complaint = t.complaintOf(ctx, r)
				return Verdict{Findings: []mail.Finding{{Check: "report", Result: string(r.Kind), Text: "about " + r.Domain}}}
			}
		}
		if err != nil {
			return Verdict{Findings: []mail.Finding{{Check: "report", Result: "unreadable", Text: err.Error()}}}
		}
		return Verdict{}
	},
}

// A complaint is that whoever reads at an address does not want mail of a domain.
type complaint struct {
	from mail.Domain
	to   mail.Address
	who  string
}

// complaintOf is the complaint of a feedback report, if its sender may speak for the
// address: it is signed by the domain of the address, or one above it. Else anybody could
// keep people here from writing to whom he likes.
func (t *Transaction) complaintOf(ctx context.Context, r *report.Report) complaint {
	to, err := wire.ParseAddress(r.To)
	from, ferr := wire.ParseAddress(r.Sender)
	if r.Kind != report.Feedback || r.Policy != "abuse" && r.Policy != "opt-out" || err != nil || ferr != nil {
		return complaint{}
	}
	if res, err := t.s.opts.Directory.Resolve(ctx, from); err != nil || !res.Local {
		return complaint{}
	}
	if res, err := t.s.opts.Directory.Resolve(ctx, to); err != nil || res.Local {
		return complaint{}
	}
	domain, err := wire.DomainToASCII(to.Domain)
	for _, signer := range r.Signed {
		signer = strings.ToLower(signer)
		if err == nil && strings.Contains(signer, ".") && (domain == signer || strings.HasSuffix(domain, "."+signer)) {
			return complaint{from.Domain, to, "report of " + signer}
		}
	}
	return complaint{}
}

// complain makes a complaint count, after the report was stored.
func (t *Transaction) complain(ctx context.Context) {
	c, s := t.complaint, t.s.opts.Suppression
	if s == nil || c.from == "" {
		return
	}
	t.complaint = complaint{}
	if err := s.Complained(ctx, c.from, c.to, c.who); err != nil {
		t.s.opts.Logger.Warn("a complaint was not noted", "tid", t.Env.TraceID, "from", string(c.from), "to", c.to.String(), "err", err)
		return
	}
	t.s.opts.Logger.Info("suppressed after a complaint", "tid", t.Env.TraceID, "from", string(c.from), "to", c.to.String(), "by", c.who)
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
