package admin

import (
	"context"

	"posthouse/directory"
	"posthouse/mail"
)

// AliasRemove is the input of alias.remove.
type AliasRemove struct {
	Address string   `json:"address"`
	Targets []string `json:"targets"` // only these; empty: the whole alias
}

func aliasRemove(ctx context.Context, s *System, in AliasRemove) (Alias, error) {
	const op = "alias.remove"
	addr, err := s.parseAddress(ctx, op, in.Address)
	if err != nil {
		return Alias{}, err
	}
	a, err := s.Directory.Alias(ctx, addr)
	if err != nil {
		return Alias{}, err
	}
	left, err := s.without(ctx, a, in.Targets)
	if err != nil {
		return Alias{}, err
	}
	if len(in.Targets) == 0 || len(left) == 0 {
		if err := s.Directory.RemoveAlias(ctx, addr); err != nil {
			return showAlias(a), err
		}
		return showAlias(a), s.Store.Revoke(ctx, a.ID)
	}
	a.Targets = left
	a, err = s.Directory.SetAlias(ctx, a)
	return showAlias(a), err
}

// without returns the targets of a without those that gone names.
func (s *System) without(ctx context.Context, a directory.Alias, gone []string) ([]mail.Address, error) {
	left := append([]mail.Address(nil), a.Targets...)
	for _, text := range gone {
		t, err := s.parseAddress(ctx, "alias.remove", text)
		if err != nil {
			return nil, err
		}
		if !holds(left, t) {
			return nil, refuse(mail.NotFound, "alias.remove", "%s does not lead to %s", a.Address, t)
		}
		for i := range left {
			if directory.SameAddress(left[i], t) {
				left = append(left[:i], left[i+1:]...)
				break
			}
		}
	}
	return left, nil
}
