package jmap

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"posthouse/delivery"
	"posthouse/directory"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
	"posthouse/trace"
)

// A Directory knows people; [directory.Directory] does.
type Directory interface {
	Authenticate(ctx context.Context, login, password string, from netip.Addr) (directory.Account, error)
	Account(ctx context.Context, id mail.AccountID) (directory.Account, error)
	MaySend(ctx context.Context, id mail.AccountID, from mail.Address) (bool, error)
	Resolve(ctx context.Context, a mail.Address) (directory.Resolution, error)
}

// Options of New. Store and Directory are required.
type Options struct {
	Store     *store.Store
	Directory Directory
	// Delivery takes what is sent; nil: nothing can be.
	Delivery *delivery.Service
	Hostname string // in Message-ID
	Limits   Limits
	Message  message.Limits
	Logger   *slog.Logger
	Now      func() time.Time
	Rand     io.Reader
	// AllowPlaintextLogin takes passwords over HTTP without TLS from other machines.
	AllowPlaintextLogin bool
	// Outbound makes the connections to push services and unsubscribe links; nil: one
	// that refuses private addresses.
	Outbound http.RoundTripper
	// VAPID says to push services who we are (RFC 8292); nil: nobody does.
	VAPID *ecdsa.PrivateKey
	// Queued calls f with what waits in the queue, as Told would be; nil: nothing does.
	Queued func(ctx context.Context, f func(account mail.AccountID, trace string, list []Sent) bool) error
	// Trace remembers what became of messages; nil: nothing does.
	Trace Tracer
	// Domains answers which domains take mail; nil: it is not known.
	Domains MailDomains
}

// A Server answers JMAP. Mount Handler below "/jmap/" and at "/.well-known/jmap".
type Server struct {
	opts     Options
	limits   Limits
	methods  map[string]*method
	types    map[string]*objectType
	mux      *http.ServeMux
	indexes  indexes
	users    users
	timers   timers
	pusher   pusher
	statuses statuses
	jobBatch int
	ids      trace.IDs
	log      *slog.Logger

	life  context.Context // ends with Shutdown
	end   context.CancelFunc
	tasks sync.WaitGroup
}

// New returns a Server.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: o, limits: o.Limits.withDefaults(), log: o.Logger, mux: http.NewServeMux()}
	s.life, s.end = context.WithCancel(context.Background())
	s.users.byID = map[mail.AccountID]*user{}
	s.indexes.byID = map[indexKey]*index{}
	s.jobBatch = jobBatch
	s.timers.due, s.timers.wake = map[alarm]time.Time{}, make(chan struct{}, 1)
	s.pusher.init(o.Outbound)
	s.statuses.waiting, s.statuses.told, s.statuses.wake = map[outgoing]submitted{}, map[outgoing]map[string]Sent{}, make(chan struct{}, 1)
	s.ids.Start(o.Now())
	s.background(s.noteStatuses)
	s.types, s.methods = tables()
	for _, r := range s.routes() {
		s.mux.HandleFunc(r.pattern, r.handler)
	}
	s.background(func(ctx context.Context) {
		s.ring(ctx, s.loadAlarms, map[store.ObjectKind]ringer{store.ObjectSubmission: s.sendSubmission, store.ObjectSnooze: s.ringSnooze,
			store.ObjectJob: s.ringJob})
	})
	return s
}

// loadAlarms finds what was scheduled before the server started.
func (s *Server) loadAlarms(ctx context.Context) error {
	return errors.Join(s.loadSubmissions(ctx), s.loadStatuses(ctx), s.loadSnoozes(ctx), s.loadJobs(ctx), s.pusher.load(ctx, s))
}

// A route is one address of the server.
type route struct {
	pattern string
	handler http.HandlerFunc
}

func (s *Server) routes() []route {
	return []route{
		{"GET /.well-known/jmap", s.withUser(s.session)},
		{"GET /jmap/session", s.withUser(s.session)},
		{"POST /jmap/api", s.withUser(s.api)},
		{"POST /jmap/upload/{account}/", s.withUser(s.upload)},
		{"GET /jmap/download/{account}/{blob}/{name...}", s.withUser(s.download)},
		{"GET /jmap/zip/{account}/{email}", s.withUser(s.zipAttachments)},
		{"GET /jmap/export/{account}/{mailbox}", s.withUser(s.exportMailbox)},
		{"GET /jmap/eventsource", s.withUser(s.eventSource)},
		{"GET /jmap/ws", s.withUser(s.webSocket)},
		{"POST /jmap/login", s.login},
		{"POST /jmap/logout", s.logout},
	}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Shutdown ends streams and waits for what runs in the background, within ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.end()
	done := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// background runs f until it returns; Shutdown waits for it and ends its context.
func (s *Server) background(f func(ctx context.Context)) {
	s.tasks.Go(func() { f(s.life) })
}
