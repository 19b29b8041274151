package admin

import (
	"context"
	"time"

	"posthouse/directory"
)

// MaskAdd is the input of mask.add; Name is the account's address.
type MaskAdd struct {
	Name string `json:"name"`
	Note string `json:"note"`
}

// MaskRemove is the input of mask.remove.
type MaskRemove struct {
	Name    string `json:"name"`    // the account's address
	Address string `json:"address"` // the masked one
}

// A Mask is a masked address as operations show it.
type Mask struct {
	Address string    `json:"address"`
	Note    string    `json:"note"`
	Created time.Time `json:"created"`
}

// Masks is the output of mask.list.
type Masks struct {
	V     int    `json:"v"`
	Masks []Mask `json:"masks"`
}

func showMask(a directory.Alias) Mask {
	return Mask{Address: a.Address.String(), Note: a.Note, Created: a.Created.UTC()}
}

func maskAdd(ctx context.Context, s *System, in MaskAdd) (Mask, error) {
	acct, err := s.account(ctx, "mask.add", in.Name)
	if err != nil {
		return Mask{}, err
	}
	a, err := s.Directory.AddMasked(ctx, acct.ID, in.Note)
	return showMask(a), err
}

func maskList(ctx context.Context, s *System, in Named) (Masks, error) {
	out := Masks{V: 1, Masks: []Mask{}}
	acct, err := s.account(ctx, "mask.list", in.Name)
	if err != nil {
		return out, err
	}
	list, err := s.Directory.Masked(ctx, acct.ID)
	for _, a := range list {
		out.Masks = append(out.Masks, showMask(a))
	}
	return out, err
}

func maskRemove(ctx context.Context, s *System, in MaskRemove) (None, error) {
	const op = "mask.remove"
	acct, err := s.account(ctx, op, in.Name)
	if err != nil {
		return None{}, err
	}
	a, err := s.parseAddress(ctx, op, in.Address)
	if err != nil {
		return None{}, err
	}
	return None{}, s.Directory.RemoveMasked(ctx, acct.ID, a)
}
