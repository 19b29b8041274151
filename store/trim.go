package store

import (
	"encoding/binary"

	"posthouse/store/engine"
)

// The journal is the change log of all clients: what they missed is told from it
// for as long as it reaches back. It is cut when a mark is set, which happens with
// the first change of a day: a mark says what the ModSeq was at a time.

// trim sets a mark if one is due, and cuts the journal below what must be kept: what
// is younger than Options.LogAge, the last Options.LogTransactions, and all behind
// the checkpoint. It runs when all else of the transaction is known.
func (tx *Tx) trim() error {
	h, o := &tx.st.hdr, &tx.acct.store.opts
	if h.marked != 0 && tx.now-h.marked < int64(o.LogAge.Seconds())/markShare {
		return nil
	}
	h.marked = max(h.marked, tx.now)
	tx.set(markKey(tx.modseq), binary.AppendUvarint([]byte{formatVersion}, uint64(h.marked)))
	if int64(tx.modseq-h.floor) <= int64(o.LogTransactions) {
		return nil
	}
	tx.settle()
	old, err := oldestKept(tx.reader(), h.marked-int64(o.LogAge.Seconds()))
	if err != nil {
		return err
	}
	floor := min(old, tx.modseq-ModSeq(o.LogTransactions), h.checkpoint)
	if floor <= h.floor {
		return nil
	}
	tx.ops = append(tx.ops,
		engine.Op{Kind: engine.DeleteRange, Key: []byte{keyJournal}, End: journalKey(floor + 1)},
		engine.Op{Kind: engine.DeleteRange, Key: []byte{keyMark}, End: markKey(floor)})
	h.floor = floor
	return nil
}

// markShare: a mark is set each thirtieth of Options.LogAge, so each day.
const markShare = 30

// oldestKept returns the ModSeq of the newest mark that is not after a time: what
// is at or below it is as old. 0 if there is none.
func oldestKept(r engine.Reader, before int64) (ModSeq, error) {
	var old ModSeq
	err := scan(r, []byte{keyMark}, func(k, v []byte) error {
		at, err := decodeMark(k, v)
		if err == nil && at <= before {
			old = ModSeq(binary.BigEndian.Uint64(k))
		}
		return err
	})
	return old, err
}

// decodeMark returns the time of a mark; k is its key without the letter.
func decodeMark(k, v []byte) (int64, error) {
	d := openRecord(v)
	at := int64(d.Uvarint())
	if len(k) != 8 || at < 0 {
		d.Fail()
	}
	return at, d.err("mark")
}

// marks: they ascend in ModSeq and time, and none is from the future of its account.
func (c *checker) marks() error {
	var last int64
	return c.scan(keyMark, 8, func(k, v []byte) error {
		at, err := decodeMark(k, v)
		if err != nil {
			return err
		}
		m := ModSeq(binary.BigEndian.Uint64(k))
		if at < last || at > c.st.hdr.marked || m > c.st.hdr.modseq || m < c.st.hdr.floor {
			c.faultf("mark of ModSeq %d at %d: after one at %d, the account has ModSeq %d, floor %d, newest mark %d", m, at, last,
				c.st.hdr.modseq, c.st.hdr.floor, c.st.hdr.marked)
		}
		last = at
		return nil
	})
}
