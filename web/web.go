// Package web serves HTTP: the mail client at /, JMAP, message bodies for the client's
// frames (/r/), their images (/i/), a status page (/status), /healthz and /metrics.
// What it shows comes from functions of its Options; of its own it keeps the key of
// the images' addresses, which dies with the process.
//
// Guarantees: a client that says nothing, or little, is cut off; no page loads
// anything from elsewhere; only the client's own page runs its own scripts, and no
// message ever becomes part of that page: its body is made harmless by [render], and
// shown in a frame without origin, under a policy that lets nothing out. Images of
// other hosts come through [proxy], and only those that a message shows.
package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"posthouse/admin"
	"posthouse/internal/metrics"
	"posthouse/mail"
	"posthouse/publish"
	"posthouse/store"
	"posthouse/trust"
	"posthouse/web/proxy"
)

// Limits of HTTP. Zero values take the defaults, negative ones switch a limit
// off.
type Limits struct {
	HeaderBytes int           // 64 kB
	HeaderTime  time.Duration // 10 s
	IdleTime    time.Duration // 120 s
	Connections int           // at a time, on each listener; 500
	PerMinute   int           // requests of one address; 100
}

// Options of New. Status and Health are required.
type Options struct {
	// Hostname is the server's own name.
	Hostname string
	// Status tells about the server.
	Status func() admin.ServerStatus
	// Health returns why the server cannot do its work, or nil.
	Health func(ctx context.Context) error
	// Figures returns the figures of /metrics; nil: none.
	Figures func() []metrics.Figure
	// Store holds the mail that is shown; nil: none is.
	Store *store.Store
	// User tells who a request comes from; an error if nobody has logged in. nil:
	// nobody can, and the status page is at /.
	User func(r *http.Request) (User, error)
	// Verdict says whom a message of an account is from; nil: nobody knows.
	Verdict func(ctx context.Context, user mail.AccountID, account string, e store.EmailID) (trust.Verdict, error)
	// Account opens an account by its JMAP id as a user may see it, the user's own or one
	// of somebody else who shares; NotFound. nil: only the own.
	Account func(ctx context.Context, user mail.AccountID, account string) (*store.Account, error)
	// JMAP serves /jmap/ and /.well-known/jmap; nil: they are not there.
	JMAP http.Handler
	// Proxy fetches images of other hosts; nil: one with defaults.
	Proxy *proxy.Proxy
	// Publish knows what is shown about the domains here: MTA-STS policies, settings of
	// mail programs; nil: nothing is.
	Publish *publish.Service
	// TLS is for ServeTLS.
	TLS *tls.Config
	// People are shown with what they log in with: for the demo only.
	People []Person
	Limits Limits
	Logger *slog.Logger
	Now    func() time.Time
}

// A Person of the demo.
type Person struct{ Name, Address, Password string }

// A Server serves any number of listeners.
type Server struct {
	opts      Options
	rate      *rate
	http      *http.Server
	public    *http.Server // for ServeTLS: what is for everybody
	key       []byte       // of signed addresses
	frameHash string       // of the only script beside a message, as a policy names it
	proxy     *proxy.Proxy
	app       *app
}

//go:embed status.html style.css
var files embed.FS

//go:embed frame.js
var frameJS string

//go:embed frame.css
var frameCSS string

//go:embed frame.html
var frameText string

var framePage = template.Must(template.New("frame.html").Parse(frameText))

var statusPage = template.Must(template.New("status.html").Funcs(template.FuncMap{"count": count, "ago": ago}).ParseFS(files, "status.html"))

// New returns a Server.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Proxy == nil {
		o.Proxy = proxy.New(proxy.Options{})
	}
	hash := sha256.Sum256([]byte(frameJS))
	s := &Server{opts: o, rate: newRate(limit(o.Limits.PerMinute, 100, 0), o.Now), key: make([]byte, 32), proxy: o.Proxy, app: newApp(),
		frameHash: "sha256-" + base64.StdEncoding.EncodeToString(hash[:])}
	_, _ = rand.Read(s.key) // never fails
	s.http, s.public = s.server(s.routes(true)), s.server(s.routes(false))
	s.public.TLSConfig = o.TLS
	return s
}

