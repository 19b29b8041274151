package queue

import (
	"context"
	"io"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

// An Info is an entry as the operator sees it.
type Info struct {
	ID          ID
	TraceID     string
	Sender      mail.Address
	Destination string // a domain, or "host/port" of the Router
	Size        int64
	Arrived     time.Time
	Attempts    int
	NextAttempt time.Time // zero if held
	Held        bool
	Active      bool // being attempted at this moment
	Recipients  []RecipientInfo
}

// A RecipientInfo is one recipient of an Info.
type RecipientInfo struct {
	Address   mail.Address
	State     string // "waiting", "delivered", "failed" or "expired"
	LastReply mail.Reply
	Host      string // where the last reply came from, or whom it is about
	At        time.Time
}

// stateNames are the words for a status.
var stateNames = [...]string{stWaiting: "waiting", stDelivered: "delivered", stRelayed: "delivered", stFailed: "failed", stExpired: "expired"}

func (q *Queue) info(id ID, rec *record, st *state) Info {
	in := Info{ID: id, TraceID: rec.env.TraceID, Sender: rec.env.ReversePath, Destination: rec.dest, Size: rec.size,
		Arrived: rec.created, Attempts: st.attempts, NextAttempt: time.Unix(0, st.next)}
	q.mu.Lock()
	if it := q.items[id]; it != nil {
		in.Held, in.Active = it.place == inHold, it.place == inWork
		in.NextAttempt = time.Unix(0, it.next)
	}
	q.mu.Unlock()
	if in.Held {
		in.NextAttempt = time.Time{}
	}
	for i, r := range rec.env.Recipients {
		rs := &st.rcpts[i]
		ri := RecipientInfo{Address: r.Address, State: stateNames[rs.status], LastReply: rs.reply, Host: rs.host}
		if rs.at != 0 {
			ri.At = time.Unix(0, rs.at)
		}
		in.Recipients = append(in.Recipients, ri)
	}
	return in
}

// listPage is how many entries are read from one snapshot.
const listPage = 100

// List calls f with each entry whose ID is greater than after, oldest first, until
// f returns false.
func (q *Queue) List(ctx context.Context, after ID, f func(Info) bool) error {
	for {
		page, err := q.page(ctx, after)
		if err != nil {
			return err
		}
		for _, in := range page {
			if !f(in) {
				return nil
			}
			after = in.ID
		}
		if len(page) < listPage {
			return nil
		}
	}
}

func (q *Queue) page(ctx context.Context, after ID) ([]Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := q.opts.Engine.Snapshot(0)
	defer r.Close()
	var ids []ID
	_, hi := span('m')
	err := r.Scan(keyOf('m', after+1), hi, func(key, _ []byte) bool {
		if len(key) == 10 {
			ids = append(ids, idOf(key))
		}
		return len(ids) < listPage
	})
	if err != nil {
		return nil, engineFailure("List", err)
	}
	out := make([]Info, 0, len(ids))
	for _, id := range ids {
		rec, st, err := readEntry(r, id)
		if err != nil {
			return nil, engineFailure("List", err)
		}
		out = append(out, q.info(id, rec, st))
	}
	return out, nil
}

// Show returns one entry, or NotFound.
func (q *Queue) Show(ctx context.Context, id ID) (Info, error) {
	r := q.opts.Engine.Snapshot(0)
	defer r.Close()
	rec, st, err := readEntry(r, id)
	if err != nil {
		return Info{}, engineFailure("Show", err)
	}
	return q.info(id, rec, st), nil
}

// WriteContent writes an entry's message as it would be sent.
func (q *Queue) WriteContent(ctx context.Context, id ID, w io.Writer) error {
	r := q.opts.Engine.Snapshot(0)
	defer r.Close()
	rec, st, err := readEntry(r, id)
	if err != nil {
		return engineFailure("WriteContent", err)
	}
	c, err := (&entry{q: q, rec: rec, st: st}).open(ctx)
	if err != nil {
		return engineFailure("WriteContent", err)
	}
	defer c.Close()
	_, err = io.Copy(w, c.reader())
	return err
}

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
	e.it.dest.paused = time.Time{}
	q.mu.Unlock()
	return q.setNext(ctx, e, "Retry", q.opts.Now().UnixNano())
}

// Hold keeps an entry from being attempted until Release or Retry. It does not
// expire meanwhile.
func (q *Queue) Hold(ctx context.Context, id ID) error {
	e, err := q.claim("Hold", id)
	if err != nil {
		return err
	}
	return q.setNext(ctx, e, "Hold", never)
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
	return q.setNext(ctx, e, "Release", q.opts.Now().UnixNano())
}

// Bounce gives up on an entry's recipients now and tells the sender.
func (q *Queue) Bounce(ctx context.Context, id ID) error {
	e, err := q.claim("Bounce", id)
	if err != nil {
		return err
	}
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
	q.opts.Logger.Info("dropped", "tid", e.rec.env.TraceID, "id", id)
	return nil
}

// Check reports what breaks the package's promises in the engine's last state: a
// due key without a message, a message without exactly one due key, a record that
// does not parse, bytes that are gone.
func (q *Queue) Check(ctx context.Context, report func(problem string)) error {
	r := q.opts.Engine.Snapshot(0)
	defer r.Close()
	due, err := checkDue(r, report)
	if err != nil {
		return engineFailure("Check", err)
	}
	lo, hi := span('m')
	var ids []ID
	err = r.Scan(lo, hi, func(key, _ []byte) bool {
		ids = append(ids, idOf(key))
		return true
	})
	if err != nil {
		return engineFailure("Check", err)
	}
	for _, id := range ids {
		rec, _, err := readEntry(r, id)
		if err != nil {
			report("queue: message " + id.String() + ": " + err.Error())
			continue
		}
		if due[id] != 1 {
			report("queue: message " + id.String() + " has no due key, or several")
		}
		delete(due, id)
		if b, err := q.opts.Engine.OpenBlob(ctx, rec.blob); err != nil {
			report("queue: message " + id.String() + ": " + err.Error())
		} else if err := b.Close(); err != nil {
			return engineFailure("Check", err)
		}
	}
	for id := range due {
		report("queue: due key of message " + id.String() + ", which is not there")
	}
	return nil
}

// checkDue counts the due keys of each entry.
func checkDue(r engine.Reader, report func(problem string)) (map[ID]int, error) {
	due := map[ID]int{}
	lo, hi := span('d')
	err := r.Scan(lo, hi, func(key, val []byte) bool {
		if _, id, _, _, ok := parseDue(key, val); ok {
			due[id]++
		} else {
			report("queue: bad due key")
		}
		return true
	})
	return due, err
}
