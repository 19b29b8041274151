package dkim

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// Why a signature cannot be checked.
var (
	errVersion   = errors.New("unknown version")
	errMissing   = errors.New("a required tag is missing")
	errAlgorithm = errors.New("unsupported algorithm")
	errSHA1      = errors.New("SHA-1 is not secure (RFC 8301)")
	errCanon     = errors.New("unknown canonicalization")
	errDomain    = errors.New("malformed domain or selector")
	errIdentity  = errors.New("i= is not within d=")
	errQuery     = errors.New("unknown query method")
	errNumber    = errors.New("malformed number")
	errNoFrom    = errors.New("the From field is not signed")
	errNames     = errors.New("too many names in h=")
	errHashSize  = errors.New("bh= has the wrong size")
	errSeal      = errors.New("h= must not name ARC-Seal")
	errHTag      = errors.New("h= in a seal")
	errInstance  = errors.New("malformed instance")
)

// A kind says which field a signature stands in.
type kind uint8

const (
	kindDKIM kind = iota // DKIM-Signature
	kindARC              // ARC-Message-Signature, RFC 8617 §4.1.2
	kindSeal             // ARC-Seal, RFC 8617 §4.1.3
)

// A Signature is a parsed signature field.
type Signature struct {
	Domain, Selector string // lower case, A-labels
	Identity         string
	Algorithm        string
	Instance         int    // of ARC
	Chain            string // cv= of a seal

	field                      Field
	tags                       Tags
	b                          []byte // the signature
	bodyHash                   []byte
	names                      [][]byte // h=
	relaxedHeader, relaxedBody bool
	length                     int64 // l=; -1: all
	signed, expires            int64 // t=, x=; 0: none
	err                        error // it cannot be checked
}

// Err says why the signature cannot be checked, or is nil.
func (s *Signature) Err() error { return s.err }

// Covers reports whether the signature covers the fields called name.
func (s *Signature) Covers(name string) bool {
	return slices.ContainsFunc(s.names, func(n []byte) bool { return equalFold(n, name) })
}

// ParseSeal reads an ARC-Seal field.
func ParseSeal(f Field) *Signature { return parseSignature(f, kindSeal, Limits{}.withDefaults()) }

// ParseARC reads an ARC-Message-Signature field.
func ParseARC(f Field) *Signature { return parseSignature(f, kindARC, Limits{}.withDefaults()) }

// parseSignature reads a field. A signature with errors has those of its tags that
// could be read.
func parseSignature(f Field, k kind, l Limits) *Signature {
	s := &Signature{field: f, length: -1}
	if s.tags, s.err = ParseTags(f.Value()); s.err != nil {
		return s
	}
	for _, step := range [...]func(kind) error{s.parseWho, s.parseAlgorithm, s.parseCanon, s.parseTimes} {
		if s.err = step(k); s.err != nil {
			return s
		}
	}
	if k == kindSeal {
		s.Chain, _ = s.tags.Value("cv")
		if _, there := s.tags.find("h"); there {
			s.err = errHTag
		}
		s.relaxedHeader = true
		return s
	}
	s.err = s.parseCover(k, l)
	return s
}

// parseWho reads v, d, s and i.
func (s *Signature) parseWho(k kind) error {
	domain, ok1 := s.tags.Value("d")
	selector, ok2 := s.tags.Value("s")
	if !ok1 || !ok2 {
		return errMissing
	}
	var ok bool
	if s.Domain, ok = asciiName(domain); !ok {
		return errDomain
	}
	if s.Selector, ok = asciiName(selector); !ok || len(s.Selector)+len(s.Domain) > 240 {
		return errDomain
	}
	if k != kindDKIM {
		i, there := s.tags.find("i")
		if !there {
			return errMissing
		}
		n, ok := i.number()
		if !ok || n < 1 || n > maxInstances {
			return errInstance
		}
		s.Instance = int(n)
		return nil
	}
	if v, _ := s.tags.Value("v"); v != "1" {
		return errVersion
	}
	if s.Identity, ok = s.tags.Value("i"); !ok {
		s.Identity = "@" + s.Domain
		return nil
	}
	at := strings.LastIndexByte(s.Identity, '@')
	host, ok := asciiName(s.Identity[at+1:])
	if at < 0 || !ok || host != s.Domain && !strings.HasSuffix(host, "."+s.Domain) || strings.ContainsAny(s.Identity, "\r\n") {
		s.Identity = "@" + s.Domain
		return errIdentity
	}
	return nil
}

