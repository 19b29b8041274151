package admin

import (
	"context"
	"slices"

	"posthouse/directory"
	"posthouse/mail"
)

// DomainSet is the input of domain.set: what is nil stays.
type DomainSet struct {
	Name      string  `json:"name"`
	CatchAll  *string `json:"catchAll,omitempty"`       // "": none
	Quota     *int64  `json:"quota,omitempty"`          // bytes of all its accounts together; 0: none
	Default   *Quota  `json:"accountQuota,omitempty"`   // of new accounts
	STS       *string `json:"mtaSTS,omitempty"`         // testing, enforce, none
	NoDefault bool    `json:"noAccountQuota,omitempty"` // that of the configuration again
}

func domainSet(ctx context.Context, s *System, in DomainSet) (Domain, error) {
	const op = "domain.set"
	d, err := s.domain(ctx, op, in.Name)
	if err != nil {
		return Domain{}, err
	}
	if in.STS != nil && !slices.Contains([]string{"testing", "enforce", "none"}, *in.STS) {
		return Domain{}, refuse(mail.Invalid, op, "%q is no mode of MTA-STS: testing, enforce or none", *in.STS)
	}
	var to mail.Address
	if in.CatchAll != nil && *in.CatchAll != "" {
		if to, err = s.parseAddress(ctx, op, *in.CatchAll); err != nil {
			return Domain{}, err
		}
	}
	all := QuotaSet{Quota: in.Quota}
	if q := in.Default; q != nil {
		all.Messages, all.Mailboxes = &q.Messages, &q.Mailboxes
		if q.Bytes < 0 {
			all.Quota = &q.Bytes
		}
	}
	if err := all.check(op); err != nil {
		return Domain{}, err
	}
	d, err = s.Directory.SetDomain(ctx, d.Name, func(d *directory.Domain) {
		if in.CatchAll != nil {
			d.CatchAll = to
		}
		set(&d.Quota, in.Quota)
		set(&d.STS, in.STS)
		if in.NoDefault {
			d.Default = nil
		} else if q := in.Default; q != nil {
			d.Default = &directory.Quota{Bytes: q.Bytes, Messages: q.Messages, Mailboxes: q.Mailboxes}
		}
	})
	if err != nil {
		return Domain{}, err
	}
	if in.Quota != nil {
		if err := s.enlist(ctx, d.Name); err != nil {
			return Domain{}, err
		}
		if err := s.Store.SetDomainQuota(ctx, d.Name, d.Quota); err != nil {
			return Domain{}, err
		}
	}
	return s.showDomain(ctx, d)
}
