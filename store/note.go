package store

import (
	"encoding/binary"
	"errors"
	"slices"

	"posthouse/mail"
)

// Annotations of messages, RFC 5257: as those of mailboxes, under the message's place.
// They go where a copy goes, but private ones only with their user; they stay with an
// expunged message until it is reaped, and come back with it.

func noteKey(id MailboxID, u UID, user mail.AccountID, name string) []byte {
	return append(binary.BigEndian.AppendUint64(notePrefix(id, u), uint64(user)), name...)
}

func notePrefix(id MailboxID, u UID) []byte {
	return binary.BigEndian.AppendUint32(key64(keyNote, uint64(id)), uint32(u))
}

// noteHead is the length of a key before the name.
const noteHead = 1 + 8 + 4 + 8

// A note is a decoded record.
type note struct {
	mailbox MailboxID
	uid     UID
	Annotation
}

func (n *note) size() int64 { return int64(len(n.Name) + len(n.Value)) }

// decodeNote reads a record with its whole key; it points into both.
func decodeNote(key, rec []byte) (n note, err error) {
	if len(key) <= noteHead || len(rec) == 0 || rec[0] != formatVersion {
		return n, corrupt("annotation")
	}
	return note{MailboxID(binary.BigEndian.Uint64(key[1:])), UID(binary.BigEndian.Uint32(key[9:])),
		Annotation{mail.AccountID(binary.BigEndian.Uint64(key[13:])), string(key[noteHead:]), rec[1:]}}, nil
}

// SetMessageAnnotation sets a note on a message, private to user or, with 0, shared,
// or removes it if value is nil. The message gets the transaction's ModSeq if that
// changes anything. As [Tx.SetAnnotation] otherwise; a shared one takes the right to
// annotate.
func (tx *Tx) SetMessageAnnotation(id MailboxID, u UID, user mail.AccountID, name string, value []byte) error {
	const op = "SetMessageAnnotation"
	b, err := tx.mayNote(op, id, user, RightRead|RightAnnotate)
	if err != nil {
		return err
	}
	l := &tx.acct.store.limits
	name, ok := annotationName(name)
	switch {
	case !ok:
		return fail(mail.Invalid, op, "not a valid name of an annotation")
	case len(value) > l.AnnotationBytes:
		return fail(mail.TooLarge, op, "the value is too large")
	}
	c, err := b.lazy.load()
	if err != nil {
		return wrap(op, err)
	}
	if _, there := c.search(u); !there {
		return fail(mail.NotFound, op, "no such message")
	}
	var old *note
	n := 0
	if err := tx.notesOf(id, UIDs(u), func(x *note) {
		if x.User == user {
			n++
			if x.Name == name {
				old = x
			}
		}
	}); err != nil {
		return err
	}
	switch {
	case old == nil && value == nil, old != nil && value != nil && string(old.Value) == string(value):
		return nil
	case old == nil && n >= l.Annotations:
		return &mail.Error{Kind: mail.TooLarge, Op: "store." + op, Text: "too many annotations", Err: ErrTooManyAnnotations}
	}
	size := int64(0)
	if old != nil {
		size -= old.size()
	}
	if value != nil {
		size += int64(len(name) + len(value))
	}
	if err := tx.space(op, size); err != nil {
		return err
	}
	tx.putAnnotation(noteKey(id, u, user, name), value)
	tx.countNotes(id, size)
	return tx.touch(id, UIDs(u))
}

// mayNote checks that the reader may see, or with more than the right to read change,
// the notes of user on messages.
func (v *View) mayNote(op string, id MailboxID, user mail.AccountID, need Rights) (*box, error) {
	if user != 0 {
		need = RightRead
		if v.who != nil && user != v.who.Account {
			return nil, denied(op)
		}
	}
	return v.allowed(op, id, need)
}

// countNotes counts bytes of notes that messages of a mailbox won or lost.
func (tx *Tx) countNotes(id MailboxID, size int64) {
	tx.st.hdr.annotations += size
	tx.edit(id).noted += size
}

// touch gives messages the transaction's ModSeq.
func (tx *Tx) touch(id MailboxID, uids UIDSet) error {
	c, err := tx.st.box(id).lazy.load()
	if err != nil {
		return wrap("SetMessageAnnotation", err)
	}
	m := marking{table: &tx.st.flags, modseq: tx.modseq, always: true, change: func(old FlagSet) (FlagSet, error) { return old, nil }}
	now, err := c.mark(uids, &m)
	if err != nil || len(m.changed) == 0 {
		return err
	}
	tx.messages(id, &m.tally).lazy = loaded(now)
	tx.log(func(dst []byte) []byte { return appendTouched(dst, id, m.changed) })
	return nil
}

