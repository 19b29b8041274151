package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
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
	a.settleLocked()
	r := a.store.eng.Snapshot(a.id)
	defer r.Close()
	rp := &reaper{r: r, gone: map[EmailID]map[string]bool{}, blocks: map[emailBlock][]*memberBlock{}, left: map[*memberBlock]map[UID]bool{}}
	if rp.hasBlocks, err = hasBlocks(r); err != nil {
		return false, err
	}
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
	rp.rewrite()
	if err != nil || len(rp.ops) == 0 {
		return false, err
	}
	_, err = a.store.eng.Commit(ctx, &engine.Batch{Account: a.id, Expect: engine.AnyVersion, Ops: rp.ops}).Wait()
	return more, err
}

// settleLocked waits for the commits under way.
func (a *account) settleLocked() {
	a.pub.Lock()
	defer a.pub.Unlock()
	for len(a.submitted) > 0 {
		a.settled.Wait()
	}
}

// forgetHour takes an hour out of the reaper's work, unless something that was
// expunged in it waits still: also if the clock went back meanwhile.
func (a *account) forgetHour(ctx context.Context, hour uint64) error {
	a.store.closing.RLock()
	defer a.store.closing.RUnlock()
	if a.store.closed {
		return engine.ErrUnavailable
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settleLocked()
	r := a.store.eng.Snapshot(a.id)
	defer r.Close()
	waits := false
	err := r.Scan(deadKey(int64(hour)*3600, 0, 0), deadKey(int64(hour+1)*3600, 0, 0), func(_, _ []byte) bool {
		waits = true
		return false
	})
	if waits || err != nil {
		return err
	}
	ops := []engine.Op{{Kind: engine.Delete, Key: expungedKey(hour, a.id)}}
	_, err = a.store.eng.Commit(ctx, &engine.Batch{Expect: engine.AnyVersion, Ops: ops}).Wait()
	return err
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
	gone map[EmailID]map[string]bool // keys of memberships that go, by message

	hasBlocks bool // records r
	blocks    map[emailBlock][]*memberBlock
	left      map[*memberBlock]map[UID]bool // UIDs that go

	err    error
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
			rp.leave(d.emails[i], d.mailbox, u)
			rp.n++
			i++
		}
	})
}

// leave removes one membership.
func (rp *reaper) leave(e EmailID, id MailboxID, u UID) {
	if rp.gone[e] == nil {
		rp.gone[e] = map[string]bool{}
	}
	m, err := rp.together(e, id, u)
	rp.failed = errors.Join(rp.failed, err)
	if m == nil {
		k := appendMemberKey(nil, e, id, u)
		rp.gone[e][string(k)] = true
		rp.remove(k)
		return
	}
	if rp.left[m] == nil {
		rp.left[m] = map[UID]bool{}
	}
	rp.left[m][u] = true
}

// together returns the record r that has a membership, or nil.
func (rp *reaper) together(e EmailID, id MailboxID, u UID) (*memberBlock, error) {
	if !rp.hasBlocks {
		return nil, nil
	}
	all, err := rp.block(blockOf(e))
	// They are in the order of their keys, and do not overlap.
	i, found := slices.BinarySearchFunc(all, Membership{id, u}, func(m *memberBlock, p Membership) int {
		return cmp.Or(cmp.Compare(m.mailbox, p.Mailbox), cmp.Compare(m.uid, p.UID))
	})
	if !found {
		i--
	}
	if i < 0 || all[i].mailbox != id || all[i].find(u) != e {
		return nil, err
	}
	return all[i], err
}

// block returns the records r of a block.
func (rp *reaper) block(b emailBlock) ([]*memberBlock, error) {
	if all, known := rp.blocks[b]; known {
		return all, nil
	}
	var all []*memberBlock
	err := eachMembers(rp.r, b, func(m *memberBlock) error {
		all = append(all, m)
		return nil
	})
	rp.blocks[b] = all
	return all, err
}

// rewrite writes the records r that lost messages.
func (rp *reaper) rewrite() {
	for m, gone := range rp.left {
		if left := m.without(func(_ EmailID, u UID) bool { return !gone[u] }); len(left.runs) > 0 {
			rp.ops = append(rp.ops, engine.Op{Kind: engine.Set, Key: m.key(), Val: left.value()})
		} else {
			rp.remove(m.key())
		}
	}
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

// emails removes the messages that have no membership left, in the order in which they
// stand in the index: it reads each of its blocks once then, and so does the commit.
func (rp *reaper) emails() error {
	for _, id := range slices.Sorted(maps.Keys(rp.gone)) {
		kept, err := rp.kept(id)
		if err != nil {
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

// kept tells whether a message has a membership that stays.
func (rp *reaper) kept(id EmailID) (kept bool, err error) {
	gone := rp.gone[id]
	prefix := key64(keyMember, uint64(id))
	err = rp.r.Scan(prefix, after(prefix), func(k, _ []byte) bool {
		kept = !gone[string(k)]
		return !kept
	})
	if kept || err != nil || !rp.hasBlocks {
		return kept, err
	}
	all, err := rp.block(blockOf(id))
	for _, m := range all {
		_ = m.of(id, func(p Membership) error {
			kept = kept || !rp.left[m][p.UID]
			return nil
		})
	}
	return kept, err
}

// hasBlocks tells whether the account may have records r.
func hasBlocks(r engine.Reader) (bool, error) {
	v, err := r.Get([]byte{keyAccount})
	if errors.Is(err, engine.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h, err := decodeHeader(v)
	return h.blocks, err
}

// decodeDead calls f with the messages of a record of expunged ones.
func decodeDead(v []byte, f func(d *deads)) error {
	d := openRecord(v)
	x := deads{mailbox: MailboxID(d.Uvarint()), uids: d.uidSet(), emails: d.emails()}
	n := len(x.emails)
	if d.Len() > 0 { // records of the first version end here
		x.flags, x.dates = make([]FlagSet, n), make([]int64, n)
		var date int64
		for i := range n {
			x.flags[i] = FlagSet(d.Uint32())
			date += d.Varint()
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
