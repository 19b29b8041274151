// Package server is the composition root: it opens the store, makes the services
// from a configuration, and starts and stops them in order. It alone names a
// concrete engine. Nothing but cmd imports it.
//
// Start binds the ports first (while it still has the rights), gives up root,
// opens engine, store and directory, then delivery and the front ends, the admin
// socket last. Stop goes backwards: the front ends finish what they are doing,
// then the queue, then the store. What was acknowledged is durable at every
// moment; a graceful stop only saves the peers from having to try again.
package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/delivery"
	"posthouse/directory"
	"posthouse/dns"
	"posthouse/imap"
	"posthouse/jmap"
	"posthouse/publish"
	"posthouse/queue"
	"posthouse/report"
	"posthouse/smtp"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/trace"
	"posthouse/web"
)

// Options of Start. Config and Logger are required.
type Options struct {
	Config config.Config
	Logger *slog.Logger
	// Level is what Logger filters by, so that Reload can change it; nil: it cannot.
	Level *slog.LevelVar
	// Listeners replaces those of the configuration: already bound, by face.
	Listeners []Bound
	// People are shown on the status page: for the demo only.
	People []web.Person
	// small makes caches as small as they may be; demo also keeps all mail on this
	// computer.
	small, demo bool
	// wrap puts something between the store and its engine, for tests.
	wrap func(engine.Engine) engine.Engine
}

// A Server is a running mail server.
type Server struct {
	opts     Options
	cfg      config.Config
	log      *slog.Logger
	started  time.Time
	hostname string

	passwords   map[string]string // of relays, by file
	oauthSecret string
	clientCA    *x509.CertPool

	bound []Bound
	tls   atomic.Pointer[certificate]

	resolver dns.Resolver

	eng     engine.Engine
	store   *store.Store
	dir     *directory.Directory
	queue   *queue.Queue
	deliv   *delivery.Service
	srs     *srsKeys
	trace   *trace.Log
	tally   *report.Tally
	reports *report.Sender // nil: none are sent
	smtp    *smtp.Server
	imap    *imap.Server
	web     *web.Server
	jmap    *jmap.Server
	tell    atomic.Pointer[jmap.Server] // who hears of the queue; nil before it is open
	sys     *admin.System
	pub     *publish.Service

	tasks    sync.WaitGroup
	reloads  chan reloadRequest
	failed   chan error // the first task that ended although nobody stopped it
	stops    []stop
	prepared int                           // of stops, that a restart in place leaves alone
	fronts   []func(context.Context) error // shutdown of each front end
	down     bool                          // the last restart in place failed; only supervise looks at it
	stopped  sync.Once
	stopErr  error
}

// A stop undoes one step of the start.
type stop struct {
	name string
	f    func(ctx context.Context) error
}

// StoreDir is the directory of the engine inside of the data directory.
const StoreDir = "store"

// A step is one step of the start. What it made it registers with onStop.
type step struct {
	name string
	f    func(ctx context.Context) error
}

// prepare is what is done once, with the rights that the process began with.
func (s *Server) prepare() []step {
	return []step{
		{"limits of the process", s.raiseLimits}, {"certificate", s.loadCertificate}, {"listen", s.bind},
		{"client certificates", s.readClientCA}, {"data directory", s.prepareData}, {"secrets", s.readSecrets}, {"privileges", s.dropPrivileges},
	}
}

// open is what a restart in place does again.
func (s *Server) open() []step {
	return []step{
		{"store", s.openStore}, {"queue", s.openQueue}, {"delivery", s.openDelivery}, {"sending", s.startQueue}, {"reports", s.startReports}, {"publishing", s.startPublishing},
		{"smtp", s.startSMTP}, {"imap", s.startIMAP}, {"web", s.startWeb}, {"signing keys", s.startKeys}, {"admin", s.startAdmin}, {"watchdog", s.startWatchdog}, {"trimming", s.startTrimming},
	}
}

