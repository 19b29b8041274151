package admin

import (
	"context"
	"strings"

	"posthouse/report"
)

// ReportList is the input of report.list.
type ReportList struct {
	Kind   string `json:"kind"`   // dmarc, tls, feedback; "": all
	Domain string `json:"domain"` // "": all
	Limit  int    `json:"limit"`  // the newest; 0: 100
}

// Reports is the output of report.list, the oldest first.
type Reports struct {
	V       int             `json:"v"`
	Reports []report.Report `json:"reports"` // without their rows
	More    bool            `json:"more"`    // there are older ones
}

// ReportDetail is the output of report.show.
type ReportDetail struct {
	V int `json:"v"`
	report.Report
}

func reportList(ctx context.Context, s *System, in ReportList) (Reports, error) {
	out := Reports{V: 1, Reports: []report.Report{}}
	limit := in.Limit
	if limit <= 0 {
		limit = 100
	}
	err := report.Open(s.Engine, nil).List(ctx, func(r report.Report) bool {
		if in.Kind != "" && string(r.Kind) != in.Kind || in.Domain != "" && !strings.EqualFold(r.Domain, in.Domain) {
			return true
		}
		r.More += len(r.Rows)
		r.Rows = nil
		out.Reports = append(out.Reports, r)
		if len(out.Reports) > 2*limit { // the oldest of them are not asked for
			out.Reports, out.More = append([]report.Report{}, out.Reports[len(out.Reports)-limit:]...), true
		}
		return true
	})
	if n := len(out.Reports); n > limit {
		out.Reports, out.More = out.Reports[n-limit:], true
	}
	return out, err
}

func reportShow(ctx context.Context, s *System, in Named) (ReportDetail, error) {
	r, err := report.Open(s.Engine, nil).Show(ctx, in.Name)
	return ReportDetail{V: 1, Report: r}, err
}
