package admin

import (
	"context"

	"posthouse/directory"
)

// Domains is the output of domain.list, by name.
type Domains struct {
	V       int      `json:"v"`
	Domains []Domain `json:"domains"`
}

func domainList(ctx context.Context, s *System, _ None) (Domains, error) {
	out := Domains{V: 1, Domains: []Domain{}}
	var inner error
	err := s.Directory.Domains(ctx, func(d directory.Domain) bool {
		var shown Domain
		if shown, inner = s.showDomain(ctx, d); inner != nil {
			return false
		}
		out.Domains = append(out.Domains, shown)
		return true
	})
	if err == nil {
		err = inner
	}
	return out, err
}
