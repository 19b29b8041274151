package tlspolicy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"posthouse/smtpclient"
	"posthouse/tlspolicy/dane"
	"posthouse/tlspolicy/mtasts"
	"posthouse/tlspolicy/tlsrpt"
)

// verifySystem checks a certificate for a name against the roots of the system.
func verifySystem(name string) func(tls.ConnectionState) error { return VerifyName(name, nil) }

// VerifyName returns a check of certificates for a host's name against roots; nil:
// those of the system.
func VerifyName(name string, roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return errors.New("the server showed no certificate")
		}
		o := x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range cs.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := cs.PeerCertificates[0].Verify(o)
		return err
	}
}

// tlsaName is where the TLSA records of a server stand, RFC 7672 §2.2.3.
func tlsaName(port uint16, host string) string { return fmt.Sprintf("_%d._tcp.%s", port, host) }

func stsLines(p *mtasts.Policy) []string {
	return strings.Split(strings.TrimSuffix(p.String(), "\r\n"), "\r\n")
}

// classify names a failure as TLS-RPT does, RFC 8460 §4.3.
func classify(err error) (tlsrpt.Result, string) {
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var bad x509.CertificateInvalidError
	switch {
	case errors.Is(err, smtpclient.ErrNoStartTLS):
		return tlsrpt.NoStartTLS, ""
	case errors.As(err, &host):
		return tlsrpt.HostMismatch, ""
	case errors.As(err, &authority):
		return tlsrpt.CertUntrusted, "unknown-authority"
	case errors.As(err, &bad) && bad.Reason == x509.Expired:
		return tlsrpt.CertExpired, ""
	case errors.As(err, &bad):
		return tlsrpt.CertUntrusted, shorten(bad.Error())
	case errors.Is(err, dane.ErrMismatch):
		return tlsrpt.ValidationFailure, "tlsa-mismatch"
	}
	return tlsrpt.ValidationFailure, shorten(err.Error())
}

// shorten keeps a reason small and on one line: it may quote a stranger.
func shorten(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 100)]
}
