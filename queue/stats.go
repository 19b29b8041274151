package queue

import (
	"math"
	"sync/atomic"
	"time"
)

// counters count since Open.
type counters struct {
	added, attempts, delivered, deferred, bounced, expired, reports, doubleBounces, throttled atomic.Uint64
}

// Stats are gauges of the queue and counters since Open.
type Stats struct {
	Entries, Active, Held int   // entries: all; being attempted; held
	Bytes                 int64 // of all entries
	Destinations          int
	Paused                int // destinations that take no connection

	Added         uint64 // entries taken in
	Attempts      uint64 // of entries
	Delivered     uint64 // recipients
	Deferred      uint64 // attempts that left recipients waiting
	Bounced       uint64 // recipients refused for good
	Expired       uint64 // recipients given up after Lifetime
	Reports       uint64 // DSNs
	DoubleBounces uint64 // reports that could not be delivered
	Throttled     uint64 // replies by which receivers asked for less
	Sites         int    // groups of servers
}

// Stats returns the figures of now.
func (q *Queue) Stats() Stats {
	c := &q.count
	s := Stats{Added: c.added.Load(), Attempts: c.attempts.Load(), Delivered: c.delivered.Load(), Deferred: c.deferred.Load(),
		Bounced: c.bounced.Load(), Expired: c.expired.Load(), Reports: c.reports.Load(), DoubleBounces: c.doubleBounces.Load(), Throttled: c.throttled.Load()}
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Entries, s.Active, s.Held, s.Bytes, s.Destinations = len(q.items), q.active, q.held, q.bytes, len(q.dests)
	s.Sites = len(q.sites)
	now := q.opts.Now()
	for _, d := range q.dests {
		if d.paused(now) {
			s.Paused++
		}
	}
	return s
}

// Oldest is when the oldest message of the queue was taken, held ones among them; zero
// if it is empty.
func (q *Queue) Oldest() time.Time {
	q.settle()
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return time.Time{}
	}
	first := ID(math.MaxUint64)
	for id := range q.items {
		first = min(first, id)
	}
	return time.UnixMicro(int64(first))
}
