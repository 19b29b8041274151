package store

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"posthouse/store/engine"
)

// reapBatch bounds the messages that one commit of the reaper removes: its
// account stands still meanwhile.
const reapBatch = 1000

// reap does one batch of Reap. more says that there may be others.
func (a *account) reap(ctx context.Context, before time.Time) (more bool, err error) {
	a.store.closing.RLock()
	defer a.store.closing.RUnlock()
	if a.store.closed {
		return false, engine.ErrUnavailable
	}
	if idle, err := a.nothingDead(before); idle || err != nil {
		return false, err
	}
	// References are read and removed here: no update may do the same meanwhile.
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pub.Lock()
	for a.inflight > 0 {
		a.settled.Wait()
	}
	a.pub.Unlock()
	r := a.store.eng.Snapshot(a.id)
	defer r.Close()
	rp := &reaper{r: r, gone: map[EmailID]map[string]bool{}}
	err = r.Scan([]byte{keyDead}, deadEnd(before), func(k, v []byte) bool {
		more = rp.err == nil && rp.n >= reapBatch
		if !more {
			rp.take(k, v)
		}
		return rp.err == nil && !more
	})
	if err == nil {
		err = errors.Join(rp.err, rp.failed)
	}
	if err == nil {
		err = rp.emails()
	}
	if err != nil || len(rp.ops) == 0 {
		return false, err
	}
	_, err = a.store.eng.Commit(ctx, &engine.Batch{Account: a.id, Expect: engine.AnyVersion, Ops: rp.ops}).Wait()
	return more, err
}

func deadEnd(before time.Time) []byte { return deadKey(before.Unix(), 0, 0) }

func (a *account) nothingDead(before time.Time) (bool, error) {
	r := a.store.eng.Snapshot(a.id)
	defer r.Close()
	idle := true
	err := r.Scan([]byte{keyDead}, deadEnd(before), func(_, _ []byte) bool {
		idle = false
		return false
	})
	return idle, err
}

// A reaper collects what one commit removes.
type reaper struct {
	r    engine.Reader
	ops  []engine.Op
	n    int
	gone map[EmailID]map[string]bool // membership keys that go
	err  error

	failed error // of notes
}

func (rp *reaper) remove(key []byte) {
	rp.ops = append(rp.ops, engine.Op{Kind: engine.Delete, Key: key})
}

// take removes the memberships of one record.
func (rp *reaper) take(key, val []byte) {
	rp.remove(append([]byte(nil), key...))
	rp.err = decodeDead(val, func(d *deads) {
		rp.notes(d)
		i := 0
		for u := range d.uids.All() {
			k := appendMemberKey(nil, d.emails[i], d.mailbox, u)
			if rp.gone[d.emails[i]] == nil {
				rp.gone[d.emails[i]] = map[string]bool{}
			}
			rp.gone[d.emails[i]][string(k)] = true
			rp.remove(k)
			rp.n++
			i++
		}
	})
}

// notes removes the annotations of messages.
func (rp *reaper) notes(d *deads) {
	for _, r := range d.uids {
		err := rp.r.Scan(notePrefix(d.mailbox, r.First), after(notePrefix(d.mailbox, r.Last)), func(k, _ []byte) bool {
			rp.remove(append([]byte(nil), k...))
			return true
		})
		rp.failed = errors.Join(rp.failed, err)
	}
}

// emails removes the messages that have no membership left.
func (rp *reaper) emails() error {
	for id, gone := range rp.gone {
		kept := false
		prefix := key64(keyMember, uint64(id))
		if err := rp.r.Scan(prefix, after(prefix), func(k, _ []byte) bool {
			kept = !gone[string(k)]
			return !kept
		}); err != nil {
			return err
		}
		if kept {
			continue
		}
		v, err := rp.r.Get(emailKey(id))
		if err != nil {
			return err
		}
		var e Email
		if err := decodeEmail(&e, id, v); err != nil {
			return err
		}
		rp.remove(emailKey(id))
		rp.remove(threadKey(e.Thread, id))
	}
	return nil
}

// decodeDead calls f with the messages of a record of expunged ones.
func decodeDead(v []byte, f func(d *deads)) error {
	d := openRecord(v)
	x := deads{mailbox: MailboxID(d.uvarint()), uids: d.uidSet(), emails: d.emails()}
	n := len(x.emails)
	if len(d.b) > 0 { // records of the first version end here
		x.flags, x.dates = make([]FlagSet, n), make([]int64, n)
		var date int64
		for i := range n {
			x.flags[i] = FlagSet(d.uint32())
			date += d.varint()
			x.dates[i] = date
		}
	}
	if err := d.err("expunged"); err != nil {
		return err
	}
	if x.uids.Len() != n {
		return corrupt("expunged")
	}
	f(&x)
	return nil
}

func appendDead(dst []byte, d *deads) []byte {
	dst = binary.AppendUvarint(dst, uint64(d.mailbox))
	dst = appendUIDSet(dst, d.uids)
	dst = appendEmails(dst, d.emails)
	var last int64
	for i := range d.dates {
		dst = binary.AppendUvarint(dst, uint64(d.flags[i]))
		dst = binary.AppendVarint(dst, d.dates[i]-last)
		last = d.dates[i]
	}
	return dst
}
