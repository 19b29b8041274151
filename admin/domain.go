package admin

import (
	"context"
	"time"

	"posthouse/directory"
)

// A Domain is a domain as operations show it.
type Domain struct {
	Name     string    `json:"name"`
	CatchAll string    `json:"catchAll"`               // "": none
	Quota    int64     `json:"quota,omitempty"`        // bytes of all its accounts together; 0: none
	Default  *Quota    `json:"accountQuota,omitempty"` // of new accounts
	Accounts int       `json:"accounts"`
	Aliases  int       `json:"aliases"`
	STS      string    `json:"mtaSTS"` // mode of its MTA-STS policy: testing, enforce, none
	Created  time.Time `json:"created"`
}

func (s *System) showDomain(ctx context.Context, d directory.Domain) (Domain, error) {
	accounts, aliases, err := s.Directory.Count(ctx, d.Name)
	out := Domain{Name: string(d.Name), CatchAll: d.CatchAll.String(), Quota: d.Quota, Accounts: accounts, Aliases: aliases, STS: d.STS, Created: d.Created.UTC()}
	if out.STS == "" {
		out.STS = "testing"
	}
	if d.Default != nil {
		out.Default = &Quota{d.Default.Bytes, d.Default.Messages, d.Default.Mailboxes}
	}
	return out, err
}
