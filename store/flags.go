package store

import (
	"errors"

	"posthouse/mail"
)

// A FlagChange is what SetFlags does to each message.
type FlagChange struct {
	Op    FlagOp
	Flags []mail.Flag
	// UnchangedSince, if Conditional, leaves alone and reports every message whose
	// ModSeq is higher (RFC 7162 §3.1.3).
	Conditional    bool
	UnchangedSince ModSeq
}

// A FlagOp says how flags are changed.
type FlagOp uint8

// The flag operations, RFC 9051 §6.4.6.
const (
	FlagsReplace FlagOp = iota
	FlagsAdd
	FlagsRemove

	// What replacing flags comes to where one may not change all of them.
	flagsReplaceShared  // leaves \Seen
	flagsReplaceWritten // leaves \Seen and \Deleted
	flagsReplaceDeleted // leaves all but \Deleted
)

// SetFlags changes flags of the messages of uids that exist. It returns those
// whose flags really changed, which have the transaction's ModSeq now, and those
// that failed the condition, which have it not, whether or not the change would
// have made a difference. TooLarge when there would be too many keywords.
func (tx *Tx) SetFlags(id MailboxID, uids UIDSet, c FlagChange) (changed, modified UIDSet, err error) {
	b, err := tx.enterable("SetFlags", id, RightRead)
	if err != nil {
		return nil, nil, err
	}
	if c.Op > FlagsRemove {
		return nil, nil, fail(mail.Internal, "SetFlags", "unknown operation")
	}
	set := func() (UIDSet, UIDSet, error) { return tx.setFlagsOf(b, uids, c) }
	if tx.who != nil {
		set = func() (UIDSet, UIDSet, error) { return tx.setFlagsAs(b, uids, c) }
	}
	changed, modified, err = set()
	if errors.Is(err, ErrTooManyKeywords) && tx.sweepFlags() {
		b = tx.st.box(id)
		changed, modified, err = set()
	}
	return changed, modified, err
}

// setFlagsOf is SetFlags by the owner.
func (tx *Tx) setFlagsOf(b *box, uids UIDSet, c FlagChange) (changed, modified UIDSet, err error) {
	id := b.mb.ID
	have, err := b.lazy.load()
	if err != nil {
		return nil, nil, wrap("SetFlags", err)
	}
	before := tx.st.flags
	mask, err := tx.addFlagSet(c.Flags)
	if err != nil {
		return nil, nil, err
	}
	t := &tx.st.flags
	m := marking{table: t, modseq: tx.modseq, conditional: c.Conditional, unchangedSince: c.UnchangedSince,
		change: func(old FlagSet) (FlagSet, error) {
			return tx.acct.index.number(t, combine(c.Op, &t.sets[old], &t.sets[mask]))
		}}
	now, err := have.mark(uids, &m)
	if err != nil || len(m.changed) == 0 {
		tx.st.flags = before
		return nil, m.modified, err
	}
	tx.marked(id, now, &m, c.Op, mask)
	return m.changed, m.modified, nil
}

// marked takes in that flags were changed.
func (tx *Tx) marked(id MailboxID, now *content, m *marking, op FlagOp, mask FlagSet) {
	tx.messages(id, &m.tally).lazy = loaded(now)
	tx.log(func(dst []byte) []byte { return appendFlagged(dst, id, op, mask, m.changed) })
}

// remark changes flags of the messages of uids and returns those that it changed.
func (tx *Tx) remark(id MailboxID, have *content, uids UIDSet, op FlagOp, mask FlagSet) (UIDSet, error) {
	t := &tx.st.flags
	m := marking{table: t, modseq: tx.modseq, change: func(old FlagSet) (FlagSet, error) {
		return tx.acct.index.number(t, combine(op, &t.sets[old], &t.sets[mask]))
	}}
	now, err := have.mark(uids, &m)
	if err != nil || len(m.changed) == 0 {
		return nil, err
	}
	tx.marked(id, now, &m, op, mask)
	return m.changed, nil
}
