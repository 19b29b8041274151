package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

// An entry is a loaded item: its owner works on it.
type entry struct {
	q   *Queue
	it  *item
	rec *record
	st  *state
	at  int64 // when the work began: the time of all its results
	// moved: its destination is another than the qd key says.
	moved bool
	// kept: the engine may have a qs of it.
	kept bool
	// learnt is committed with the results.
	learnt []suppressing
}

// load reads an entry that the caller owns.
func (q *Queue) load(it *item) (*entry, error) {
	q.mu.Lock()
	val := q.fresh.take(it.id)
	q.mu.Unlock()
	if val != nil {
		rec, err := decodeRecord(val)
		if err != nil {
			return nil, err
		}
		st := newState(rec)
		st.next = it.key
		return &entry{q: q, it: it, rec: rec, st: st, at: q.opts.Now().UnixNano()}, nil
	}
	r := q.opts.Engine.Snapshot(0)
	defer r.Close()
	rec, st, err := readEntry(r, it.id)
	if err != nil {
		return nil, err
	}
	st.next = it.key
	return &entry{q: q, it: it, rec: rec, st: st, at: q.opts.Now().UnixNano(), kept: st.kept}, nil
}

// readEntry reads qm and qs. Without qs the state is that of a new entry.
func readEntry(r engine.Reader, id ID) (*record, *state, error) {
	val, err := r.Get(keyOf('m', id))
	if err != nil {
		return nil, nil, err
	}
	rec, err := decodeRecord(val)
	if err != nil {
		return nil, nil, err
	}
	val, err = r.Get(keyOf('s', id))
	if errors.Is(err, engine.ErrNotFound) {
		return rec, newState(rec), nil
	}
	if err != nil {
		return nil, nil, err
	}
	st, err := decodeState(val, len(rec.env.Recipients))
	if err == nil {
		st.kept = true
	}
	return rec, st, err
}

// newState is the state of an entry that was not attempted yet.
func newState(rec *record) *state {
	return &state{next: rec.created.UnixNano(), rcpts: make([]rcptState, len(rec.env.Recipients))}
}

// fresh holds what qm says of entries that were committed just now and that nobody has
// loaded since: most are attempted at once, and need not be looked for in the engine. What
// changes an entry loads it first, so nothing here is out of date.
type fresh map[ID][]byte

const (
	// maxFresh bounds how many are held: when there are as many, sending does not keep up,
	// and those that come later are as likely to be attempted next.
	maxFresh = 1000
	// maxFreshBytes bounds what is held of one.
	maxFreshBytes = 8 << 10
)

// put takes in what op, which is committed, has set.
func (f fresh) put(id ID, op *engine.Op) {
	if op.Blob == nil || op.Blob.ID == 0 || len(op.Val) > maxFreshBytes || !bytes.Equal(op.Key, keyOf('m', id)) {
		return
	}
	if len(f) >= maxFresh {
		clear(f)
	}
	val := make([]byte, 0, len(op.Val)+8)
	f[id] = binary.BigEndian.AppendUint64(append(val, op.Val...), uint64(op.Blob.ID))
}

// take returns what is held of an entry, and holds it no longer. It is nil if there is
// nothing.
func (f fresh) take(id ID) []byte {
	val := f[id]
	delete(f, id)
	return val
}

// pending are the recipients that wait, by index.
func (e *entry) pending() []int {
	var idx []int
	for i := range e.st.rcpts {
		if e.st.rcpts[i].status == stWaiting {
			idx = append(idx, i)
		}
	}
	return idx
}

// groups are the pending recipients by destination: one group, unless the routes
// have changed since the entry was made.
func (e *entry) groups() [][]int {
	var names []string
	var out [][]int
	for _, i := range e.pending() {
		name := e.destOf(e.rec.env.Recipients[i].Address.Domain)
		n := slices.Index(names, name)
		if n < 0 {
			n = len(names)
			names, out = append(names, name), append(out, nil)
		}
		out[n] = append(out[n], i)
	}
	return out
}

