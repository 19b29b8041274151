package store

import (
	"errors"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

// AppendOptions of one appended message.
type AppendOptions struct {
	Flags        []mail.Flag
	InternalDate time.Time // zero: now
	Prefix       []byte    // whole header lines put before the message, as Return-Path
	// Findings are what checks said of the message; see [Email.Findings].
	Findings []mail.Finding
	// File, if there is one, is asked about a message that answers others: it may
	// return another mailbox of the account, and flags for it in place of Flags; 0 lets
	// it be.
	File func(t ThreadID) (MailboxID, []mail.Flag, error)
}

// Appended is where an appended message went.
type Appended struct {
	UID         UID
	UIDValidity uint32
	Email       EmailID
	Thread      ThreadID
}

// Append adds a finished message to a mailbox. OverQuota, TooLarge, NotFound.
func (tx *Tx) Append(id MailboxID, m *Staged, o AppendOptions) (Appended, error) {
	b, err := tx.enterable("Append", id, RightInsert)
	if err != nil {
		return Appended{}, err
	}
	if m.parsed == nil || m.closed {
		return Appended{}, fail(mail.Internal, "Append", "message is not finished")
	}
	size := m.size + int64(len(o.Prefix))
	if size > 1<<32-1 {
		return Appended{}, fail(mail.TooLarge, "Append", "message too large")
	}
	if err := tx.room("Append", b, 1, size); err != nil {
		return Appended{}, err
	}
	flags, err := tx.flagSet(o.Flags)
	if err != nil {
		return Appended{}, err
	}
	seen := false
	if tx.who != nil {
		if flags, seen, err = tx.split(flags, tx.rights(b)); err != nil {
			return Appended{}, err
		}
	}
	e, err := tx.newEmail(m, &o, size)
	if err != nil {
		return Appended{}, err
	}
	if o.File != nil && tx.who == nil && e.Thread != ThreadID(e.ID) {
		if id, b, flags, err = tx.refile(id, b, flags, e.Thread, size, o.File); err != nil {
			return Appended{}, err
		}
	}
	date := tx.now
	if !o.InternalDate.IsZero() {
		date = o.InternalDate.Unix()
	}
	row := [1]Row{{UID: b.mb.UIDNext, Flags: flags, Size: uint32(size), InternalDate: date, SaveDate: tx.now,
		ModSeq: tx.modseq, Email: e.ID}}
	tx.enter(id, row[:])
	if err = tx.countIn(row[:], true); err == nil && seen {
		err = tx.seeNew(id, UIDs(row[0].UID))
	}
	return Appended{UID: row[0].UID, UIDValidity: b.mb.UIDValidity, Email: e.ID, Thread: e.Thread}, err
}

// refile asks where a message of a thread goes. If there is no room it stays.
func (tx *Tx) refile(id MailboxID, b *box, flags FlagSet, t ThreadID, size int64, file func(t ThreadID) (MailboxID, []mail.Flag, error)) (MailboxID, *box, FlagSet, error) {
	to, marks, err := file(t)
	if err != nil || to == 0 {
		return id, b, flags, err
	}
	other, err := tx.enterable("Append", to, RightInsert)
	if err != nil || tx.room("Append", other, 1, size) != nil {
		return id, b, flags, nil
	}
	set, err := tx.flagSet(marks)
	return to, other, set, err
}

// flagSet returns the number of a set of flags, freeing numbers if there are none left:
// so the caller holds no other that no message has.
func (tx *Tx) flagSet(flags []mail.Flag) (FlagSet, error) {
	n, err := tx.addFlagSet(flags)
	if errors.Is(err, ErrTooManyKeywords) && tx.sweepFlags() {
		n, err = tx.addFlagSet(flags)
	}
	return n, err
}

func (tx *Tx) addFlagSet(flags []mail.Flag) (FlagSet, error) {
	if len(flags) == 0 {
		return 0, nil
	}
	// On a failure the table must be as before: a half-made set is no change.
	t := tx.st.flags
	s, err := tx.acct.index.set(&t, flags, &tx.acct.store.limits)
	if err != nil {
		return 0, err
	}
	n, err := tx.acct.index.number(&t, s)
	if err != nil {
		return 0, err
	}
	tx.st.flags = t
	return n, nil
}

// newEmail writes the record of a message.
func (tx *Tx) newEmail(m *Staged, o *AppendOptions, size int64) (*Email, error) {
	p := m.parsed
	e := &tx.inline.email
	if len(tx.emails) > 0 {
		e = new(Email)
	}
	*e = Email{ID: tx.st.hdr.nextEmail, Size: size, Sent: p.sent, Envelope: p.envelope, BodyStructure: p.structure,
		Preview: []byte(p.preview), HasAttachment: p.attachment, Prefix: o.Prefix,
		findings: appendFindings(nil, o.Findings),
		fields:   p.fields,
		table:    p.table, references: p.references, fresh: tx.group.blob(m)}
	return e, tx.putEmail(e)
}

// putEmail gives a message its thread and writes its record.
func (tx *Tx) putEmail(e *Email) error {
	n := 48 + len(e.Envelope) + len(e.BodyStructure) + len(e.table) + len(e.Preview) + len(e.Prefix) + len(e.findings) + len(e.fields) + 8*len(e.references)
	tx.ready(n)
	if err := tx.joinThread(e); err != nil {
		return err
	}
	tx.st.hdr.nextEmail++
	if tx.emails == nil {
		tx.emails = tx.inline.emails[:0]
	}
	tx.emails = append(tx.emails, e)
	tx.put(engine.Op{Kind: engine.Set, Key: tx.key(keyEmail, uint64(e.ID)), Val: appendEmail(tx.bytes(n), e), Blob: e.fresh})
	return nil
}

// enter puts rows into a mailbox: their UIDs are consecutive from its UIDNext. Whoever
// calls it counts them for the account.
func (tx *Tx) enter(id MailboxID, rows []Row) {
	var t tally
	for i := range rows {
		t.count(tx.st.flags.system(rows[i].Flags), rows[i].Size, 1)
	}
	b := tx.messages(id, &t)
	b.mb.UIDNext += UID(len(rows))
	b.lazy = b.lazy.with(rows...)
	if b.lazy.done.Load() != nil {
		tx.acct.grow(int64(len(rows)) * rowBytes)
	}
	tx.log(func(dst []byte) []byte { return appendAdd(dst, id, rows) })
	tx.recordMembers(id, rows)
}
