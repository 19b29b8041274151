// Package store keeps mail: accounts, their mailboxes and messages, and the one
// log of everything that changes in them. It is the only writer of mail.
//
// Every protocol is a view of that log. Readers take a [View], an immutable
// snapshot that holds no lock. Writers pass a function to [Account.Update]; the
// [Tx] assigns UID and ModSeq, keeps counts and indexes and appends to the log,
// so that no rule is left to callers. What Update returned nil for is on stable
// storage; readers never see what is not.
//
// The store knows no sequence numbers, no response texts and no protocol.
package store

import (
	"context"
	"io"
	"log/slog"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

type (
	// A MailboxID names a mailbox of an account for ever, also when it is renamed.
	MailboxID uint64
	// A UID names a message in its mailbox, RFC 9051 §2.3.1.1.
	UID uint32
	// A ModSeq orders the changes of an account, RFC 7162 §3.1. One transaction
	// gives one ModSeq to all that it changes.
	ModSeq uint64
	// A LogPos is a position between two transactions of an account's log.
	LogPos uint64
	// An EmailID names an immutable message of an account; copies in several
	// mailboxes share it (RFC 8474 §5.1).
	EmailID uint64
	// A ThreadID names a conversation of an account (RFC 8474 §5.2).
	ThreadID uint64
)

// Limits of what an account may hold. Zero values take the defaults.
type Limits struct {
	MessageBytes     int64 // largest message, 50 MB
	MailboxNameBytes int   // one level, 255
	MailboxPathBytes int   // all levels, 1000
	MailboxDepth     int   // levels, 20
	Mailboxes        int   // per account, 5000
	Keywords         int   // different ones per account, 255
	KeywordBytes     int   // one keyword, 100
}

// Options of Open. Zero values take the defaults.
type Options struct {
	Now          func() time.Time
	Rand         io.Reader
	Logger       *slog.Logger
	Limits       Limits
	MemoryBudget int64 // bytes of loaded accounts kept in memory
}

// A Store holds all accounts over one engine. Its methods may be called at once.
type Store struct {
	eng  engine.Engine
	opts Options
}

// Open returns the store over eng, which the caller closes after the store.
func Open(ctx context.Context, eng engine.Engine, opts Options) (*Store, error) {
	return &Store{eng: eng, opts: opts}, nil
}

// Close waits for updates under way and ends all watches.
func (s *Store) Close() error { return errNotBuilt }

// Account returns an existing account, or NotFound. Accounts are made by
// [Store.Update] with [Tx.CreateAccount].
func (s *Store) Account(ctx context.Context, id mail.AccountID) (*Account, error) {
	return nil, errNotBuilt
}

// Update runs fn as one transaction over several accounts, in the order of ids,
// and commits it as one atomic unit together with extra: batches of the queue or
// the directory that must take effect exactly with it. An account that does not
// exist gets a Tx on which only CreateAccount may be called first. If fn returns
// an error nothing happens. fn may be run again after a conflict.
func (s *Store) Update(ctx context.Context, ids []mail.AccountID, extra []*engine.Batch, fn func(txs []*Tx) error) error {
	return errNotBuilt
}

// DeleteAccount removes an account and all its mail, atomically with extra.
func (s *Store) DeleteAccount(ctx context.Context, id mail.AccountID, extra []*engine.Batch) error {
	return errNotBuilt
}

// Stage starts the reception of one message: write its bytes to the result as
// they arrive. Close it in every case.
func (s *Store) Stage(ctx context.Context) (*Staged, error) { return nil, errNotBuilt }

// Check verifies every line of docs/guarantees.md that the store answers for and
// reports each fault. deep also reads every message's bytes. It runs on a live
// store.
func (s *Store) Check(ctx context.Context, deep bool, report func(id mail.AccountID, problem string)) error {
	return errNotBuilt
}

var errNotBuilt = &mail.Error{Kind: mail.Internal, Op: "store", Text: "not built yet"}