// destOf is the destination of the entry's mail for d.
func (e *entry) destOf(d mail.Domain) string {
	if e.st.route != "" {
		return e.st.route
	}
	return e.q.destOf(d)
}

// mark notes a reply for recipients that wait. A permanent one is final.
func (e *entry) mark(idx []int, r mail.Reply, remote bool, host string) {
	for _, i := range idx {
		rs := &e.st.rcpts[i]
		rs.reply, rs.remote, rs.host, rs.at = r, remote, host, e.at
		if r.Permanent() {
			rs.status = stFailed
			e.q.count.bounced.Add(1)
		}
	}
}

// A content is the bytes of an entry's message.
type content struct {
	prefix []byte
	blob   engine.BlobReader
}

func (e *entry) open(ctx context.Context) (*content, error) {
	b, err := e.q.opts.Engine.OpenBlob(ctx, e.rec.blob)
	if err != nil {
		return nil, err
	}
	return &content{e.rec.prefix, b}, nil
}

func (c *content) Close() error { return c.blob.Close() }

// reader reads it from the beginning.
func (c *content) reader() io.Reader {
	return io.MultiReader(bytes.NewReader(c.prefix), io.NewSectionReader(c.blob, 0, c.blob.Size()))
}

// maxHeader bounds what is taken as the header section.
const maxHeader = 1 << 20

// header returns the header section with the empty line, at most limit octets.
func (c *content) header(limit int) ([]byte, error) {
	var out []byte
	r := c.reader()
	block := make([]byte, 4<<10)
	for len(out) < limit {
		n, err := r.Read(block)
		from := max(0, len(out)-3)
		out = append(out, block[:n]...)
		if i := bytes.Index(out[from:], []byte("\r\n\r\n")); i >= 0 {
			return out[:from+i+4], nil
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return out[:limit], nil
}

// needsUTF8 reports whether the header section holds 8-bit bytes.
func (c *content) needsUTF8() (bool, error) {
	h, err := c.header(maxHeader)
	return slices.ContainsFunc(h, func(b byte) bool { return b >= 0x80 }), err
}

// finish ends the owner's work on an entry that stays: its next attempt is at
// e.st.next.
func (e *entry) finish() {
	q := e.q
	q.mu.Lock()
	e.it.key = e.st.next
	q.releaseLocked(e.it, e.st.next)
	q.mu.Unlock()
	q.nudge()
}

// gone ends the owner's work on an entry that is no more.
func (e *entry) gone() {
	q := e.q
	q.mu.Lock()
	q.active--
	q.forgetLocked(e.it)
	q.signalLocked()
	q.mu.Unlock()
}

// retryAt is the time of the next attempt after as many as there were.
func (e *entry) retryAt(now time.Time) int64 {
	table := e.q.set().Retry
	gap := table[min(max(e.st.attempts-1, 0), len(table)-1)]
	if e.quick() {
		gap = quickRetry
	}
	at := now.Add(time.Duration(float64(gap) * (0.9 + 0.2*e.q.opts.Rand())))
	ends := []time.Time{e.until()}
	if by := e.rec.env.DeliverBy; !by.IsZero() {
		ends = append(ends, by)
	}
	for _, end := range ends { // not later: the sender is to be told then
		if at.After(end) && now.Before(end) {
			at = end
		}
	}
	return at.UnixNano()
}

// quickRetry is for recipients that a server only wants in another transaction.
const quickRetry = 10 * time.Second

// quick: some were taken, and all others refused as too many for one transaction
// (RFC 5321 §4.5.3.1.10), just now.
func (e *entry) quick() bool {
	taken, rest := false, 0
	for i := range e.st.rcpts {
		rs := &e.st.rcpts[i]
		switch {
		case rs.status == stDelivered || rs.status == stRelayed:
			taken = taken || rs.at == e.at
		case rs.status == stWaiting && (rs.reply.Code != 452 || rs.at != e.at):
			return false
		case rs.status == stWaiting:
			rest++
		}
	}
	return taken && rest > 0
}
