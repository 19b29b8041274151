package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strconv"
	"time"
)

// A SigningKey signs for a domain. Domain and Selector are in A-labels, and Key is
// an *rsa.PrivateKey or an ed25519.PrivateKey.
type SigningKey struct {
	Domain, Selector string
	Key              crypto.Signer
	// Fields are the names of what is signed, in this order, each as often as it is there;
	// nil: what counts to a reader, so that nobody can add to it.
	Fields []string
}

// A signedField is one name that a signature covers.
type signedField struct {
	name string
	seal bool // named once more than it is there
}

// fields are those that the key signs.
func (k SigningKey) fields() []signedField {
	if k.Fields == nil {
		return signedFields
	}
	list := make([]signedField, len(k.Fields))
	for i, name := range k.Fields {
		list[i].name = name
	}
	return list
}

var (
	errSignKey   = errors.New("dkim: not a key that can sign")
	errUnsigned  = errors.New("dkim: the message was not prepared for signing")
	errOtherKey  = errors.New("it is another key")
	errHeaderFor = errors.New("dkim: the header is too long to be signed")
)

// Algorithm is the a= of the key, "" if there is none for it.
func (k SigningKey) Algorithm() string {
	switch k.Key.(type) {
	case *rsa.PrivateKey:
		return "rsa-sha256"
	case ed25519.PrivateKey:
		return "ed25519-sha256"
	}
	return ""
}

// signedFields are what a signature covers, RFC 6376 §5.4.1. Those that count to a
// reader are named once more than they are there, so that nobody can add one
// (RFC 6376 §8.15); a list may add its own fields and a Sender.
var signedFields = []signedField{
	{"From", true}, {"To", true}, {"Cc", true}, {"Subject", true}, {"Date", true}, {"Message-ID", true},
	{"Reply-To", true}, {"In-Reply-To", true}, {"References", true}, {"MIME-Version", true}, {"Content-Type", true},
	{"Content-Transfer-Encoding", true}, {"Content-Disposition", false}, {"Content-ID", false}, {"Content-Description", false},
	{"Sender", false}, {"Resent-From", false}, {"Resent-Sender", false}, {"Resent-To", false}, {"Resent-Cc", false},
	{"Resent-Date", false}, {"Resent-Message-ID", false}, {"List-Id", false}, {"List-Post", false}, {"List-Help", false},
	{"List-Owner", false}, {"List-Archive", false}, {"List-Subscribe", false}, {"List-Unsubscribe", false},
	{"List-Unsubscribe-Post", false}, {"Autocrypt", false},
	{"TLS-Report-Domain", false}, {"TLS-Report-Submitter", false}, {"TLS-Required", false}, // RFC 8460 §5.3
}

// maxOccurrences of one field are signed.
const maxOccurrences = 16

// AppendSignature appends a DKIM-Signature field with its line end, over a finished
// message made with sign and the header lines of prefix that stand before it.
func (m *Message) AppendSignature(dst, prefix []byte, key SigningKey, now time.Time) ([]byte, error) {
	return m.appendSigned(dst, prefix, "DKIM-Signature: v=1; ", key, now)
}

// AppendARC appends an ARC-Message-Signature field, as AppendSignature does.
func (m *Message) AppendARC(dst, prefix []byte, instance int, key SigningKey, now time.Time) ([]byte, error) {
	return m.appendSigned(dst, prefix, "ARC-Message-Signature: i="+strconv.Itoa(instance)+"; ", key, now)
}

func (m *Message) appendSigned(dst, prefix []byte, begin string, key SigningKey, now time.Time) ([]byte, error) {
	switch {
	case m.digests[1] == nil || !m.finished:
		return dst, errUnsigned
	case m.tooLong:
		return dst, errHeaderFor
	}
	all, whole := splitFields(prefix, make([]Field, 0, len(m.fields)+8), m.limits.Fields)
	if !whole || len(all)+len(m.fields) > m.limits.Fields {
		return dst, errHeaderFor
	}
	all = append(all, m.fields...)
	var x index
	x.build(all)
	x.reset()
	arc := begin[0] == 'A'
	start := len(dst)
	dst = appendIntro(dst, begin, key, now)
	dst = append(dst, "h="...)
	room := foldAt{start: len(dst) - 4}
	digested := make([]byte, 0, 4096)
	for _, s := range key.fields() {
		n := 0
		for f, ok := x.next([]byte(s.name)); ok && n < maxOccurrences; f, ok = x.next([]byte(s.name)) {
			digested = append(AppendRelaxed(digested, f), '\r', '\n')
			n++
		}
		if s.seal && n < maxOccurrences {
			n++
		}
		for range n {
			dst = room.appendName(dst, s.name)
		}
	}
	if arc && key.Fields == nil { // RFC 8617 §4.1.2: what the author's domain signed
		for f, ok := x.next([]byte("DKIM-Signature")); ok; f, ok = x.next([]byte("DKIM-Signature")) {
			digested = append(AppendRelaxed(digested, f), '\r', '\n')
			dst = room.appendName(dst, "DKIM-Signature")
		}
	}
	dst = append(dst, ";\r\n\tbh="...)
	dst = base64.StdEncoding.AppendEncode(dst, m.digests[1].total[:])
	dst = append(dst, ";\r\n\tb="...)
	own, _ := splitFields(dst[start:], nil, 1)
	digested = AppendRelaxed(digested, own[0])
	return key.appendB(dst, sha256.Sum256(digested))
}

