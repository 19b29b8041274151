package store

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"posthouse/store/engine"
)

// Where a message is stands beside its mailboxes by its id: for one that came alone
// in a record R of its own, for those that came together in one record r for each
// block of ids, as runs of messages whose ids and UIDs both count upwards.

// A memberRun is n messages from email on, with the UIDs from uid on.
type memberRun struct {
	email EmailID
	uid   UID
	n     uint32
}

// A memberBlock is a record r: the messages of a block that came to a mailbox with one
// change, by UID. Records of one block and mailbox have no UIDs between each other's.
type memberBlock struct {
	block   emailBlock
	mailbox MailboxID
	uid     UID // at or below the first
	runs    []memberRun
}

// push puts a message behind the others.
func (m *memberBlock) push(e EmailID, u UID) {
	if n := len(m.runs); n > 0 {
		if r := &m.runs[n-1]; r.email+EmailID(r.n) == e && r.uid+UID(r.n) == u {
			r.n++
			return
		}
	}
	m.runs = append(m.runs, memberRun{e, u, 1})
}

// each calls f with every message until it returns false.
func (m *memberBlock) each(f func(e EmailID, u UID) bool) {
	for _, r := range m.runs {
		for i := range r.n {
			if !f(r.email+EmailID(i), r.uid+UID(i)) {
				return
			}
		}
	}
}

// without returns m without the messages that f does not keep.
func (m *memberBlock) without(keep func(e EmailID, u UID) bool) *memberBlock {
	left := &memberBlock{block: m.block, mailbox: m.mailbox, uid: m.uid}
	m.each(func(e EmailID, u UID) bool {
		if keep(e, u) {
			left.push(e, u)
		}
		return true
	})
	return left
}

// find returns the message with a UID, 0 if there is none.
func (m *memberBlock) find(u UID) EmailID {
	for _, r := range m.runs {
		if u >= r.uid && u-r.uid < UID(r.n) {
			return r.email + EmailID(u-r.uid)
		}
	}
	return 0
}

const runsKeyLen = 1 + 8 + 8 + 4

func (m *memberBlock) key() []byte {
	k := binary.BigEndian.AppendUint64(key64(keyRuns, uint64(m.block)), uint64(m.mailbox))
	return binary.BigEndian.AppendUint32(k, uint32(m.uid))
}

func (m *memberBlock) value() []byte {
	v := append(make([]byte, 0, 1+5*len(m.runs)), formatVersion)
	email, uid := m.block.first(), m.uid
	for _, r := range m.runs {
		v = binary.AppendVarint(v, int64(r.email-email))
		v = binary.AppendUvarint(v, uint64(r.uid-uid))
		v = binary.AppendUvarint(v, uint64(r.n-1))
		email, uid = r.email+EmailID(r.n), r.uid+UID(r.n)
	}
	return v
}

// decodeMembers decodes a record r; k is its key behind the first byte.
func decodeMembers(k, v []byte) (*memberBlock, error) {
	if len(k) != runsKeyLen-1 {
		return nil, corrupt("memberships")
	}
	m := &memberBlock{block: emailBlock(binary.BigEndian.Uint64(k)), mailbox: MailboxID(binary.BigEndian.Uint64(k[8:])),
		uid: UID(binary.BigEndian.Uint32(k[16:]))}
	d := openRecord(v)
	at, uid := int64(0), uint64(m.uid) // at counts from the block's first
	for d.Len() > 0 {
		step, gap, more := d.Varint(), d.Uvarint(), d.Uvarint()
		if step < -blockSize || step > blockSize || at+step < 0 || more >= blockSize || at+step+int64(more) >= blockSize ||
			gap > 1<<32 || uid+gap+more > 1<<32-1 || uid+gap == 0 {
			d.Fail()
			break
		}
		at += step
		uid += gap
		m.runs = append(m.runs, memberRun{m.block.first() + EmailID(at), UID(uid), uint32(more) + 1})
		at += int64(more) + 1
		uid += more + 1
	}
	if len(m.runs) == 0 || uint64(m.block) > (1<<64-1)/blockSize {
		d.Fail()
	}
	return m, d.err("memberships")
}

// recordMembers records where rows came to.
func (tx *Tx) recordMembers(id MailboxID, rows []Row) {
	if len(rows) == 1 {
		tx.set(appendMemberKey(tx.bytes(memberKeyLen), rows[0].Email, id, rows[0].UID), nil)
		return
	}
	blocks := map[emailBlock]*memberBlock{}
	var last *memberBlock
	for i := range rows {
		r := &rows[i]
		if b := blockOf(r.Email); last == nil || last.block != b {
			if last = blocks[b]; last == nil {
				last = &memberBlock{block: b, mailbox: id, uid: r.UID}
				blocks[b] = last
			}
		}
		last.push(r.Email, r.UID)
	}
	for _, b := range slices.Sorted(maps.Keys(blocks)) {
		m := blocks[b]
		if len(m.runs) == 1 && m.runs[0].n == 1 {
			tx.set(appendMemberKey(nil, m.runs[0].email, id, m.uid), nil)
			continue
		}
		tx.set(m.key(), m.value())
		tx.st.hdr.blocks = true
	}
}

// recordedMembers calls f with the memberships of a message that are recorded: where it
// is, and where it was until it is reaped.
func (v *View) recordedMembers(id EmailID, f func(m Membership) error) error {
	err := scan(v.reader(), key64(keyMember, uint64(id)), func(k, _ []byte) error {
		if len(k) != 12 {
			return corrupt("membership")
		}
		return f(Membership{MailboxID(binary.BigEndian.Uint64(k)), UID(binary.BigEndian.Uint32(k[8:]))})
	})
	if err != nil || !v.st.hdr.blocks {
		return err
	}
	return eachMembers(v.reader(), blockOf(id), func(m *memberBlock) error { return m.of(id, f) })
}

// of calls f with the places of one message.
func (m *memberBlock) of(id EmailID, f func(m Membership) error) error {
	for _, r := range m.runs {
		if id >= r.email && id-r.email < EmailID(r.n) {
			if err := f(Membership{m.mailbox, r.uid + UID(id-r.email)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachMembers calls f with the records r of a block.
func eachMembers(r engine.Reader, b emailBlock, f func(m *memberBlock) error) error {
	var failed error
	prefix := key64(keyRuns, uint64(b))
	err := r.Scan(prefix, after(prefix), func(k, v []byte) bool {
		var m *memberBlock
		if m, failed = decodeMembers(k[1:], v); failed == nil {
			failed = f(m)
		}
		return failed == nil
	})
	return errors.Join(failed, err)
}
