package sasl

import (
	"crypto"
	"crypto/rand"
	_ "crypto/sha512" // certificates are hashed with SHA-384 and SHA-512 too
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
)

// A Channel is the connection under an exchange.
type Channel struct {
	TLS *tls.ConnectionState // nil: none
	// Config is that of the server's side: its certificate is one that a client may
	// bind to. nil: only to the keys of the connection itself.
	Config *tls.Config
	// Rand is where nonces come from; nil is crypto/rand.
	Rand io.Reader
}

// newNonce is 144 random bits, printable.
func (ch Channel) newNonce() (string, error) {
	r := ch.Rand
	if r == nil {
		r = rand.Reader
	}
	var b [18]byte
	_, err := io.ReadFull(r, b[:])
	return base64.StdEncoding.EncodeToString(b[:]), err
}

// The types of channel binding that we know.
const (
	bindExporter = "tls-exporter"         // RFC 9266 §2
	bindEndPoint = "tls-server-end-point" // RFC 5929
)

// bindable reports whether a client can bind to the channel.
func (ch Channel) bindable() bool {
	return ch.TLS != nil && (len(ch.bindings(bindExporter)) > 0 || len(ch.bindings(bindEndPoint)) > 0)
}

// bindings returns the data of a binding type. More than one value is where clients
// disagree about what the standard says.
func (ch Channel) bindings(kind string) [][]byte {
	if ch.TLS == nil {
		return nil
	}
	switch kind {
	case bindExporter:
		return ch.exported()
	case bindEndPoint:
		if sum := ch.endPoint(); sum != nil {
			return [][]byte{sum}
		}
	}
	return nil
}

// exported is keying material of this connection. There is none in TLS 1.2 without
// the extended master secret (RFC 9266 §4.2). An empty context and none are the same in
// TLS 1.3 and differ before, where clients do the one or the other.
func (ch Channel) exported() [][]byte {
	const label, size = "EXPORTER-Channel-Binding", 32
	contexts := [][]byte{{}, nil}
	if ch.TLS.Version >= tls.VersionTLS13 {
		contexts = contexts[:1]
	}
	var out [][]byte
	for _, c := range contexts {
		if b, err := ch.TLS.ExportKeyingMaterial(label, c, size); err == nil {
			out = append(out, b)
		}
	}
	return out
}

// endPoint is the hash of the server's certificate, by the hash of its signature and
// SHA-256 instead of weaker ones (RFC 5929). A signature without a hash of
// its own (Ed25519) has none.
func (ch Channel) endPoint() []byte {
	cert := ch.certificate()
	if cert == nil {
		return nil
	}
	h := crypto.SHA256
	switch cert.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		h = crypto.SHA512
	case x509.PureEd25519, x509.UnknownSignatureAlgorithm:
		return nil
	}
	sum := h.New()
	sum.Write(cert.Raw)
	return sum.Sum(nil)
}

// certificate is the server's. On the server's side the state of a connection does not
// say which one was shown, so the configuration is asked what it shows to such a
// client: a certificate that was renewed since the handshake makes one login
// fail that binds to the old one.
func (ch Channel) certificate() *x509.Certificate {
	if ch.Config == nil {
		if len(ch.TLS.PeerCertificates) == 0 {
			return nil
		}
		return ch.TLS.PeerCertificates[0] // we are the client
	}
	var shown *tls.Certificate
	switch {
	case ch.Config.GetCertificate != nil:
		hello := &tls.ClientHelloInfo{ServerName: ch.TLS.ServerName, CipherSuites: []uint16{ch.TLS.CipherSuite},
			SupportedVersions: []uint16{ch.TLS.Version}}
		c, err := ch.Config.GetCertificate(hello)
		if err == nil {
			shown = c
		}
	case len(ch.Config.Certificates) > 0:
		shown = &ch.Config.Certificates[0]
	}
	switch {
	case shown == nil || len(shown.Certificate) == 0:
		return nil
	case shown.Leaf != nil:
		return shown.Leaf
	}
	leaf, err := x509.ParseCertificate(shown.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}
