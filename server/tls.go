package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

// loadCertificate reads the certificate of the configuration, or makes one.
func (s *Server) loadCertificate(context.Context) error {
	var cert tls.Certificate
	var err error
	if s.cfg.TLS.Cert == "" {
		cert, err = selfSigned(s.hostname, time.Now())
	} else {
		cert, err = tls.LoadX509KeyPair(s.cfg.TLS.Cert, s.cfg.TLS.Key)
	}
	if err != nil {
		return err
	}
	s.tls.Store(&certificate{Certificate: cert, made: s.cfg.TLS.Cert == ""})
	return nil
}

// A certificate is the one that is shown now.
type certificate struct {
	tls.Certificate
	made bool // by us, at start: its end is no news
}

// tlsConfig is what every face uses; the certificate is the one of the moment of
// the handshake.
func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &s.tls.Load().Certificate, nil },
	}
}

// certificateWarning is how long before its end a certificate becomes a problem.
const certificateWarning = 14 * 24 * time.Hour

// certificateProblem says when the configured certificate ends, if that is soon.
func (s *Server) certificateProblem(now time.Time) string {
	cert := s.tls.Load()
	if cert.made || cert.Leaf == nil {
		return ""
	}
	left := cert.Leaf.NotAfter.Sub(now)
	switch {
	case left <= 0:
		return fmt.Sprintf("the certificate ended on %s: mail programs refuse to connect. Renew it and send SIGHUP", cert.Leaf.NotAfter.Format(time.DateOnly))
	case left < certificateWarning:
		return fmt.Sprintf("the certificate ends on %s: renew it and send SIGHUP", cert.Leaf.NotAfter.Format(time.DateOnly))
	}
	return ""
}

// selfSigned makes a certificate for host and for this machine's own names.
func selfSigned(host string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{host, "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
