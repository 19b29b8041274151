// Package smtpclient speaks SMTP and LMTP to another server: one connection, one
// transaction after the other, and for every recipient an exact account of what
// became of it.
//
// Guarantees:
//
//   - Each recipient of a transaction gets one [Outcome]. Positive means that the
//     server answered 2xx to the end of the data, for this recipient. Unknown means
//     that the final dot may have reached the server and its answer was not read:
//     the message may be delivered or not. In all other cases it is not delivered.
//   - The end of the data is written only after all the content was read without
//     error.
//   - No connection is made to an address that the Dialer's AddrPolicy refuses, and
//     the policy is asked for each connection. The zero Dialer connects to public
//     addresses only: a name in a stranger's zone cannot make us talk to our own
//     network.
//   - Every wait is bounded by [Timeouts], and all end with the context.
//   - What the server says is bounded by [wire.ReplyLimits] and never trusted: bytes
//     that were sent ahead of the TLS handshake fail the connection (RFC 3207 §5).
//
// It decides nothing about hosts, retries and bounces: that is the queue's.
//
// 8-bit content goes as it is to a server that does not offer 8BITMIME, unless
// [Dialer.Strict8Bit] is set. Conversion would break signatures, a bounce would
// lose mail that every server of today takes: 8BITMIME is refused by none that
// cannot handle 8 bits in practice.
package smtpclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"

	"posthouse/mail"
	"posthouse/sasl"
	"posthouse/smtp/wire"
)

// Timeouts bound each wait. Zero fields take the defaults, which are those of RFC
// 5321 §4.5.3.2 where it has one.
type Timeouts struct {
	Connect   time.Duration // 30 s
	TLS       time.Duration // the handshake: 1 min
	Greeting  time.Duration // 5 min
	Hello     time.Duration // EHLO, HELO, LHLO, STARTTLS and AUTH: 5 min
	Mail      time.Duration // 5 min
	Rcpt      time.Duration // 5 min
	DataInit  time.Duration // 2 min
	DataBlock time.Duration // each write: 3 min
	DataDone  time.Duration // 10 min
	Reset     time.Duration // RSET and QUIT: 20 s
}

func (t Timeouts) withDefaults() Timeouts {
	for _, f := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&t.Connect, 30 * time.Second}, {&t.TLS, time.Minute}, {&t.Greeting, 5 * time.Minute},
		{&t.Hello, 5 * time.Minute}, {&t.Mail, 5 * time.Minute}, {&t.Rcpt, 5 * time.Minute},
		{&t.DataInit, 2 * time.Minute}, {&t.DataBlock, 3 * time.Minute}, {&t.DataDone, 10 * time.Minute},
		{&t.Reset, 20 * time.Second},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	return t
}

// A Dialer makes connections; it is how this host presents itself. It is not
// changed after its first use.
type Dialer struct {
	Hello      string // our name for EHLO, in A-labels, or an address literal
	Timeouts   Timeouts
	AddrPolicy AddrPolicy // nil: PublicOnly
	// LocalAddrs are source addresses: the first of a target's family is used. Without
	// one, the system chooses.
	LocalAddrs []netip.Addr
	// Stagger is how long ConnectAny waits for an address before it tries the next one
	// besides; 250 ms (RFC 8305 §5).
	Stagger    time.Duration
	Limits     wire.ReplyLimits
	Strict8Bit bool // refuse (5.6.3) to send 8-bit content to a server without 8BITMIME
	// Sessions, if not nil, makes TLS with a server that is known cheaper.
	Sessions tls.ClientSessionCache

	// DialContext replaces net.Dialer's, for tests. The policy is asked before.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Mode is the protocol spoken.
type Mode uint8

// The modes.
const (
	SMTP Mode = iota // RFC 5321
	LMTP             // RFC 2033: an answer for each recipient after the data
)

// A Target is one server.
type Target struct {
	Host string         // its name: for TLS and texts
	Addr netip.AddrPort // where it is
	Unix string         // path of a socket instead of Addr, for LMTP
	Mode Mode
	TLS  TLSPolicy
	Auth *sasl.Credentials // log in, as to a smarthost
	// PlainAuth allows passwords on a connection without TLS.
	PlainAuth bool
}

// String names t in texts for people: "mx.example.org[192.0.2.1]:25".
func (t Target) String() string {
	if t.Unix != "" {
		return t.Unix
	}
	s := t.Host
	if ip := t.Addr.Addr().String(); s != ip {
		s += "[" + ip + "]"
	}
	return fmt.Sprintf("%s:%d", s, t.Addr.Port())
}

// TLSMode says whether a connection is encrypted.
type TLSMode uint8

// The modes of TLS.
const (
	// TLSOpportunistic uses STARTTLS where it is offered and takes any certificate,
	// and goes on in plain text where TLS fails (RFC 7435).
	TLSOpportunistic TLSMode = iota
	// TLSRequired fails the connection unless STARTTLS works and Verify agrees.
	TLSRequired
	// TLSImplicit starts TLS before the greeting (RFC 8314 §3.3) and is required.
	TLSImplicit
	// TLSNever does not use STARTTLS.
	TLSNever
)

// A TLSPolicy is what is known about how to talk to one server: the place where
// DANE and MTA-STS put their findings.
type TLSPolicy struct {
	Mode TLSMode
	// ServerName is sent as SNI; default the Target's Host.
	ServerName string
	// Verify checks the peer after the handshake. nil takes any certificate. An error
	// fails the connection; an opportunistic one then goes on without TLS, so a
	// policy that verifies is TLSRequired.
	Verify func(tls.ConnectionState) error
	// Offer is an extension that the server must offer once TLS is there, as
	// "REQUIRETLS"; else the connection is refused with 5.7.30. "": none.
	Offer string
	// Key tells policies apart: a connection made by one serves targets with the same.
	Key string
	// Config is the base configuration (client certificates); may be nil. It is
	// cloned; its own verification is switched off in favour of Verify.
	Config *tls.Config
}

// An Error is a connection that did not come to the point where it can take a
// message.
type Error struct {
	Target string
	Stage  string     // "connect", "greeting", "EHLO", "STARTTLS", "AUTH" …
	Reply  mail.Reply // the verdict for all recipients: the server's reply or ours
	Remote bool       // Reply came from the server
	Err    error      // the cause, where it is no reply
}

// TLS reports whether the connection failed because of TLS, not for want of a server.
func (e *Error) TLS() bool { return e.Stage == stHandshake.String() || e.Stage == stStartTLS.String() }

func (e *Error) Error() string {
	if e.Remote {
		return fmt.Sprintf("smtp: %s: %s answered: %v", e.Target, e.Stage, e.Reply)
	}
	return fmt.Sprintf("smtp: %s: %s: %v", e.Target, e.Stage, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
