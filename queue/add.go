package queue

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine"
)

// A Message is the content of what is queued.
type Message struct {
	Prefix []byte       // whole header lines that go in front, as Received
	Blob   *engine.Blob // the rest
	Size   int64        // octets of Blob
}

// An announcement is an entry that was handed out in a batch. If its key turns up
// in the engine, the batch was committed.
type announcement struct {
	due
	since time.Time
}

// keepAnnounced is how long a batch may take to be committed. One that takes longer
// is found by the next rescan.
const keepAnnounced = 10 * time.Minute

// Prepare returns what must be committed to queue msg for the recipients of env.
// It changes nothing: a batch that is not committed leaves no trace. Call Wake
// with it after the commit. Unavailable if the queue is full, which passes.
func (q *Queue) Prepare(env mail.Envelope, msg Message) (*engine.Batch, error) {
	if len(env.Recipients) == 0 {
		return nil, failure(mail.Invalid, "Prepare", "no recipients", nil)
	}
	groups, order := q.groups(env.Recipients)
	now := q.opts.Now()
	size := int64(len(msg.Prefix)) + msg.Size
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, failure(mail.Unavailable, "Prepare", "shutting down", nil)
	}
	if len(q.items)+len(order) > q.set().Limits.Entries || q.bytes+size > q.set().Limits.Bytes {
		return nil, failure(mail.Unavailable, "Prepare", "the queue is full", nil)
	}
	b := &engine.Batch{Expect: engine.AnyVersion}
	for _, dest := range order {
		r := record{created: now, env: env, dest: dest, prefix: msg.Prefix, size: size}
		r.env.Recipients = groups[dest]
		id := q.newIDLocked(now)
		u := due{max(now.UnixNano(), r.heldUntil()), size, dest, env.Priority, senderOf(&env)}
		b.Ops = append(b.Ops,
			engine.Op{Kind: engine.Set, Key: keyOf('m', id), Val: r.encode(), Blob: msg.Blob},
			engine.Op{Kind: engine.Set, Key: dueKey(u.next, id), Val: dueValue(u)})
		q.announced[id] = announcement{u, now}
	}
	return b, nil
}

// groups splits recipients by destination.
func (q *Queue) groups(rcpts []mail.Recipient) (groups map[string][]mail.Recipient, order []string) {
	groups = map[string][]mail.Recipient{}
	for _, r := range rcpts {
		d := q.destOf(r.Address.Domain)
		if groups[d] == nil {
			order = append(order, d)
		}
		groups[d] = append(groups[d], r)
	}
	return groups, order
}

func (q *Queue) newIDLocked(now time.Time) ID {
	q.lastID = max(q.lastID+1, ID(now.UnixMicro()))
	return q.lastID
}

// AddBatch is Prepare for a message that is staged in the store. The batch goes with
// a Store.Update, and the mailboxes of that share the bytes.
func (q *Queue) AddBatch(_ context.Context, env *mail.Envelope, prefix []byte, msg *store.Staged) (*store.Batch, error) {
	return q.Prepare(*env, Message{Prefix: prefix, Blob: msg.Blob(), Size: msg.Size()})
}

// Wake says that batches of Prepare were committed: these, or, if none are named, some.
func (q *Queue) Wake(committed ...*engine.Batch) {
	if len(committed) == 0 {
		q.unsure.Store(true)
	} else {
		q.mu.Lock()
		now := q.opts.Now().UnixNano()
		for _, b := range committed {
			for i := range b.Ops {
				if id, ok := idOfDue(b.Ops[i].Key); ok {
					q.settleLocked(id)
					if it := q.items[id]; i > 0 && it != nil && it.next <= now {
						q.fresh.put(id, &b.Ops[i-1])
					}
				}
			}
		}
		q.mu.Unlock()
	}
	q.nudge()
}

// settleLocked takes in an entry that was announced, and is committed.
func (q *Queue) settleLocked(id ID) {
	if a, open := q.announced[id]; open {
		q.takeInLocked(id, a.due)
		q.count.added.Add(1)
		delete(q.announced, id)
	}
}

// Add queues msg by a commit of its own and returns when it is durable.
func (q *Queue) Add(ctx context.Context, env mail.Envelope, msg Message) error {
	b, err := q.Prepare(env, msg)
	if err != nil {
		return err
	}
	if _, err := q.opts.Engine.Commit(ctx, b).Wait(); err != nil {
		return engineFailure("Add", err)
	}
	q.Wake(b)
	return nil
}

// engineFailure gives an engine's error its kind.
func engineFailure(op string, err error) error {
	kind := mail.Internal
	switch {
	case errors.Is(err, engine.ErrFull), errors.Is(err, engine.ErrUnavailable):
		kind = mail.Unavailable
	case errors.Is(err, engine.ErrCorrupt):
		kind = mail.Corrupt
	case errors.Is(err, engine.ErrNotFound):
		kind = mail.NotFound
	case errors.Is(err, engine.ErrConflict):
		kind = mail.Conflict
	}
	return failure(kind, op, "", err)
}

// settle looks which announced entries were committed and takes them in.
func (q *Queue) settle() {
	q.mu.Lock()
	open := maps.Clone(q.announced)
	q.mu.Unlock()
	if len(open) == 0 {
		return
	}
	r := q.opts.Engine.Snapshot(0)
	defer r.Close()
	now := q.opts.Now()
	for _, id := range slices.Sorted(maps.Keys(open)) { // first come, first served
		a := open[id]
		_, err := r.Get(dueKey(a.next, id))
		q.mu.Lock()
		if err == nil {
			q.settleLocked(id)
		} else if now.Sub(a.since) > keepAnnounced {
			delete(q.announced, id)
		}
		q.mu.Unlock()
	}
}

// rescan takes in all entries of the engine that are not known: all of them at the
// start, none later, unless a commit was forgotten by its maker. One that ended while
// the scan went on may be taken in again: its attempt finds nothing and forgets it.
func (q *Queue) rescan() error {
	r := q.opts.Engine.Snapshot(0)
	defer r.Close()
	lo, hi := span('d')
	now := q.opts.Now().UnixNano()
	var late []*item
	err := r.Scan(lo, hi, func(key, val []byte) bool {
		id, u, ok := parseDue(key, val)
		if !ok {
			q.opts.Logger.Error("queue: bad due key", "key", key)
			return true
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		q.lastID = max(q.lastID, id)
		if q.items[id] == nil {
			if it := q.takeInLocked(id, u); u.next <= now {
				late = append(late, it)
			}
		}
		return true
	})
	if err != nil {
		return engineFailure("Open", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.started {
		q.spreadLocked(late, now)
	}
	return nil
}

// spreadLocked gives due entries times from now on, so that a restart is no wave.
// A few need no spreading.
func (q *Queue) spreadLocked(late []*item, now int64) {
	width := min(q.opts.Spread, time.Duration(len(late))*50*time.Millisecond)
	for i, it := range late {
		part := (float64(i) + q.opts.Rand()) / float64(len(late))
		q.moveLocked(it, now+int64(part*float64(width)))
	}
}
