// Package directory knows who exists: domains, accounts with their passwords,
// aliases. It lives in the store's engine, account 0, under the key prefix 'd',
// so a change is atomic with what the store does (making an account and its
// mailboxes is one commit).
//
// What it guarantees:
//
//   - An address belongs to one account or one alias, also when two are made at
//     the same moment: every change is conditional on the directory's version.
//   - An account id is never given twice, also after the account was removed.
//   - Resolve ends, whatever the aliases say, and finds what it needs by key: its
//     cost does not grow with the directory.
//   - A wrong password costs the same for an account that exists, one that does
//     not and one that is disabled.
//
// Lock order: the write lock of change, then none. Reads take engine snapshots
// and hold no lock.
package directory

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
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
	// Hash is the cost of new password hashes. Default: argon2id with 19 MiB and
	// two passes, the first choice of OWASP's password storage sheet.
	Hash HashCost
	// Failures bounds failed logins from one network.
	Failures FailureLimits
	// ProofIterations is what SCRAM-SHA-256 secrets of new passwords cost who tries
	// passwords on them; SHA-1 ones have twice as many. 0: DefaultProofIterations.
	// Negative: no SCRAM, and no secrets are kept.
	ProofIterations int
	// Certificates lets people log in with TLS client certificates: those of CA, by
	// their e-mail addresses, and those with keys that were pinned ([Directory.Pin]).
	Certificates bool
	CA           *x509.CertPool // nil: pinned keys only
	// Tokens checks OAuth 2.0 access tokens; nil: nobody logs in with one.
	Tokens TokenVerifier
}

// A Directory answers who exists. Its methods may be called at once.
type Directory struct {
	eng  engine.Engine
	opts Options

	write     chan struct{} // the write lock: holds one token while free
	hashing   *hashGate
	seen      *successes
	failures  *failures
	strangers *strangers
	memory    memory
	decoy     string // hash that a login without account is checked against
	newRSA    func(random io.Reader, bits int) (*rsa.PrivateKey, error)
	unknown   []byte // key from which such a login gets its SCRAM secret
}

// Open returns the directory kept in eng.
func Open(ctx context.Context, eng engine.Engine, o Options) (*Directory, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.HashMemory <= 0 {
		o.HashMemory = 64 << 20
	}
	o.Hash = o.Hash.orDefault()
	d := &Directory{eng: eng, opts: o, write: make(chan struct{}, 1), failures: newFailures(o.Failures), newRSA: rsa.GenerateKey}
	d.strangers = newStrangers(d.failures.limits)
	d.write <- struct{}{}
	d.hashing = newHashGate(o.HashMemory, o.Hash)
	var err error
	if d.seen, err = newSuccesses(o.Rand); err != nil {
		return nil, fail(mail.Internal, "directory.Open", err, "")
	}
	if d.decoy, err = o.Hash.decoy(o.Rand); err != nil {
		return nil, fail(mail.Internal, "directory.Open", err, "")
	}
	if err := d.openProofs(ctx); err != nil {
		return nil, err
	}
	return d, engineError("directory.Open", d.indexGroups(ctx))
}

// A Domain is a mail domain that is ours.
type Domain struct {
	Name     mail.Domain
	CatchAll mail.Address // receives what has no account and no alias; null: nobody
	Quota    int64        // most bytes of all its accounts together; 0: no limit
	STS      string       // mode of its MTA-STS policy: testing, enforce, none; "": testing
	Default  *Quota       // of new accounts; nil: the configuration's
	Created  time.Time
}

// An Account is a person or thing that has mail here.
type Account struct {
	ID       mail.AccountID
	Address  mail.Address // primary address, also the login name
	Name     string       // as in "Ada Lovelace"
	Admin    bool
	Disabled bool // may neither log in nor send; still receives
	Quota    Quota
	Send     SendLimit
	Created  time.Time
}

