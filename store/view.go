package store

import (
	"time"

	"posthouse/mail"
	"posthouse/message"
)

// A Mailbox is the record of one mailbox at one moment; immutable.
type Mailbox struct {
	ID            MailboxID
	Parent        MailboxID // 0: top level
	Path          string    // all levels, separated by "/", UTF-8 NFC; the inbox is "INBOX"
	Role          mail.Role
	NoSelect      bool // only a name above others: deleted while it had children
	Subscribed    bool
	HasChildren   bool
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq ModSeq
	Messages      uint32
	Unseen        uint32
	Deleted       uint32 // with \Deleted
	Bytes         int64  // sum of the messages' sizes
	DeletedBytes  int64  // of those with \Deleted
}

// Email is the immutable record of one message, made when it was stored. Nothing
// of it needs the message to be parsed again.
type Email struct {
	ID            EmailID
	Thread        ThreadID
	Size          int64     // RFC822.SIZE: prefix and body
	Sent          time.Time // Date header; zero if there is none that parses
	Envelope      []byte    // IMAP form, parentheses included
	BodyStructure []byte    // IMAP form, parentheses included
	Preview       string
	HasAttachment bool
	Prefix        []byte // header lines put before the stored bytes at delivery
	// unexported: blob id, encoded part table, thread keys
}

// Message returns the part table, offsets counted over prefix and body.
func (e *Email) Message() (*message.Message, error) { return nil, errNotBuilt }

// A View is one consistent, durable state of an account. Inside a Tx it is the
// state with the transaction's own changes.
type View struct{}

// Mailbox finds a mailbox by path; the first level "inbox" in any case is the
// inbox. NotFound if there is none.
func (v *View) Mailbox(path string) (*Mailbox, error) { return nil, errNotBuilt }

// MailboxByID finds a mailbox by id; NotFound once it is deleted.
func (v *View) MailboxByID(id MailboxID) (*Mailbox, error) { return nil, errNotBuilt }

// Mailboxes returns all mailboxes in path order, INBOX first, children after
// their parent. The slice is shared: do not change it; it may be kept.
func (v *View) Mailboxes() []*Mailbox { return nil }

// Subscriptions returns the subscribed paths in order, also those whose mailbox
// no longer exists (RFC 3501 §6.3.6).
func (v *View) Subscriptions() []string { return nil }

// Snapshot returns the messages of a mailbox. It may be kept for any time: a
// session's sequence numbers are the snapshot that it last announced.
func (v *View) Snapshot(id MailboxID) (*Snapshot, error) { return nil, errNotBuilt }

// Email returns the record of a message. It may be kept.
func (v *View) Email(id EmailID) (*Email, error) { return nil, errNotBuilt }

// Emails calls f with the record of each message of rows, in order, until f
// returns false; much cheaper than as many calls of Email. The record is valid
// during the call only.
func (v *View) Emails(rows []Row, f func(i int, e *Email) bool) error { return errNotBuilt }

// ModSeq is the highest ModSeq of the account.
func (v *View) ModSeq() ModSeq { return 0 }

// LogEnd is the position after the last transaction of this View.
func (v *View) LogEnd() LogPos { return 0 }

// Changes calls f with each change after pos, oldest first, until f returns
// false. It fails with NotFound if the log no longer reaches back to pos: the
// reader must start from the state itself.
func (v *View) Changes(pos LogPos, f func(Change) bool) error { return errNotBuilt }

// Vanished returns the UIDs of mailbox id that were expunged after since, for
// QRESYNC (RFC 7162 §3.2.10). If the log does not reach back that far the result
// holds every UID below UIDNext that does not exist, which the RFC allows.
func (v *View) Vanished(id MailboxID, since ModSeq) (UIDSet, error) { return nil, errNotBuilt }

// A ChangeKind says what a Change did.
type ChangeKind uint8

// The kinds of Change.
const (
	Added          ChangeKind = iota + 1 // messages entered Mailbox (append, copy, move)
	Flagged                              // flags of messages changed
	Expunged                             // messages left Mailbox (expunge, move)
	MailboxCreated                       // Mailbox exists
	MailboxChanged                       // renamed, role or subscription
	MailboxDeleted
)

// A Change is one entry of the log.
type Change struct {
	Pos     LogPos // after the transaction that made it
	ModSeq  ModSeq
	Kind    ChangeKind
	Mailbox MailboxID
	UIDs    UIDSet    // Added, Flagged, Expunged
	Emails  []EmailID // Added, Expunged: one for each UID, in order
}
