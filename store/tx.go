package store

import (
	"time"

	"posthouse/mail"
)

// A Tx changes an account. It is a View that sees its own changes; it is valid
// only inside the function that got it, in one goroutine.
type Tx struct{ View }

// A NewMailbox is a mailbox to be made.
type NewMailbox struct {
	Path      string
	Role      mail.Role
	Subscribe bool
}

// CreateAccount makes the account with INBOX and the given mailboxes; Exists if
// it is there.
func (tx *Tx) CreateAccount(boxes []NewMailbox) error { return errNotBuilt }

// CreateMailbox makes a mailbox and the levels above it that are missing. Exists
// if it is there (a NoSelect one becomes selectable instead), Invalid for a bad
// name, TooLarge over a limit. A trailing "/" is ignored (RFC 9051 §6.3.4).
func (tx *Tx) CreateMailbox(m NewMailbox) (MailboxID, error) { return 0, errNotBuilt }

// RenameMailbox gives a mailbox and all below it a new path, making the missing
// levels above. Renaming the inbox moves its messages to a new mailbox and leaves
// it empty (RFC 9051 §6.3.6).
func (tx *Tx) RenameMailbox(id MailboxID, path string) error { return errNotBuilt }

// DeleteMailbox removes a mailbox and its messages. With children it stays as a
// NoSelect name until the last of them goes. Denied for the inbox.
func (tx *Tx) DeleteMailbox(id MailboxID) error { return errNotBuilt }

// SetRole gives a mailbox its role, taking it from the one that had it.
func (tx *Tx) SetRole(id MailboxID, r mail.Role) error { return errNotBuilt }

// Subscribe adds or removes a path, which need not exist, to the subscriptions.
func (tx *Tx) Subscribe(path string, on bool) error { return errNotBuilt }

// AppendOptions of one appended message.
type AppendOptions struct {
	Flags        []mail.Flag
	InternalDate time.Time // zero: now
	Prefix       []byte    // whole header lines put before the message, as Return-Path
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
	return Appended{}, errNotBuilt
}

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
)

// SetFlags changes flags of the messages of uids that exist. It returns those
// whose flags really changed and those that failed the condition. TooLarge when
// there would be too many keywords.
func (tx *Tx) SetFlags(id MailboxID, uids UIDSet, c FlagChange) (changed, modified UIDSet, err error) {
	return nil, nil, errNotBuilt
}

// Copied pairs the messages of a copy or move in ascending order: the n-th UID
// of Source became the n-th of Dest.
type Copied struct {
	UIDValidity  uint32 // of the destination
	Source, Dest UIDSet
}

// Copy puts the messages of uids that exist into another mailbox, or the same
// one again, with their flags and internal dates. No bytes are copied.
func (tx *Tx) Copy(from, to MailboxID, uids UIDSet) (Copied, error) { return Copied{}, errNotBuilt }

// Move is Copy and Expunge as one.
func (tx *Tx) Move(from, to MailboxID, uids UIDSet) (Copied, error) { return Copied{}, errNotBuilt }

// Expunge removes the messages of uids that exist and returns them.
func (tx *Tx) Expunge(id MailboxID, uids UIDSet) (UIDSet, error) { return nil, errNotBuilt }
