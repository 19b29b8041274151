// Package webpush encrypts messages for push services and says who sends them: RFC
// 8291 (over the coding aes128gcm of RFC 8188) and RFC 8292 (VAPID). It does no I/O.
package webpush

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"time"
)

// MaxPayload is how much a message may hold: push services take 4,096 bytes in all
// (RFC 8030 §7.2).
const MaxPayload = 4096 - headerLen - 17

// headerLen is that of the header of RFC 8188 §2.1 with a P-256 key.
const headerLen = 16 + 4 + 1 + 65

// Keys are those of a subscription, RFC 8291 §2.
type Keys struct {
	P256DH []byte // the receiver's public key, uncompressed
	Auth   []byte // the secret that both know, 16 bytes
}

// ErrKeys says that the keys of a subscription are none.
var ErrKeys = errors.New("webpush: not the keys of a subscription")

// ErrTooLarge says that a payload is over MaxPayload.
var ErrTooLarge = errors.New("webpush: the payload is too large")

// Encrypt returns the body of a push message, coded as aes128gcm.
func Encrypt(payload []byte, k Keys, random io.Reader) ([]byte, error) {
	if len(payload) > MaxPayload {
		return nil, ErrTooLarge
	}
	receiver, err := ecdh.P256().NewPublicKey(k.P256DH)
	if err != nil || len(k.Auth) != 16 {
		return nil, ErrKeys
	}
	sender, err := newKey(random)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, 16)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, err
	}
	return encrypt(payload, receiver, k.Auth, sender, salt)
}

// newKey makes a key of random: the functions of the standard library do not promise
// to use the reader that they are given.
func newKey(random io.Reader) (*ecdh.PrivateKey, error) {
	var b [32]byte
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, err
		}
		if k, err := ecdh.P256().NewPrivateKey(b[:]); err == nil {
			return k, nil
		}
	}
}

// encrypt does RFC 8291 §3.4 with everything given.
func encrypt(payload []byte, receiver *ecdh.PublicKey, auth []byte, sender *ecdh.PrivateKey, salt []byte) ([]byte, error) {
	shared, err := sender.ECDH(receiver)
	if err != nil {
		return nil, err
	}
	public := sender.PublicKey().Bytes()
	info := append(append([]byte("WebPush: info\x00"), receiver.Bytes()...), public...)
	ikm, err := hkdf.Key(sha256.New, shared, auth, string(info), 32)
	if err != nil {
		return nil, err
	}
	cek, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(cek)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, headerLen+len(payload)+17)
	out = append(out, salt...)
	out = binary.BigEndian.AppendUint32(out, 4096)
	out = append(append(out, byte(len(public))), public...)
	plain := append(append(make([]byte, 0, len(payload)+1), payload...), 2) // the last record, RFC 8188 §2
	return gcm.Seal(out, nonce, plain, nil), nil
}

// Authorization is the value of the header of that name for a request to a push
// service, RFC 8292 §3: signed with key for the origin of endpoint, by contact (a
// mailto: or https: URL), until expires.
func Authorization(key *ecdsa.PrivateKey, endpoint, contact string, expires time.Time, random io.Reader) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{"aud": u.Scheme + "://" + u.Host, "exp": expires.Unix(), "sub": contact})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	token := enc.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + enc.EncodeToString(claims)
	hash := sha256.Sum256([]byte(token))
	r, s, err := ecdsa.Sign(random, key, hash[:])
	if err != nil {
		return "", err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	public, err := PublicKey(key)
	return "vapid t=" + token + "." + enc.EncodeToString(sig) + ", k=" + public, err
}

// PublicKey is the application server key of RFC 8292 §3.2, as browsers want it.
func PublicKey(key *ecdsa.PrivateKey) (string, error) {
	k, err := key.PublicKey.ECDH()
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(k.Bytes()), nil
}

// NewKey makes a key for VAPID.
func NewKey(random io.Reader) (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), random)
}
