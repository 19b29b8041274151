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
	id    ID
	next  int64 // Unix nanoseconds of the next attempt
	key   int64 // the time in its qd key: next may be later, to spread load
	size  int64
	dest  *dest
	index int // in the heap
	place place
}

// A dest is a destination: a domain, or a host of the Router.
type dest struct {
	name    string
	items   int
	ready   []*item // first come, first served
	workers int
	window  int            // workers allowed: grows with success, shrinks with failure
	idle    []chan<- *item // workers that linger; each takes one item
	// Until paused, connections are not tried; reason is what the last one gave.
	paused time.Time
	reason mail.Reply
	host   string
}

// startWindow is that of Postfix: polite to small servers, quick enough for large.
const startWindow = 5

type itemHeap []*item

func (h itemHeap) Len() int { return len(h) }
func (h itemHeap) Less(i, j int) bool {
	return h[i].next < h[j].next || h[i].next == h[j].next && h[i].id < h[j].id
}
func (h itemHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *itemHeap) Push(x any)   { it := x.(*item); it.index = len(*h); *h = append(*h, it) }
func (h *itemHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}

// takeInLocked begins to know an entry.
func (q *Queue) takeInLocked(id ID, next, size int64, destName string) *item {
	if it := q.items[id]; it != nil {
		return it
	}
	d := q.dests[destName]
	if d == nil {
		d = &dest{name: destName, window: min(startWindow, q.opts.Limits.PerDestination)}
		q.dests[destName] = d
	}
	it := &item{id: id, next: next, key: next, size: size, dest: d}
	d.items++
	q.items[id] = it
	q.bytes += size
	q.placeLocked(it)
	return it
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
	it.dest.items--
	q.dropDestLocked(it.dest)
}

func (q *Queue) dropDestLocked(d *dest) {
	if d.items == 0 && d.workers == 0 && len(d.idle) == 0 && !q.opts.Now().Before(d.paused) {
		delete(q.dests, d.name)
	}
}

// moveLocked changes the time of an item that is in the heap.
func (q *Queue) moveLocked(it *item, next int64) {
	if it.place == inHeap {
		it.next = next
		heap.Fix(&q.waiting, it.index)
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
		heap.Remove(&q.waiting, it.index)
	case inReady:
		d := it.dest
		d.ready = slices.DeleteFunc(d.ready, func(x *item) bool { return x == it })
		q.unreadyLocked(d)
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

// unreadyLocked takes d out of the ready list if it has nothing ready.
func (q *Queue) unreadyLocked(d *dest) {
	if len(d.ready) == 0 {
		q.ready = slices.DeleteFunc(q.ready, func(x *dest) bool { return x == d })
	}
}

// rescanEvery finds what was committed without a Wake.
const rescanEvery = 15 * time.Minute

// run is the scheduler: it wakes when something is due or was added.
func (q *Queue) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	scanned := q.opts.Now()
	for {
		select {
		case <-timer.C:
		case <-q.wake:
		}
		q.settle()
		if now := q.opts.Now(); now.Sub(scanned) > rescanEvery {
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
		if it.dest.ready = append(it.dest.ready, it); len(it.dest.ready) == 1 {
			q.ready = append(q.ready, it.dest)
		}
	}
	q.staffLocked()
	q.sweepLocked(now)
	if len(q.waiting) == 0 {
		return idleWait, true
	}
	return min(idleWait, max(0, time.Duration(q.waiting[0].next-now.UnixNano()))), true
}

// staffLocked gives what is ready to workers, one destination after the other, as
// far as the limits allow: to one that lingers, or to a new one.
func (q *Queue) staffLocked() {
	if q.faults > 0 || q.closed {
		return
	}
	for full := 0; full < len(q.ready) && q.workers < q.opts.Limits.Active; {
		d := q.ready[0]
		if d.workers >= d.window {
			q.ready = append(q.ready[1:], d)
			full++
			continue
		}
		full = 0
		it := q.nextLocked(d)
		if len(d.ready) > 0 { // to the back
			q.ready = append(q.ready[1:], d)
		}
		d.workers++
		q.workers++
		if n := len(d.idle); n > 0 {
			d.idle[n-1] <- it
			d.idle = d.idle[:n-1]
		} else {
			q.group.Go(func() { q.work(d, it) })
		}
	}
}

// nextLocked takes the first ready item of d into work.
func (q *Queue) nextLocked(d *dest) *item {
	it := d.ready[0]
	d.ready[0] = nil
	d.ready = d.ready[1:]
	it.place = inWork
	q.active++
	q.unreadyLocked(d)
	return it
}

// sweepLocked forgets destinations that were kept for their pause.
func (q *Queue) sweepLocked(now time.Time) {
	if len(q.dests) <= 2*len(q.items)+1000 {
		return
	}
	for _, d := range q.dests {
		q.dropDestLocked(d)
	}
}

// work is a worker: attempt after attempt for one destination.
func (q *Queue) work(d *dest, it *item) {
	s := &session{q: q}
	for turns := 1; it != nil; turns++ {
		q.attempt(s, it)
		if it = q.another(d, turns); it == nil && s.open() {
			it, turns = q.lingerFor(d), 0
		}
	}
	q.mu.Lock()
	d.workers--
	q.workers--
	q.dropDestLocked(d)
	q.staffLocked()
	q.mu.Unlock()
	s.quit()
}

// lingerFor waits a little for another item of d, to use the connection again. It
// does not count as a worker meanwhile.
func (q *Queue) lingerFor(d *dest) *item {
	next := make(chan *item, 1)
	q.mu.Lock()
	if q.closed || q.opts.Linger < 0 {
		q.mu.Unlock()
		return nil
	}
	d.workers--
	q.workers--
	d.idle = append(d.idle, next)
	q.staffLocked()
	q.mu.Unlock()
	timer := time.NewTimer(q.opts.Linger)
	defer timer.Stop()
	select {
	case it := <-next:
		return it
	case <-timer.C:
	case <-q.closing:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	n := slices.Index(d.idle, next)
	if n < 0 { // it came just now
		return <-next
	}
	d.idle = slices.Delete(d.idle, n, n+1)
	d.workers++
	q.workers++
	return nil
}

// fairTurns is how many messages a worker sends before it leaves its place to a
// destination that waits.
const fairTurns = 20

// another returns the next item for a worker of d, or nil: it must end.
func (q *Queue) another(d *dest, turns int) *item {
	q.mu.Lock()
	defer q.mu.Unlock()
	crowded := q.workers >= q.opts.Limits.Active && len(q.ready) > 1
	if len(d.ready) == 0 || q.closed || q.faults > 0 || d.workers > d.window || crowded && turns >= fairTurns {
		return nil
	}
	return q.nextLocked(d)
}

// reached notes that d took a connection.
func (q *Queue) reached(d *dest) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.paused = time.Time{}
	d.window = min(d.window+1, q.opts.Limits.PerDestination)
}

// unreachable notes that d took none, and why.
func (q *Queue) unreachable(d *dest, r mail.Reply, host string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.paused = q.opts.Now().Add(q.opts.Pause)
	d.reason, d.host = r, host
	d.window = max(1, d.window/2)
}

// pausedBy returns the reply that d gave if it is not to be tried now.
func (q *Queue) pausedBy(d *dest) (mail.Reply, string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return d.reason, d.host, q.opts.Now().Before(d.paused)
}
