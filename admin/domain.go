package admin

import (
	"context"
	"time"

	"posthouse/directory"
)

// A Domain is a domain as operations show it.
type Domain struct {
	Name     string    `json:"name"`
	CatchAll string    `json:"catchAll"` // "": none
	Accounts int       `json:"accounts"`
	Aliases  int       `json:"aliases"`
	Created  time.Time `json:"created"`
}

func (s *System) showDomain(ctx context.Context, d directory.Domain) (Domain, error) {
	accounts, aliases, err := s.Directory.Count(ctx, d.Name)
	return Domain{string(d.Name), d.CatchAll.String(), accounts, aliases, d.Created.UTC()}, err
}
