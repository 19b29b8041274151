package directory

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"time"

	"posthouse/mail"
)

// A SigningKey signs mail from a domain (DKIM, RFC 6376).
type SigningKey struct {
	Selector string
	Private  []byte // PKCS #8: RSA or Ed25519
	Created  time.Time
}

// signingRecord holds the keys of a domain.
type signingRecord struct {
	Keys []signingForm `json:"keys"`
}

type signingForm struct {
	Selector string `json:"selector"`
	Private  []byte `json:"private"`
	Created  int64  `json:"created"`
}

func signingKey(d mail.Domain) []byte { return []byte(signingPrefix + string(d)) }

// SigningKeys returns the keys of a domain, none if it has none or is not ours.
func (d *Directory) SigningKeys(_ context.Context, name mail.Domain) ([]SigningKey, error) {
	r := d.eng.Snapshot(0)
	defer r.Close()
	return reader{r}.signing(name)
}

func (r reader) signing(name mail.Domain) ([]SigningKey, error) {
	var rec signingRecord
	err := r.record("directory.SigningKeys", signingKey(name), &rec)
	if mail.KindOf(err) == mail.NotFound {
		return nil, nil
	}
	var keys []SigningKey
	for _, k := range rec.Keys {
		keys = append(keys, SigningKey{k.Selector, k.Private, time.Unix(k.Created, 0)})
	}
	return keys, err
}

// EnsureSigningKeys returns the keys of a domain of ours, and makes them if there are
// none: one of RSA with 2048 bits, which everybody can check (RFC 8301 §3.2), and one
// of Ed25519 (RFC 8463). It takes some tenths of a second.
func (d *Directory) EnsureSigningKeys(ctx context.Context, name mail.Domain) ([]SigningKey, error) {
	const op = "directory.EnsureSigningKeys"
	keys, err := d.SigningKeys(ctx, name)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	made, err := d.newSigningKeys()
	if err != nil {
		return nil, fail(mail.Internal, op, err, "the signing keys of %s cannot be made", name)
	}
	err = d.change(ctx, op, nil, func(c *change) (err error) {
		if _, err = c.domain(name); err != nil {
			return err
		}
		if keys, err = c.signing(name); err != nil || len(keys) > 0 {
			return err // somebody was faster
		}
		var rec signingRecord
		for _, k := range made {
			rec.Keys = append(rec.Keys, signingForm{k.Selector, k.Private, k.Created.Unix()})
		}
		keys = made
		c.set(signingKey(name), rec)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// newSigningKeys makes a pair of keys whose selectors tell their month and type, so
// that later keys stand beside them.
func (d *Directory) newSigningKeys() ([]SigningKey, error) {
	now := d.opts.Now()
	month := now.UTC().Format("200601")
	rsaKey, err := rsa.GenerateKey(d.opts.Rand, 2048)
	if err != nil {
		return nil, err
	}
	_, edKey, err := ed25519.GenerateKey(d.opts.Rand)
	if err != nil {
		return nil, err
	}
	var keys []SigningKey
	for _, k := range []struct {
		suffix string
		key    any
	}{{"r", rsaKey}, {"e", edKey}} {
		der, err := x509.MarshalPKCS8PrivateKey(k.key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, SigningKey{month + k.suffix, der, time.Unix(now.Unix(), 0)})
	}
	return keys, nil
}
