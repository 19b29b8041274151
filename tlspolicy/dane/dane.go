// Package dane checks the certificate of a mail server against the TLSA records of
// its domain: DANE for SMTP, RFC 7672. It does no I/O; whether the records may be
// believed (DNSSEC) is for the caller to know.
package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"posthouse/dns"
)

// Values of the fields of a TLSA record, RFC 6698 §2.1.
const (
	TrustAnchor = 2 // DANE-TA: the certificate of who issued
	EndEntity   = 3 // DANE-EE: that of the server itself

	FullCert = 0
	KeyOnly  = 1 // SPKI

	Exact  = 0
	SHA256 = 1
	SHA512 = 2
)

// Usable returns the records that say something about SMTP: usages 2 and 3 (RFC 7672
// §3.1.3) with a selector and a matching type that we know, and data of their length.
func Usable(records []dns.TLSA) []dns.TLSA {
	var out []dns.TLSA
	for _, r := range records {
		if (r.Usage == TrustAnchor || r.Usage == EndEntity) && r.Selector <= KeyOnly && wellFormed(r) {
			out = append(out, r)
		}
	}
	return out
}

func wellFormed(r dns.TLSA) bool {
	switch r.Matching {
	case SHA256:
		return len(r.Data) == sha256.Size
	case SHA512:
		return len(r.Data) == sha512.Size
	case Exact:
		var err error
		if r.Selector == FullCert {
			_, err = x509.ParseCertificate(r.Data)
		} else {
			_, err = x509.ParsePKIXPublicKey(r.Data)
		}
		return err == nil
	}
	return false
}

// ErrMismatch says that no record knows the server's certificate.
var ErrMismatch = errors.New("the certificate does not match the TLSA records")

// Verify checks a connection against usable records. With an end entity's record
// neither names nor dates of the certificate count (RFC 7672 §3.1.1); below a trust
// anchor the chain must hold at the time now for one of the names (RFC 7672 §3.1.2).
func Verify(cs tls.ConnectionState, records []dns.TLSA, names []string, now time.Time) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	err := ErrMismatch
	for _, r := range records {
		switch r.Usage {
		case EndEntity:
			if matches(r, cs.PeerCertificates[0]) {
				return nil
			}
		case TrustAnchor:
			if e := verifyBelow(r, cs.PeerCertificates, names, now); e == nil {
				return nil
			} else if !errors.Is(e, ErrMismatch) {
				err = e // more to the point
			}
		}
	}
	return err
}

// verifyBelow checks the chain up to the certificate that r names.
func verifyBelow(r dns.TLSA, chain []*x509.Certificate, names []string, now time.Time) error {
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	found := false
	for _, c := range chain {
		if matches(r, c) {
			o.Roots.AddCert(c)
			found = true
		} else {
			o.Intermediates.AddCert(c)
		}
	}
	if r.Matching == Exact && r.Selector == FullCert { // it need not be sent, RFC 7671 §5.2.2
		if c, err := x509.ParseCertificate(r.Data); err == nil {
			o.Roots.AddCert(c)
			found = true
		}
	}
	if !found {
		return ErrMismatch
	}
	var last error
	for _, name := range names {
		o.DNSName = name
		if _, last = chain[0].Verify(o); last == nil {
			return nil
		}
	}
	return last
}

func matches(r dns.TLSA, c *x509.Certificate) bool {
	return bytes.Equal(associate(r.Selector, r.Matching, c), r.Data)
}

// associate is the data of a record about c, RFC 6698 §2.1.4.
func associate(selector, matching uint8, c *x509.Certificate) []byte {
	b := c.Raw
	if selector == KeyOnly {
		b = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case SHA256:
		h := sha256.Sum256(b)
		return h[:]
	case SHA512:
		h := sha512.Sum512(b)
		return h[:]
	}
	return b
}

// RecordOf is the record to publish for a server's own certificate: DANE-EE, key,
// SHA2-256, which stays right when the certificate is renewed for the same key (RFC
// 7672 §3.1.1).
func RecordOf(c *x509.Certificate) dns.TLSA {
	return dns.TLSA{Usage: EndEntity, Selector: KeyOnly, Matching: SHA256, Data: associate(KeyOnly, SHA256, c)}
}

// Names reports whether a record names the certificate or its key.
func Names(r dns.TLSA, c *x509.Certificate) bool { return matches(r, c) }

// String spells a record as a zone file has it.
func String(r dns.TLSA) string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data)
}
