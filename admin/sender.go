package admin

import (
	"context"

	"posthouse/mail"
)

// A Sender is the input of sender.add and sender.remove: who may send as whom. Both
// are accounts or aliases.
type Sender struct {
	Name string `json:"name"` // in whose name
	Who  string `json:"who"`
}

// Senders is the output of sender.list.
type Senders struct {
	V       int      `json:"v"`
	Senders []string `json:"senders"`
}

func senderList(ctx context.Context, s *System, in Named) (Senders, error) {
	out := Senders{V: 1, Senders: []string{}}
	as, err := s.parseAddress(ctx, "sender.list", in.Name)
	if err != nil {
		return out, err
	}
	list, err := s.Directory.Senders(ctx, as)
	for _, a := range list {
		out.Senders = append(out.Senders, a.String())
	}
	return out, err
}

func senderAdd(ctx context.Context, s *System, in Sender) (None, error) {
	as, who, err := s.senderPair(ctx, "sender.add", in)
	if err != nil {
		return None{}, err
	}
	return None{}, s.Directory.AllowSender(ctx, as, who)
}

func senderRemove(ctx context.Context, s *System, in Sender) (None, error) {
	as, who, err := s.senderPair(ctx, "sender.remove", in)
	if err != nil {
		return None{}, err
	}
	return None{}, s.Directory.DenySender(ctx, as, who)
}

func (s *System) senderPair(ctx context.Context, op string, in Sender) (as, who mail.Address, err error) {
	if as, err = s.parseAddress(ctx, op, in.Name); err == nil {
		who, err = s.parseAddress(ctx, op, in.Who)
	}
	return as, who, err
}
