package report

import (
	"encoding/json"
	"strings"
	"time"
)

// tlsReport is what we read of RFC 8460 §4.4.
type tlsReport struct {
	Org   string `json:"organization-name"`
	ID    string `json:"report-id"`
	Range struct {
		Begin time.Time `json:"start-datetime"`
		End   time.Time `json:"end-datetime"`
	} `json:"date-range"`
	Policies []struct {
		Policy struct {
			Type   string `json:"policy-type"`
			Domain string `json:"policy-domain"`
		} `json:"policy"`
		Summary struct {
			Good int64 `json:"total-successful-session-count"`
			Bad  int64 `json:"total-failure-session-count"`
		} `json:"summary"`
		Failures []struct {
			Result string `json:"result-type"`
			Source string `json:"sending-mta-ip"`
			Host   string `json:"receiving-mx-hostname"`
			Count  int64  `json:"failed-session-count"`
			Reason string `json:"failure-reason-code"`
		} `json:"failure-details"`
	} `json:"policies"`
}

// maxJSONDepth is far more than a TLS report has; encoding/json takes 10,000.
const maxJSONDepth = 32

func readTLS(b []byte) (*Report, error) {
	if depth(b) > maxJSONDepth {
		return nil, errBounds
	}
	var in tlsReport
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, err
	}
	r := &Report{Reporter: in.Org, Number: in.ID, Begin: in.Range.Begin.UTC(), End: in.Range.End.UTC()}
	var kinds []string
	for _, p := range in.Policies {
		if r.Domain == "" {
			r.Domain = p.Policy.Domain
		}
		kinds = append(kinds, clip(p.Policy.Type))
		good, bad := r.Good, r.Bad
		for _, f := range p.Failures {
			if err := r.add(Row{Source: f.Source, Count: f.Count, Result: f.Result, Detail: strings.TrimSpace(f.Host + " " + f.Reason)}); err != nil {
				return nil, err
			}
		}
		// The summary counts, for details may be left out.
		r.Good, r.Bad = good+max(0, min(p.Summary.Good, 1<<40)), bad+max(0, min(p.Summary.Bad, 1<<40))
		if len(kinds) >= 100 {
			break
		}
	}
	r.Policy = strings.Join(kinds, " ")
	if r.Domain == "" {
		return nil, errNone
	}
	return r, nil
}

// depth is how deep brackets nest outside of strings.
func depth(b []byte) (deepest int) {
	n, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if n++; n > deepest {
				deepest = n
			}
		case c == '}' || c == ']':
			n--
		}
	}
	return deepest
}
