package store

import "posthouse/mail"

// Copied pairs the messages of a copy or move in ascending order: the n-th UID
// of Source became the n-th of Dest.
type Copied struct {
	UIDValidity  uint32 // of the destination
	Source, Dest UIDSet
}

// Copy puts the messages of uids that exist into another mailbox, or the same
// one again, with their flags and internal dates. No bytes are copied.
func (tx *Tx) Copy(from, to MailboxID, uids UIDSet) (Copied, error) {
	rows, src, dest, err := tx.transfer("Copy", from, to, uids, RightRead)
	if err != nil {
		return Copied{}, err
	}
	return tx.land("Copy", src, dest, rows, &landing{tx.countInAgain, tx.mine})
}

// Move is Copy and Expunge as one.
func (tx *Tx) Move(from, to MailboxID, uids UIDSet) (Copied, error) {
	rows, src, dest, err := tx.transfer("Move", from, to, uids, RightRead|RightDeleted|RightExpunge)
	if err != nil {
		return Copied{}, err
	}
	done, err := tx.land("Move", src, dest, rows, &landing{func([]Row) error { return nil }, everybody})
	if err == nil { // each has as many memberships as before
		_, _, err = tx.takeOut("Move", tx.st.box(from), done.Source)
	}
	return done, err
}

// transfer finds what is to be copied and where to.
func (tx *Tx) transfer(op string, from, to MailboxID, uids UIDSet, need Rights) (rows []Row, src, dest *box, err error) {
	if src, err = tx.enterable(op, from, need); err != nil {
		return nil, nil, nil, err
	}
	if dest, err = tx.enterable(op, to, RightInsert); err != nil {
		return nil, nil, nil, err
	}
	c, err := src.lazy.load()
	if err != nil {
		return nil, nil, nil, wrap(op, err)
	}
	return c.rows(uids), src, dest, nil
}

func sizeOf(rows []Row) (n int64) {
	for i := range rows {
		n += int64(rows[i].Size)
	}
	return n
}

// A landing says how copies come to a mailbox.
type landing struct {
	count func([]Row) error              // for the account
	notes func(user mail.AccountID) bool // whose go with them
}

// land puts copies of rows, which are in src, into dest.
func (tx *Tx) land(op string, src, dest *box, rows []Row, how *landing) (done Copied, err error) {
	if err := tx.roomIn(op, dest, len(rows)); err != nil {
		return Copied{}, err
	}
	if err := how.count(rows); err != nil {
		return Copied{}, err
	}
	var notes noteCopy
	if src.noted > 0 {
		notes.from = places(src.mb.ID, rows)
	}
	if tx.who != nil {
		done, err = tx.landAs(op, src, dest, rows)
	} else {
		done = tx.place(dest, rows)
	}
	if err == nil && src.noted > 0 {
		notes.to = places(dest.mb.ID, rows)
		err = tx.copyNotes(op, tx, &notes, how.notes)
	}
	return done, err
}

func (tx *Tx) countInAgain(rows []Row) error { return tx.countIn(rows, false) }

// place gives copies of rows their UIDs in dest.
func (tx *Tx) place(dest *box, rows []Row) Copied {
	done := Copied{UIDValidity: dest.mb.UIDValidity}
	if len(rows) == 0 {
		return done
	}
	next := dest.mb.UIDNext
	for i := range rows {
		r := &rows[i]
		done.Source.push(r.UID)
		r.UID, r.SaveDate, r.ModSeq = next+UID(i), tx.now, tx.modseq
	}
	done.Dest = UIDSet{{next, next + UID(len(rows)-1)}}
	tx.enter(dest.mb.ID, rows)
	return done
}

// Expunge removes the messages of uids that exist and returns them.
func (tx *Tx) Expunge(id MailboxID, uids UIDSet) (UIDSet, error) {
	b, err := tx.enterable("Expunge", id, RightExpunge)
	if err != nil {
		return nil, err
	}
	return tx.expunge("Expunge", b, uids)
}

// expunge is Expunge by whoever may.
func (tx *Tx) expunge(op string, b *box, uids UIDSet) (UIDSet, error) {
	h := &tx.st.hdr
	if h.multi > 0 || len(tx.counts) > 0 {
		c, err := b.lazy.load()
		if err == nil {
			err = tx.countOut(c.rows(uids))
		}
		if err != nil {
			return nil, wrap(op, err)
		}
		gone, _, err := tx.takeOut(op, b, uids)
		return gone, err
	}
	gone, t, err := tx.takeOut(op, b, uids)
	h.messages += t.messages
	h.bytes += t.bytes
	return gone, err
}

// takeOut removes messages from a mailbox, and says what that did to its counts.
// Whoever calls it counts them for the account.
func (tx *Tx) takeOut(op string, b *box, uids UIDSet) (UIDSet, tally, error) {
	var t tally
	id := b.mb.ID
	c, err := b.lazy.load()
	if err != nil {
		return nil, t, wrap(op, err)
	}
	d := deads{mailbox: id}
	now := c.remove(uids, func(k *chunk, lo, hi int) {
		for j := lo; j < hi; j++ {
			t.count(tx.st.flags.system(k.mark.flags[j]), k.cols.size[j], -1)
			d.uids.push(k.cols.uid[j])
		}
		d.emails = k.cols.email.appendTo(d.emails, lo, hi)
		d.flags = append(d.flags, k.mark.flags[lo:hi]...)
		d.dates = k.cols.date.appendTo(d.dates, lo, hi)
	})
	if len(d.uids) == 0 {
		return nil, t, nil
	}
	if err := tx.dropNotes(b, d.uids); err != nil {
		return nil, t, err
	}
	tx.messages(id, &t).lazy = loaded(now)
	tx.log(func(dst []byte) []byte { return appendExpunged(dst, id, d.uids, d.emails) })
	tx.dead = append(tx.dead, d)
	return d.uids, t, nil
}
