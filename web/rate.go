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
	a = a.Unmap().WithZone("")
	if r.limit <= 0 || !a.IsValid() || a.IsLoopback() {
		return true
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	net, err := a.Prefix(bits)
	if err != nil {
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
