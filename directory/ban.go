package directory

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"posthouse/mail"
)

// A Ban is a network whose logins are refused, or an account whose logins are slow for
// those who never came from where they are. Bans are in memory: a restart ends them.
type Ban struct {
	Network netip.Prefix // zero: it is about Account
	Account mail.Address // a login name, whether it exists or not
	Minute  int          // failures in the present minute
	Day     int          // and day; 0 for accounts
	Until   time.Time
}

// LoginStats are counters since Open, and gauges.
type LoginStats struct {
	Banned  int    // networks, now
	Refused uint64 // logins, because of a ban
	Slowed  uint64 // logins that had to wait
}

// LoginStats returns the present values.
func (d *Directory) LoginStats() LoginStats {
	s := LoginStats{Refused: d.failures.refused.Load(), Slowed: d.strangers.slowed.Load()}
	for _, b := range d.Bans() {
		if b.Network.IsValid() {
			s.Banned++
		}
	}
	return s
}

// Bans returns what is banned now: networks, then accounts.
func (d *Directory) Bans() []Ban {
	now := d.opts.Now()
	networks, accounts := d.failures.bans(now), d.strangers.bans(now)
	slices.SortFunc(networks, func(a, b Ban) int { return a.Network.Compare(b.Network) })
	slices.SortFunc(accounts, func(a, b Ban) int { return strings.Compare(a.Account.String(), b.Account.String()) })
	return append(networks, accounts...)
}

// Forgive forgets the failures of all networks in net, and of those that net is in. It
// returns what had been banned.
func (d *Directory) Forgive(net netip.Prefix) []Ban { return d.failures.forgive(net, d.opts.Now()) }

// ForgiveAccount forgets the failures of a login name and reports whether it was slow.
func (d *Directory) ForgiveAccount(a mail.Address) bool {
	return d.strangers.forgive(a, d.opts.Now())
}

func (f *failures) bans(now time.Time) (list []Ban) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for net, c := range f.nets {
		if until, banned := f.untilLocked(net, now); banned {
			list = append(list, Ban{Network: net, Minute: c.minute, Day: c.day, Until: until})
		}
	}
	return list
}

func (f *failures) forgive(of netip.Prefix, now time.Time) (list []Ban) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for net, c := range f.nets {
		if !net.Overlaps(of) {
			continue
		}
		if until, banned := f.untilLocked(net, now); banned {
			list = append(list, Ban{Network: net, Minute: c.minute, Day: c.day, Until: until})
		}
		delete(f.nets, net)
	}
	slices.SortFunc(list, func(a, b Ban) int { return a.Network.Compare(b.Network) })
	return list
}

func (s *strangers) bans(now time.Time) (list []Ban) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for who, c := range s.users {
		c.turn(now)
		if over(c.minute, s.limit) && !who.IsNull() {
			list = append(list, Ban{Account: who, Minute: c.minute, Until: c.minuteStart.Add(time.Minute)})
		}
	}
	return list
}

func (s *strangers) forgive(a mail.Address, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.users[canonical(a)]
	if c == nil {
		return false
	}
	c.turn(now)
	delete(s.users, canonical(a))
	return over(c.minute, s.limit)
}
