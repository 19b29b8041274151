// Package publish knows what a domain of ours must publish in DNS and on the web, tells
// whether it does, and takes the keys that sign its mail through their lives.
//
// What it guarantees:
//
//   - A new signing key signs only after its record was seen for Settle; the record of
//     an old one may go only when nothing that it signed can still be on its way.
//   - Nothing is removed from a record that somebody else wrote: what is proposed for
//     SPF holds every foreign mechanism.
//   - It only looks at DNS: publishing is for people, who are told what to do and why.
//
// It keeps no state; that of the keys is the directory's.
package publish

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"posthouse/directory"
	"posthouse/dns"
	"posthouse/mail"
	"posthouse/smtp/wire"
	"posthouse/tlspolicy/mtasts"
)

// A Record is a DNS record.
type Record struct {
	Name  string // without the last dot, A-labels
	Type  string
	Value string // of TXT the text whole
}

// A Resolver looks up what domains publish; [dns.Client] does.
type Resolver interface {
	dns.Resolver
	LookupSRV(ctx context.Context, name string) (dns.Answer[dns.SRV], error)
	LookupCAA(ctx context.Context, name string) (dns.Answer[dns.CAA], error)
}

// A Face is a service of the server: a key of [listen], and its port.
type Face struct {
	Name string
	Port uint16
}

// Options of New. Directory, Hostname and Resolver are required.
type Options struct {
	Directory *directory.Directory
	Hostname  string // of this server, in DNS
	// Resolver asks anew, or keeps answers for seconds only: it looks at changes.
	Resolver Resolver
	// Rules of keys; Waiting is that of Oldest.
	Rules directory.KeyRules
	// Oldest is when the oldest message that waits was taken; zero: none does.
	Oldest func() time.Time
	// Tell tells the administrator what is to be done about a domain; nil: nobody is told.
	Tell func(ctx context.Context, d mail.Domain, subject, text string) error
	// Certificate is the one that the server shows; nil, or returning nil: none that lasts.
	Certificate func() *x509.Certificate
	// Addresses are those from which the server sends, as far as it knows.
	Addresses func() []netip.Addr
	// Faces are the services that are listened to.
	Faces []Face
	// Fetch gets the MTA-STS policy that a domain shows; nil: it is not looked at.
	Fetch func(ctx context.Context, domain string) (mtasts.Policy, error)
	// Connect connects to a server that takes mail, at an address that was looked at; nil:
	// none is.
	Connect func(ctx context.Context, address string) (net.Conn, error)
	MXPort  uint16 // of those servers; 25
	Logger  *slog.Logger
	Now     func() time.Time
}

// A Service answers what is published and what should be. Its methods may be called at
// once.
type Service struct{ opts Options }

// New returns a Service.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Certificate == nil {
		o.Certificate = func() *x509.Certificate { return nil }
	}
	if o.Addresses == nil {
		o.Addresses = func() []netip.Addr { return nil }
	}
	if o.MXPort == 0 {
		o.MXPort = 25
	}
	if o.Oldest == nil {
		o.Oldest = func() time.Time { return time.Time{} }
	}
	return &Service{opts: o}
}

// ascii is the name of a domain of ours in DNS.
func (s *Service) ascii(ctx context.Context, op string, d mail.Domain) (string, error) {
	if _, err := s.opts.Directory.Domain(ctx, d); err != nil {
		return "", err
	}
	name, err := wire.DomainToASCII(d)
	if err != nil {
		return "", &mail.Error{Kind: mail.Invalid, Op: op, Text: string(d) + " cannot be written as a DNS name", Err: err}
	}
	return name, nil
}