// maxInstances is the longest chain, RFC 8617 §4.2.1.
const maxInstances = 50

// parseAlgorithm reads a and b.
func (s *Signature) parseAlgorithm(kind) error {
	a, ok := s.tags.Value("a")
	b, ok2 := s.tags.find("b")
	switch {
	case !ok || !ok2:
		return errMissing
	case strings.EqualFold(a, "rsa-sha256"):
		s.Algorithm = "rsa-sha256"
	case strings.EqualFold(a, "ed25519-sha256"):
		s.Algorithm = "ed25519-sha256"
	case strings.EqualFold(a, "rsa-sha1"):
		s.Algorithm = "rsa-sha1"
		return errSHA1
	default:
		return errAlgorithm
	}
	var err error
	if s.b, err = b.base64(); err == nil && len(s.b) == 0 {
		err = errMissing
	}
	return err
}

// parseCanon reads c and q.
func (s *Signature) parseCanon(k kind) error {
	if q, there := s.tags.find("q"); there && k == kindDKIM {
		known := false
		for _, m := range fields(q.value) {
			known = known || equalFold(m, "dns/txt") || equalFold(m, "dns")
		}
		if !known {
			return errQuery
		}
	}
	c, there := s.tags.Value("c")
	if !there {
		// The published suite for ARC takes relaxed for the default, RFC 6376 simple.
		s.relaxedHeader, s.relaxedBody = k == kindARC, k == kindARC
		return nil
	}
	head, body, both := strings.Cut(c, "/")
	if !both {
		body = "simple"
	}
	for _, v := range []struct {
		name string
		to   *bool
	}{{head, &s.relaxedHeader}, {body, &s.relaxedBody}} {
		if *v.to = strings.EqualFold(v.name, "relaxed"); !*v.to && !strings.EqualFold(v.name, "simple") {
			return errCanon
		}
	}
	return nil
}

// parseTimes reads t, x and l.
func (s *Signature) parseTimes(kind) error {
	for _, v := range []struct {
		name string
		to   *int64
	}{{"t", &s.signed}, {"x", &s.expires}, {"l", &s.length}} {
		if g, there := s.tags.find(v.name); there {
			var ok bool
			if *v.to, ok = g.number(); !ok {
				return errNumber
			}
		}
	}
	if s.expires != 0 && s.expires < s.signed {
		return errNumber
	}
	return nil
}

// parseCover reads h and bh.
func (s *Signature) parseCover(k kind, l Limits) error {
	h, ok1 := s.tags.find("h")
	bh, ok2 := s.tags.find("bh")
	if !ok1 || !ok2 {
		return errMissing
	}
	var err error
	if s.bodyHash, err = bh.base64(); err != nil {
		return err
	}
	if len(s.bodyHash) != sha256.Size {
		return errHashSize
	}
	if bytes.Count(h.value, []byte{':'}) >= l.Names {
		return errNames
	}
	s.names = fields(h.value)
	switch {
	case k == kindARC && s.Covers("ARC-Seal"):
		return errSeal
	case k == kindDKIM && !s.Covers("From"):
		return errNoFrom
	}
	return nil
}

// WithoutB returns the field with the value of its b= removed, RFC 6376 §3.7.
func (s *Signature) WithoutB() Field {
	g, ok := s.tags.find("b")
	if !ok {
		return s.field
	}
	at := s.field.colon + 1
	raw := make([]byte, 0, len(s.field.raw))
	raw = append(append(raw, s.field.raw[:at+g.start]...), s.field.raw[at+g.end:]...)
	return Field{raw, s.field.name, s.field.colon}
}

// asciiName checks a domain name or a selector and gives it as DNS has it.
func asciiName(s string) (string, bool) {
	s = strings.TrimSuffix(s, ".")
	for i := range len(s) {
		if s[i] >= 0x80 {
			a, err := idna.Lookup.ToASCII(s)
			if err != nil {
				return "", false
			}
			s = a
			break
		}
	}
	if len(s) == 0 || len(s) > 253 {
		return "", false
	}
	label := 0
	for i := range len(s) {
		switch c := lower(s[i]); {
		case c == '.':
			if label == 0 {
				return "", false
			}
			label = -1
		case c == '-' || c == '_' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
		default:
			return "", false
		}
		if label++; label > 63 {
			return "", false
		}
	}
	return strings.ToLower(s), label > 0
}
