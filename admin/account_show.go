package admin

import (
	"context"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/store"
)

// Named is the input of operations on one thing.
type Named struct {
	Name string `json:"name"`
}

// AccountDetail is the output of account.show.
type AccountDetail struct {
	V int `json:"v"`
	Account
	Aliases   []string  `json:"aliases"` // addresses that lead to it
	Mailboxes []Mailbox `json:"mailboxes"`
	Messages  uint64    `json:"messages"`
	Bytes     int64     `json:"bytes"` // with annotations, as it counts for the quota
}

// A Mailbox is one mailbox of an account.
type Mailbox struct {
	Path     string `json:"path"`
	Role     string `json:"role"`
	Messages uint32 `json:"messages"`
	Unseen   uint32 `json:"unseen"`
	Bytes    int64  `json:"bytes"`
}

func accountShow(ctx context.Context, s *System, in Named) (AccountDetail, error) {
	out := AccountDetail{V: 1, Aliases: []string{}, Mailboxes: []Mailbox{}}
	acct, err := s.account(ctx, "account.show", in.Name)
	if err != nil {
		return out, err
	}
	out.Account = showAccount(acct)
	if out.Aliases, err = s.aliasesOf(ctx, acct.Address); err != nil {
		return out, err
	}
	box, err := s.Store.Account(ctx, acct.ID)
	if err != nil {
		return out, err
	}
	err = box.View(ctx, func(v *store.View) error {
		for _, m := range v.Mailboxes() {
			out.Mailboxes = append(out.Mailboxes, Mailbox{m.Path, string(m.Role), m.Messages, m.Unseen, m.Bytes})
		}
		u := v.Usage()
		out.Messages, out.Bytes = uint64(u.Messages), u.Bytes
		return nil
	})
	return out, err
}

// aliasesOf returns the aliases that name a as a target.
func (s *System) aliasesOf(ctx context.Context, a mail.Address) ([]string, error) {
	list := []string{}
	err := s.Directory.Aliases(ctx, "", func(al directory.Alias) bool {
		for _, t := range al.Targets {
			if directory.SameAddress(t, a) {
				list = append(list, al.Address.String())
				break
			}
		}
		return true
	})
	return list, err
}
