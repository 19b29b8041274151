package store

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A message counts once for its account, in however many mailboxes it is. So that an
// expunge knows whether it takes the last membership without looking everywhere, the
// memberships of messages that have several are recorded, for a block of messages with
// neighbouring ids in one record: what is copied or expunged together costs a record
// for a thousand messages. Most have one membership.

// MaxMemberships bounds the places of one message: they count for no quota.
const MaxMemberships = 100

// An emailBlock is 1,024 messages with neighbouring ids.
type emailBlock uint64

const blockSize = 1024

func blockOf(e EmailID) emailBlock { return emailBlock(e / blockSize) }

func (b emailBlock) first() EmailID { return EmailID(b) * blockSize }

// counts is how many memberships each message of a block has; 0: one or none.
type counts [blockSize]uint8

func (c *counts) up(e EmailID) bool {
	n := &c[e%blockSize]
	if *n >= MaxMemberships {
		return false
	}
	*n = max(*n, 1) + 1
	return true
}

// down reports whether the message lost its last membership.
func (c *counts) down(e EmailID) (last bool) {
	n := &c[e%blockSize]
	if *n <= 2 {
		last = *n < 2
		*n = 0
		return last
	}
	*n--
	return false
}

// A counting is a block that a transaction counts in: as it was and as it is.
type counting struct{ base, now counts }

// countIn counts messages that enter a mailbox; fresh ones are in no other.
func (tx *Tx) countIn(rows []Row, fresh bool) error {
	h := &tx.st.hdr
	if fresh {
		h.messages += int64(len(rows))
		h.bytes += sizeOf(rows)
		return nil
	}
	if err := tx.loadCounts(rows); err != nil {
		return err
	}
	for i := range rows {
		if !tx.countsOf(rows[i].Email).up(rows[i].Email) {
			for _, r := range rows[:i] {
				tx.countsOf(r.Email).down(r.Email)
			}
			return fail(mail.TooLarge, "Copy", "the message is in too many mailboxes")
		}
	}
	return nil
}

// countOut counts messages that leave a mailbox.
func (tx *Tx) countOut(rows []Row) error {
	h := &tx.st.hdr
	if h.multi == 0 && len(tx.counts) == 0 {
		h.messages -= int64(len(rows))
		h.bytes -= sizeOf(rows)
		return nil
	}
	if err := tx.loadCounts(rows); err != nil {
		return err
	}
	for i := range rows {
		if tx.countsOf(rows[i].Email).down(rows[i].Email) {
			h.messages--
			h.bytes -= int64(rows[i].Size)
		}
	}
	return nil
}

// loadCounts brings the blocks of messages into tx.counts.
func (tx *Tx) loadCounts(rows []Row) error {
	if tx.counts == nil {
		tx.counts = make(map[emailBlock]*counting, 1)
	}
	for i := range rows {
		b := blockOf(rows[i].Email)
		if i > 0 && b == blockOf(rows[i-1].Email) || tx.counts[b] != nil {
			continue
		}
		c := new(counting)
		if tx.st.hdr.multi > 0 && !tx.recounted {
			tx.settle()
			v, err := tx.reader().Get(countsKey(b))
			if err == nil {
				err = decodeCounts(&c.base, v)
			}
			if err != nil && !errors.Is(err, engine.ErrNotFound) {
				return wrap("copies", err)
			}
		}
		c.now = c.base
		tx.counts[b] = c
	}
	return nil
}

// countsOf returns the block of a message after loadCounts.
func (tx *Tx) countsOf(e EmailID) *counts {
	if b := blockOf(e); tx.lastCounts == nil || tx.lastBlock != b {
		tx.lastBlock, tx.lastCounts = b, &tx.counts[b].now
	}
	return tx.lastCounts
}

