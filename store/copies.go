package store

import (
	"encoding/binary"
	"errors"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A message counts once for its account, in however many mailboxes it is. So that an
// expunge knows whether it takes the last membership without looking everywhere, a
// message that has several of them has a record with their number. Most have not.

// MaxMemberships bounds the places of one message: they count for no quota.
const MaxMemberships = 100

// A copies is the memberships of a message: before the transaction and now.
type copies struct{ base, now uint32 }

// countIn counts messages that enter a mailbox; fresh ones are in no other.
func (tx *Tx) countIn(rows []Row, fresh bool) error {
	h := &tx.st.hdr
	if fresh {
		h.messages += int64(len(rows))
		h.bytes += sizeOf(rows)
		return nil
	}
	if err := tx.loadCopies(rows); err != nil {
		return err
	}
	for i := range rows {
		c := tx.copiesOf(rows[i].Email)
		if c.now >= MaxMemberships {
			for _, r := range rows[:i] {
				c := tx.copies[r.Email]
				c.now--
				tx.copies[r.Email] = c
			}
			return fail(mail.TooLarge, "Copy", "the message is in too many mailboxes")
		}
		c.now++
		tx.copies[rows[i].Email] = c
	}
	return nil
}

// countOut counts messages that leave a mailbox.
func (tx *Tx) countOut(rows []Row) error {
	h := &tx.st.hdr
	if h.multi == 0 && len(tx.copies) == 0 {
		h.messages -= int64(len(rows))
		h.bytes -= sizeOf(rows)
		return nil
	}
	if err := tx.loadCopies(rows); err != nil {
		return err
	}
	for i := range rows {
		c := tx.copiesOf(rows[i].Email)
		if c.now--; c.now == 0 {
			h.messages--
			h.bytes -= int64(rows[i].Size)
		}
		tx.copies[rows[i].Email] = c
	}
	return nil
}

// scanCopies is the number of messages from which on their records are scanned
// instead of looked up.
const scanCopies = 16

// loadCopies brings the memberships of messages, which have one at least, into
// tx.copies.
func (tx *Tx) loadCopies(rows []Row) error {
	if tx.copies == nil {
		tx.copies = make(map[EmailID]copies, len(rows))
	}
	if tx.st.hdr.multi == 0 {
		return nil
	}
	var missing []Row
	low, high := EmailID(1<<64-1), EmailID(0)
	for i := range rows {
		if _, known := tx.copies[rows[i].Email]; !known {
			tx.copies[rows[i].Email] = copies{1, 1}
			missing = append(missing, rows[i])
			low, high = min(low, rows[i].Email), max(high, rows[i].Email)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	tx.settle()
	if len(missing) < scanCopies {
		for i := range missing {
			v, err := tx.reader().Get(copiesKey(missing[i].Email))
			if err == nil {
				err = tx.known(missing[i].Email, v)
			}
			if err != nil && !errors.Is(err, engine.ErrNotFound) {
				return wrap("copies", err)
			}
		}
		return nil
	}
	var failed error
	err := tx.reader().Scan(copiesKey(low), copiesKey(high+1), func(k, v []byte) bool {
		if len(k) != 9 {
			failed = corrupt("copies")
			return false
		}
		if e := EmailID(binary.BigEndian.Uint64(k[1:])); tx.copies[e].base == 1 {
			failed = tx.known(e, v)
		}
		return failed == nil
	})
	return wrap("copies", errors.Join(failed, err))
}

// copiesOf returns what is known of a message after loadCopies: one that has no record
// has one membership.
func (tx *Tx) copiesOf(e EmailID) copies {
	if c, known := tx.copies[e]; known {
		return c
	}
	return copies{1, 1}
}

func (tx *Tx) known(e EmailID, v []byte) error {
	n, err := decodeCopies(v)
	if c := tx.copies[e]; err == nil && c == (copies{1, 1}) {
		tx.copies[e] = copies{n, n}
	}
	return err
}

func decodeCopies(v []byte) (uint32, error) {
	d := openRecord(v)
	n := d.uint32()
	if n < 2 {
		d.fail()
	}
	return n, d.err("copies")
}

// writeCopies writes the records of messages whose number of memberships changed.
func (tx *Tx) writeCopies() {
	keys := make([]byte, 0, 9*len(tx.copies))
	two := []byte{formatVersion, 2}
	for e, c := range tx.copies {
		at := len(keys)
		keys = binary.BigEndian.AppendUint64(append(keys, keyCopies), uint64(e))
		key := keys[at:len(keys):len(keys)]
		switch {
		case c.now == 2 && c.base != 2:
			tx.set(key, two)
			if c.base < 2 {
				tx.st.hdr.multi++
			}
		case c.now > 2 && c.now != c.base:
			tx.set(key, binary.AppendUvarint([]byte{formatVersion}, uint64(c.now)))
			if c.base < 2 {
				tx.st.hdr.multi++
			}
		case c.now < 2 && c.base >= 2:
			tx.remove(key)
			tx.st.hdr.multi--
		}
	}
}

// recount counts the account's messages as above, once: an account from before it
// was so has them counted in each mailbox. A damaged mailbox leaves it as it is.
func (tx *Tx) recount() {
	h := &tx.st.hdr
	if !tx.st.exists || h.counted {
		return
	}
	n, messages, bytes, err := tx.st.copies()
	if err != nil {
		return
	}
	h.counted, h.messages, h.bytes, h.multi = true, messages, bytes, 0
	tx.ops = append(tx.ops, engine.Op{Kind: engine.DeleteRange, Key: []byte{keyCopies}, End: []byte{keyCopies + 1}})
	tx.copies = map[EmailID]copies{}
	for e, c := range n {
		if c >= 2 {
			tx.copies[e] = copies{c, c}
			tx.set(copiesKey(e), binary.AppendUvarint([]byte{formatVersion}, uint64(c)))
			h.multi++
		}
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
