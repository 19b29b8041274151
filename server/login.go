package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/sasl/oauth"
	"posthouse/web"
)

// readClientCA reads who issues client certificates.
func (s *Server) readClientCA(context.Context) error {
	if s.cfg.Login.CA == "" {
		return nil
	}
	pem, err := os.ReadFile(s.cfg.Login.CA)
	if err != nil {
		return err
	}
	s.clientCA = x509.NewCertPool()
	if !s.clientCA.AppendCertsFromPEM(pem) {
		return fmt.Errorf("login.client_ca: %s holds no certificate in PEM form", s.cfg.Login.CA)
	}
	return nil
}

// loginOptions adds to o what only a running server needs.
func (s *Server) loginOptions(o directory.Options) directory.Options {
	o.Certificates, o.CA = s.cfg.Login.Certificates, s.clientCA
	if c := s.cfg.OAuth; c.Issuer != "" {
		o.Tokens = oauth.New(oauth.Options{Issuer: c.Issuer, Audience: c.Audience, Keys: c.Keys, Introspection: c.Introspection,
			ClientID: c.ClientID, Secret: s.oauthSecret, Claim: c.Claim, AllowPrivate: c.Private})
	}
	return o
}

// loginTLS is the TLS of the faces on which people log in. What a client shows there is
// checked when it logs in with it, so that a certificate for something else is no
// obstacle.
func (s *Server) loginTLS() *tls.Config {
	c := s.tlsConfig()
	if s.cfg.Login.Certificates {
		c.ClientAuth = tls.RequestClientCert
	}
	return c
}

// revoked ends the sessions of an account.
func (s *Server) revoked(id mail.AccountID) {
	s.imap.Drop(id)
	s.smtp.Drop(id)
	s.jmap.Drop(id)
}

// webUser tells the web client's pages who asks for them.
func (s *Server) webUser(r *http.Request) (web.User, error) {
	a, err := s.jmap.Login(r)
	return web.User{ID: a.ID, Address: a.Address, Name: a.Name}, err
}
