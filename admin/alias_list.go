package admin

import (
	"context"

	"posthouse/directory"
	"posthouse/mail"
)

// AliasList is the input of alias.list.
type AliasList struct {
	Domain string `json:"domain"` // "": all
}

// Aliases is the output of alias.list, by address.
type Aliases struct {
	V       int     `json:"v"`
	Aliases []Alias `json:"aliases"`
}

func aliasList(ctx context.Context, s *System, in AliasList) (Aliases, error) {
	out := Aliases{V: 1, Aliases: []Alias{}}
	var only mail.Domain
	if in.Domain != "" {
		d, err := s.domain(ctx, "alias.list", in.Domain)
		if err != nil {
			return out, err
		}
		only = d.Name
	}
	err := s.Directory.Aliases(ctx, only, func(a directory.Alias) bool {
		out.Aliases = append(out.Aliases, showAlias(a))
		return true
	})
	return out, err
}