// writeCounts writes the blocks that changed.
func (tx *Tx) writeCounts() {
	if len(tx.counts) == 0 {
		return
	}
	h := &tx.st.hdr
	for _, b := range slices.Sorted(maps.Keys(tx.counts)) {
		c := tx.counts[b]
		if c.now == c.base {
			continue
		}
		h.multi += c.now.several() - c.base.several()
		if v := appendCounts([]byte{formatVersion}, &c.now); len(v) > 1 {
			tx.set(countsKey(b), v)
			h.blocks = true
		} else {
			tx.remove(countsKey(b))
		}
	}
}

// several is the number of messages with several memberships.
func (c *counts) several() (n int64) {
	for _, k := range c {
		if k > 0 {
			n++
		}
	}
	return n
}

// appendCounts encodes a block as runs of messages with the same number.
func appendCounts(dst []byte, c *counts) []byte {
	next := 0
	for i := 0; i < len(c); {
		n := c[i]
		end := i + 1
		for end < len(c) && c[end] == n {
			end++
		}
		if n > 0 {
			dst = binary.AppendUvarint(dst, uint64(i-next))
			dst = binary.AppendUvarint(dst, uint64(end-i-1))
			dst = append(dst, n)
			next = end
		}
		i = end
	}
	return dst
}

func decodeCounts(c *counts, v []byte) error {
	d := openRecord(v)
	at := uint64(0)
	for d.Len() > 0 {
		gap, more := d.Uvarint(), d.Uvarint()
		n := d.Byte()
		if gap >= blockSize || more >= blockSize || at+gap+more >= blockSize || n < 2 || n > MaxMemberships {
			d.Fail()
			break
		}
		at += gap
		for range more + 1 {
			c[at] = n
			at++
		}
	}
	if at == 0 {
		d.Fail()
	}
	return d.err("copies")
}

// recount counts the account's messages as above, once: an account from before it
// was so has them counted in each mailbox, or message by message. A damaged mailbox
// leaves it as it is.
func (tx *Tx) recount() {
	h := &tx.st.hdr
	if tx.st.exists && (!h.counted || h.multi > 0 && !h.blocks) {
		tx.countAnew()
	}
}

// countAnew forgets what was counted, and counts.
func (tx *Tx) countAnew() {
	n, messages, bytes, err := tx.st.copies()
	if err != nil {
		return
	}
	h := &tx.st.hdr
	h.counted, h.messages, h.bytes, h.multi = true, messages, bytes, 0 // writeCounts counts multi
	for _, kind := range []byte{keyCopies, keyCounts} {
		tx.ops = append(tx.ops, engine.Op{Kind: engine.DeleteRange, Key: []byte{kind}, End: []byte{kind + 1}})
	}
	tx.counts, tx.lastCounts, tx.recounted = map[emailBlock]*counting{}, nil, true
	for e, k := range n {
		if k < 2 {
			continue
		}
		b := blockOf(e)
		if tx.counts[b] == nil {
			tx.counts[b] = new(counting)
		}
		tx.counts[b].now[e%blockSize] = uint8(min(k, MaxMemberships))
	}
}

// copies counts the memberships of every message.
func (st *state) copies() (n map[EmailID]uint32, messages, bytes int64, err error) {
	n = map[EmailID]uint32{}
	for _, b := range st.boxes {
		if b.mb.Messages == 0 {
			continue
		}
		c, err := b.lazy.load()
		if err != nil {
			return nil, 0, 0, err
		}
		m, size := c.countInto(n)
		messages += m
		bytes += size
	}
	return n, messages, bytes, nil
}

// countInto counts the messages of c in n, and returns those that were not there.
func (c *content) countInto(n map[EmailID]uint32) (messages, bytes int64) {
	for i := range c.dir {
		k := c.dir[i].c
		for j := range k.cols.uid {
			e := k.row(j)
			if n[e.Email]++; n[e.Email] == 1 {
				messages++
				bytes += int64(e.Size)
			}
		}
	}
	return messages, bytes
}