// appendIntro appends the tags that do not depend on the message.
func appendIntro(dst []byte, begin string, key SigningKey, now time.Time) []byte {
	dst = append(append(append(dst, begin...), "a="...), key.Algorithm()...)
	dst = append(append(dst, "; c=relaxed/relaxed;\r\n\td="...), key.Domain...)
	dst = append(append(dst, "; s="...), key.Selector...)
	dst = strconv.AppendInt(append(dst, "; t="...), now.Unix(), 10)
	return append(dst, ";\r\n\t"...)
}

// appendB appends the signature of digest and the end of the field.
func (k SigningKey) appendB(dst []byte, digest [sha256.Size]byte) ([]byte, error) {
	var hash crypto.Hash
	switch k.Key.(type) {
	case *rsa.PrivateKey:
		hash = crypto.SHA256
	case ed25519.PrivateKey: // signs the digest, RFC 8463 §3
	default:
		return dst, errSignKey
	}
	sig, err := k.Key.Sign(nil, digest[:], hash)
	if err != nil {
		return dst, err
	}
	text := base64.StdEncoding.EncodeToString(sig)
	for len(text) > 72 {
		dst = append(append(dst, text[:72]...), "\r\n\t"...)
		text = text[72:]
	}
	return append(append(dst, text...), "\r\n"...), nil
}

// A foldAt writes the list of h= in lines of 76 characters.
type foldAt struct {
	start int // of the line
	names int
}

func (w *foldAt) appendName(dst []byte, name string) []byte {
	if w.names++; w.names > 1 {
		dst = append(dst, ':')
	}
	if len(dst)-w.start+len(name) > 74 {
		dst = append(dst, "\r\n\t"...)
		w.start = len(dst) - 8
	}
	for i := range len(name) {
		dst = append(dst, lower(name[i]))
	}
	return dst
}

// AppendSeal appends an ARC-Seal field over sets, which are the canonical forms of
// the ARC fields of all instances but for this seal, each with its line end (RFC
// 8617 §5.1.1).
func AppendSeal(dst, sets []byte, instance int, chain string, key SigningKey, now time.Time) ([]byte, error) {
	start := len(dst)
	dst = strconv.AppendInt(append(dst, "ARC-Seal: i="...), int64(instance), 10)
	dst = append(append(append(dst, "; cv="...), chain...), "; a="...)
	dst = append(append(dst, key.Algorithm()...), ";\r\n\td="...)
	dst = append(append(append(dst, key.Domain...), "; s="...), key.Selector...)
	dst = strconv.AppendInt(append(dst, "; t="...), now.Unix(), 10)
	dst = append(dst, ";\r\n\tb="...)
	own, _ := splitFields(dst[start:], nil, 1)
	return key.appendB(dst, sha256.Sum256(AppendRelaxed(sets, own[0])))
}

// Record is the content of the TXT record of the key, RFC 6376 §3.6.1.
func (k SigningKey) Record() (string, error) {
	name := "rsa"
	var der []byte
	switch pub := k.Key.Public().(type) {
	case *rsa.PublicKey:
		var err error
		if der, err = x509.MarshalPKIXPublicKey(pub); err != nil {
			return "", err
		}
	case ed25519.PublicKey:
		name, der = "ed25519", pub
	default:
		return "", errSignKey
	}
	return "v=DKIM1; k=" + name + "; p=" + base64.StdEncoding.EncodeToString(der), nil
}

// Name is the name of its TXT record.
func (k SigningKey) Name() string { return k.Selector + "._domainkey." + k.Domain }

// Published returns why the TXT records at Name do not make receivers accept what the
// key signs, or nil.
func (k SigningKey) Published(records []string) error {
	found, err := pick(records)
	if err != nil {
		return err
	}
	if pub, ok := k.Key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(found.key) {
		return errOtherKey
	}
	return nil
}
