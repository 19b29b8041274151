package admin

import "context"

func domainRemove(ctx context.Context, s *System, in Named) (Domain, error) {
	d, err := s.domain(ctx, "domain.remove", in.Name)
	if err != nil {
		return Domain{}, err
	}
	shown, err := s.showDomain(ctx, d)
	if err != nil {
		return Domain{}, err
	}
	return shown, s.Directory.RemoveDomain(ctx, d.Name)
}