// Start starts a server. When it returns, everything listens and works.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{opts: o, cfg: o.Config, log: o.Logger, started: time.Now(), failed: make(chan error, 1), reloads: make(chan reloadRequest), bound: o.Listeners}
	s.hostname = hostname(o.Config)
	err := s.run(ctx, s.prepare())
	s.prepared = len(s.stops)
	if err == nil {
		err = s.run(ctx, s.open())
	}
	if err != nil {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("cannot start: %w", err), s.Stop(stopping))
	}
	s.warn()
	s.log.Info("started", "version", Version(), "hostname", s.hostname, "data", s.cfg.Data, "ms", time.Since(s.started).Milliseconds())
	return s, nil
}

func (s *Server) run(ctx context.Context, steps []step) error {
	for _, st := range steps {
		if err := st.f(ctx); err != nil {
			return fmt.Errorf("%s: %w", st.name, err)
		}
	}
	return nil
}

func hostname(c config.Config) string {
	if c.Hostname != "" {
		return c.Hostname
	}
	if h, err := os.Hostname(); err == nil && h != "" {
		return h
	}
	return "localhost"
}

// warn says at start what an operator should know.
func (s *Server) warn() {
	if s.cfg.AllowPlaintextLogin {
		s.log.Warn("allow_plaintext_login is on: passwords cross the network in clear")
	}
	if !strings.Contains(s.hostname, ".") && !s.opts.demo {
		s.log.Warn("the host name has no domain: other servers may refuse our mail. Set hostname to a full name", "hostname", s.hostname)
	}
	if s.cfg.TLS.Cert == "" && !s.opts.demo {
		s.log.Warn("no certificate is configured: a self-signed one is used, and mail programs will warn about it")
	}
}

// onStop adds what Stop has to do, before what was added earlier.
func (s *Server) onStop(name string, f func(ctx context.Context) error) {
	s.stops = append(s.stops, stop{name, f})
}

// Stop stops the server: first the front ends, which let transactions under way
// finish until ctx ends, then what they stand on. It may be called twice.
func (s *Server) Stop(ctx context.Context) error {
	s.stopped.Do(func() {
		began := time.Now()
		s.stopErr = s.undo(ctx, 0)
		s.log.Info("stopped", "ms", time.Since(began).Milliseconds())
	})
	return s.stopErr
}

// undo takes back all but the first n of what onStop registered, last first.
func (s *Server) undo(ctx context.Context, n int) error {
	var errs []error
	for i := len(s.stops) - 1; i >= n; i-- {
		err := s.stops[i].f(ctx)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			errs = append(errs, fmt.Errorf("stopping %s: %w", s.stops[i].name, err))
		}
	}
	s.stops = s.stops[:min(n, len(s.stops))]
	s.tasks.Wait()
	return errors.Join(errs...)
}

// Failed receives when a part of the server ended although nobody stopped it.
func (s *Server) Failed() <-chan error { return s.failed }

// goTask runs f in the server's group; Stop waits for it.
func (s *Server) goTask(name string, f func() error) {
	s.tasks.Go(func() {
		if err := f(); err != nil {
			select {
			case s.failed <- fmt.Errorf("%s: %w", name, err):
			default: // one is enough
			}
		}
	})
}

// Listeners returns what is listened on.
func (s *Server) Listeners() []admin.Listener {
	list := make([]admin.Listener, len(s.bound))
	for i, b := range s.bound {
		list[i] = b.listener()
	}
	return list
}

// Admin returns a caller of the admin operations in this process.
func (s *Server) Admin() admin.Caller { return s.sys.Local() }

// Version is the version of this build.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
		for _, kv := range info.Settings {
			if kv.Key == "vcs.revision" && len(kv.Value) >= 12 {
				version += "-" + kv.Value[:12]
			}
		}
	}
	return version
}

// storeDir is the directory of the engine.
func storeDir(c config.Config) string { return filepath.Join(c.Data, StoreDir) }
