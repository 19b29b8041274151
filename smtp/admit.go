package smtp

import (
	"net/netip"
	"sync"
	"time"
)

// An admission counts connections by address; an IPv6 address stands for its /64,
// which one customer has for himself.
type admission struct {
	atOnce int // connections
	rate   int // per minute

	mu    sync.Mutex // nests in nothing
	peers map[netip.Prefix]*peer
	swept time.Time
}

// A peer is what is known of one address: a bucket of rate tokens, refilled over a
// minute.
type peer struct {
	open   int
	tokens float64
	seen   time.Time
}

func newAdmission(atOnce, rate int) *admission {
	return &admission{atOnce: atOnce, rate: rate, peers: map[netip.Prefix]*peer{}}
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

// enter reports whether a connection from a may be served; if so, leave must be
// called at its end.
func (d *admission) enter(a netip.Addr, now time.Time) bool {
	key := networkOf(a)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepLocked(now)
	p := d.peers[key]
	if p == nil {
		p = &peer{tokens: float64(d.rate), seen: now}
		d.peers[key] = p
	}
	if passed := now.Sub(p.seen); passed > 0 {
		p.tokens = min(float64(d.rate), p.tokens+passed.Minutes()*float64(d.rate))
		p.seen = now
	}
	if p.open >= d.atOnce || p.tokens < 1 {
		return false
	}
	p.open++
	p.tokens--
	return true
}

func (d *admission) leave(a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.peers[networkOf(a)]; p != nil {
		p.open--
	}
}

// sweepLocked forgets, once a minute, the addresses whose bucket is full again.
func (d *admission) sweepLocked(now time.Time) {
	if now.Sub(d.swept) < time.Minute {
		return
	}
	d.swept = now
	for key, p := range d.peers {
		if p.open == 0 && now.Sub(p.seen) >= time.Minute {
			delete(d.peers, key)
		}
	}
}
