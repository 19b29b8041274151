// Package smtp serves SMTP (RFC 5321), submission (RFC 6409) and LMTP (RFC 2033):
// one engine with several faces. It speaks the protocol and keeps its limits; what
// becomes of mail is decided by package delivery, transaction by transaction.
//
// A connection is one goroutine that owns all of its state. It reads a command,
// finds its row in the table, and gathers replies until it would have to wait for
// the peer: a batch of pipelined commands is answered in one write. The base
// commands stand in command.go, each ESMTP extension is one param_*.go.
//
// Guarantees:
//
//   - 250 to the end of the data means that delivery made the message durable for
//     every recipient that the reply covers.
//   - Commands and messages end in CRLF and nothing else. What holds a bare CR or LF
//     is refused, so no two servers can disagree about where it ends (RFC 5321
//     §2.3.8, SMTP smuggling).
//   - Nothing that came before TLS, bytes or state, counts after it (RFC 3207 §4.2).
//   - A peer that has not logged in costs one goroutine and at most 64 kB.
package smtp

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"posthouse/delivery"
	"posthouse/directory"
	"posthouse/sasl"
	"posthouse/trace"
)

// An Authenticator lets people log in; [directory.Directory] is one.
type Authenticator interface {
	// Attempt begins a login.
	Attempt(from netip.Addr, tls *tls.ConnectionState) directory.Attempt
	// Methods are the ways to log in.
	Methods() sasl.Methods
}

// Options of New. Delivery and Hostname are required.
type Options struct {
	Delivery      *delivery.Service
	Authenticator Authenticator // nil: nobody can log in
	// URLs read what BURL names; nil: BURL is not offered.
	URLs URLs
	// TLSConfig is for STARTTLS and Submissions; its GetCertificate may change its
	// mind at any time. nil: no TLS.
	TLSConfig *tls.Config
	// LoginTLS replaces TLSConfig where people log in: it may ask for certificates.
	LoginTLS *tls.Config
	// Bans keep out networks that misbehaved; nil: none.
	Bans     Bans
	Hostname string // in the greeting
	// XClient are hosts that may say for which client they speak (XCLIENT); Proxies are
	// those that say so in front of every connection (PROXY protocol).
	XClient, Proxies []netip.Prefix
	Limits           Limits
	Logger           *slog.Logger
	Now              func() time.Time // of trace ids and durations in the log; deadlines follow the system's clock
	// AllowPlaintextLogin offers AUTH without TLS: for test rigs on loopback only.
	AllowPlaintextLogin bool
}

// Bans know which networks are to be kept out for a while; [directory.Directory] does.
type Bans interface {
	Banned(a netip.Addr) bool
	// Blame counts failures of a network.
	Blame(a netip.Addr, n int)
}

// A Server serves any number of listeners. It is immutable but for its registry of
// connections and what Apply changes.
type Server struct {
	opts       Options
	current    atomic.Pointer[Options] // of new connections
	extensions []*extension
	commands   map[string]command
	baseVerbs  []string
	mailParams map[string]param
	rcptParams map[string]param
	ids        trace.IDs
	admission  *admission
	stats      counters

	mu        sync.Mutex // guards what follows; nests in nothing
	listeners map[closer]struct{}
	conns     map[*conn]struct{}
	closing   bool
	quit      chan struct{} // closed with closing
	paused    atomic.Int64  // connections that are made to wait
	running   sync.WaitGroup
}

type closer interface{ Close() error }

// New returns a Server. It panics if two extensions claim one name, so that the
// mistake is found at start and not by a peer.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Limits = o.Limits.withDefaults()
	s := &Server{
		opts: o, extensions: extensions(),
		commands: map[string]command{}, mailParams: map[string]param{}, rcptParams: map[string]param{},
		admission: newAdmission(o.Limits.ConnectionsPerAddress, o.Limits.ConnectionRate),
		quit:      make(chan struct{}), listeners: map[closer]struct{}{}, conns: map[*conn]struct{}{},
	}
	s.ids.Start(o.Now())
	s.current.Store(&o)
	for _, c := range baseCommands {
		put(s.commands, c.verb, c)
		s.baseVerbs = append(s.baseVerbs, c.verb)
	}
	for _, x := range s.extensions {
		for _, c := range x.commands {
			put(s.commands, c.verb, c)
		}
		for _, p := range x.mailParams {
			put(s.mailParams, p.keyword, p)
		}
		for _, p := range x.rcptParams {
			put(s.rcptParams, p.keyword, p)
		}
	}
	return s
}

// Apply gives connections that come from now on other Limits, XClient and Proxies. Those
// that are there go on as they began.
func (s *Server) Apply(o Options) {
	next := *s.current.Load()
	next.Limits, next.XClient, next.Proxies = o.Limits.withDefaults(), o.XClient, o.Proxies
	s.admission.bound(next.Limits.ConnectionsPerAddress, next.Limits.ConnectionRate)
	s.current.Store(&next)
}

func put[T any](m map[string]T, name string, v T) {
	if _, dup := m[name]; dup {
		panic("smtp: " + name + " registered twice")
	}
	m[name] = v
}
