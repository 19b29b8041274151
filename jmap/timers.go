package jmap

import (
	"context"
	"sync"
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// timers start what is due: messages to be sent later, messages that come back. Each
// is a durable object; what is in memory is made of them at start and follows them.
type timers struct {
	mu   sync.Mutex
	due  map[alarm]time.Time
	wake chan struct{}
}

// An alarm is an object that has something to do at a time.
type alarm struct {
	account mail.AccountID
	kind    store.ObjectKind
	id      string
}

// set makes an alarm, or moves it.
func (t *timers) set(a alarm, at time.Time) {
	t.mu.Lock()
	t.due[a] = at
	t.mu.Unlock()
	t.kick()
}

func (t *timers) drop(a alarm) {
	t.mu.Lock()
	delete(t.due, a)
	t.mu.Unlock()
}

// kick looks at the clock anew.
func (t *timers) kick() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take removes and returns what is due, and says when the next is.
func (t *timers) take(now time.Time) (list []alarm, next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for a, at := range t.due {
		switch {
		case !at.After(now):
			list = append(list, a)
			delete(t.due, a)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	return list, next
}

// A ringer does what an alarm is for. An error is tried again.
type ringer func(ctx context.Context, a alarm) error

// retryAfter is when an alarm that failed rings again.
const retryAfter = time.Minute

// ring runs alarms until ctx ends.
func (s *Server) ring(ctx context.Context, load func(ctx context.Context) error, ringers map[store.ObjectKind]ringer) {
	if err := load(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("jmap: what is scheduled could not be read", "err", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		list, next := s.timers.take(s.opts.Now())
		for _, a := range list {
			if ctx.Err() != nil {
				return
			}
			if err := ringers[a.kind](ctx, a); err != nil && ctx.Err() == nil {
				s.log.Warn("jmap: scheduled work failed, trying again", "account", uint64(a.account), "kind", uint8(a.kind), "err", err)
				s.timers.set(a, s.opts.Now().Add(retryAfter))
			}
		}
		if len(list) > 0 {
			continue
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = min(wait, max(next.Sub(s.opts.Now()), time.Millisecond))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-s.timers.wake:
		case <-timer.C:
		}
	}
}
