package directory

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"strconv"
	"strings"
	"time"

	"posthouse/mail"
)

// A SigningKey signs mail from a domain (DKIM, RFC 6376).
type SigningKey struct {
	Selector string
	Private  []byte // PKCS #8: RSA or Ed25519; nil once it is retired
	Created  time.Time
	State    KeyState
	Since    time.Time // when it came into State
	// Seen is since when its DNS record has been there, at every look; zero: it was not
	// at the last.
	Seen time.Time
	Told time.Time // when the administrator was told last what to do about it; zero: never
}

// Ed25519 reports which of the two kinds of keys it is: Ed25519 or RSA.
func (k SigningKey) Ed25519() bool {
	return strings.HasPrefix(k.Selector[min(len(k.Selector), 6):], "e")
}

// signingRecord holds the keys of a domain.
type signingRecord struct {
	Keys []signingForm `json:"keys"`
}

type signingForm struct {
	Selector string   `json:"selector"`
	Private  []byte   `json:"private,omitempty"`
	Created  int64    `json:"created"`
	State    KeyState `json:"state,omitempty"`
	Since    int64    `json:"since,omitempty"`
	Seen     int64    `json:"seen,omitempty"`
	Told     int64    `json:"told,omitempty"`
}

func (f signingForm) key() SigningKey {
	k := SigningKey{f.Selector, f.Private, time.Unix(f.Created, 0), f.State, moment(f.Since), moment(f.Seen), moment(f.Told)}
	if k.Since.IsZero() { // written before keys had states
		k.Since = k.Created
	}
	return k
}

func (k SigningKey) form() signingForm {
	return signingForm{k.Selector, k.Private, k.Created.Unix(), k.State, stamp(k.Since), stamp(k.Seen), stamp(k.Told)}
}

func moment(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0)
}

func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func signingKey(d mail.Domain) []byte { return []byte(signingPrefix + string(d)) }

// SigningKeys returns the keys of a domain in whatever state, the oldest first; none if
// it has none or is not ours.
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
		keys = append(keys, k.key())
	}
	return keys, err
}

// EnsureSigningKeys returns the keys of a domain of ours, and makes them if there are
// none: one of RSA with 2048 bits, which everybody can check (RFC 8301 §3.2), and one
// of Ed25519 (RFC 8463). These sign at once: there are none that could sign meanwhile, and
// a signature whose key is not there counts as none. It takes some tenths of a second.
func (d *Directory) EnsureSigningKeys(ctx context.Context, name mail.Domain) ([]SigningKey, error) {
	const op = "directory.EnsureSigningKeys"
	keys, err := d.SigningKeys(ctx, name)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	made, err := d.newSigningKeys(KeyActive, nil)
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
		keys = made
		c.setSigning(name, keys)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

func (c *change) setSigning(name mail.Domain, keys []SigningKey) {
	rec := signingRecord{Keys: []signingForm{}}
	for _, k := range keys {
		rec.Keys = append(rec.Keys, k.form())
	}
	c.set(signingKey(name), rec)
}

// newSigningKeys makes a pair of keys whose selectors tell their month and type. With
// those of have, which nobody may take them for, they get a number.
func (d *Directory) newSigningKeys(state KeyState, have []SigningKey) ([]SigningKey, error) {
	now := time.Unix(d.opts.Now().Unix(), 0)
	month := now.UTC().Format("200601")
	rsaKey, err := d.newRSA(d.opts.Rand, 2048)
	if err != nil {
		return nil, err
	}
	_, edKey, err := ed25519.GenerateKey(d.opts.Rand)
	if err != nil {
		return nil, err
	}
	number := 1
	for _, k := range have {
		if rest, ok := strings.CutPrefix(k.Selector, month); ok && rest != "" {
			n, _ := strconv.Atoi(rest[1:]) // none: the first
			number = max(number, max(n, 1)+1)
		}
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
		selector := month + k.suffix
		if number > 1 {
			selector += strconv.Itoa(number)
		}
		keys = append(keys, SigningKey{Selector: selector, Private: der, Created: now, State: state, Since: now})
	}
	return keys, nil
}
