package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"

	"posthouse/directory"
	"posthouse/imap"
	"posthouse/mail"
	"posthouse/sasl/oauth"
	"posthouse/smtp"
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
// obstacle. protocols are the names that clients may ask for (ALPN): who asks for
// another, as a browser that was sent to the wrong port does, gets no connection.
func (s *Server) loginTLS(protocols ...string) *tls.Config {
	c := s.tlsConfig()
	c.NextProtos = protocols
	if s.cfg.Login.Certificates {
		c.ClientAuth = tls.RequestClientCert
	}
	return c
}

// The names of our protocols in ALPN. There is none for submission in the registry; these
// are what clients use.
var (
	imapALPN       = []string{"imap"}
	submissionALPN = []string{"submission", "smtp"}
)

// serveHTTPS serves what clients ask for by ALPN on an https port, else HTTP.
func (s *Server) serveHTTPS(ctx context.Context, l net.Listener) error {
	var routes []route
	if slices.Contains(s.cfg.TLS.ALPN, "imap") {
		routes = append(routes, route{imapALPN, func(l net.Listener) error {
			return s.imap.Serve(ctx, l, imap.Face{Name: "imap/https", ImplicitTLS: true})
		}})
	}
	if slices.Contains(s.cfg.TLS.ALPN, "submission") {
		routes = append(routes, route{submissionALPN, func(l net.Listener) error { return s.smtp.Serve(ctx, l, smtp.Submissions) }})
	}
	if len(routes) == 0 {
		return s.web.ServeTLS(l)
	}
	return split(ctx, l, append(routes, route{nil, s.web.ServeTLS}))
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
