package directory

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// FailureLimits bounds failed logins. Networks are counted twice: an IPv4 address or
// IPv6 /64 by these limits, the IPv4 /24 or IPv6 /48 around it by five times as much.
// Zero takes the default, a negative number switches the limit off. Loopback is
// exempt, and an account that logged in from a network before may go on trying there
// (PerMinute times a minute): a guessing neighbour does not lock out the phones of
// an office.
type FailureLimits struct {
	PerMinute int // 10
	PerDay    int // 100
	// PerUser bounds failures of one login name in a minute, from everywhere; 10.
	// Over it, a login from a network that this user never came from waits.
	PerUser int
}

// wideFactor is how much more a network around an address may fail.
const wideFactor = 5

// failures counts failed logins by network, in windows that start with the
// first failure. The table is bounded: when it is full the oldest windows go.
type failures struct {
	limits  FailureLimits
	refused atomic.Uint64 // logins, because of a ban

	mu   sync.Mutex
	nets map[netip.Prefix]*failureCount
}

type failureCount struct {
	minuteStart, dayStart time.Time
	minute, day           int
}

const maxFailureNets = 65536

func newFailures(l FailureLimits) *failures {
	if l.PerMinute == 0 {
		l.PerMinute = 10
	}
	if l.PerDay == 0 {
		l.PerDay = 100
	}
	if l.PerUser == 0 {
		l.PerUser = 10
	}
	return &failures{limits: l, nets: map[netip.Prefix]*failureCount{}}
}

// network is what is counted as one source; false for what is never counted.
func network(a netip.Addr) (netip.Prefix, bool) { return prefixOf(a, 32, 64) }

// networks is network and what is around it.
func networks(a netip.Addr) (both [2]netip.Prefix, ok bool) {
	if both[0], ok = network(a); ok {
		both[1], ok = prefixOf(a, 24, 48)
	}
	return both, ok
}

func prefixOf(a netip.Addr, bits4, bits6 int) (netip.Prefix, bool) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() {
		return netip.Prefix{}, false
	}
	if a.Is4() {
		bits6 = bits4
	}
	p, err := a.Prefix(bits6)
	return p, err == nil
}

// limitsOf are those of a network.
func (f *failures) limitsOf(net netip.Prefix) (perMinute, perDay int) {
	if n := net.Bits(); n == 32 && net.Addr().Is4() || n == 64 {
		return f.limits.PerMinute, f.limits.PerDay
	}
	return wideFactor * f.limits.PerMinute, wideFactor * f.limits.PerDay
}

// banned reports whether the network of a has failed too often.
func (f *failures) banned(a netip.Addr, now time.Time) bool {
	both, ok := networks(a)
	if !ok {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, net := range both {
		if _, banned := f.untilLocked(net, now); banned {
			return true
		}
	}
	return false
}

// untilLocked reports whether a network is banned, and how long.
func (f *failures) untilLocked(net netip.Prefix, now time.Time) (until time.Time, banned bool) {
	c := f.nets[net]
	if c == nil {
		return until, false
	}
	c.turn(now)
	perMinute, perDay := f.limitsOf(net)
	switch {
	case over(c.day, perDay):
		return c.dayStart.Add(24 * time.Hour), true
	case over(c.minute, perMinute):
		return c.minuteStart.Add(time.Minute), true
	}
	return until, false
}

func over(n, limit int) bool { return limit > 0 && n >= limit }

func (f *failures) add(a netip.Addr, now time.Time) {
	both, ok := networks(a)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, net := range both {
		c := f.nets[net]
		if c == nil {
			f.makeRoomLocked(now)
			c = &failureCount{minuteStart: now, dayStart: now}
			f.nets[net] = c
		}
		c.turn(now)
		c.minute++
		c.day++
	}
}

// makeRoomLocked drops what is over, and if that is not enough, something.
func (f *failures) makeRoomLocked(now time.Time) {
	if len(f.nets) < maxFailureNets {
		return
	}
	for net, c := range f.nets {
		if now.Sub(c.dayStart) >= 24*time.Hour || len(f.nets) > maxFailureNets*7/8 {
			delete(f.nets, net)
		}
	}
}

// turn starts new windows where the old ones are over.
func (c *failureCount) turn(now time.Time) {
	if now.Sub(c.minuteStart) >= time.Minute {
		c.minuteStart, c.minute = now, 0
	}
	if now.Sub(c.dayStart) >= 24*time.Hour {
		c.dayStart, c.day = now, 0
	}
}