func (s *Server) server(mux http.Handler) *http.Server {
	o := &s.opts
	return &http.Server{
		Handler:           secured(s.ours(mux)),
		MaxHeaderBytes:    limit(o.Limits.HeaderBytes, 64<<10, 1<<30),
		ReadHeaderTimeout: limit(o.Limits.HeaderTime, 10*time.Second, 0),
		ReadTimeout:       limit(o.Limits.HeaderTime, 10*time.Second, 0), // who reads a body sets its own
		WriteTimeout:      time.Minute,
		IdleTimeout:       limit(o.Limits.IdleTime, 2*time.Minute, 0),
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
}

// routes are the pages; figures says whether those about the server are among them.
func (s *Server) routes(figures bool) *http.ServeMux {
	mux := http.NewServeMux()
	stranger := func(pattern string, f http.HandlerFunc) { mux.Handle(pattern, s.rated(f)) }
	user := func(pattern string, h http.Handler) { mux.Handle(pattern, s.unlessGuessing(h)) }
	if figures {
		stranger("GET /style.css", s.style)
		stranger("GET /status", s.status)
		stranger("GET /healthz", s.healthz)
		stranger("GET /metrics", s.metrics)
	}
	if s.opts.JMAP != nil {
		user("/jmap/", unhurried(s.opts.JMAP))
		user("/.well-known/jmap", s.opts.JMAP)
	}
	s.wellKnown(stranger)
	if s.opts.User == nil {
		if figures {
			stranger("GET /{$}", s.status)
		}
		return mux
	}
	for pattern, f := range map[string]http.HandlerFunc{
		"GET /{$}": s.shell, "GET /shell": s.shell, "GET /mail/": s.shell, "GET /settings/": s.shell, "GET /editor": s.editor, "GET /assets/{name}": s.asset,
		"GET /sw.js": s.worker, "GET /manifest.webmanifest": s.asset, "GET /r/{account}/{email}": s.view, "GET /r/{account}/{email}/quote": s.quote,
		"GET /i/{token}": s.image,
	} {
		user(pattern, f)
	}
	return mux
}

// unhurried lifts the deadlines of the listener: uploads take their time, streams of
// events do not end. Who serves them sets its own.
func unhurried(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if c.SetReadDeadline(time.Time{}) == nil && c.SetWriteDeadline(time.Time{}) == nil {
			next.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
}

// limit returns v, its default for zero, and what means none for a negative one.
func limit[T int | time.Duration](v, def, none T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return none
	}
	return v
}

// Serve answers on l until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if n := limit(s.opts.Limits.Connections, 500, 0); n > 0 {
		l = netutil.LimitListener(l, n)
	}
	return ended(s.http.Serve(l))
}

// ServeTLS answers on l over TLS what is for everybody, until Shutdown: no status page
// and no figures.
func (s *Server) ServeTLS(l net.Listener) error {
	if n := limit(s.opts.Limits.Connections, 500, 0); n > 0 {
		l = netutil.LimitListener(l, n)
	}
	return ended(s.public.ServeTLS(l, "", ""))
}

func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown lets requests under way finish, within ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	var errs []error
	for _, h := range []*http.Server{s.http, s.public} {
		if err := h.Shutdown(ctx); err != nil {
			errs = append(errs, h.Close())
		}
	}
	return errors.Join(errs...)
}

// ours answers on loopback only requests for this machine's own names. A page of
// somebody else whose name points to 127.0.0.1 (DNS rebinding) gets nothing.
func (s *Server) ours(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if local != nil && local.IP.IsLoopback() && !s.isOurs(r) {
			http.Error(w, "this is not the server of that name", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) isOurs(r *http.Request) bool {
	host := hostOf(r)
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err == nil || strings.EqualFold(host, "localhost") || strings.EqualFold(host, s.opts.Hostname) {
		return true
	}
	if s.opts.Publish == nil {
		return false
	}
	_, _, ok := s.opts.Publish.DomainOf(r.Context(), host)
	return ok
}

// secured sets the headers that every answer has.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("X-DNS-Prefetch-Control", "off")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// healthz is for monitors: 200 and "ok", or 503 and why not.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := s.opts.Health(ctx); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(err.Error() + "\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if s.opts.Figures != nil {
		_, _ = w.Write(metrics.Append(nil, s.opts.Figures()))
	}
}

func (s *Server) style(w http.ResponseWriter, _ *http.Request) {
	css, err := files.ReadFile("style.css")
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=3600")
	_, _ = w.Write(css)
}
