package admin

import "context"

func domainAdd(ctx context.Context, s *System, in Named) (Domain, error) {
	name, err := normalDomain("domain.add", in.Name)
	if err != nil {
		return Domain{}, err
	}
	d, err := s.Directory.AddDomain(ctx, name)
	if err != nil {
		return Domain{}, err
	}
	return s.showDomain(ctx, d)
}
