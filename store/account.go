package store

import (
	"context"

	"posthouse/mail"
	"posthouse/message"
)

// An Account is the unit of isolation: its updates are totally ordered, updates
// of different accounts never wait for each other but share their syncs.
type Account struct{}

// ID is the account's id.
func (a *Account) ID() mail.AccountID { return 0 }

// View runs fn on the account's last durable state. The View, and what it
// returns by reference, may be kept for reading after fn returns only where its
// method says so. Never write to a client inside fn.
func (a *Account) View(ctx context.Context, fn func(v *View) error) error { return errNotBuilt }

// Update runs fn as one transaction and returns when it is durable and visible.
// If fn returns an error, or changes nothing, nothing is written. fn sees its own
// changes and those of earlier updates that are still on their way to the disk;
// it may be run again after a conflict and must have no other effect.
func (a *Account) Update(ctx context.Context, fn func(tx *Tx) error) error { return errNotBuilt }

// Watch returns a watcher that is woken after each update from now on.
func (a *Account) Watch() *Watcher { return nil }

// ClaimRecent returns the first UID of mailbox m that no session was told of as
// \Recent (RFC 3501 §2.3.2) and marks all up to the present as told. It is kept
// in memory and saved with the mailbox's next change: after a crash a message
// may be recent once more.
func (a *Account) ClaimRecent(m MailboxID) UID { return 0 }

// Recent is ClaimRecent without the claim, for EXAMINE and STATUS.
func (a *Account) Recent(m MailboxID) UID { return 0 }

// Open opens the bytes of a message for reading: header prefix and body as one.
func (a *Account) Open(ctx context.Context, e *Email) (Body, error) { return nil, errNotBuilt }

// Read appends the whole message to dst.
func (a *Account) Read(ctx context.Context, dst []byte, e *Email) ([]byte, error) {
	return nil, errNotBuilt
}

// A Watcher tells that an account changed.
type Watcher struct{}

// C receives after one or more updates became visible; wake-ups coalesce.
func (w *Watcher) C() <-chan struct{} { return nil }

// Close ends the watch.
func (w *Watcher) Close() {}

// A Body reads the bytes of one message; every read is verified.
type Body interface {
	ReadAt(p []byte, off int64) (int, error)
	Size() int64
	Close() error
}

// Staged takes the bytes of one message as they arrive and parses them in the
// same pass. Small messages stay in memory, large ones go to the engine.
type Staged struct{}

// Write takes the next bytes; TooLarge past Limits.MessageBytes.
func (s *Staged) Write(p []byte) (int, error) { return 0, errNotBuilt }

// Finish ends the message and makes large bytes durable. After it, the Staged can
// be appended, to any number of accounts and mailboxes.
func (s *Staged) Finish() error { return errNotBuilt }

// Size is the number of bytes written.
func (s *Staged) Size() int64 { return 0 }

// Message is what the parser found; valid after Finish.
func (s *Staged) Message() *message.Message { return nil }

// ReadAt reads back what was written.
func (s *Staged) ReadAt(p []byte, off int64) (int, error) { return 0, errNotBuilt }

// Close drops what was not appended. It may be called at any time and twice.
func (s *Staged) Close() error { return nil }
