package queue

import (
	"container/heap"
	"slices"
	"time"

	"posthouse/mail"
)

// place says where an item is.
type place uint8

const (
	inHeap  place = iota // waits for its time
	inReady              // due, in the list of its destination
	inWork               // owned by one goroutine
	inHold               // held by the operator
)

// An item is what memory knows of an entry.
type item struct {
	id       ID
	next     int64 // Unix nanoseconds of the next attempt
	key      int64 // the time in its qd key: next may be later, to spread load
	size     int64
	dest     *dest
	index    int32 // in the heap
	sender   uint32
	priority int8
	place    place
}

// A due is what a qd key and its value say of an entry.
type due struct {
	next     int64
	size     int64
	dest     string
	priority int8
	sender   uint32 // a number of who shares the queue: see senderOf
}

// A dest is a destination: a domain, or a host of the Router.
type dest struct {
	name  string
	items int
	site  *site  // nil: nothing of it was due yet
	pause *pause // nil: none
}

// A pause is the time in which a destination is not tried, after it took no
// connection.
type pause struct {
	until  time.Time
	reason mail.Reply
	host   string
}

func (d *dest) paused(now time.Time) bool { return d.pause != nil && now.Before(d.pause.until) }

// siteOfLocked returns the site of d; until its MX is known that is one of its own.
func (q *Queue) siteOfLocked(d *dest) *site {
	if d.site == nil {
		d.site = q.siteLocked("="+d.name, true) // no organizational domain begins so
		d.site.dests++
	}
	return d.site
}

type itemHeap []*item

func (h itemHeap) Len() int { return len(h) }
func (h itemHeap) Less(i, j int) bool {
	return h[i].next < h[j].next || h[i].next == h[j].next && h[i].id < h[j].id
}
func (h itemHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = int32(i), int32(j)
}
func (h *itemHeap) Push(x any) { it := x.(*item); it.index = int32(len(*h)); *h = append(*h, it) }
func (h *itemHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}

// takeInLocked begins to know an entry.
func (q *Queue) takeInLocked(id ID, u due) *item {
	if it := q.items[id]; it != nil {
		return it
	}
	it := &item{id: id, next: u.next, key: u.next, size: u.size, dest: q.destLocked(u.dest), sender: u.sender, priority: u.priority}
	it.dest.items++
	q.items[id] = it
	q.bytes += u.size
	q.placeLocked(it)
	return it
}

// destLocked returns the destination of that name.
func (q *Queue) destLocked(name string) *dest {
	d := q.dests[name]
	if d == nil {
		d = &dest{name: name}
		q.dests[name] = d
	}
	return d
}

// placeLocked puts an item that nobody owns where it belongs by its time.
func (q *Queue) placeLocked(it *item) {
	if it.next == never {
		it.place = inHold
		q.held++
		return
	}
	it.place = inHeap
	heap.Push(&q.waiting, it)
}

// forgetLocked ends an item that its owner holds.
func (q *Queue) forgetLocked(it *item) {
	delete(q.items, it.id)
	q.bytes -= it.size
	it.dest.items-- // what is known about it is kept for a while: see sweepLocked
}

func (q *Queue) dropDestLocked(d *dest) {
	if d.items > 0 || d.paused(q.opts.Now()) || q.dests[d.name] != d {
		return
	}
	delete(q.dests, d.name)
	if d.site != nil {
		d.site.dests--
		q.dropSiteLocked(d.site)
	}
}

// moveLocked changes the time of an item that is in the heap.
func (q *Queue) moveLocked(it *item, next int64) {
	if it.place == inHeap {
		it.next = next
		heap.Fix(&q.waiting, int(it.index))
	}
}

// claimLocked makes the caller the owner of an item, unless it has one.
func (q *Queue) claimLocked(it *item) bool {
	switch it.place {
	case inWork:
		return false
	case inHold:
		q.held--
	case inHeap:
		heap.Remove(&q.waiting, int(it.index))
	case inReady:
		q.unreadyLocked(it)
	}
	it.place = inWork
	q.active++
	return true
}

