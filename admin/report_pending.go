package admin

import (
	"context"
	"time"

	"posthouse/mail"
)

// PendingReports is the output of report.pending and report.send: what was not sent yet.
type PendingReports struct {
	V       int             `json:"v"`
	Pending []PendingReport `json:"pending"`
}

// A PendingReport goes to a domain about mail in its name, or about TLS to its servers.
type PendingReport struct {
	Kind   string    `json:"kind"`
	Domain string    `json:"domain"`
	Day    time.Time `json:"day"`
	Due    time.Time `json:"due"`
	Failed bool      `json:"failed"`
}

func reportPending(ctx context.Context, s *System, _ struct{}) (PendingReports, error) {
	out := PendingReports{V: 1, Pending: []PendingReport{}}
	if s.Reports == nil {
		return out, refuse(mail.Unavailable, "report.pending", "the server is stopped, or is a demo: nothing is sent")
	}
	list, err := s.Reports.Pending(ctx)
	for _, p := range list {
		out.Pending = append(out.Pending, PendingReport{string(p.Kind), p.Domain, p.Day.UTC(), p.Due.UTC(), p.Failed})
	}
	return out, err
}

func reportSend(ctx context.Context, s *System, in struct{}) (PendingReports, error) {
	if s.Reports != nil {
		if err := s.Reports.SendNow(ctx); err != nil {
			return PendingReports{V: 1, Pending: []PendingReport{}}, err
		}
	}
	return reportPending(ctx, s, in)
}
