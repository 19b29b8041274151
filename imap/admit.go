package imap

import (
	"net/netip"
	"time"

	"posthouse/mail"
)

// books count connections by the network that they come from: an IPv4 address, or
// an IPv6 /64, which one customer has for himself. They are guarded by Server.mu.
type books struct {
	strangers map[netip.Prefix]int     // connections that have not logged in
	users     map[userNetwork]int      // those that have
	rates     map[netip.Prefix]*bucket // new connections
	swept     time.Time
	// Of Limits, those that Apply changes.
	perAddress, perUser, rate int
}

type userNetwork struct {
	id  mail.AccountID
	net netip.Prefix
}

// A bucket of tokens for new connections is refilled over a minute.
type bucket struct {
	tokens float64
	seen   time.Time
}

func newBooks(l Limits) books {
	return books{perAddress: l.PerAddress, perUser: l.PerUserAddress, rate: l.ConnectionRate, strangers: map[netip.Prefix]int{}, users: map[userNetwork]int{}, rates: map[netip.Prefix]*bucket{}}
}

func networkOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // bits fit the address
	return p
}

// take takes a token of a network for one new connection.
func (b *books) take(n netip.Prefix, rate int, now time.Time) bool {
	if now.Sub(b.swept) >= time.Minute { // forget the buckets that are full again
		b.swept = now
		for key, t := range b.rates {
			if now.Sub(t.seen) >= time.Minute {
				delete(b.rates, key)
			}
		}
	}
	t := b.rates[n]
	if t == nil {
		t = &bucket{tokens: float64(rate), seen: now}
		b.rates[n] = t
	}
	if passed := now.Sub(t.seen); passed > 0 {
		t.tokens = min(float64(rate), t.tokens+passed.Minutes()*float64(rate))
		t.seen = now
	}
	if t.tokens < 1 {
		return false
	}
	t.tokens--
	return true
}

// Apply gives connections that come from now on other limits; PerUserAddress holds for
// logins that come from now on. Messages, which is announced, is not to be another.
func (s *Server) Apply(l Limits) {
	l = l.withDefaults()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.Store(&l)
	s.books.perAddress, s.books.perUser, s.books.rate = l.PerAddress, l.PerUserAddress, l.ConnectionRate
}

// admit counts a connection that has not logged in against its network. Programs
// on this machine may connect as often as they like.
func (s *Server) admit(c *conn) bool {
	if !c.peer.IsValid() {
		return true
	}
	n := networkOf(c.peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.books.strangers[n] >= s.books.perAddress ||
		!c.peer.IsLoopback() && !s.books.take(n, s.books.rate, c.started) {
		s.stats.refused.Add(1)
		return false
	}
	s.books.strangers[n]++
	c.stranger = true
	return true
}

// welcome counts a connection that has logged in against its user and network.
func (s *Server) welcome(c *conn, id mail.AccountID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := userNetwork{id, networkOf(c.peer)}
	if s.books.users[u] >= s.books.perUser {
		s.stats.refused.Add(1)
		return false
	}
	s.books.users[u]++
	c.owner = id
	s.forgetLocked(c)
	return true
}

// forgetLocked takes a connection from those that have not logged in.
func (s *Server) forgetLocked(c *conn) {
	if !c.stranger {
		return
	}
	c.stranger = false
	n := networkOf(c.peer)
	if s.books.strangers[n]--; s.books.strangers[n] <= 0 {
		delete(s.books.strangers, n)
	}
}

// leave takes a connection out of the books.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.forgetLocked(c)
	s.dismissLocked(c)
}

// dismissLocked ends the count of a connection for its user.
func (s *Server) dismissLocked(c *conn) {
	c.owner = 0
	if c.user.ID == 0 {
		return
	}
	u := userNetwork{c.user.ID, networkOf(c.peer)}
	if s.books.users[u]--; s.books.users[u] <= 0 {
		delete(s.books.users, u)
	}
}
