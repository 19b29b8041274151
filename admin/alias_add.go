package admin

import (
	"context"

	"posthouse/directory"
	"posthouse/mail"
)

// AliasAdd is the input of alias.add.
type AliasAdd struct {
	Address string   `json:"address"`
	Targets []string `json:"targets"`
	// Replace gives an alias that exists these targets instead of its own.
	// Without it they are added to them.
	Replace bool `json:"replace"`
}

func aliasAdd(ctx context.Context, s *System, in AliasAdd) (Alias, error) {
	const op = "alias.add"
	addr, err := s.parseAddress(ctx, op, in.Address)
	if err != nil {
		return Alias{}, err
	}
	a := directory.Alias{Address: addr}
	if old, err := s.Directory.Alias(ctx, addr); err == nil && !in.Replace {
		a.Targets = old.Targets
	}
	for _, text := range in.Targets {
		t, err := s.parseAddress(ctx, op, text)
		if err != nil {
			return Alias{}, err
		}
		if !holds(a.Targets, t) {
			a.Targets = append(a.Targets, t)
		}
	}
	a, err = s.Directory.SetAlias(ctx, a)
	return showAlias(a), err
}

func holds(list []mail.Address, a mail.Address) bool {
	for _, have := range list {
		if directory.SameAddress(have, a) {
			return true
		}
	}
	return false
}
