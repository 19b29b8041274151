package delivery

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/mailauth/arc"
	"posthouse/mailauth/authres"
	"posthouse/mailauth/dkim"
	"posthouse/smtp/wire"
)

// signers keep the parsed keys of domains: reading an RSA key costs more than a
// signature's worth of looking it up.
type signers struct {
	mu    sync.Mutex // nests in nothing
	known map[mail.Domain]signer
}

type signer struct {
	from []directory.SigningKey // as the directory gave them
	keys []dkim.SigningKey
	when time.Time
}

const (
	// signerAge is how long keys are believed: a change by another process is seen
	// after this time.
	signerAge = 10 * time.Second
	// maxSigners bounds the cache; an entry is some 10 kB.
	maxSigners = 1000
)

// maySign reports whether the message is of somebody who belongs here.
func (t *Transaction) maySign() bool {
	return t.s.opts.Queue != nil && (t.sess.Origin == FromServer || t.sess.Origin == FromSubmission)
}

// signed is where the bytes of a message go that may be signed when it leaves. Mail that
// stays, and mail of domains without keys, is not digested as it comes; if it is to be
// signed all the same, for its From names another domain or a hook has added a recipient,
// it is read again.
func (t *Transaction) signed(ctx context.Context) io.Writer {
	if !t.maySign() || !slices.ContainsFunc(t.ways, func(w way) bool { return len(w.remote) > 0 }) {
		return t.staged
	}
	if keys, err := t.s.sign.of(ctx, t.s.opts.Directory, t.Env.ReversePath.Domain, t.s.opts.Now()); err != nil || len(keys) == 0 {
		return t.staged
	}
	t.toSign = dkim.NewMessage(dkim.Limits{}, true)
	return io.MultiWriter(t.staged, t.toSign)
}

// withSignatures puts the signatures of the domain in From above trace. A message
// that cannot be signed goes without: it was taken, and receivers judge it.
func (t *Transaction) withSignatures(ctx context.Context, trace []byte) []byte {
	if !t.maySign() {
		return trace
	}
	domain, keys, err := t.signingKeys(ctx)
	if err == nil && len(keys) == 0 {
		t.noteUnsigned(domain)
		return trace
	}
	if err == nil && t.toSign == nil {
		t.toSign, err = t.digested()
	}
	var out []byte
	for i := 0; i < len(keys) && err == nil; i++ {
		t.toSign.Finish()
		out, err = t.toSign.AppendSignature(out, trace, keys[i], t.came)
	}
	if err != nil {
		t.s.opts.Logger.Warn("message goes unsigned", "tid", t.Env.TraceID, "err", err)
		return trace
	}
	return append(out, trace...)
}

// digested reads the message as it is staged.
func (t *Transaction) digested() (*dkim.Message, error) {
	m := dkim.NewMessage(dkim.Limits{}, true)
	if _, err := io.Copy(m, io.NewSectionReader(t.staged, 0, t.staged.Size())); err != nil {
		return nil, err
	}
	m.Finish()
	return m, nil
}

// withSeal puts a seal of a domain of ours above prefix if the message came from another
// server and goes on to one: what we found out about its sender, for those who find a
// forwarder instead (ARC, RFC 8617 §5.1).
func (t *Transaction) withSeal(ctx context.Context, domain mail.Domain, prefix []byte) []byte {
	f := t.found
	if f == nil || !f.gathered {
		return prefix
	}
	keys, err := t.s.sign.of(ctx, t.s.opts.Directory, domain, t.s.opts.Now())
	// Of the two algorithms, only RSA is known to all who check chains.
	if at := slices.IndexFunc(keys, func(k dkim.SigningKey) bool { return k.Algorithm() == "rsa-sha256" }); at >= 0 {
		var out []byte
		results := authres.Results{Server: t.s.server, Clauses: t.authResults}
		if out, err = f.arc.AppendSet(nil, prefix, f.body, results, keys[at], t.came); err == nil {
			return append(out, prefix...)
		}
	}
	if err != nil && !errors.Is(err, arc.ErrFull) {
		t.s.opts.Logger.Warn("message goes unsealed", "tid", t.Env.TraceID, "err", err)
	}
	return prefix
}

// noteUnsigned keeps with the message, for its trace, that it goes without a signature:
// many receivers take such mail for junk.
func (t *Transaction) noteUnsigned(domain mail.Domain) {
	const check = "dkim-sign"
	if domain == "" || slices.ContainsFunc(t.checked, func(f mail.Finding) bool { return f.Check == check }) {
		return
	}
	t.checked = append(t.checked, mail.Finding{Check: check, Result: "none", Text: "it goes unsigned: " + string(domain) + " has no signing key that is published; `posthouse domain keys` shows them"})
	t.s.opts.Logger.Warn("message goes unsigned", "tid", t.Env.TraceID, "domain", string(domain), "err", "the domain has no active signing key")
}

// signingKeys are those of the domain of the first address in From.
func (t *Transaction) signingKeys(ctx context.Context) (mail.Domain, []dkim.SigningKey, error) {
	list, ok := parseStrict(t.staged.Message().Header.RawValue("From"))
	if !ok {
		return "", nil, nil
	}
	keys, err := t.s.sign.of(ctx, t.s.opts.Directory, list[0].Domain, t.s.opts.Now())
	return list[0].Domain, keys, err
}

// of returns the keys of a domain that sign.
func (s *signers) of(ctx context.Context, dir Directory, name mail.Domain, now time.Time) ([]dkim.SigningKey, error) {
	s.mu.Lock()
	e, there := s.known[name]
	s.mu.Unlock()
	if age := now.Sub(e.when); there && age >= 0 && age < signerAge {
		return e.keys, nil
	}
	from, err := dir.SigningKeys(ctx, name)
	if err != nil {
		return nil, err
	}
	from = slices.DeleteFunc(from, func(k directory.SigningKey) bool { return k.State != directory.KeyActive })
	if !there || !slices.EqualFunc(from, e.from, func(a, b directory.SigningKey) bool { return a.Selector == b.Selector && a.Created.Equal(b.Created) }) {
		if e.keys, err = parseKeys(name, from); err != nil {
			return nil, err
		}
	}
	e.from, e.when = from, now
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSigners {
		s.known = map[mail.Domain]signer{}
	}
	s.known[name] = e
	return e.keys, nil
}

var errSigningKey = errors.New("a signing key in the directory is of an unknown type")

func parseKeys(name mail.Domain, from []directory.SigningKey) ([]dkim.SigningKey, error) {
	if len(from) == 0 {
		return nil, nil
	}
	domain, err := wire.DomainToASCII(name)
	if err != nil {
		return nil, err
	}
	var keys []dkim.SigningKey
	for _, k := range from {
		key, err := x509.ParsePKCS8PrivateKey(k.Private)
		if err != nil {
			return nil, err
		}
		s, ok := key.(crypto.Signer)
		if !ok {
			return nil, errSigningKey
		}
		keys = append(keys, dkim.SigningKey{Domain: domain, Selector: k.Selector, Key: s})
	}
	return keys, nil
}
