package admin

import (
	"context"

	"posthouse/directory"
)

// AliasSet is the input of alias.set.
type AliasSet struct {
	Address string `json:"address"`
	List    bool   `json:"list"`
	// Unsubscribe and OneClick are those of the list.
	Unsubscribe string `json:"unsubscribe"`
	OneClick    bool   `json:"oneClick"`
}

func aliasSet(ctx context.Context, s *System, in AliasSet) (Alias, error) {
	const op = "alias.set"
	addr, err := s.parseAddress(ctx, op, in.Address)
	if err != nil {
		return Alias{}, err
	}
	var l *directory.List
	if in.List {
		l = &directory.List{Unsubscribe: in.Unsubscribe, OneClick: in.OneClick}
	}
	a, err := s.Directory.SetList(ctx, addr, l)
	return showAlias(a), err
}