// MessageAnnotations calls f with the notes on those messages of uids that are there,
// by UID, the shared ones of each and then those of user, until it returns false. The
// Annotation may be kept.
func (v *View) MessageAnnotations(id MailboxID, uids UIDSet, user mail.AccountID, f func(u UID, a *Annotation) bool) error {
	b, err := v.mayNote("MessageAnnotations", id, user, RightRead)
	if err != nil || b.noted == 0 {
		return err
	}
	c, err := b.lazy.load()
	if err != nil {
		return wrap("MessageAnnotations", err)
	}
	more := true
	return v.notesOf(id, uids, func(n *note) {
		if !more || n.User != 0 && n.User != user {
			return
		}
		if _, there := c.search(n.uid); there {
			more = f(n.uid, &n.Annotation)
		}
	})
}

// notesOf calls f with all notes on messages of a set, whoever may see them and also if
// they are gone, by key.
func (v *View) notesOf(id MailboxID, uids UIDSet, f func(n *note)) error {
	v.settle()
	var ours []string
	if v.tx != nil {
		for k := range v.tx.notes {
			if k[0] == keyNote && MailboxID(binary.BigEndian.Uint64([]byte(k[1:9]))) == id && uids.Contains(UID(binary.BigEndian.Uint32([]byte(k[9:13])))) {
				ours = append(ours, k)
			}
		}
		slices.Sort(ours)
	}
	own := func(below string) error {
		for len(ours) > 0 && (below == "" || ours[0] <= below) {
			k := ours[0]
			ours = ours[1:]
			if rec := v.tx.notes[k]; rec != nil {
				n, err := decodeNote([]byte(k), rec)
				if err != nil {
					return err
				}
				f(&n)
			}
		}
		return nil
	}
	for _, r := range uids {
		end := after(notePrefix(id, r.Last))
		var failed error
		err := v.reader().Scan(notePrefix(id, r.First), end, func(k, rec []byte) bool {
			if failed = own(string(k)); failed != nil {
				return false
			}
			if v.tx != nil {
				if _, changed := v.tx.notes[string(k)]; changed {
					return true
				}
			}
			var n note
			if n, failed = decodeNote(k, slices.Clone(rec)); failed == nil {
				f(&n)
			}
			return failed == nil
		})
		if failed != nil || err != nil {
			return wrap("MessageAnnotations", errors.Join(failed, err))
		}
	}
	return own("")
}

// dropNotes counts the notes on messages that leave a mailbox as gone. Their records
// wait with the messages.
func (tx *Tx) dropNotes(b *box, uids UIDSet) error {
	if b.noted == 0 {
		return nil
	}
	var size int64
	err := tx.notesOf(b.mb.ID, uids, func(n *note) { size += n.size() })
	if err == nil && size > 0 {
		tx.countNotes(b.mb.ID, -size)
	}
	return err
}

// A noteCopy is notes on their way to other places.
type noteCopy struct {
	from []Membership // ascending within one mailbox
	to   []Membership
}

// copyNotes copies notes of another transaction's account, or of ours: shared ones, and
// private ones of user; all, if that is everybody.
func (tx *Tx) copyNotes(op string, from *Tx, c *noteCopy, keep func(user mail.AccountID) bool) error {
	type put struct {
		to Membership
		n  note
	}
	var all []put
	var size int64
	for i, m := range c.from {
		if err := from.notesOf(m.Mailbox, UIDs(m.UID), func(n *note) {
			if keep(n.User) {
				all = append(all, put{c.to[i], *n})
				size += n.size()
			}
		}); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return nil
	}
	if err := tx.space(op, size); err != nil {
		return err
	}
	for _, p := range all {
		tx.putAnnotation(noteKey(p.to.Mailbox, p.to.UID, p.n.User, p.n.Name), p.n.Value)
		tx.countNotes(p.to.Mailbox, p.n.size())
	}
	return nil
}

// mine reports which notes go with a copy that the reader makes.
func (v *View) mine(user mail.AccountID) bool {
	me := v.acct.id
	if v.who != nil {
		me = v.who.Account
	}
	return user == 0 || user == me
}

func everybody(mail.AccountID) bool { return true }

// places lists the places of rows in a mailbox.
func places(id MailboxID, rows []Row) []Membership {
	all := make([]Membership, len(rows))
	for i := range rows {
		all[i] = Membership{id, rows[i].UID}
	}
	return all
}
