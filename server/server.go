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
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/delivery"
	"posthouse/directory"
	"posthouse/imap"
	"posthouse/queue"
	"posthouse/smtp"
	"posthouse/store"
	"posthouse/store/engine"
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
}

// A Server is a running mail server.
type Server struct {
	opts     Options
	cfg      config.Config
	log      *slog.Logger
	started  time.Time
	hostname string

	relayPassword string

	bound []Bound
	tls   atomic.Pointer[tls.Certificate]

	eng   engine.Engine
	store *store.Store
	dir   *directory.Directory
	queue *queue.Queue
	deliv *delivery.Service
	smtp  *smtp.Server
	imap  *imap.Server
	web   *web.Server
	sys   *admin.System

	tasks   sync.WaitGroup
	failed  chan error // the first task that ended although nobody stopped it
	stops   []stop
	fronts  []func(context.Context) error // shutdown of each front end
	stopped sync.Once
	stopErr error
}

// A stop undoes one step of the start.
type stop struct {
	name string
	f    func(ctx context.Context) error
}

// StoreDir is the directory of the engine inside of the data directory.
const StoreDir = "store"

// Start starts a server. When it returns, everything listens and works.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{opts: o, cfg: o.Config, log: o.Logger, started: time.Now(), failed: make(chan error, 1), bound: o.Listeners}
	s.hostname = hostname(o.Config)
	steps := []struct {
		name string
		f    func(ctx context.Context) error
	}{
		{"limits of the process", s.raiseLimits}, {"certificate", s.loadCertificate}, {"listen", s.bind},
		{"data directory", s.prepareData}, {"secrets", s.readSecrets}, {"privileges", s.dropPrivileges},
		{"store", s.openStore}, {"queue", s.openQueue}, {"delivery", s.openDelivery}, {"sending", s.startQueue},
		{"smtp", s.startSMTP}, {"imap", s.startIMAP}, {"web", s.startWeb}, {"admin", s.startAdmin},
	}
	for _, step := range steps {
		if err := step.f(ctx); err != nil {
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			return nil, errors.Join(fmt.Errorf("cannot start (%s): %w", step.name, err), s.Stop(stopping))
		}
	}
	s.warn()
	s.log.Info("started", "version", Version(), "hostname", s.hostname, "data", s.cfg.Data, "ms", time.Since(s.started).Milliseconds())
	return s, nil
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
		var errs []error
		for i := len(s.stops) - 1; i >= 0; i-- {
			err := s.stops[i].f(ctx)
			if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				errs = append(errs, fmt.Errorf("stopping %s: %w", s.stops[i].name, err))
			}
		}
		s.tasks.Wait()
		s.stopErr = errors.Join(errs...)
		s.log.Info("stopped", "ms", time.Since(began).Milliseconds())
	})
	return s.stopErr
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

// A Bound is a listener with the face that is served on it.
type Bound struct {
	Face string // a key of [listen]
	net.Listener
}

func (b Bound) listener() admin.Listener {
	return admin.Listener{Face: b.Face, Network: b.Addr().Network(), Address: b.Addr().String()}
}

// bind opens all ports, before privileges are dropped.
func (s *Server) bind(ctx context.Context) error {
	if s.bound == nil {
		var err error
		if s.bound, err = listen(ctx, s.cfg); err != nil {
			return err
		}
	}
	// The services close their listeners as they stop; this is for those that never
	// were started.
	s.onStop("listeners", func(context.Context) error {
		for _, b := range s.bound {
			_ = b.Close()
		}
		return nil
	})
	return nil
}

// listen binds every address of [listen], or none.
func listen(ctx context.Context, c config.Config) (bound []Bound, err error) {
	defer func() {
		if err != nil {
			for _, b := range bound {
				_ = b.Close()
			}
		}
	}()
	for _, f := range c.Listen.Faces() {
		for _, addr := range f.Addrs {
			l, err := listenOn(ctx, addr, os.FileMode(c.SMTP.LMTPSocketMode()))
			if err != nil {
				return bound, fmt.Errorf("listen.%s: %w", f.Name, err)
			}
			bound = append(bound, Bound{f.Name, l})
		}
	}
	return bound, nil
}

func listenOn(ctx context.Context, addr string, mode os.FileMode) (net.Listener, error) {
	var lc net.ListenConfig
	if !config.IsSocket(addr) {
		return lc.Listen(ctx, "tcp", addr)
	}
	if err := removeStaleSocket(ctx, addr); err != nil {
		return nil, err
	}
	l, err := lc.Listen(ctx, "unix", addr)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(addr, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStaleSocket removes a socket that a killed server left, and refuses one
// that is in use.
func removeStaleSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is there and is no socket", path)
	}
	var d net.Dialer
	if c, err := d.DialContext(ctx, "unix", path); err == nil {
		_ = c.Close()
		return fmt.Errorf("%s is in use", path)
	}
	return os.Remove(path)
}

// storeDir is the directory of the engine.
func storeDir(c config.Config) string { return filepath.Join(c.Data, StoreDir) }
