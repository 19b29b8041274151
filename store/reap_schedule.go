package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"posthouse/mail"
)

// The reaper looks at all accounts soon after the start, and from then on at
// those where something was expunged.
const (
	firstReap   = time.Minute
	reapEvery   = 10 * time.Minute
	reapSeldom  = 12 * time.Hour
	defaultReap = 30 * 24 * time.Hour
)

// A schedule runs the reaper. It is a timer, not a goroutine, while there is
// nothing to do.
type schedule struct {
	mu      sync.Mutex
	timer   *time.Timer // nil: nothing is due
	due     map[mail.AccountID]bool
	stopped bool
	running sync.WaitGroup
}

// start plans the first look at all accounts.
func (c *schedule) start(f func(due map[mail.AccountID]bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.planLocked(firstReap, f)
}

func (c *schedule) planLocked(d time.Duration, f func(due map[mail.AccountID]bool)) {
	if c.stopped || c.timer != nil {
		return
	}
	c.timer = time.AfterFunc(d, func() {
		c.mu.Lock()
		if c.stopped {
			c.mu.Unlock()
			return
		}
		due := c.due
		c.due, c.timer = nil, nil
		c.running.Add(1)
		c.mu.Unlock()
		defer c.running.Done()
		f(due)
	})
}

// expunged plans a look at an account.
func (c *schedule) expunged(id mail.AccountID, every time.Duration, f func(due map[mail.AccountID]bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due == nil {
		c.due = map[mail.AccountID]bool{}
	}
	c.due[id] = true
	c.planLocked(every, f)
}

// stop ends the schedule and waits for a reaper that runs: it ends at its next
// batch.
func (c *schedule) stop() {
	c.mu.Lock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.running.Wait()
}

// expunged plans the reaper for accounts of an update.
func (s *Store) expunged(txs []*Tx) {
	if s.opts.ReapAfter < 0 {
		return
	}
	for _, tx := range txs {
		if len(tx.dead) > 0 {
			s.reaper.expunged(tx.acct.id, s.reapEvery(), s.reapDue)
		}
	}
}

// reapEvery is the time between two looks: the longer mail is kept, the less does
// it matter how much longer.
func (s *Store) reapEvery() time.Duration {
	return max(reapEvery, min(s.opts.ReapAfter/24, reapSeldom))
}

// reapDue reaps some accounts, or, at the start, all. What is too young is looked
// at again.
func (s *Store) reapDue(due map[mail.AccountID]bool) {
	ctx := context.Background()
	if due == nil {
		due = map[mail.AccountID]bool{}
		if err := s.Accounts(ctx, func(id mail.AccountID) bool {
			due[id] = true
			return !s.ended.Load()
		}); err != nil {
			s.warnReap(0, err)
		}
	}
	before := s.opts.Now().Add(-s.opts.ReapAfter)
	for id := range due {
		if s.ended.Load() {
			return
		}
		a := s.handle(id)
		for more := true; more; {
			var err error
			if more, err = a.reap(ctx, before); err != nil {
				s.warnReap(id, err)
			}
		}
		if idle, err := a.nothingDead(time.Unix(1<<40, 0)); err == nil && !idle {
			s.reaper.expunged(id, s.reapEvery(), s.reapDue)
		}
	}
}

func (s *Store) warnReap(id mail.AccountID, err error) {
	if s.ended.Load() {
		return
	}
	s.opts.Logger.LogAttrs(context.Background(), slog.LevelWarn, "removing expunged mail failed",
		slog.Uint64("account", uint64(id)), slog.Any("err", err))
}