// releaseLocked gives an owned item back, to be attempted at next.
func (q *Queue) releaseLocked(it *item, next int64) {
	q.active--
	it.next = next
	q.placeLocked(it)
	q.signalLocked()
}

// unreadyLocked takes it out of the list of a site. It may wait in that of a site to
// which its destination belonged before.
func (q *Queue) unreadyLocked(it *item) {
	q.nReady--
	n := it.dest.site.ready.n
	if it.dest.site.ready.remove(it); it.dest.site.ready.n < n {
		return
	}
	for _, s := range q.sites {
		s.ready.remove(it)
	}
}

const (
	// settleEvery finds what was committed without a Wake that names it.
	settleEvery = time.Second
	// rescanEvery finds what was committed without a Wake, long after it was announced.
	rescanEvery = 15 * time.Minute
)

// run is the scheduler: it wakes when something is due or was added.
func (q *Queue) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	scanned, settled := q.opts.Now(), time.Time{}
	for {
		timed := false
		select {
		case <-timer.C:
			timed = true
		case <-q.wake:
		}
		now := q.opts.Now()
		if q.unsure.Swap(false) || timed || now.Sub(settled) > settleEvery {
			settled = now
			q.settle()
		}
		if now.Sub(scanned) > rescanEvery {
			scanned = now
			if err := q.rescan(); err != nil {
				q.opts.Logger.Error("queue: rescan", "err", err)
			}
		}
		wait, open := q.dispatch()
		if !open {
			return
		}
		timer.Reset(wait)
	}
}

// idleWait is how long the scheduler sleeps at most.
const idleWait = time.Minute

// dispatch moves what is due to its destination and starts workers. It returns
// the time until the next item is due, and false when the queue is closed.
func (q *Queue) dispatch() (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, false
	}
	now := q.opts.Now()
	for len(q.waiting) > 0 && q.waiting[0].next <= now.UnixNano() {
		it := heap.Pop(&q.waiting).(*item)
		it.place = inReady
		s := q.siteOfLocked(it.dest)
		q.nReady++
		s.ready.push(it.priority, it.sender, it)
		q.offerLocked(s)
	}
	wait := q.hastenLocked(now)
	if q.staffLocked(); q.active == 0 && q.nReady > 0 {
		q.signalLocked() // it went to a site that rests
	}
	q.sweepLocked(now)
	if len(q.waiting) > 0 {
		wait = min(wait, max(0, time.Duration(q.waiting[0].next-now.UnixNano())))
	}
	return wait, true
}

// staffLocked gives what is ready to workers, site after site, as far as the limits
// allow: to one that lingers, or to a new one.
func (q *Queue) staffLocked() {
	if q.faults > 0 || q.closed {
		return
	}
	now := q.opts.Now()
	for q.ready.n > 0 && q.workers < q.set().Limits.Active {
		s := q.ready.pop()
		s.queued = false
		if s.ready.n == 0 || !q.mayLocked(s, now) {
			q.offerLocked(s)
			continue
		}
		it := q.takeLocked(s, now)
		s.workers++
		q.workers++
		q.offerLocked(s)
		if n := len(s.idle); n > 0 {
			s.idle[n-1] <- it
			s.idle = s.idle[:n-1]
		} else {
			q.group.Go(func() { q.work(s, it) })
		}
	}
}

// keptDests is how many destinations without mail are kept for what was learnt about
// them: their pause, their site, how much that takes.
const keptDests = 1000

// sweepLocked forgets destinations without mail when there are many.
func (q *Queue) sweepLocked(now time.Time) {
	if len(q.dests) <= 2*len(q.items)+keptDests || now.Before(q.swept.Add(time.Second)) {
		return
	}
	q.swept = now
	for _, d := range q.dests {
		q.dropDestLocked(d)
	}
}

