package admin

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"time"

	"posthouse/directory"
	"posthouse/mail"
)

// KeyAdd is the input of account.add-key: one of Certificate and Fingerprint.
type KeyAdd struct {
	Name        string `json:"name"`        // of the account
	Certificate string `json:"certificate"` // PEM; a public key in PEM form does too
	Fingerprint string `json:"fingerprint"` // SHA-256 of the SubjectPublicKeyInfo, hexadecimal
	Label       string `json:"label"`       // what people call the key
}

// KeyRemove is the input of account.remove-key.
type KeyRemove struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"` // or its beginning
}

// A Key lets an account log in with the certificates that hold it.
type Key struct {
	V           int       `json:"v,omitempty"`
	Account     string    `json:"account"`
	Fingerprint string    `json:"fingerprint"`
	Label       string    `json:"label,omitempty"`
	Created     time.Time `json:"created"`
}

// Keys is the output of account.keys.
type Keys struct {
	V    int   `json:"v"`
	Keys []Key `json:"keys"`
}

func showKey(a directory.Account, p directory.Pin) Key {
	return Key{1, a.Address.String(), p.Fingerprint.String(), p.Name, p.Created.UTC()}
}

func accountAddKey(ctx context.Context, s *System, in KeyAdd) (Key, error) {
	const op = "account.add-key"
	acct, err := s.account(ctx, op, in.Name)
	if err != nil {
		return Key{}, err
	}
	f, err := fingerprintOf(op, in)
	if err != nil {
		return Key{}, err
	}
	if len(in.Label) > 200 {
		return Key{}, refuse(mail.Invalid, op, "the label is longer than 200 bytes")
	}
	p, err := s.Directory.Pin(ctx, acct.ID, f, in.Label)
	return showKey(acct, p), err
}

func fingerprintOf(op string, in KeyAdd) (f directory.Fingerprint, err error) {
	if in.Fingerprint != "" {
		b, err := hex.DecodeString(strings.ReplaceAll(in.Fingerprint, ":", ""))
		if err != nil || len(b) != len(f) {
			return f, refuse(mail.Invalid, op, "%q is not a SHA-256 fingerprint: 64 hexadecimal digits", in.Fingerprint)
		}
		return directory.Fingerprint(b), nil
	}
	block, _ := pem.Decode([]byte(in.Certificate))
	if block == nil {
		return f, refuse(mail.Invalid, op, "no certificate or public key in PEM form")
	}
	switch block.Type {
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return f, refuse(mail.Invalid, op, "the certificate does not parse: %v", err)
		}
		return directory.FingerprintOf(cert), nil
	case "PUBLIC KEY":
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return f, refuse(mail.Invalid, op, "the public key does not parse: %v", err)
		}
		return sha256.Sum256(block.Bytes), nil
	}
	return f, refuse(mail.Invalid, op, "this is a %s; give a certificate or a public key", block.Type)
}

func accountKeys(ctx context.Context, s *System, in Named) (Keys, error) {
	out := Keys{V: 1, Keys: []Key{}}
	acct, err := s.account(ctx, "account.keys", in.Name)
	if err != nil {
		return out, err
	}
	pins, err := s.Directory.Pins(ctx, acct.ID)
	for _, p := range pins {
		out.Keys = append(out.Keys, showKey(acct, p))
	}
	return out, err
}

// accountRemoveKey takes a key away and ends the account's sessions, which it may have
// opened.
func accountRemoveKey(ctx context.Context, s *System, in KeyRemove) (Key, error) {
	const op = "account.remove-key"
	acct, err := s.account(ctx, op, in.Name)
	if err != nil {
		return Key{}, err
	}
	pins, err := s.Directory.Pins(ctx, acct.ID)
	if err != nil {
		return Key{}, err
	}
	want := strings.ToLower(strings.ReplaceAll(in.Fingerprint, ":", ""))
	var found []directory.Pin
	for _, p := range pins {
		if want != "" && strings.HasPrefix(p.Fingerprint.String(), want) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return Key{}, refuse(mail.NotFound, op, "%s has no key %q: see posthouse account keys %s", acct.Address, in.Fingerprint, acct.Address)
	case 1:
	default:
		return Key{}, refuse(mail.Invalid, op, "%d keys of %s begin with %q: give more of it", len(found), acct.Address, in.Fingerprint)
	}
	if err := s.Directory.Unpin(ctx, acct.ID, found[0].Fingerprint); err != nil {
		return Key{}, err
	}
	s.revoke(acct.ID)
	return showKey(acct, found[0]), nil
}
