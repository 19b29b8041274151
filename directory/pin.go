package directory

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// A Pin is a key with whose certificates an account may log in.
type Pin struct {
	Fingerprint Fingerprint
	Account     mail.AccountID
	Name        string // what people call it, as "laptop"
	Created     time.Time
}

// A Fingerprint is the SHA-256 of a certificate's SubjectPublicKeyInfo: it stays when
// the certificate is renewed with the same key.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the fingerprint of a certificate's key.
func FingerprintOf(c *x509.Certificate) Fingerprint { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

type pinRecord struct {
	Account mail.AccountID `json:"account"`
	Name    string         `json:"name,omitempty"`
	Created int64          `json:"created"`
}

func pinKey(f Fingerprint) []byte { return append([]byte(pinPrefix), f[:]...) }

// Pin lets an account log in with a key. Exists if the key is pinned already.
func (d *Directory) Pin(ctx context.Context, id mail.AccountID, f Fingerprint, name string) (Pin, error) {
	const op = "directory.Pin"
	p := Pin{Fingerprint: f, Account: id, Name: name, Created: d.opts.Now()}
	err := d.change(ctx, op, nil, func(c *change) error {
		if _, err := c.account(id); err != nil {
			return err
		}
		var rec pinRecord
		switch err := c.record(op, pinKey(f), &rec); {
		case err == nil:
			return fail(mail.Exists, op, nil, "this key is pinned already")
		case mail.KindOf(err) != mail.NotFound:
			return err
		}
		c.set(pinKey(f), pinRecord{Account: id, Name: name, Created: p.Created.Unix()})
		return nil
	})
	return p, err
}

// Unpin takes a key away from an account. NotFound if it has none such.
func (d *Directory) Unpin(ctx context.Context, id mail.AccountID, f Fingerprint) error {
	const op = "directory.Unpin"
	return d.change(ctx, op, nil, func(c *change) error {
		var rec pinRecord
		err := c.record(op, pinKey(f), &rec)
		if err == nil && rec.Account != id {
			err = fail(mail.NotFound, op, nil, "")
		}
		if err != nil {
			return named(err, "the account has no such key")
		}
		c.delete(pinKey(f))
		return nil
	})
}

// Pins returns the keys of an account.
func (d *Directory) Pins(ctx context.Context, id mail.AccountID) (pins []Pin, err error) {
	snap := d.eng.Snapshot(0)
	defer snap.Close()
	err = scanRecords(reader{snap}, pinPrefix, func(key string, rec pinRecord) bool {
		if rec.Account == id && len(key) == sha256.Size {
			pins = append(pins, Pin{Fingerprint([]byte(key)), id, rec.Name, time.Unix(rec.Created, 0)})
		}
		return ctx.Err() == nil
	})
	return pins, err
}

// unpin takes all keys of an account away.
func (c *change) unpin(id mail.AccountID) error {
	return scanRecords(c.reader, pinPrefix, func(key string, rec pinRecord) bool {
		if rec.Account == id {
			c.delete([]byte(pinPrefix + key))
		}
		return true
	})
}

// Certificate logs in by the client's certificate: its key is pinned, or it comes from
// our CA and names an account. With as it must be that account, without it has to be
// clear which.
func (a *attempt) Certificate(ctx context.Context, as string) error {
	const op = "directory.Certificate"
	refused := fail(mail.Denied, op, nil, "no account here has this certificate")
	if !a.d.opts.Certificates || a.tls == nil || len(a.tls.PeerCertificates) == 0 {
		return refused
	}
	accounts, err := a.d.certified(a.tls.PeerCertificates)
	if err != nil {
		return err
	}
	if as != "" {
		who, ok := parseLogin(as)
		for _, acct := range accounts {
			if ok && SameAddress(acct.Address, who) {
				a.succeeded(claim{acct: acct})
				return nil
			}
		}
		return refused
	}
	if len(accounts) != 1 {
		return refused
	}
	a.succeeded(claim{acct: accounts[0]})
	return nil
}

// certified returns the accounts that a certificate speaks for, each once.
func (d *Directory) certified(chain []*x509.Certificate) ([]Account, error) {
	const op = "directory.Certificate"
	snap := d.eng.Snapshot(0)
	defer snap.Close()
	r, leaf := reader{snap}, chain[0]
	var accounts []Account
	add := func(acct Account, err error) error {
		if err == nil && !acct.Disabled {
			for _, have := range accounts {
				if have.ID == acct.ID {
					return nil
				}
			}
			accounts = append(accounts, acct)
		}
		if mail.KindOf(err) == mail.NotFound {
			return nil
		}
		return err
	}
	var rec pinRecord
	switch err := r.record(op, pinKey(FingerprintOf(leaf)), &rec); {
	case err == nil:
		err = add(r.account(rec.Account))
		return accounts, err
	case mail.KindOf(err) != mail.NotFound:
		return nil, err
	}
	if d.opts.CA == nil || !d.issued(chain) {
		return nil, nil
	}
	for _, name := range leaf.EmailAddresses { // rfc822Name
		who, err := wire.ParseAddress(name)
		if err != nil {
			continue
		}
		if err := add(r.accountByAddress(who)); err != nil {
			return nil, err
		}
	}
	return accounts, nil
}

// issued reports whether a certificate comes from our CA, for clients, and is valid now.
func (d *Directory) issued(chain []*x509.Certificate) bool {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: d.opts.CA, Intermediates: between, CurrentTime: d.opts.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil
}
