package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"posthouse/dns"
)

// Why a key record gives no key.
var (
	errKeyTemp    = errors.New("the key could not be looked up")
	errNoKey      = errors.New("no key record")
	errManyKeys   = errors.New("several key records")
	errRevoked    = errors.New("the key is revoked")
	errKeyRecord  = errors.New("malformed key record")
	errKeyVersion = errors.New("unknown version of key record")
	errKeyType    = errors.New("unknown type of key")
	errKeyHash    = errors.New("the key does not allow this hash")
	errKeyService = errors.New("the key is not for mail")
	errKeySize    = errors.New("the key is too large")
	errKeyLong    = errors.New("the key record is too long")
)

// maxRecord is more than a key of 4096 bits with notes needs.
const maxRecord = 4096

// A publicKey is what a key record says, RFC 6376 §3.6.1. It is never changed.
type publicKey struct {
	key     crypto.PublicKey // *rsa.PublicKey or ed25519.PublicKey
	bits    int
	testing bool // t=y
	strict  bool // t=s: i= must have the domain of d=
	secure  bool
}

// parseKey reads a key record.
func parseKey(record string) (*publicKey, error) {
	if len(record) > maxRecord {
		return nil, errKeyLong
	}
	tags, err := ParseTags([]byte(record))
	if err != nil {
		return nil, errKeyRecord
	}
	if v, there := tags.find("v"); there && (string(v.value) != "DKIM1" || v != &tags[0]) {
		return nil, errKeyVersion
	}
	if h, there := tags.find("h"); there && !lists(h.value, "sha256") {
		return nil, errKeyHash
	}
	if s, there := tags.find("s"); there && !lists(s.value, "*") && !lists(s.value, "email") {
		return nil, errKeyService
	}
	k := &publicKey{}
	if t, there := tags.find("t"); there {
		k.testing, k.strict = lists(t.value, "y"), lists(t.value, "s")
	}
	p, there := tags.find("p")
	if !there {
		return nil, errKeyRecord
	}
	der, err := p.base64()
	if err != nil {
		return nil, errKeyRecord
	}
	if len(der) == 0 {
		return nil, errRevoked
	}
	name, there := tags.Value("k")
	if !there {
		name = "rsa"
	}
	return k, k.parse(name, der)
}

func lists(value []byte, item string) bool {
	for _, f := range fields(value) {
		if equalFold(f, item) {
			return true
		}
	}
	return false
}

// parse reads the key itself.
func (k *publicKey) parse(name string, der []byte) error {
	switch {
	case equalFold([]byte(name), "ed25519"):
		if len(der) != ed25519.PublicKeySize {
			return errKeyRecord
		}
		k.key = ed25519.PublicKey(der)
		return nil
	case !equalFold([]byte(name), "rsa"):
		return errKeyType
	}
	pub, err := parseRSA(der)
	if err != nil {
		return errKeyRecord
	}
	if k.bits = pub.N.BitLen(); k.bits > maxBits {
		return errKeySize
	}
	k.key = pub
	return nil
}

// parseRSA takes a SubjectPublicKeyInfo, as everybody publishes, or the bare
// RSAPublicKey that RFC 6376 §3.6.1 could be read to mean.
func parseRSA(der []byte) (*rsa.PublicKey, error) {
	any, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return x509.ParsePKCS1PublicKey(der)
	}
	pub, ok := any.(*rsa.PublicKey)
	if !ok {
		return nil, errKeyType
	}
	return pub, nil
}

// Keys looks up public keys and keeps those that it parsed for as long as DNS
// allows. Its methods may be called at once.
type Keys struct {
	resolver dns.Resolver
	now      func() time.Time

	mu   sync.Mutex // guards known; nothing is locked under it
	keys map[string]knownKey
}

type knownKey struct {
	key     *publicKey
	expires time.Time
}

// maxKeys bounds the keys that are kept, 1 kB each.
const maxKeys = 8192

// NewKeys returns Keys that ask r.
func NewKeys(r dns.Resolver, now func() time.Time) *Keys {
	return &Keys{resolver: r, now: now, keys: map[string]knownKey{}}
}

// known returns a key that needs no lookup.
func (k *Keys) known(name string) (*publicKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.keys[name]
	return e.key, ok && k.now().Before(e.expires)
}

// find returns the key at name.
func (k *Keys) find(ctx context.Context, name string) (*publicKey, error) {
	if key, ok := k.known(name); ok {
		return key, nil
	}
	a, err := k.resolver.LookupTXT(ctx, name)
	switch {
	case err != nil && dns.IsAbsent(err):
		return nil, errNoKey
	case err != nil:
		return nil, errKeyTemp
	}
	key, err := pick(a.Records)
	if err != nil {
		return nil, err
	}
	key.secure = a.Secure
	k.keep(name, knownKey{key, a.Expires})
	return key, nil
}

// pick returns the one key among the records. Two are an error of the domain, and
// which one came first would be chance.
func pick(records []string) (*publicKey, error) {
	var key *publicKey
	err := errNoKey
	for _, r := range records[:min(len(records), 16)] {
		k, e := parseKey(r)
		switch {
		case e == nil && key != nil:
			return nil, errManyKeys
		case e == nil:
			key, err = k, nil
		case key == nil:
			err = e
		}
	}
	return key, err
}

func (k *Keys) keep(name string, e knownKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) >= maxKeys {
		for old := range k.keys { // any one: popular keys come back at once
			delete(k.keys, old)
			break
		}
	}
	k.keys[name] = e
}

// check verifies the signature of a digest.
func (k *publicKey) check(algorithm string, digest, sig []byte) bool {
	switch pub := k.key.(type) {
	case *rsa.PublicKey:
		return algorithm == "rsa-sha256" && rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest, sig) == nil
	case ed25519.PublicKey:
		return algorithm == "ed25519-sha256" && ed25519.Verify(pub, digest, sig)
	}
	return false
}

// fits reports whether the key is of the type that the algorithm needs.
func (k *publicKey) fits(algorithm string) bool {
	_, isRSA := k.key.(*rsa.PublicKey)
	return isRSA == bytes.HasPrefix([]byte(algorithm), []byte("rsa"))
}
