package queue

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"posthouse/mail"
)

// claim takes an entry from the scheduler. Conflict while it is being attempted.
func (q *Queue) claim(op string, id ID) (*entry, error) {
	q.settle() // it may have been committed just now
	q.mu.Lock()
	it := q.items[id]
	ok := it != nil && q.claimLocked(it)
	q.mu.Unlock()
	if it == nil {
		return nil, failure(mail.NotFound, op, "no such message in the queue", nil)
	}
	if !ok {
		return nil, failure(mail.Conflict, op, "the message is being sent at this moment: try again", nil)
	}
	e, err := q.load(it)
	if err != nil {
		q.mu.Lock()
		q.releaseLocked(it, it.next)
		q.mu.Unlock()
		return nil, engineFailure(op, err)
	}
	return e, nil
}

// setNext commits another time for the next attempt.
func (q *Queue) setNext(ctx context.Context, e *entry, op string, next int64) error {
	e.st.next = next
	if _, err := q.opts.Engine.Commit(ctx, e.batch()).Wait(); err != nil {
		e.st.next = e.it.key
		e.finish()
		return engineFailure(op, err)
	}
	e.finish()
	return nil
}

// Retry has an entry attempted now, held or not, and forgives its destination.
func (q *Queue) Retry(ctx context.Context, id ID) error {
	e, err := q.claim("Retry", id)
	if err != nil {
		return err
	}
	q.mu.Lock()
	e.it.dest.pause = nil
	q.mu.Unlock()
	return e.operated(q.setNext(ctx, e, "Retry", q.opts.Now().UnixNano()), "it is tried again now")
}

// Hold keeps an entry from being attempted until Release or Retry. It does not
// expire meanwhile.
func (q *Queue) Hold(ctx context.Context, id ID) error {
	e, err := q.claim("Hold", id)
	if err != nil {
		return err
	}
	return e.operated(q.setNext(ctx, e, "Hold", never), "it is held until it is released")
}

// Release ends Hold: the entry is attempted now.
func (q *Queue) Release(ctx context.Context, id ID) error {
	e, err := q.claim("Release", id)
	if err != nil {
		return err
	}
	if e.it.key != never {
		e.finish()
		return nil
	}
	return e.operated(q.setNext(ctx, e, "Release", q.opts.Now().UnixNano()), "it is no longer held")
}

// Bounce gives up on an entry's recipients now and tells the sender.
func (q *Queue) Bounce(ctx context.Context, id ID) error {
	e, err := q.claim("Bounce", id)
	if err != nil {
		return err
	}
	_ = e.operated(nil, "it is returned to its sender")
	e.mark(e.pending(), mail.Reply{Code: 554, Enhanced: [3]uint8{5, 0, 0}, Text: "returned by the operator of the mail server"}, false, "")
	return q.conclude(e)
}

// Drop removes an entry without telling anybody.
func (q *Queue) Drop(ctx context.Context, id ID) error {
	e, err := q.claim("Drop", id)
	if err != nil {
		return err
	}
	for i := range e.st.rcpts {
		e.st.rcpts[i].status, e.st.rcpts[i].reported = stFailed, true
	}
	if _, err := q.opts.Engine.Commit(ctx, e.batch()).Wait(); err != nil {
		e.st.next = e.it.key
		e.finish()
		return engineFailure("Drop", err)
	}
	e.gone()
	_ = e.operated(nil, "it was dropped, and nobody is told")
	q.opts.Logger.Info("dropped", "tid", e.rec.env.TraceID, "id", id)
	return nil
}

// SetExpiry changes when an entry is given up; one that is past goes back to its sender
// with the next attempt, which is now.
func (q *Queue) SetExpiry(ctx context.Context, id ID, at time.Time) error {
	e, err := q.claim("SetExpiry", id)
	if err != nil {
		return err
	}
	e.st.until = at.UnixNano()
	next := e.it.key
	if next != never {
		next = min(next, max(e.st.until, q.opts.Now().UnixNano()))
	}
	return e.operated(q.setNext(ctx, e, "SetExpiry", next), "it is given up at "+at.UTC().Format(time.RFC3339))
}

// Reroute sends an entry to a host, "host:port", whatever its domain says, from now on;
// "" ends that. It is attempted now, unless it is held.
func (q *Queue) Reroute(ctx context.Context, id ID, to string) error {
	const op = "Reroute"
	route := ""
	if to != "" {
		host, port, err := net.SplitHostPort(to)
		n, perr := strconv.ParseUint(port, 10, 16)
		if err != nil || perr != nil || host == "" || n == 0 || strings.ContainsRune(host, '/') {
			return failure(mail.Invalid, op, "not host:port", err)
		}
		route = Hop{Host: host, Port: uint16(n)}.name()
	}
	e, err := q.claim(op, id)
	if err != nil {
		return err
	}
	e.st.route = route
	name := e.destOf(e.rec.env.Recipients[0].Address.Domain)
	q.mu.Lock()
	if old := e.it.dest; old.name != name {
		e.moved = true
		e.it.dest = q.destLocked(name)
		e.it.dest.items++
		old.items--
		q.dropDestLocked(old)
	}
	q.mu.Unlock()
	next := e.it.key
	if next != never {
		next = q.opts.Now().UnixNano()
	}
	what := "it goes by " + to
	if to == "" {
		what = "it goes the usual way again"
	}
	return e.operated(q.setNext(ctx, e, op, next), what)
}
