package jmap

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"posthouse/directory"
	"posthouse/mail"
)

// A principal is who makes a request.
type principal struct {
	account directory.Account
	session string // id of the login session; "" with a password
	cookie  bool   // known by the cookie of a browser
	base    string // scheme and host of the URLs that this client sees
}

// csrfHeader must be in each request that changes something and is authorized by a
// cookie: a page of another site cannot send it without being asked first.
const csrfHeader = "X-Posthouse-Client"

// errNoLogin: the request says nothing of who makes it.
var errNoLogin = errors.New("no login")

// withUser lets through who has logged in: by Basic (RFC 7617), by a session's token
// as Bearer (RFC 6750), or by its cookie.
func (s *Server) withUser(next func(http.ResponseWriter, *http.Request, *principal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
		who, err := s.authenticate(r)
		if err != nil {
			s.refuseLogin(w, r, err)
			return
		}
		if who.cookie && r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get(csrfHeader) == "" {
			(&requestError{"", http.StatusForbidden, "requests with a cookie need the header " + csrfHeader, ""}).write(w)
			return
		}
		if !s.users.allow(who.account.ID, s.limits.UserPerMinute, s.opts.Now()) {
			w.Header().Set("Retry-After", "60")
			(&requestError{"", http.StatusTooManyRequests, "too many requests: try again in a minute", ""}).write(w)
			return
		}
		who.base = s.base(r)
		next(w, r, who)
	}
}

func (s *Server) refuseLogin(w http.ResponseWriter, r *http.Request, err error) {
	e := &requestError{"", http.StatusUnauthorized, "log in first", ""}
	switch {
	case errors.Is(err, errNoLogin):
	case mail.KindOf(err) == mail.Denied:
		e.detail = mail.TextOf(err)
	case mail.KindOf(err) == mail.Unavailable:
		e.status, e.detail = http.StatusTooManyRequests, mail.TextOf(err)
		w.Header().Set("Retry-After", "60")
	default:
		s.log.Error("jmap: login failed", "err", err)
		e.status, e.detail = http.StatusServiceUnavailable, "try again later"
	}
	if e.status == http.StatusUnauthorized && r.Header.Get(csrfHeader) == "" { // no dialog of the browser over our app
		w.Header().Set("WWW-Authenticate", `Basic realm="mail", charset="UTF-8"`)
	}
	e.write(w)
}

// authenticate finds out who makes a request.
func (s *Server) authenticate(r *http.Request) (*principal, error) {
	ctx := r.Context()
	if h := r.Header.Get("Authorization"); h != "" {
		if token, ok := cutPrefixFold(h, "Bearer "); ok {
			return s.bySession(ctx, token, false)
		}
		name, password, ok := r.BasicAuth()
		if !ok {
			return nil, errNoLogin
		}
		return s.byPassword(r, name, password)
	}
	if c, err := r.Cookie(cookieName(s.isSecure(r))); err == nil {
		return s.bySession(ctx, c.Value, true)
	}
	return nil, errNoLogin
}

// byPassword checks a password; over plain HTTP only from this machine.
func (s *Server) byPassword(r *http.Request, name, password string) (*principal, error) {
	if !s.isSecure(r) && !s.opts.AllowPlaintextLogin && !peer(r).IsLoopback() {
		return nil, &mail.Error{Kind: mail.Denied, Op: "jmap.login", Text: "passwords are taken over https only"}
	}
	a, err := s.opts.Directory.Authenticate(r.Context(), name, password, client(r))
	if err != nil {
		return nil, err
	}
	return &principal{account: a}, nil
}

// bySession finds the session of a token.
func (s *Server) bySession(ctx context.Context, token string, cookie bool) (*principal, error) {
	id, account, err := s.checkSession(ctx, token)
	if err != nil {
		return nil, err
	}
	a, err := s.opts.Directory.Account(ctx, account)
	if mail.KindOf(err) == mail.NotFound || err == nil && a.Disabled {
		return nil, errNoLogin
	}
	if err != nil {
		return nil, err
	}
	return &principal{account: a, session: id, cookie: cookie}, nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// peer is the address at the other end of the connection.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// client is the address of who makes the request: behind a proxy on this machine the
// one that it names.
func client(r *http.Request) netip.Addr {
	a := peer(r)
	if !a.IsLoopback() {
		return a
	}
	all := r.Header.Values("X-Forwarded-For")
	if len(all) == 0 {
		return a
	}
	list := strings.Split(all[len(all)-1], ",")
	if f, err := netip.ParseAddr(strings.TrimSpace(list[len(list)-1])); err == nil {
		return f.Unmap()
	}
	return a
}

// isSecure reports whether the client talks TLS, to us or to a proxy on this machine.
func (s *Server) isSecure(r *http.Request) bool {
	return r.TLS != nil || peer(r).IsLoopback() && r.Header.Get("X-Forwarded-Proto") == "https"
}

// base is the scheme and host under which the client reached us.
func (s *Server) base(r *http.Request) string {
	scheme := "http"
	if s.isSecure(r) {
		scheme = "https"
	}
	host := r.Host
	if host == "" {
		host = s.opts.Hostname
	}
	if _, _, err := net.SplitHostPort(host); err != nil && strings.Count(host, ":") > 1 && host[0] != '[' {
		host = "[" + host + "]"
	}
	return scheme + "://" + host
}

// Login returns who makes a request, by whatever it is authorized, or an error if
// that is nobody. For pages beside JMAP.
func (s *Server) Login(r *http.Request) (directory.Account, error) {
	who, err := s.authenticate(r)
	if err != nil {
		return directory.Account{}, err
	}
	return who.account, nil
}

// Answer runs a Request object of RFC 8620 §3.3 for who makes r and returns the
// Response object, for pages that carry their first data with them.
func (s *Server) Answer(r *http.Request, body []byte) ([]byte, error) {
	who, err := s.authenticate(r)
	if err != nil {
		return nil, err
	}
	who.base = s.base(r)
	out, refusal := s.answer(r.Context(), who, body)
	if refusal != nil {
		return nil, refusal
	}
	return out, nil
}
