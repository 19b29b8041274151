package web

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A rate bounds the requests of one address (IPv6: /64) in a minute. Loopback is
// exempt: monitors and proxies of this machine are no strangers.
type rate struct {
	limit int
	now   func() time.Time

	mu    sync.Mutex
	since time.Time // when the present minute began
	count map[netip.Prefix]int
}

// maxRated bounds the table. Who comes when it is full is not counted until the
// minute is over: a flood from so many addresses is not stopped by counting.
const maxRated = 65536

func newRate(limit int, now func() time.Time) *rate {
	return &rate{limit: limit, now: now, count: map[netip.Prefix]int{}}
}

// allow counts a request of a.
func (r *rate) allow(a netip.Addr) bool {
	net, ok := counted(a)
	if r.limit <= 0 || !ok {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.since) >= time.Minute {
		r.since = now
		clear(r.count)
	}
	if r.count[net] >= r.limit {
		return false
	}
	if len(r.count) < maxRated || r.count[net] > 0 {
		r.count[net]++
	}
	return true
}

// counted is what is counted as one address; false for what is not counted.
func counted(a netip.Addr) (netip.Prefix, bool) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() {
		return netip.Prefix{}, false
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	net, err := a.Prefix(bits)
	return net, err == nil
}

// full reports whether a has used up its minute, without counting.
func (r *rate) full(a netip.Addr) bool {
	net, ok := counted(a)
	if r.limit <= 0 || !ok {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now().Sub(r.since) < time.Minute && r.count[net] >= r.limit
}

// unlessGuessing counts only the requests that were refused for who makes them: who
// has logged in has limits of its own.
func (s *Server) unlessGuessing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err == nil && s.rate.full(peer.Addr()) {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "too many requests: try again in a minute", http.StatusTooManyRequests)
			return
		}
		seen := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if err == nil && seen.status == http.StatusUnauthorized {
			s.rate.allow(peer.Addr())
		}
	})
}

// A statusWriter knows the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (w *statusWriter) WriteHeader(code int) {
	w.status = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// rated refuses what is over the rate.
func (s *Server) rated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err == nil && !s.rate.allow(peer.Addr()) && !s.known(r) {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "too many requests: try again in a minute", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// known reports whether a request beyond the rate comes from somebody who has logged
// in, or asks for an image of a message that such a one sees. They have limits of
// their own.
func (s *Server) known(r *http.Request) bool {
	if token, ok := strings.CutPrefix(r.URL.Path, "/i/"); ok {
		_, ok = s.verify(token)
		return ok
	}
	if s.opts.User == nil {
		return false
	}
	_, err := s.opts.User(r)
	return err == nil
}
