package directory

import (
	"net/netip"
	"sync"
	"time"

	"posthouse/mail"
)

// FailureLimits bounds failed logins from one network: an IPv4 address or an
// IPv6 /64. Zero takes the default, a negative number switches the limit off.
// Loopback is exempt, and so is a login whose password is remembered as right:
// a guessing neighbour does not lock out the phones of an office.
type FailureLimits struct {
	PerMinute int // 10
	PerDay    int // 100
	// PerUser bounds failures of one login name in a minute, from everywhere; 10.
	// Over it, a login from a network that this user never came from waits.
	PerUser int
}

// failures counts failed logins by network, in windows that start with the
// first failure. The table is bounded: when it is full the oldest windows go.
type failures struct {
	limits FailureLimits

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
func network(a netip.Addr) (netip.Prefix, bool) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() {
		return netip.Prefix{}, false
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	return p, err == nil
}

// allow fails with Unavailable while the network of a has failed too often.
func (f *failures) allow(a netip.Addr, now time.Time) error {
	net, ok := network(a)
	if !ok {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.nets[net]
	if c == nil {
		return nil
	}
	c.turn(now)
	if over(c.minute, f.limits.PerMinute) || over(c.day, f.limits.PerDay) {
		return fail(mail.Unavailable, "directory.Authenticate", nil, "too many failed logins from your network: try again later")
	}
	return nil
}

func over(n, limit int) bool { return limit > 0 && n >= limit }

func (f *failures) add(a netip.Addr, now time.Time) {
	net, ok := network(a)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
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