// work is a worker: attempt after attempt for one site.
func (q *Queue) work(at *site, it *item) {
	s := &session{q: q, site: at}
	for turns := 1; it != nil; turns++ {
		q.attempt(s, it)
		if it = q.another(s.site, turns); it == nil && s.open() {
			it, turns = q.lingerFor(s.site), 0
		}
	}
	q.mu.Lock()
	s.site.workers--
	q.workers--
	q.dropSiteLocked(s.site)
	q.offerLocked(s.site)
	q.staffLocked()
	q.mu.Unlock()
	s.quit()
}

// regroup makes d, and the worker that has found its servers, part of their site, or
// leaves them alone if name is "": they are nobody else's. It returns false if that site
// has enough workers and the item may go back: it is in its list then, as if it had not
// been taken.
func (q *Queue) regroup(s *session, it *item, name string, back bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := it.dest
	if name != "" {
		q.moveDestLocked(d, name)
	} else if at := q.siteOfLocked(d); at.own {
		at.own = false
		q.offerLocked(at)
		q.nudge()
	}
	if s.site == d.site {
		return true
	}
	old := s.site
	old.workers--
	d.site.workers++
	s.site = d.site
	q.dropSiteLocked(old)
	q.offerLocked(old)
	if !back || q.closed || s.site.workers <= s.site.roomLocked() && !q.opts.Now().Before(s.site.notBefore) {
		q.nudge()
		return true
	}
	q.active--
	it.place = inReady
	q.nReady++
	s.site.ready.push(it.priority, it.sender, it)
	q.signalLocked()
	return false
}

// lingerFor waits a little for another item of the site, to use the connection again.
// It does not count as a worker meanwhile.
func (q *Queue) lingerFor(at *site) *item {
	next := make(chan *item, 1)
	q.mu.Lock()
	if q.closed || q.set().Linger < 0 {
		q.mu.Unlock()
		return nil
	}
	at.workers--
	q.workers--
	at.idle = append(at.idle, next)
	q.offerLocked(at)
	q.staffLocked()
	q.mu.Unlock()
	timer := time.NewTimer(q.set().Linger)
	defer timer.Stop()
	select {
	case it := <-next:
		return it
	case <-timer.C:
	case <-q.closing:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	n := slices.Index(at.idle, next)
	if n < 0 { // it came just now
		return <-next
	}
	at.idle = slices.Delete(at.idle, n, n+1)
	at.workers++
	q.workers++
	return nil
}

// fairTurns is how many messages a worker sends before it leaves its place to a site
// that waits.
const fairTurns = 20

// another returns the next item for a worker of a site, or nil: it must end.
func (q *Queue) another(at *site, turns int) *item {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.opts.Now()
	crowded := q.workers >= q.set().Limits.Active && q.ready.n > 0
	if at.ready.n == 0 || q.closed || q.faults > 0 || at.workers > at.roomLocked() || now.Before(at.notBefore) || crowded && turns >= fairTurns {
		return nil
	}
	return q.takeLocked(at, now)
}

// reached notes that d took a connection.
func (q *Queue) reached(d *dest) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.pause = nil
}

// unreachable notes that d took none, and why.
func (q *Queue) unreachable(d *dest, r mail.Reply, host string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.pause = &pause{q.opts.Now().Add(q.set().Pause), r, host}
	s := q.siteOfLocked(d)
	s.window = max(1, s.window/2)
	s.threshold = max(s.window, startWindow)
	if s.dests > 1 && throttled(r) { // the other domains of the provider would hear the same
		s.restLocked(q)
	}
}

// pausedBy returns the reply that d gave if it is not to be tried now.
func (q *Queue) pausedBy(d *dest) (mail.Reply, string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !d.paused(q.opts.Now()) {
		return mail.Reply{}, "", false
	}
	return d.pause.reason, d.pause.host, true
}
