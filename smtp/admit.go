package smtp

import (
	"net/netip"
	"sync"
	"time"
)

// An admission counts connections by address; an IPv6 address stands for its /64,
// which one customer has for himself. The network around it (/24, /48) is counted too.
type admission struct {
	mu     sync.Mutex // nests in nothing
	atOnce int        // connections
	rate   int        // per minute
	peers  map[netip.Prefix]*peer
	swept  time.Time
}

// A peer is what is known of one address: a bucket of rate tokens, refilled over a
// minute.
type peer struct {
	open   int
	tokens float64
	seen   time.Time
	known  bool // a message of it was accepted
}

// isStranger reports an address of the Internet.
func isStranger(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && a.IsGlobalUnicast() && !a.IsPrivate()
}

// knows reports that mail from the network of a was accepted within a day.
func (d *admission) knows(a netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.peers[networkOf(a)]
	return p != nil && p.known
}

// trust notes that mail from the network of a was accepted.
func (d *admission) trust(a netip.Addr, now time.Time) {
	if !isStranger(a) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.peers[networkOf(a)]; p != nil {
		p.known, p.seen = true, now
	}
}

// Bounds of what is remembered of networks that are known.
const (
	keepKnown = 24 * time.Hour
	maxKnown  = 100_000
)

func newAdmission(atOnce, rate int) *admission {
	return &admission{atOnce: atOnce, rate: rate, peers: map[netip.Prefix]*peer{}}
}

// bound changes what is allowed.
func (d *admission) bound(atOnce, rate int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.atOnce, d.rate = atOnce, rate
}

func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // bits fit the address
	return p
}

// aroundOf is the network around an address, which may have wideFactor times as much:
// who rents many neighbours does not get as many shares.
func aroundOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, _ := a.Prefix(bits) // bits fit the address
	return p
}

const wideFactor = 5

// enter reports whether a connection from a may be served; if so, leave must be
// called at its end.
func (d *admission) enter(a netip.Addr, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepLocked(now)
	own, around := d.peerLocked(networkOf(a), 1, now), d.peerLocked(aroundOf(a), wideFactor, now)
	if own.open >= d.atOnce || own.tokens < 1 || around.open >= wideFactor*d.atOnce || around.tokens < 1 {
		return false
	}
	for _, p := range [...]*peer{own, around} {
		p.open++
		p.tokens--
	}
	return true
}

// peerLocked is what is known of a network that has factor times the rate of an address.
func (d *admission) peerLocked(key netip.Prefix, factor int, now time.Time) *peer {
	p := d.peers[key]
	full := float64(factor) * float64(d.rate)
	if p == nil {
		p = &peer{tokens: full, seen: now}
		d.peers[key] = p
	}
	if passed := now.Sub(p.seen); passed > 0 {
		p.tokens = min(full, p.tokens+passed.Minutes()*full)
		p.seen = now
	}
	return p
}

func (d *admission) leave(a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range [...]netip.Prefix{networkOf(a), aroundOf(a)} {
		if p := d.peers[key]; p != nil {
			p.open--
		}
	}
}

// sweepLocked forgets, once a minute, the addresses whose bucket is full again and who are
// not known.
func (d *admission) sweepLocked(now time.Time) {
	if now.Sub(d.swept) < time.Minute {
		return
	}
	d.swept = now
	for key, p := range d.peers {
		idle := now.Sub(p.seen)
		if p.open == 0 && idle >= time.Minute && (!p.known || idle >= keepKnown || len(d.peers) > maxKnown) {
			delete(d.peers, key)
		}
	}
}
