package directory

import (
	"context"
	"crypto/tls"
	"net/netip"

	"posthouse/mail"
	"posthouse/sasl"
)

// An Attempt is one login, in whatever way: a front end makes it, a SASL mechanism
// asks it, and after success it tells whose account it is.
type Attempt interface {
	sasl.Authority
	// Account is who has logged in; the zero value before success.
	Account() Account
}

// attempt is the Attempt of a Directory. One goroutine uses it.
type attempt struct {
	d    *Directory
	from netip.Addr
	tls  *tls.ConnectionState // nil: none

	proof claim // between Secret and Proved
	acct  Account
}

// A claim is who a client says it is, and what is known of that.
type claim struct {
	who  mail.Address // empty: no address at all
	acct Account
	cred credentialRecord
	// good: the account is there, may log in, and is the one that is to be used.
	good bool
}

var _ Attempt = (*attempt)(nil)

// Attempt begins a login of a client that connects from an address, on a connection
// with or without TLS.
func (d *Directory) Attempt(from netip.Addr, tls *tls.ConnectionState) Attempt {
	return &attempt{d: d, from: from, tls: tls}
}

// Methods returns the ways in which one can log in here.
func (d *Directory) Methods() sasl.Methods {
	m := sasl.ByPassword
	if d.opts.ProofIterations > 0 {
		m |= sasl.ByProof
	}
	if d.opts.Certificates {
		m |= sasl.ByCertificate
	}
	if d.opts.Tokens != nil {
		m |= sasl.ByToken
	}
	return m
}

// Authenticate checks a password. Denied if it is wrong, the account is unknown
// (at the same cost) or disabled; Unavailable when too many wait, or when too
// many logins from the same network failed. A success is remembered in memory
// (keyed hash) so that the next login of the same password is cheap; the
// credential is read each time, so a changed password ends what was remembered.
func (d *Directory) Authenticate(ctx context.Context, login, password string, from netip.Addr) (Account, error) {
	a := d.Attempt(from, nil)
	err := a.Password(ctx, sasl.Credentials{Login: login, Password: password})
	return a.Account(), err
}

func (a *attempt) Account() Account { return a.acct }

// claimed looks up whose login it is. as, the account to be used, may only be the
// same one: nobody acts for another here.
func (a *attempt) claimed(login, as string) (claim, error) {
	c, err := a.d.credential(login)
	if err != nil {
		return c, err
	}
	c.good = c.acct.ID != 0 && !c.acct.Disabled
	if as != "" {
		other, ok := parseLogin(as)
		c.good = c.good && ok && canonical(other) == canonical(c.who)
	}
	return c, nil
}

// Password checks a password.
func (a *attempt) Password(ctx context.Context, cr sasl.Credentials) error {
	d := a.d
	c, err := a.claimed(cr.Login, cr.As)
	if err != nil {
		return err
	}
	if err := d.admit(ctx, c, a.from); err != nil {
		return err
	}
	password := preparePassword(cr.Password)
	known := c.good && len(c.cred.Passwords) > 0
	token := d.seen.token(c.acct.ID, password)
	if known && d.seen.holds(token, c.cred.Passwords, d.opts.Now()) {
		a.succeeded(c)
		return nil
	}
	match, err := d.matches(ctx, c.cred.Passwords, password)
	if err != nil {
		return err
	}
	if !known || match == "" {
		return a.failed(c)
	}
	d.seen.add(token, match, d.opts.Now())
	a.succeeded(c)
	d.upgradeProofs(ctx, c, match, cr.Password)
	return nil
}

// Secret returns what a proof is checked against.
func (a *attempt) Secret(ctx context.Context, h sasl.Hash, login, as string) (sasl.Secret, error) {
	c, err := a.claimed(login, as)
	if err != nil {
		return sasl.Secret{}, err
	}
	if err := a.d.admit(ctx, c, a.from); err != nil {
		return sasl.Secret{}, err
	}
	secret, ok := c.cred.secret(h)
	if !ok {
		c.good = false
		secret = a.d.noSecret(h, c.who, login)
	}
	a.proof = c
	return secret, nil
}

// Proved ends what Secret began.
func (a *attempt) Proved(_ context.Context, right bool) error {
	c := a.proof
	a.proof = claim{}
	if !right || !c.good {
		return a.failed(c)
	}
	a.succeeded(c)
	return nil
}

func (a *attempt) succeeded(c claim) {
	a.acct = c.acct
	a.d.strangers.succeeded(c.acct.ID, a.from)
}

// failed counts a guess that was wrong.
func (a *attempt) failed(c claim) error {
	now := a.d.opts.Now()
	a.d.failures.add(a.from, now)
	a.d.strangers.failed(c.who, now)
	return fail(mail.Denied, "directory.Authenticate", nil, "wrong address or password")
}

// admit decides whether a guess may be made at all. A network that guessed wrong too
// often is refused, but not the accounts that logged in from it before: their guesses
// are few at a time, so that a right password works. An account at which many
// networks guess is slow for those that it never came from.
func (d *Directory) admit(ctx context.Context, c claim, from netip.Addr) error {
	now := d.opts.Now()
	net, counted := network(from)
	if !counted {
		return nil
	}
	if d.failures.banned(from, now) {
		if d.strangers.mayTry(habit{c.acct.ID, net}, now) {
			return nil
		}
		d.failures.refused.Add(1)
		return fail(mail.Unavailable, "directory.Authenticate", nil, "too many failed logins from your network: try again later")
	}
	return d.strangers.pause(ctx, c.who, habit{c.acct.ID, net}, now)
}
