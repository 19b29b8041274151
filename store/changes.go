package store

import (
	"encoding/binary"

	"posthouse/mail"
)

// A ChangeKind says what a Change did.
type ChangeKind uint8

// The kinds of Change.
const (
	Added          ChangeKind = iota + 1 // messages entered Mailbox (append, copy, move)
	Flagged                              // flags or annotations of messages changed
	Expunged                             // messages left Mailbox (expunge, move)
	MailboxCreated                       // Mailbox exists
	MailboxChanged                       // renamed, role, subscription or access
	MailboxDeleted
	ObjectPut     // an Object was replaced
	ObjectDeleted // an Object is gone
	ObjectMade    // an Object is new
)

// A Change is one entry of the log.
type Change struct {
	Pos     LogPos // after the transaction that made it
	ModSeq  ModSeq
	Kind    ChangeKind
	Mailbox MailboxID
	UIDs    UIDSet    // Added, Flagged, Expunged
	Emails  []EmailID // Added, Expunged: one for each UID, in order
	Object  ObjectRef // ObjectMade, ObjectPut, ObjectDeleted; Mailbox is 0
}

// An ObjectRef names an [Object].
type ObjectRef struct {
	Kind ObjectKind
	ID   string
}

var changeKinds = [...]ChangeKind{actAdd: Added, actFlags: Flagged, actExpunge: Expunged,
	actCreate: MailboxCreated, actChange: MailboxChanged, actDelete: MailboxDeleted,
	actSeen: Flagged, actTouch: Flagged, actACL: MailboxChanged,
	actObject: ObjectPut, actObjectGone: ObjectDeleted, actObjectMade: ObjectMade}

// Changes calls f with each change after pos, oldest first, until f returns
// false. It fails with NotFound if the log no longer reaches back to pos: the
// reader must start from the state itself. On the account of somebody else the changes
// are those of mailboxes that the reader may use now; once the access to any of them
// changed, it must start anew.
func (v *View) Changes(pos LogPos, f func(Change) bool) error {
	if ModSeq(pos) < v.st.hdr.floor || pos > v.LogEnd() {
		return fail(mail.NotFound, "Changes", "the log does not reach back that far")
	}
	anew := false
	err := v.events(ModSeq(pos), func(m ModSeq, e *event) bool {
		if !v.concerns(e) {
			return true
		}
		if anew = v.who != nil && e.action == actACL; anew {
			return false
		}
		c := Change{Pos: LogPos(m), ModSeq: m, Kind: changeKinds[e.action], Mailbox: e.mailbox, UIDs: e.uids}
		if len(e.rows) > 0 {
			c.Emails = make([]EmailID, len(e.rows))
			for i := range e.rows {
				c.Emails[i] = e.rows[i].Email
			}
		}
		if e.object != "" {
			c.Mailbox, c.Object = 0, ObjectRef{ObjectKind(e.mailbox), e.object}
		}
		return f(c)
	})
	if anew {
		return fail(mail.NotFound, "Changes", "what is shared changed meanwhile")
	}
	return wrap("Changes", err)
}

// concerns reports whether the reader is told of an event.
func (v *View) concerns(e *event) bool {
	if e.action == actSeen && (v.who == nil || e.user != v.who.Account) {
		return false
	}
	if e.object != "" {
		return v.mayUse(ObjectKind(e.mailbox))
	}
	if v.who == nil || e.action == actACL { // comes also before what was shared is deleted
		return true
	}
	b := v.st.box(e.mailbox)
	return b != nil && v.rights(b).Has(RightRead)
}

// events calls f with each journal event after a ModSeq until f returns false.
func (v *View) events(since ModSeq, f func(m ModSeq, e *event) bool) error {
	if since >= v.st.hdr.modseq {
		return nil
	}
	v.settle()
	var failed error
	err := v.reader().Scan(journalKey(since+1), journalKey(v.st.hdr.modseq+1), func(k, val []byte) bool {
		if len(k) != 9 {
			failed = corrupt("journal")
			return false
		}
		m := ModSeq(binary.BigEndian.Uint64(k[1:]))
		more := true
		failed = decodeJournal(val, m, 1<<31, func(e *event) bool {
			more = f(m, e)
			return more
		})
		return more && failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// Vanished returns the UIDs of mailbox id that were expunged after since, for
// QRESYNC (RFC 7162 §3.2.10). If the log does not reach back that far the result
// holds every UID below UIDNext that does not exist, which the RFC allows.
func (v *View) Vanished(id MailboxID, since ModSeq) (UIDSet, error) {
	b, err := v.allowed("Vanished", id, RightRead)
	if err != nil {
		return nil, err
	}
	if since >= b.mb.HighestModSeq {
		return nil, nil
	}
	if since < v.st.hdr.floor {
		return v.missing(b)
	}
	var gone UIDSet
	err = v.events(since, func(_ ModSeq, e *event) bool {
		if e.mailbox == id && e.action == actExpunge {
			gone = gone.Union(e.uids)
		}
		if e.mailbox == id && e.action == actDelete {
			gone = nil // the name was made anew: other UIDs
		}
		return true
	})
	return gone, wrap("Vanished", err)
}

// missing returns every UID below UIDNext that does not exist.
func (v *View) missing(b *box) (UIDSet, error) {
	c, err := b.lazy.load()
	if err != nil {
		return nil, wrap("Vanished", err)
	}
	if b.mb.UIDNext == 1 {
		return nil, nil
	}
	var have UIDSet
	for i := range c.dir {
		for _, u := range c.dir[i].c.cols.uid {
			have.push(u)
		}
	}
	return UIDSet{{1, b.mb.UIDNext - 1}}.Subtract(have), nil
}
