package queue

import (
	"strings"
	"time"

	"posthouse/mail"
)

// A site is the servers of one provider: all destinations whose most preferred MX lies
// in the same organizational domain, however many domains they serve. What a receiver
// allows it allows a site: how many connections, how fast.
type site struct {
	name    string
	own     bool // it is one destination's, whose MX is not known
	dests   int
	ready   fair[*item]
	queued  bool // in Queue.ready
	workers int
	idle    []chan<- *item // workers that linger with a connection; each takes one item

	window    float64 // workers allowed: grows with success, shrinks with failure
	threshold float64 // above it, the window grows by one in a whole round only
	pace      time.Duration
	backoff   time.Duration
	notBefore time.Time // no transaction begins before
	good      int       // transactions since the receiver slowed us down
}

const (
	// startWindow is that of Postfix: polite to small servers, quick enough for large.
	startWindow = 5
	// firstPace is the gap between transactions when even one connection is too much,
	// and lastPace where it ends growing.
	firstPace, lastPace = 250 * time.Millisecond, time.Minute
	// firstBackoff is the rest after a receiver said so (421). It doubles up to Pause.
	firstBackoff = 2 * time.Second
	// forgiven is how many transactions in a row halve pace and backoff.
	forgiven = 20
)

// siteLocked returns the site of that name.
func (q *Queue) siteLocked(name string, own bool) *site {
	s := q.sites[name]
	if s == nil {
		top := float64(q.set().provider(name).Connections)
		s = &site{name: name, own: own, window: min(startWindow, top), threshold: top}
		q.sites[name] = s
	}
	return s
}

func (q *Queue) dropSiteLocked(s *site) {
	if s.dests == 0 && s.workers == 0 && len(s.idle) == 0 && s.ready.n == 0 && q.sites[s.name] == s {
		delete(q.sites, s.name)
		delete(q.slow, s)
	}
}

// moveLocked makes d part of the site called name. What waits in a site of its own goes
// along; else only what becomes ready from now on does.
func (q *Queue) moveDestLocked(d *dest, name string) {
	old := q.siteOfLocked(d)
	if old.name == name {
		return
	}
	s := q.siteLocked(name, false)
	old.dests--
	s.dests++
	d.site = s
	if old.own {
		for old.ready.n > 0 {
			it := old.ready.pop()
			s.ready.push(it.priority, it.sender, it)
		}
		q.offerLocked(s)
	}
	q.dropSiteLocked(old)
}

// roomLocked is how many workers s may have. One finds out whose servers they are.
func (s *site) roomLocked() int {
	if s.own {
		return 1
	}
	return int(s.window)
}

// mayLocked reports whether another transaction with s may begin.
func (q *Queue) mayLocked(s *site, now time.Time) bool {
	return s.workers < s.roomLocked() && !now.Before(s.notBefore)
}

// offerLocked queues s for workers, if it has work and may.
func (q *Queue) offerLocked(s *site) {
	if s.queued || s.ready.n == 0 {
		return
	}
	now := q.opts.Now()
	if now.Before(s.notBefore) {
		if !q.slow[s] {
			q.slow[s] = true
			q.nudge() // for the scheduler to know how long
			q.signalLocked()
		}
		return
	}
	if s.workers >= s.roomLocked() {
		return // the next worker that ends offers it again
	}
	head := s.ready.levels[0]
	s.queued = true
	q.ready.push(head.priority, head.ring[0].sender, s)
}

// hastenLocked offers the sites whose rest is over. It returns the time until the next
// one's is.
func (q *Queue) hastenLocked(now time.Time) time.Duration {
	wait := idleWait
	for s := range q.slow {
		if now.Before(s.notBefore) {
			wait = min(wait, s.notBefore.Sub(now))
			continue
		}
		delete(q.slow, s)
		q.offerLocked(s)
	}
	return wait
}

// takeLocked takes the next item of s into work.
func (q *Queue) takeLocked(s *site, now time.Time) *item {
	it := s.ready.pop()
	q.nReady--
	it.place = inWork
	q.active++
	p := q.set().provider(s.name)
	if pace := max(s.pace, p.gap()); pace > 0 {
		s.notBefore = now.Add(pace)
	}
	return it
}

// praise notes a transaction that the receiver took as it should.
func (q *Queue) praise(s *site) {
	q.mu.Lock()
	defer q.mu.Unlock()
	top := float64(q.set().provider(s.name).Connections)
	if s.window < s.threshold {
		s.window = min(s.window+1, top) // slow start: it doubles in a round
	} else {
		s.window = min(s.window+1/s.window, top)
	}
	if s.good++; s.good%forgiven == 0 {
		if s.pace /= 2; s.pace < firstPace/4 {
			s.pace = 0
		}
		s.backoff /= 2
	}
	q.offerLocked(s)
}

// blame notes that the receiver wants less of us.
func (q *Queue) blame(s *site, r mail.Reply) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count.throttled.Add(1)
	if s.good = 0; s.window < 2 {
		s.pace = min(max(2*s.pace, firstPace), lastPace)
	}
	s.window = max(1, s.window/2)
	s.threshold = s.window
	if r.Code == 421 {
		s.restLocked(q)
	}
}

// restLocked lets a site alone for a while, longer each time.
func (s *site) restLocked(q *Queue) {
	p := q.set().provider(s.name)
	s.backoff = min(max(2*s.backoff, p.Rest), p.MostRest)
	s.notBefore = q.opts.Now().Add(s.backoff)
}

// A throttle is a kind of reply by which receivers say that they want less.
type throttle struct {
	code     int      // 0: any 4xx
	enhanced [3]uint8 // zero: any
	text     string   // in lower case; "": any
}

// throttles are those that are known: RFC 3463 §3.8 and §3.4 as large providers use
// them, and their words.
var throttles = []throttle{
	{code: 421},
	{enhanced: [3]uint8{4, 7, 0}},
	{enhanced: [3]uint8{4, 7, 28}}, // Gmail: unusual rate
	{enhanced: [3]uint8{4, 3, 2}},
	{text: "rate limit"}, {text: "too many"}, {text: "throttl"}, {text: "too fast"}, {text: "exceeded"}, {text: "temporarily deferred"},
}

// throttled reports whether r asks for less. Greylisting does not, though it uses the
// same codes: it wants the same message again, later. Nor does 452: too many recipients
// for one transaction.
func throttled(r mail.Reply) bool {
	text := strings.ToLower(r.Text)
	if !r.Transient() || r.Code == 452 || strings.Contains(text, "greylist") || strings.Contains(text, "graylist") {
		return false
	}
	for _, t := range throttles {
		if (t.code == 0 || t.code == r.Code) && (t.enhanced == [3]uint8{} || t.enhanced == r.Enhanced) && strings.Contains(text, t.text) {
			return true
		}
	}
	return false
}
