package admin

import (
	"context"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// AccountList is the input of account.list.
type AccountList struct {
	Domain string `json:"domain"` // "": all
}

// Accounts is the output of account.list, by id.
type Accounts struct {
	V        int       `json:"v"`
	Accounts []Account `json:"accounts"`
}

func accountList(ctx context.Context, s *System, in AccountList) (Accounts, error) {
	out := Accounts{V: 1, Accounts: []Account{}}
	var only mail.Domain
	if in.Domain != "" {
		dom, err := s.domain(ctx, "account.list", in.Domain)
		if err != nil {
			return out, err
		}
		only = dom.Name
	}
	err := s.Directory.Accounts(ctx, func(a directory.Account) bool {
		if only == "" || a.Address.Domain == only {
			out.Accounts = append(out.Accounts, showAccount(a))
		}
		return true
	})
	return out, err
}

// normalDomain reads a domain that need not be here.
func normalDomain(op, text string) (mail.Domain, error) {
	name, err := wire.ParseDomain(text)
	if err != nil {
		return "", refuse(mail.Invalid, op, "%q is not a domain name, as example.org", text)
	}
	return name, nil
}
