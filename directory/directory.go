// Package directory knows who exists: domains, accounts with their passwords,
// aliases. It lives in the store's engine, account 0, under the key prefix 'd',
// so a change is atomic with what the store does (making an account and its
// mailboxes is one commit).
package directory

import (
	"context"
	"io"
	"net/netip"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

// Options of Open. Zero values take the defaults.
type Options struct {
	Now  func() time.Time
	Rand io.Reader
	// HashMemory bounds the bytes that password hashing may use at once, 19 MiB
	// each; more logins wait. Default 64 MiB.
	HashMemory int64
}

// A Directory answers who exists. Its methods may be called at once.
type Directory struct{}

// Open returns the directory kept in eng.
func Open(ctx context.Context, eng engine.Engine, o Options) (*Directory, error) {
	return nil, errNotBuilt
}

// A Domain is a mail domain that is ours.
type Domain struct {
	Name     mail.Domain
	CatchAll mail.Address // receives what has no account and no alias; null: nobody
	Created  time.Time
}

// An Account is a person or thing that has mail here.
type Account struct {
	ID       mail.AccountID
	Address  mail.Address // primary address, also the login name
	Name     string       // as in "Ada Lovelace"
	Admin    bool
	Disabled bool // may neither log in nor send; still receives
	Quota    int64
	Created  time.Time
}

// An Alias sends mail for one address on to others, here or elsewhere.
type Alias struct {
	Address mail.Address
	Targets []mail.Address
	Created time.Time
}

// A Resolution is where mail for an address goes.
type Resolution struct {
	Local    bool             // the domain is ours
	Found    bool             // somebody receives it
	Accounts []mail.AccountID // each once
	Remote   []mail.Address   // alias targets elsewhere, each once
	Detail   string           // of plus addressing: "lists" in ada+lists@…
}

// Resolve follows aliases (bounded, loops end), plus addressing and catch-all.
// Local parts compare without case.
func (d *Directory) Resolve(ctx context.Context, a mail.Address) (Resolution, error) {
	return Resolution{}, errNotBuilt
}

// IsLocal reports whether a domain is ours.
func (d *Directory) IsLocal(ctx context.Context, dom mail.Domain) (bool, error) {
	return false, errNotBuilt
}

// Authenticate checks a password. Denied if it is wrong, the account is unknown
// (at the same cost) or disabled; Unavailable when too many wait. A success is
// remembered in memory (keyed hash) so that the next login of the same password
// is cheap.
func (d *Directory) Authenticate(ctx context.Context, login, password string, from netip.Addr) (Account, error) {
	return Account{}, errNotBuilt
}

// MaySend reports whether the account owns the address as a sender: its primary
// address, with or without detail, or an alias that leads to it alone.
func (d *Directory) MaySend(ctx context.Context, id mail.AccountID, from mail.Address) (bool, error) {
	return false, errNotBuilt
}

// Account returns the account with this id, or NotFound.
func (d *Directory) Account(ctx context.Context, id mail.AccountID) (Account, error) {
	return Account{}, errNotBuilt
}

// AccountByAddress returns the account with this primary address, or NotFound.
func (d *Directory) AccountByAddress(ctx context.Context, a mail.Address) (Account, error) {
	return Account{}, errNotBuilt
}

var errNotBuilt = &mail.Error{Kind: mail.Internal, Op: "directory", Text: "not built yet"}
