package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"time"
)

var (
	errExpired   = errors.New("the signature has expired")
	errBodyShort = errors.New("l= is larger than the body")
	errBodyHash  = errors.New("the body was changed")
	errBad       = errors.New("the signature does not fit the header")
	errWeak      = errors.New("the key is too short")
	errPartial   = errors.New("part of the body is not signed")
	errWrongKey  = errors.New("the key is of another type")
	errStrict    = errors.New("i= must have the domain of d=")
	errLong      = errors.New("the header is too long")
)

// statuses says what errors other than PermError mean.
var statuses = map[error]Status{
	errExpired: Fail, errBodyHash: Fail, errBad: Fail, errBodyShort: Fail,
	errWeak: Policy, errPartial: Policy, errKeyTemp: TempError,
}

func (r *Result) refuse(err error) {
	r.Status, r.Reason = PermError, err.Error()
	if s, ok := statuses[err]; ok {
		r.Status = s
	}
}

// Verify judges the DKIM signatures of a finished message, from the top; keys that
// must be looked up are looked up at once. No result means that there are none.
func (m *Message) Verify(ctx context.Context, keys *Keys) []Result {
	if m.tooLong {
		return []Result{{Status: PermError, Reason: errLong.Error()}}
	}
	results := make([]Result, len(m.sigs))
	found := make([]foundKey, len(m.sigs))
	keys.findAll(ctx, m.sigs, found)
	for i, s := range m.sigs {
		results[i] = m.verify(s, found[i], keys.now())
	}
	return results
}

// VerifyARC judges the ARC-Message-Signature of the highest instance. It is nil if
// there is none that can be read.
func (m *Message) VerifyARC(ctx context.Context, keys *Keys) (*Signature, Result) {
	if m.tooLong || m.arc == nil {
		return nil, Result{Status: None}
	}
	key, err := keys.find(ctx, m.arc.keyName())
	return m.arc, m.verify(m.arc, foundKey{key, err}, keys.now())
}

// Known reports whether the keys of all signatures, but for those of ARC, are known and
// need no lookup. The message is finished.
func (m *Message) Known(keys *Keys) bool {
	for _, s := range m.sigs {
		if s.err != nil {
			continue
		}
		if _, ok := keys.known(s.keyName()); !ok {
			return false
		}
	}
	return true
}

type foundKey struct {
	key *publicKey
	err error
}

// findAll fills in the keys of the signatures that can be checked.
func (k *Keys) findAll(ctx context.Context, sigs []*Signature, found []foundKey) {
	var wg sync.WaitGroup
	for i, s := range sigs {
		if s.err != nil {
			continue
		}
		name := s.keyName()
		if key, ok := k.known(name); ok {
			found[i].key = key
			continue
		}
		wg.Go(func() { found[i].key, found[i].err = k.find(ctx, name) })
	}
	wg.Wait()
}

func (s *Signature) keyName() string { return s.Selector + "._domainkey." + s.Domain }

// newResult is what can be said of s before it is checked.
func (s *Signature) newResult() Result {
	r := Result{Domain: s.Domain, Identity: s.Identity, Selector: s.Selector, Algorithm: s.Algorithm}
	if b := base64.StdEncoding.EncodeToString(s.b[:min(len(s.b), 9)]); b != "" {
		r.B = b[:min(len(b), 8)]
	}
	return r
}

// verify judges one signature, in the order of RFC 6376 §6.1.
func (m *Message) verify(s *Signature, k foundKey, now time.Time) Result {
	r := s.newResult()
	if s.err != nil {
		r.refuse(s.err)
		return r
	}
	if s.expires != 0 && now.Unix() > s.expires {
		r.refuse(errExpired)
		return r
	}
	if !s.accept(k, &r) {
		return r
	}
	d := m.digests[b2i(s.relaxedBody)]
	sum, ok := d.sum(s.length)
	switch digest := m.headerDigest(s); {
	case !ok:
		r.refuse(errBodyShort)
	case !bytes.Equal(sum, s.bodyHash):
		r.refuse(errBodyHash)
	case !k.key.check(s.Algorithm, digest[:], s.b):
		r.refuse(errBad)
	case s.length >= 0 && s.length < d.n:
		r.refuse(errPartial) // RFC 6376 §8.2: anything may have been added
	default:
		r.Status = Pass
	}
	return r
}

// accept judges the key, and notes in r what it says.
func (s *Signature) accept(k foundKey, r *Result) bool {
	if k.err != nil {
		r.refuse(k.err)
		return false
	}
	r.Bits, r.Testing, r.Secure = k.key.bits, k.key.testing, k.key.secure
	switch {
	case !k.key.fits(s.Algorithm):
		r.refuse(errWrongKey)
	case k.key.bits != 0 && k.key.bits < minBits:
		r.refuse(errWeak)
	case k.key.strict && s.Identity != "" && !strings.EqualFold(s.Identity[strings.LastIndexByte(s.Identity, '@')+1:], s.Domain):
		r.refuse(errStrict)
	default:
		return true
	}
	return false
}

// headerDigest is the data hash of RFC 6376 §3.7: the fields that h= names, each
// name the lowest one not yet taken, and the signature without its b=.
func (m *Message) headerDigest(s *Signature) [sha256.Size]byte {
	if m.scratch == nil { // each field once, as a rule
		m.scratch = make([]byte, 0, len(m.head)+2)
	}
	b := m.scratch[:0]
	m.index.reset()
	for _, name := range s.names {
		if f, ok := m.index.next(name); ok {
			b = append(appendField(b, f, s.relaxedHeader), '\r', '\n')
		}
	}
	b = appendField(b, s.WithoutB(), s.relaxedHeader)
	m.scratch = b
	return sha256.Sum256(b)
}

// VerifySeal judges the signature s over digest, for ARC.
func (k *Keys) VerifySeal(ctx context.Context, s *Signature, digest []byte) Result {
	r := s.newResult()
	if s.err != nil {
		r.refuse(s.err)
		return r
	}
	key, err := k.find(ctx, s.keyName())
	if !s.accept(foundKey{key, err}, &r) {
		return r
	}
	if !key.check(s.Algorithm, digest, s.b) {
		r.refuse(errBad)
		return r
	}
	r.Status = Pass
	return r
}
