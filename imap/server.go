package imap

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"posthouse/directory"
	"posthouse/imap/wire"
	"posthouse/sasl"
	"posthouse/store"
)

// An Authenticator lets people log in; [directory.Directory] is one.
type Authenticator interface {
	// Attempt begins a login.
	Attempt(from netip.Addr, tls *tls.ConnectionState) directory.Attempt
	// Methods are the ways to log in.
	Methods() sasl.Methods
}

// Options of New. Store and Directory must be set; other zero values take their
// defaults.
type Options struct {
	Store     *store.Store
	Directory Authenticator
	Logger    *slog.Logger
	Limits    Limits
	// TLSConfig is for STARTTLS and implicit TLS. Without it neither is offered.
	TLSConfig *tls.Config
	// AllowPlaintextLogin lets clients log in without TLS: for test rigs only.
	AllowPlaintextLogin bool
	// Withhold names capabilities that are neither announced nor served.
	Withhold []string
	// WithholdFrom does the same for certain clients, by the beginning of the name
	// that they tell with ID, and after a slash that of their version. An entry goes
	// before the one of quirks.go for the same client.
	WithholdFrom map[string]string
	Greeting     string // text of the greeting
	Version      string // told by ID
	// JMAP is the URL of the session of JMAP (RFC 8620 §2), where the same mail is; "":
	// there is none.
	JMAP string
	// Neighbours let people share mailboxes (RFC 4314); nil: nobody does.
	Neighbours Neighbours
	// SharedAccounts are addresses of accounts that are there for all: what they share
	// stands in the shared namespace, not in that of other users (RFC 2342 §5).
	SharedAccounts []string
	// URLs signs URLs of messages and reads them (RFC 4467); nil: nobody does.
	URLs URLs
	// Quotas are for admins; nil: nobody sets quotas here.
	Quotas Quotas
	Now    func() time.Time
	Rand   io.Reader // of trace ids
}

// A Face is how a listener's clients begin.
type Face struct {
	Name        string // in logs, as "imaps"
	ImplicitTLS bool   // TLS from the first byte (RFC 8314 §3.2)
}

// A Server serves IMAP on any number of listeners. Its methods may be called at
// once.
type Server struct {
	opts   Options
	tables *tables
	rules  []quirk                // that withhold something
	limits atomic.Pointer[Limits] // of connections that begin now

	closing atomic.Bool
	stats   counters
	wg      sync.WaitGroup

	// mu guards what follows; no I/O happens under it.
	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]net.Conn
	books     books
	special   map[string]*tables // for clients from whom something is withheld
}

// New returns a server.
func New(o Options) *Server {
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Greeting == "" {
		o.Greeting = "Posthouse ready"
	}
	s := &Server{opts: o, tables: newTables(offered(extensions(), &o, o.Withhold...)),
		rules: rules(o.WithholdFrom), special: map[string]*tables{}, listeners: map[net.Listener]struct{}{}, conns: map[*conn]net.Conn{}, books: newBooks(o.Limits)}
	s.limits.Store(&o.Limits)
	return s
}

// ErrClosed is returned by Serve after Shutdown.
var ErrClosed = errors.New("imap: server closed")

// Serve accepts connections from l until Shutdown, which closes l, or until
// accepting fails for good.
func (s *Server) Serve(ctx context.Context, l net.Listener, face Face) error {
	if face.ImplicitTLS && s.opts.TLSConfig == nil {
		return errors.New("imap: implicit TLS without a certificate")
	}
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		_ = l.Close()
		return ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
		_ = l.Close()
	}()
	for {
		nc, err := l.Accept()
		if s.closing.Load() {
			if err == nil {
				_ = nc.Close()
			}
			return ErrClosed
		}
		if err != nil {
			if !temporary(err) {
				return err
			}
			s.opts.Logger.Error("imap: accept", "err", err)
			time.Sleep(50 * time.Millisecond) // out of descriptors: some will come back
			continue
		}
		s.start(ctx, nc, face)
	}
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// start begins a connection in its own goroutine.
func (s *Server) start(ctx context.Context, nc net.Conn, face Face) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true) // each batch of replies is one write and leaves at once
	}
	c := s.newConn(ctx, nc, face)
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	s.conns[c] = c.nc
	s.wg.Add(1)
	s.mu.Unlock()
	s.stats.connections.Add(1)
	go func() {
		defer s.wg.Done()
		c.serve()
	}()
}

func (s *Server) newConn(ctx context.Context, nc net.Conn, face Face) *conn {
	if face.ImplicitTLS {
		nc = tls.Server(nc, s.opts.TLSConfig)
	}
	var id [8]byte
	_, _ = io.ReadFull(s.opts.Rand, id[:])
	c := &conn{srv: s, lim: s.limits.Load(), tab: s.tables, nc: nc, face: face, ctx: ctx, trace: hex.EncodeToString(id[:]), log: s.opts.Logger,
		peer: addrOf(nc.RemoteAddr()), state: stateNotAuthenticated, started: time.Now(), raw: rawOf(nc)}
	c.rd = wire.NewReader(c, c.flush)
	c.dec = wire.NewDecoder(c.rd, c.acceptLiteral)
	return c
}

func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// upgraded records the connection under which c now reads.
func (s *Server) upgraded(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = c.nc
}

// Shutdown stops accepting, lets each connection finish the command that it
// runs, says BYE to all and waits for them until ctx is done; then it closes
// those that are left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	s.mu.Lock()
	for l := range s.listeners {
		_ = l.Close()
	}
	for c, nc := range s.conns {
		c.wake(nc)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for _, nc := range s.conns {
		_ = nc.Close()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}
