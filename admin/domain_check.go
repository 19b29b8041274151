package admin

import "context"

// DomainFindings is the output of domain.check.
type DomainFindings struct {
	V        int             `json:"v"`
	Errors   int             `json:"errors"`
	Warnings int             `json:"warnings"`
	Findings []DomainFinding `json:"findings"`
}

// A DomainFinding is what one look at DNS or the network showed.
type DomainFinding struct {
	Check string `json:"check"` // what was looked at, as "mx"
	Level string `json:"level"` // ok, warning, error
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do
}

func domainCheck(ctx context.Context, s *System, in Named) (DomainFindings, error) {
	d, err := s.domainAndDNS(ctx, "domain.check", in.Name)
	if err != nil {
		return DomainFindings{}, err
	}
	list, err := s.Publish.Check(ctx, d.Name)
	out := DomainFindings{V: 1, Findings: []DomainFinding{}}
	for _, f := range list {
		out.Findings = append(out.Findings, DomainFinding{f.Check, f.Level.String(), f.Text, f.Fix})
		switch f.Level.String() {
		case "error":
			out.Errors++
		case "warning":
			out.Warnings++
		}
	}
	return out, err
}
