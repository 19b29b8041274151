package directory

import (
	"context"
	"encoding/base32"
	"io"

	"posthouse/mail"
)

// A masked address is an alias with a name that nobody guesses, which leads to one
// account alone: people give each shop another one, and end it when mail comes that they
// do not want. The account may send as it (see MaySend), so it answers as itself.

// maxMasked is how many of them an account may have.
const maxMasked = 1000

// maskedLocals have neither l nor o, nor 0 nor 1.
var maskedLocals = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// AddMasked makes a masked address in the account's domain. note says what it is for.
// TooLarge for an account that has too many, NotFound without the account.
func (d *Directory) AddMasked(ctx context.Context, id mail.AccountID, note string) (Alias, error) {
	const op = "directory.AddMasked"
	acct, err := d.Account(ctx, id)
	if err != nil {
		return Alias{}, err
	}
	if len(note) > 255 {
		return Alias{}, fail(mail.TooLarge, op, nil, "a note has at most 255 bytes")
	}
	have, err := d.Masked(ctx, id)
	if err != nil {
		return Alias{}, err
	}
	if len(have) >= maxMasked {
		return Alias{}, fail(mail.TooLarge, op, nil, "%s has %d masked addresses already: remove some", acct.Address, len(have))
	}
	for range maxTries {
		var random [8]byte
		if _, err := io.ReadFull(d.opts.Rand, random[:]); err != nil {
			return Alias{}, fail(mail.Internal, op, err, "")
		}
		a := Alias{Address: mail.Address{Local: maskedLocals.EncodeToString(random[:])[:12], Domain: acct.Address.Domain}, Targets: []mail.Address{acct.Address}, Masked: true, Note: note}
		if _, err := d.Alias(ctx, a.Address); err == nil {
			continue // somebody has it
		}
		if a, err = d.SetAlias(ctx, a); mail.KindOf(err) != mail.Exists {
			return a, err
		}
	}
	return Alias{}, fail(mail.Conflict, op, nil, "no free name was found: try again")
}

// Masked returns the masked addresses of an account, by address.
func (d *Directory) Masked(ctx context.Context, id mail.AccountID) ([]Alias, error) {
	acct, err := d.Account(ctx, id)
	if err != nil {
		return nil, err
	}
	list := []Alias{}
	err = d.Aliases(ctx, acct.Address.Domain, func(a Alias) bool {
		if a.Masked && len(a.Targets) == 1 && SameAddress(a.Targets[0], acct.Address) {
			list = append(list, a)
		}
		return true
	})
	return list, err
}

// RemoveMasked ends a masked address of the account. NotFound if it is not one of it.
func (d *Directory) RemoveMasked(ctx context.Context, id mail.AccountID, a mail.Address) error {
	const op = "directory.RemoveMasked"
	acct, err := d.Account(ctx, id)
	if err != nil {
		return err
	}
	al, err := d.Alias(ctx, a)
	if err != nil {
		return err
	}
	if !al.Masked || len(al.Targets) != 1 || !SameAddress(al.Targets[0], acct.Address) {
		return fail(mail.NotFound, op, nil, "%s is no masked address of %s", a, acct.Address)
	}
	return d.RemoveAlias(ctx, a)
}
