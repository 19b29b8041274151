package directory

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"posthouse/mail"
)

// strangers slows down guessing at one user from many networks. It counts the
// failures of a login name in a minute; over the limit, a login from a network
// that the user never came from waits before it is looked at. It refuses nobody: a
// user who travels while somebody guesses waits too, and gets in.
type strangers struct {
	limit     int // failures of a user in a minute
	perMinute int // logins of a habit in a minute, while its network is banned
	wait      time.Duration

	mu     sync.Mutex
	users  map[mail.Address]*failureCount // canonical, also of users that do not exist
	habits map[habit]tries                // where users came from

	slowed atomic.Uint64 // logins
}

// A habit is a network from which a user logged in.
type habit struct {
	id  mail.AccountID
	net netip.Prefix
}

// tries counts logins of a habit while its network is banned.
type tries struct {
	minute time.Time
	n      int
}

const (
	strangerWait  = 3 * time.Second
	maxGuessed    = 65536
	maxHabits     = 262144
	habitsPerTrim = maxHabits / 8
)

func newStrangers(l FailureLimits) *strangers {
	return &strangers{limit: l.PerUser, perMinute: l.PerMinute, wait: strangerWait,
		users: map[mail.Address]*failureCount{}, habits: map[habit]tries{}}
}

// mayTry takes one of the logins that a user may try from a network that is banned,
// and from which it logged in before.
func (s *strangers) mayTry(h habit, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, known := s.habits[h]
	if !known {
		return false
	}
	if now.Sub(t.minute) >= time.Minute {
		t = tries{minute: now}
	}
	if over(t.n, s.perMinute) {
		return false
	}
	t.n++
	s.habits[h] = t
	return true
}

// pause waits if a login of who must be slow. Unavailable if ctx ends.
func (s *strangers) pause(ctx context.Context, who mail.Address, h habit, now time.Time) error {
	if !s.suspicious(who, h, now) {
		return nil
	}
	s.slowed.Add(1)
	select {
	case <-time.After(s.wait):
		return nil
	case <-ctx.Done():
		return fail(mail.Unavailable, "directory.Authenticate", ctx.Err(), "")
	}
}

func (s *strangers) suspicious(who mail.Address, h habit, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.users[canonical(who)]
	if c == nil {
		return false
	}
	c.turn(now)
	_, known := s.habits[h]
	return over(c.minute, s.limit) && !known
}

// failed counts a failure.
func (s *strangers) failed(who mail.Address, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := canonical(who)
	c := s.users[key]
	if c == nil {
		if len(s.users) >= maxGuessed {
			s.forgetLocked(now)
		}
		c = &failureCount{minuteStart: now, dayStart: now}
		s.users[key] = c
	}
	c.turn(now)
	c.minute++
}

// forgetLocked makes room: first of those whose minute is over.
func (s *strangers) forgetLocked(now time.Time) {
	for who, c := range s.users {
		if now.Sub(c.minuteStart) >= time.Minute || len(s.users) > maxGuessed*7/8 {
			delete(s.users, who)
		}
	}
}

// succeeded notes where a user came from.
func (s *strangers) succeeded(id mail.AccountID, a netip.Addr) {
	net, ok := network(a)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.habits) >= maxHabits {
		for h := range s.habits { // any: a habit that is forgotten costs a user 3 s, once
			if len(s.habits) <= maxHabits-habitsPerTrim {
				break
			}
			delete(s.habits, h)
		}
	}
	s.habits[habit{id, net}] = tries{}
}
