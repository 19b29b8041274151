package store

import "posthouse/mail"

// What somebody does with a mailbox of another's account: as the owner does it, as
// far as the rights reach (RFC 4314 §4), and with \Seen of one's own.

// split divides flags that somebody may set with the rights r into what all see and
// whether the message is seen.
func (tx *Tx) split(n FlagSet, r Rights) (FlagSet, bool, error) {
	s := tx.st.flags.at(n)
	p := s.permitted(r)
	seen := p.system&SeenBit != 0
	p.system &^= SeenBit
	shared, err := tx.intern(p)
	return shared, seen, err
}

// intern returns the number of a set of keywords that are known.
func (tx *Tx) intern(s flagSet) (FlagSet, error) {
	t := tx.st.flags
	n, err := tx.acct.index.number(&t, s)
	if err == nil {
		tx.st.flags = t
	}
	return n, err
}

// setFlagsAs is SetFlags on a mailbox of somebody else. Flags that the reader may not
// change are passed over; Denied if that is all of them.
func (tx *Tx) setFlagsAs(b *box, uids UIDSet, c FlagChange) (changed, modified UIDSet, err error) {
	const op = "SetFlags"
	base, err := b.lazy.load()
	if err != nil {
		return nil, nil, wrap(op, err)
	}
	mine, err := tx.content(b)
	if err != nil {
		return nil, nil, wrap(op, err)
	}
	before := tx.st.flags
	mask, err := tx.addFlagSet(c.Flags)
	if err != nil {
		return nil, nil, err
	}
	r := tx.rights(b)
	set := tx.st.flags.at(mask)
	can := set.permitted(r)
	if r&(RightSeen|RightWrite|RightDeleted) == 0 || c.Op != FlagsReplace && can.rights() == 0 && set.rights() != 0 {
		tx.st.flags = before
		return nil, nil, denied(op)
	}
	seen := can.system&SeenBit != 0
	targets, modified := mine.unmodified(uids, &c)
	can.system &^= SeenBit
	if change := sharedOp(c.Op, r); can.rights() != 0 || change > FlagsRemove {
		if mask, err = tx.intern(can); err == nil {
			changed, err = tx.remark(b.mb.ID, base, targets, change, mask)
		}
	}
	if len(changed) == 0 {
		tx.st.flags = before
	}
	if err != nil {
		return nil, nil, err
	}
	if r.Has(RightSeen) && (seen || c.Op == FlagsReplace) {
		now, err := tx.setSeen(tx.st.box(b.mb.ID), base, tx.who.Account, targets, seen && c.Op != FlagsRemove)
		if err != nil {
			return nil, nil, err
		}
		changed = changed.Union(now)
	}
	return changed, modified, nil
}

// sharedOp is what changing flags comes to for those that all see: a replacement
// leaves alone what one may not change.
func sharedOp(op FlagOp, r Rights) FlagOp {
	switch w, t := r.Has(RightWrite), r.Has(RightDeleted); {
	case op != FlagsReplace:
		return op
	case w && t:
		return flagsReplaceShared
	case w:
		return flagsReplaceWritten
	case t:
		return flagsReplaceDeleted
	}
	return FlagsAdd // of nothing
}

// unmodified returns the messages of set that the condition of c lets change, and
// those that it does not.
func (c *content) unmodified(set UIDSet, change *FlagChange) (ok, modified UIDSet) {
	c.eachRange(set, func(k *chunk, lo, hi int) {
		for j := lo; j < hi; j++ {
			if change.Conditional && k.mark.modseq.at(j) > change.UnchangedSince {
				modified.push(k.cols.uid[j])
			} else {
				ok.push(k.cols.uid[j])
			}
		}
	})
	return ok, modified
}

// landAs is land of a copy into a mailbox of the same account by somebody else: the owner's
// \Seen goes with the message, and so does one's own.
func (tx *Tx) landAs(op string, src, dest *box, rows []Row) (Copied, error) {
	mine, err := tx.content(src)
	if err != nil {
		return Copied{}, wrap(op, err)
	}
	r := tx.rights(dest)
	before := tx.st.flags
	var seen []bool
	for i := range rows {
		p, ok := mine.search(rows[i].UID)
		if !ok {
			return Copied{}, fail(mail.Internal, op, "message is not there")
		}
		k, j := mine.locate(p)
		seen = append(seen, r.Has(RightSeen) && tx.st.flags.system(k.mark.flags[j])&SeenBit != 0)
		set := tx.st.flags.at(rows[i].Flags)
		if rows[i].Flags, err = tx.intern(set.permitted(r | RightSeen)); err != nil {
			tx.st.flags = before
			return Copied{}, err
		}
	}
	done := tx.place(dest, rows)
	var now UIDSet
	for i := range rows {
		if seen[i] {
			now.push(rows[i].UID)
		}
	}
	return done, tx.seeNew(dest.mb.ID, now)
}

// seeNew marks new messages of a mailbox as seen by the reader.
func (tx *Tx) seeNew(id MailboxID, uids UIDSet) error {
	if len(uids) == 0 {
		return nil
	}
	b := tx.st.box(id)
	c, err := b.lazy.load()
	if err == nil {
		_, err = tx.setSeen(b, c, tx.who.Account, uids, true)
	}
	return wrap("Append", err)
}
