package store

import (
	"encoding/binary"

	"posthouse/mail"
)

// A journal record holds what one transaction did, in order. It is the change
// log of every reader and the tail of every mailbox since its last checkpoint.

// An action is one entry of a journal record.
type action byte

const (
	actAdd     action = iota + 1 // messages with consecutive UIDs
	actFlags                     // one change of flags of many messages
	actExpunge                   // messages are gone
	actCreate                    // mailbox made
	actChange                    // name, role or subscription of a mailbox
	actDelete                    // mailbox gone; its messages were expunged before
	actSeen                      // what somebody has seen of a mailbox of this account
	actACL                       // who may do what with a mailbox
	actTouch                     // something of messages changed that is not in their row

	actObject     action = 16 // object replaced
	actObjectGone action = 17 // object removed
	actObjectMade action = 18 // object made
)

// An event is a decoded entry.
type event struct {
	action  action
	mailbox MailboxID
	uids    UIDSet
	// actAdd: rows; of actExpunge only Email is set.
	rows []Row
	// actFlags
	op   FlagOp
	mask FlagSet
	// actObject, actObjectGone; mailbox is the kind
	object string
	// actSeen
	user mail.AccountID
	seen bool
}

func appendAdd(dst []byte, m MailboxID, rows []Row) []byte {
	dst = append(dst, byte(actAdd))
	dst = binary.AppendUvarint(dst, uint64(m))
	dst = binary.AppendUvarint(dst, uint64(rows[0].UID))
	dst = binary.AppendUvarint(dst, uint64(rows[0].SaveDate))
	dst = binary.AppendUvarint(dst, uint64(len(rows)))
	var email EmailID
	date := rows[0].SaveDate
	for i := range rows {
		r := &rows[i]
		dst = binary.AppendVarint(dst, int64(r.Email-email))
		dst = binary.AppendUvarint(dst, uint64(r.Size))
		dst = binary.AppendVarint(dst, r.InternalDate-date)
		dst = binary.AppendUvarint(dst, uint64(r.Flags))
		email, date = r.Email, r.InternalDate
	}
	return dst
}

func (e *event) decodeAdd(d *decoder, modseq ModSeq, sets int) {
	first, save := d.Uvarint(), int64(d.Uint32())
	n := d.Count(4)
	if n == 0 || first == 0 || first+uint64(n) > 1<<32 {
		d.Fail()
		return
	}
	e.uids = UIDSet{{UID(first), UID(first) + UID(n-1)}}
	e.rows = make([]Row, n)
	var email EmailID
	date := save
	for i := range e.rows {
		email += EmailID(d.Varint())
		size := d.Uint32()
		date += d.Varint()
		flags := d.Uvarint()
		if flags >= uint64(sets) {
			d.Fail()
			return
		}
		e.rows[i] = Row{UID: UID(first) + UID(i), Flags: FlagSet(flags), Size: size, InternalDate: date,
			SaveDate: save, ModSeq: modseq, Email: email}
	}
}

func appendFlagged(dst []byte, m MailboxID, op FlagOp, mask FlagSet, uids UIDSet) []byte {
	dst = append(dst, byte(actFlags))
	dst = binary.AppendUvarint(dst, uint64(m))
	dst = append(dst, byte(op))
	dst = binary.AppendUvarint(dst, uint64(mask))
	return appendUIDSet(dst, uids)
}

func appendTouched(dst []byte, m MailboxID, uids UIDSet) []byte {
	dst = append(dst, byte(actTouch))
	dst = binary.AppendUvarint(dst, uint64(m))
	return appendUIDSet(dst, uids)
}

func appendSeenEvent(dst []byte, m MailboxID, user mail.AccountID, seen bool, uids UIDSet) []byte {
	dst = append(dst, byte(actSeen))
	dst = binary.AppendUvarint(dst, uint64(m))
	dst = binary.AppendUvarint(dst, uint64(user))
	dst = append(dst, bit(seen))
	return appendUIDSet(dst, uids)
}

func appendExpunged(dst []byte, m MailboxID, uids UIDSet, emails []EmailID) []byte {
	dst = append(dst, byte(actExpunge))
	dst = binary.AppendUvarint(dst, uint64(m))
	dst = appendUIDSet(dst, uids)
	return appendEmails(dst, emails)
}

func appendEmails(dst []byte, emails []EmailID) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(emails)))
	var last EmailID
	for _, e := range emails {
		dst = binary.AppendVarint(dst, int64(e-last))
		last = e
	}
	return dst
}

func (d *decoder) flag() bool {
	b := d.Byte()
	if b > 1 {
		d.Fail()
	}
	return b == 1
}

func (d *decoder) emails() []EmailID {
	n := d.Count(1)
	if n == 0 {
		return nil
	}
	emails := make([]EmailID, n)
	var last EmailID
	for i := range emails {
		last += EmailID(d.Varint())
		emails[i] = last
	}
	return emails
}

func appendBoxEvent(dst []byte, a action, m MailboxID) []byte {
	return binary.AppendUvarint(append(dst, byte(a)), uint64(m))
}

// decodeJournal calls f with each event of a record until f returns false. sets
// is the number of flag sets that the account has.
func decodeJournal(v []byte, modseq ModSeq, sets int, f func(e *event) bool) error {
	d := openRecord(v)
	for !d.Bad() && d.Len() > 0 {
		e := event{action: action(d.Byte()), mailbox: MailboxID(d.Uvarint())}
		switch e.action {
		case actAdd:
			e.decodeAdd(&d, modseq, sets)
		case actFlags:
			e.op, e.mask = FlagOp(d.Byte()), FlagSet(d.Uint32())
			e.uids = d.uidSet()
			if e.op > flagsReplaceDeleted || int(e.mask) >= sets {
				d.Fail()
			}
		case actTouch:
			e.uids = d.uidSet()
		case actExpunge:
			e.uids = d.uidSet()
			emails := d.emails()
			if len(emails) != e.uids.Len() {
				d.Fail()
			}
			e.rows = make([]Row, len(emails))
			for i, id := range emails {
				e.rows[i].Email = id
			}
		case actObject, actObjectGone, actObjectMade:
			e.object = string(d.Bytes())
			if e.mailbox == 0 || e.mailbox > 255 || e.object == "" {
				d.Fail()
			}
		case actSeen:
			e.user, e.seen = mail.AccountID(d.Uvarint()), d.flag()
			e.uids = d.uidSet()
		case actCreate, actChange, actDelete, actACL:
		default:
			d.Fail()
		}
		if !d.Bad() && !f(&e) {
			return nil
		}
	}
	return d.err("journal")
}
