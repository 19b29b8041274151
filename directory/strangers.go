package directory

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"posthouse/mail"
)

// strangers slows down guessing at one user from many networks. It counts the
// failures of a login name in a minute; over the limit, a login from a network
// that the user never came from waits before it is looked at. It refuses nobody: a
// user who travels while somebody guesses waits too, and gets in.
type strangers struct {
	limit int
	wait  time.Duration

	mu     sync.Mutex
	users  map[mail.Address]*failureCount // canonical, also of users that do not exist
	habits map[habit]struct{}             // where users came from
}

// A habit is a network from which a user logged in.
type habit struct {
	id  mail.AccountID
	net netip.Prefix
}

const (
	strangerWait  = 3 * time.Second
	maxGuessed    = 65536
	maxHabits     = 262144
	habitsPerTrim = maxHabits / 8
)

func newStrangers(limit int) *strangers {
	return &strangers{limit: limit, wait: strangerWait, users: map[mail.Address]*failureCount{}, habits: map[habit]struct{}{}}
}

// pause waits if a login of who from a must be slow. Unavailable if ctx ends.
func (s *strangers) pause(ctx context.Context, who mail.Address, id mail.AccountID, a netip.Addr, now time.Time) error {
	net, ok := network(a)
	if !ok || !s.suspicious(who, habit{id, net}, now) {
		return nil
	}
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
	s.habits[habit{id, net}] = struct{}{}
}
