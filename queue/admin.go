package queue

import (
	"context"
	"io"
	"slices"
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
	Expires     time.Time
	Priority    int8
	Account     mail.AccountID // who handed it in; 0: nobody of ours
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
		Arrived: rec.created, Attempts: st.attempts, NextAttempt: time.Unix(0, st.next),
		Expires: (&entry{q: q, rec: rec, st: st}).until(), Priority: rec.env.Priority, Account: rec.env.Account}
	if st.route != "" {
		in.Destination = st.route
	}
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

// Check reports what breaks the package's promises in the engine's last state: a
// due key or a state without a message, a message without exactly one due key, a record
// that does not parse, bytes that are gone.
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
	lo, hi = span('s')
	if err := r.Scan(lo, hi, func(key, _ []byte) bool {
		if _, there := slices.BinarySearch(ids, idOf(key)); !there {
			report("queue: state of message " + idOf(key).String() + ", which is not there")
		}
		return true
	}); err != nil {
		return engineFailure("Check", err)
	}
	return nil
}

// checkDue counts the due keys of each entry.
func checkDue(r engine.Reader, report func(problem string)) (map[ID]int, error) {
	due := map[ID]int{}
	lo, hi := span('d')
	err := r.Scan(lo, hi, func(key, val []byte) bool {
		if id, _, ok := parseDue(key, val); ok {
			due[id]++
		} else {
			report("queue: bad due key")
		}
		return true
	})
	return due, err
}
