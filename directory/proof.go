package directory

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"io"

	"posthouse/mail"
	"posthouse/sasl"
	"posthouse/store/engine"
)

// DefaultProofIterations is the number of PBKDF2 iterations of SCRAM-SHA-256
// secrets. Clients compute as many at each login. SHA-1 has twice as many, and Cyrus
// SASL, which many of them use, refuses to compute more than 65,536.
const DefaultProofIterations = 32_768

// iterationsOf gives SHA-1, which is computed twice as fast, twice as many, so that
// neither secret is the cheaper one to try passwords on.
func (d *Directory) iterationsOf(h sasl.Hash) int {
	if h == sasl.SHA1 {
		return 2 * d.opts.ProofIterations
	}
	return d.opts.ProofIterations
}

// proofForm is a SCRAM secret, RFC 5802 §3.
type proofForm struct {
	Hash       sasl.Hash `json:"hash"`
	Salt       []byte    `json:"salt"`
	Iterations int       `json:"i"`
	Stored     []byte    `json:"stored"`
	Server     []byte    `json:"server"`
}

var proofHashes = []sasl.Hash{sasl.SHA256, sasl.SHA1}

// proofs derives the secrets of a password.
func (d *Directory) proofs(password string) ([]proofForm, error) {
	if d.opts.ProofIterations <= 0 {
		return nil, nil
	}
	var out []proofForm
	for _, h := range proofHashes {
		salt := make([]byte, saltBytes)
		if _, err := io.ReadFull(d.opts.Rand, salt); err != nil {
			return nil, err
		}
		s, err := sasl.NewSecret(h, password, salt, d.iterationsOf(h))
		if err != nil {
			return nil, err
		}
		out = append(out, proofForm{h, s.Salt, s.Iterations, s.StoredKey, s.ServerKey})
	}
	return out, nil
}

func (c *credentialRecord) secret(h sasl.Hash) (sasl.Secret, bool) {
	for _, p := range c.Proofs {
		if p.Hash == h && len(p.Stored) == h.Size() {
			return sasl.Secret{Salt: p.Salt, Iterations: p.Iterations, StoredKey: p.Stored, ServerKey: p.Server}, true
		}
	}
	return sasl.Secret{}, false
}

// noSecret is the secret of a login that has none: the same each time, also after a
// restart, and as expensive, so that asking does not tell who exists.
func (d *Directory) noSecret(h sasl.Hash, who mail.Address, login string) sasl.Secret {
	if !who.IsNull() {
		login = canonical(who).String()
	}
	derive := func(label string, n int) []byte {
		m := hmac.New(sha256.New, d.unknown)
		m.Write([]byte{byte(h)})
		io.WriteString(m, label+"\x00"+login)
		return m.Sum(nil)[:n]
	}
	return sasl.Secret{Salt: derive("salt", saltBytes), Iterations: max(sasl.MinIterations, d.iterationsOf(h)),
		StoredKey: derive("stored", h.Size()), ServerKey: derive("server", h.Size())}
}

// upgradeProofs makes the SCRAM secrets of a password that was set before there were
// any, or at another cost: this is a moment in which it is known. If that fails, the next
// login tries again.
func (d *Directory) upgradeProofs(ctx context.Context, c claim, phc, password string) {
	if d.opts.ProofIterations <= 0 || phc != c.cred.Passwords[0] || d.current(c.cred.Proofs) {
		return
	}
	leave, err := d.hashing.enter(ctx)
	if err != nil {
		return
	}
	proofs, err := d.proofs(password)
	leave()
	if err != nil {
		return
	}
	_ = d.change(ctx, "directory.Authenticate", nil, func(ch *change) error {
		key, rec := idKey(credentialPrefix, c.acct.ID), credentialRecord{}
		if err := ch.record("directory.Authenticate", key, &rec); err != nil {
			return err
		}
		if len(rec.Passwords) == 0 || rec.Passwords[0] != phc {
			return nil // changed meanwhile
		}
		rec.Proofs = proofs
		ch.set(key, rec)
		return nil
	})
}

// current reports whether secrets are those that would be made now.
func (d *Directory) current(ps []proofForm) bool {
	if len(ps) != len(proofHashes) {
		return false
	}
	for i, h := range proofHashes {
		if ps[i].Hash != h || ps[i].Iterations != d.iterationsOf(h) {
			return false
		}
	}
	return true
}

// openProofs reads the key of [Directory.noSecret], or makes it. Where SCRAM is off, the
// secrets that there are go.
func (d *Directory) openProofs(ctx context.Context) error {
	const op = "directory.Open"
	switch n := d.opts.ProofIterations; {
	case n == 0:
		d.opts.ProofIterations = DefaultProofIterations
	case n > 0 && (n < sasl.MinIterations || 2*n > sasl.MaxIterations):
		return fail(mail.Invalid, op, nil, "SCRAM iterations: from %d to %d", sasl.MinIterations, sasl.MaxIterations/2)
	}
	if d.opts.ProofIterations < 0 {
		if err := d.dropProofs(ctx); err != nil {
			return err
		}
	}
	snap := d.eng.Snapshot(0)
	key, err := snap.Get([]byte(decoyKey))
	d.unknown = bytes.Clone(key)
	snap.Close()
	if err == nil && len(d.unknown) == sha256.Size {
		return nil
	}
	d.unknown = make([]byte, sha256.Size)
	if _, err := io.ReadFull(d.opts.Rand, d.unknown); err != nil {
		return fail(mail.Internal, op, err, "")
	}
	// Not worth a start that fails, as on a full disk: the next one tries again.
	_ = d.change(ctx, op, nil, func(c *change) error {
		c.ops = append(c.ops, engine.Op{Kind: engine.Set, Key: []byte(decoyKey), Val: d.unknown})
		return nil
	})
	return nil
}

func (d *Directory) dropProofs(ctx context.Context) error {
	return d.change(ctx, "directory.Open", nil, func(c *change) error {
		return scanRecords(c.reader, credentialPrefix, func(id string, rec credentialRecord) bool {
			if len(rec.Proofs) > 0 {
				rec.Proofs = nil
				c.set([]byte(credentialPrefix+id), rec)
			}
			return true
		})
	})
}
