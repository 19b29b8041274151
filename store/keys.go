package store

import (
	"encoding/binary"

	"posthouse/mail"
)

// The first byte of every key of an account. docs/format.md describes each
// record byte by byte.
const (
	keyAccount    = 'A' // the account itself
	keyACL        = 'C' // mailbox: who may do what
	keyEmail      = 'E' // email
	keyMarks      = 'F' // mailbox, chunk: flags and ModSeqs
	keyJournal    = 'J' // ModSeq
	keyFlags      = 'K' // 'k' keyword or 's' flag set
	keyMark       = 'L' // ModSeq: when it was
	keyMailbox    = 'M' // mailbox
	keyAnnotation = 'N' // mailbox or 0, account or 0, name
	keyObject     = 'O' // kind u8, id
	keyPath       = 'P' // subscribed path
	keyDead       = 'Q' // time, ModSeq, number: expunged, waiting for the reaper
	keyMember     = 'R' // email, mailbox, UID
	keyColumns    = 'S' // mailbox, chunk: what never changes of its messages
	keyReference  = 'T' // hash of a message id: its thread
	keySeen       = 'U' // mailbox, account, UID: what others have seen
	keyCopies     = 'W' // as keyCounts, message by message: in older accounts
	keyNote       = 'a' // mailbox, UID, account or 0, name: annotation of a message
	keyRuns       = 'r' // block of emails, mailbox, UID: as keyMember, of many messages
	keyThread     = 't' // thread, email
	keyCounts     = 'w' // block of emails: how many memberships those have that have several
	keyEnd        = 'z' // above all keys of the store
)

func key64(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 24), kind), n) // room for what often follows
}

func appendKey64(dst []byte, kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, kind), n)
}

func emailKey(e EmailID) []byte     { return key64(keyEmail, uint64(e)) }
func journalKey(m ModSeq) []byte    { return key64(keyJournal, uint64(m)) }
func mailboxKey(m MailboxID) []byte { return key64(keyMailbox, uint64(m)) }
func countsKey(b emailBlock) []byte { return key64(keyCounts, uint64(b)) }
func aclKey(m MailboxID) []byte     { return key64(keyACL, uint64(m)) }
func markKey(m ModSeq) []byte       { return key64(keyMark, uint64(m)) }
func referenceKey(h uint64) []byte  { return key64(keyReference, h) }

func annotationKey(m MailboxID, user mail.AccountID, name string) []byte {
	return append(binary.BigEndian.AppendUint64(key64(keyAnnotation, uint64(m)), uint64(user)), name...)
}

func seenKey(m MailboxID, user mail.AccountID) []byte {
	return binary.BigEndian.AppendUint64(key64(keySeen, uint64(m)), uint64(user))
}

func pathKey(p string) []byte { return append([]byte{keyPath}, p...) }

func keywordKey(n int) []byte {
	return binary.BigEndian.AppendUint16([]byte{keyFlags, 'k'}, uint16(n))
}

func flagSetKey(n FlagSet) []byte {
	return binary.BigEndian.AppendUint32([]byte{keyFlags, 's'}, uint32(n))
}

func chunkKey(kind byte, m MailboxID, base UID) []byte {
	return binary.BigEndian.AppendUint32(key64(kind, uint64(m)), uint32(base))
}

func threadKey(t ThreadID, e EmailID) []byte {
	return binary.BigEndian.AppendUint64(key64(keyThread, uint64(t)), uint64(e))
}

func deadKey(at int64, m ModSeq, n int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(key64(keyDead, uint64(max(at, 0))), uint64(m)), uint32(n))
}

// deadKeyLen is the length of the key of expunged messages.
const deadKeyLen = 1 + 8 + 8 + 4

// memberKeyLen is the length of a membership key.
const memberKeyLen = 1 + 8 + 8 + 4

func appendMemberKey(dst []byte, e EmailID, m MailboxID, u UID) []byte {
	dst = append(dst, keyMember)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m))
	return binary.BigEndian.AppendUint32(dst, uint32(u))
}

// after returns the least key above all keys that begin with key.
func after(key []byte) []byte {
	end := append([]byte(nil), key...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
