package admin

import "context"

// A Record is a DNS record that a domain needs, or needs no more.
type Record struct {
	Name     string   `json:"name"` // without the last dot, A-labels
	Type     string   `json:"type"`
	Value    string   `json:"value"` // of TXT the text whole; "" is not ours to know
	Reason   string   `json:"reason"`
	Effect   string   `json:"effect"`
	Optional bool     `json:"optional,omitempty"`
	Remove   bool     `json:"remove,omitempty"`   // it may be deleted
	Replaces []string `json:"replaces,omitempty"` // records that are there, in place of which it stands
}

// Records is the output of domain.records.
type Records struct {
	V       int      `json:"v"`
	Records []Record `json:"records"`
}

// domainRecords lists the DNS records of a domain. It makes the keys that sign the
// domain's mail if there are none: from then on mail from it is signed.
func domainRecords(ctx context.Context, s *System, in Named) (Records, error) {
	d, err := s.domainAndDNS(ctx, "domain.records", in.Name)
	if err != nil {
		return Records{}, err
	}
	list, err := s.Publish.Records(ctx, d.Name)
	out := Records{V: 1, Records: []Record{}}
	for _, e := range list {
		out.Records = append(out.Records, Record{e.Name, e.Type, e.Value, e.Reason, e.Effect, e.Optional, e.Remove, e.Replaces})
	}
	return out, err
}
