package admin

import (
	"context"

	"posthouse/directory"
	"posthouse/mail"
)

// DomainSet is the input of domain.set: what is nil stays.
type DomainSet struct {
	Name     string  `json:"name"`
	CatchAll *string `json:"catchAll,omitempty"` // "": none
}

func domainSet(ctx context.Context, s *System, in DomainSet) (Domain, error) {
	const op = "domain.set"
	d, err := s.domain(ctx, op, in.Name)
	if err != nil {
		return Domain{}, err
	}
	var to mail.Address
	if in.CatchAll != nil && *in.CatchAll != "" {
		if to, err = s.parseAddress(ctx, op, *in.CatchAll); err != nil {
			return Domain{}, err
		}
	}
	d, err = s.Directory.SetDomain(ctx, d.Name, func(d *directory.Domain) {
		if in.CatchAll != nil {
			d.CatchAll = to
		}
	})
	if err != nil {
		return Domain{}, err
	}
	return s.showDomain(ctx, d)
}