// A SendLimit is what an account may send elsewhere in a day before its mail is held: 0
// is what the server allows anybody, a negative number is no limit.
type SendLimit struct {
	Messages      int64
	NewRecipients int64 // to whom the account never wrote before
}

// A Quota is what an account may hold; 0 is no limit. The store enforces its copy.
type Quota struct {
	Bytes, Messages, Mailboxes int64
}

// An Alias sends mail for one address on to others, here or elsewhere. Those of them
// that have an account here are a group: what is shared with the alias is shared with
// each of them.
type Alias struct {
	ID      mail.AccountID // no account has it; never reused
	Address mail.Address
	Targets []mail.Address
	Masked  bool   // see AddMasked
	Note    string // what a masked address is for
	List    *List  // nil: no mailing list
	Created time.Time
}

// A List is what makes an alias a mailing list: its members get mail under an address
// of the list, with its fields (RFC 2369 §3, RFC 2919 §3).
type List struct {
	Unsubscribe string // an https or mailto URI where members leave; "" if there is none
	OneClick    bool   // it does so by a POST without questions, RFC 8058 §3.1
}

// A Resolution is where mail for an address goes.
type Resolution struct {
	Local    bool             // the domain is ours
	Found    bool             // somebody receives it
	Accounts []mail.AccountID // each once
	Remote   []mail.Address   // alias targets elsewhere, each once
	Detail   string           // of plus addressing: "lists" in ada+lists@…
	List     *List            // the address is a mailing list's
}

// IsLocal reports whether a domain is ours.
func (d *Directory) IsLocal(ctx context.Context, dom mail.Domain) (bool, error) {
	r := d.eng.Snapshot(0)
	defer r.Close()
	_, err := reader{r}.domain(dom)
	if mail.KindOf(err) == mail.NotFound {
		return false, nil
	}
	return err == nil, err
}

// Account returns the account with this id, or NotFound.
func (d *Directory) Account(ctx context.Context, id mail.AccountID) (Account, error) {
	now := d.opts.Now()
	a, generation, ok := d.memory.accounts.load(id, now)
	if ok {
		return a, nil
	}
	r := d.eng.Snapshot(0)
	defer r.Close()
	a, err := reader{r}.account(id)
	if err == nil {
		d.memory.accounts.add(generation, id, a, now)
	}
	return a, err
}

// AccountByAddress returns the account with this primary address, or NotFound.
func (d *Directory) AccountByAddress(ctx context.Context, a mail.Address) (Account, error) {
	r := d.eng.Snapshot(0)
	defer r.Close()
	return reader{r}.accountByAddress(a)
}

// Alias returns the alias with this address, or NotFound.
func (d *Directory) Alias(ctx context.Context, a mail.Address) (Alias, error) {
	r := d.eng.Snapshot(0)
	defer r.Close()
	return reader{r}.aliasByAddress(a)
}

// Domain returns the domain, or NotFound.
func (d *Directory) Domain(ctx context.Context, name mail.Domain) (Domain, error) {
	r := d.eng.Snapshot(0)
	defer r.Close()
	return reader{r}.domain(name)
}

// fail makes the package's errors. format is the text for people.
func fail(k mail.Kind, op string, err error, format string, args ...any) error {
	return &mail.Error{Kind: k, Op: op, Text: fmt.Sprintf(format, args...), Err: err}
}

// engineError classifies an error of the engine, leaving ours alone.
func engineError(op string, err error) error {
	var ours *mail.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return err
	case errors.Is(err, engine.ErrNotFound):
		return fail(mail.NotFound, op, err, "")
	case errors.Is(err, engine.ErrConflict):
		return fail(mail.Conflict, op, err, "changed meanwhile: try again")
	case errors.Is(err, engine.ErrCorrupt):
		return fail(mail.Corrupt, op, err, "")
	case errors.Is(err, engine.ErrFull):
		return fail(mail.Unavailable, op, err, "the disk is full")
	case errors.Is(err, engine.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fail(mail.Unavailable, op, err, "")
	}
	return fail(mail.Internal, op, err, "")
}
