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
//
// What holds at every instant, and what [Store.Check] proves: UIDs ascend below
// UIDNext and none is given twice; UIDVALIDITY of a name never goes back; no
// ModSeq is above that of its mailbox, nor that above the account's; counts and
// sizes equal the messages; every message has its email record, every record its
// bytes; memberships and threads agree with both; replaying the journal gives
// what the chunks hold; names are unique, parents exist.
//
// An update locks its accounts in ascending order of id, computes on the state
// that earlier updates will leave (pending), hands its batch to the engine, and
// unlocks; then it waits for the disk. So updates of one account share a sync.
// If a commit fails, all that were computed behind it fail too and start again
// from the durable state. Lock order: Account.mu (by id), then lazy.mu, root.mu,
// ledger.order, then the leaves Account.pub, Account.recentMu, Store.mu and ledger.mu.
package store

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"posthouse/mail"
	"posthouse/message"
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
	Keywords         int   // different ones per account, 255; at most 65535
	KeywordBytes     int   // one keyword, 100
	Annotations      int   // of a mailbox, private and shared each, 100
	AnnotationBytes  int   // of one value, 64 kB
}

// withDefaults fills in what is zero; negative values are no limit.
func (l Limits) withDefaults() Limits {
	def := func(n *int, d int) {
		if *n == 0 {
			*n = d
		} else if *n < 0 {
			*n = 1<<31 - 1
		}
	}
	def(&l.MailboxNameBytes, 255)
	def(&l.MailboxPathBytes, 1000)
	def(&l.MailboxDepth, 20)
	def(&l.Mailboxes, 5000)
	def(&l.Keywords, 255)
	def(&l.KeywordBytes, 100)
	def(&l.Annotations, 100)
	def(&l.AnnotationBytes, 64<<10)
	l.Keywords = min(l.Keywords, 1<<16-1)
	l.MailboxDepth = min(l.MailboxDepth, 500)
	if l.MessageBytes == 0 {
		l.MessageBytes = 50e6
	} else if l.MessageBytes < 0 {
		l.MessageBytes = 1<<32 - 1
	}
	l.MessageBytes = min(l.MessageBytes, 1<<32-1) // a message's size is 32 bits
	return l
}

// Options of Open. Zero values take the defaults.
type Options struct {
	Now          func() time.Time
	Rand         io.Reader
	Logger       *slog.Logger
	Limits       Limits
	Message      message.Limits // of the parser
	MemoryBudget int64          // bytes of loaded accounts kept in memory, 256 MiB
	// ReapAfter is how long expunged messages can be put back by [Tx.Undelete], and
	// be read by sessions that were not told of it, before their bytes go; default
	// 30 days, negative: only calls of Reap remove them.
	ReapAfter time.Duration
	// LogAge and LogTransactions are how much of the log is kept at least: what is
	// as young, 30 days, and as many of the last transactions of an account, 10,000.
	// Clients that were away for longer are told more than needed, or start anew.
	LogAge          time.Duration
	LogTransactions int
}

// A Store holds all accounts over one engine. Its methods may be called at once.
type Store struct {
	eng     engine.Engine
	opts    Options
	limits  Limits
	maxTail tail // journal behind a checkpoint

	// closing is held for reading by each update: Close waits for all.
	closing sync.RWMutex
	closed  bool

	ended  atomic.Bool // Close has begun
	reaper schedule

	ledger ledger // of the domains' quotas

	clock atomic.Int64 // ticks with each use of an account
	size  atomic.Int64 // bytes of all loaded accounts

	mu       sync.Mutex
	accounts map[mail.AccountID]weak.Pointer[account]
	loaded   map[*account]struct{} // keeps them in memory
}

// Open returns the store over eng, which the caller closes after the store.
func Open(_ context.Context, eng engine.Engine, opts Options) (*Store, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.MemoryBudget <= 0 {
		opts.MemoryBudget = 256 << 20
	}
	if opts.ReapAfter == 0 {
		opts.ReapAfter = defaultReap
	}
	if opts.LogAge <= 0 {
		opts.LogAge = 30 * 24 * time.Hour
	}
	if opts.LogTransactions <= 0 {
		opts.LogTransactions = 10_000
	}
	s := &Store{eng: eng, opts: opts, limits: opts.Limits.withDefaults(), maxTail: tail{maxTailActions, maxTailBytes},
		accounts: map[mail.AccountID]weak.Pointer[account]{}, loaded: map[*account]struct{}{}}
	if err := s.ledger.open(s); err != nil {
		return nil, wrap("Open", err)
	}
	if opts.ReapAfter > 0 {
		s.reaper.plan(firstReap, s.reapDue)
	}
	return s, nil
}

// Close waits for updates under way, writes checkpoints so that the next start
// is quick, and ends all watches.
func (s *Store) Close() error {
	s.ended.Store(true)
	s.reaper.stop()
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, a := range s.all() {
		a.mu.Lock()
		a.checkpointLocked(context.Background(), min(closeTail, s.maxTail.actions))
		a.mu.Unlock()
		a.endWatches()
	}
	return nil
}

// Limits returns the limits of what an account may hold.
func (s *Store) Limits() Limits { return s.limits }

// all returns the accounts that are in memory, by id.
func (s *Store) all() []*account {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*account
	for _, w := range s.accounts {
		if a := w.Value(); a != nil {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, byID)
	return all
}

// Account returns an existing account, or NotFound. Accounts are made by
// [Store.Update] with [Tx.CreateAccount].
func (s *Store) Account(ctx context.Context, id mail.AccountID) (*Account, error) {
	a := &Account{account: s.handle(id)}
	if err := ctx.Err(); err != nil {
		return nil, wrap("Account", err)
	}
	a.use()
	defer s.trim()
	defer a.release()
	st, err := a.current()
	if err == nil && !st.exists {
		err = fail(mail.NotFound, "Account", "no such account")
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Accounts calls f with the id of each account, ascending, until it returns
// false.
func (s *Store) Accounts(ctx context.Context, f func(id mail.AccountID) bool) error {
	var failed error
	err := s.eng.Accounts(func(id engine.Account) bool {
		if id == 0 {
			return true
		}
		if failed = ctx.Err(); failed != nil {
			return false
		}
		r := s.eng.Snapshot(id)
		_, err := r.Get([]byte{keyAccount})
		r.Close()
		return err != nil || f(id)
	})
	if failed != nil {
		err = failed
	}
	return wrap("Accounts", err)
}

// DeleteAccount removes an account and all its mail, atomically with extra.
func (s *Store) DeleteAccount(ctx context.Context, id mail.AccountID, extra []*engine.Batch) error {
	return s.Update(ctx, []mail.AccountID{id}, extra, func(txs []*Tx) error { return txs[0].deleteAccount() })
}

// handle returns the one Account of an id, whether the account exists or not.
func (s *Store) handle(id mail.AccountID) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[id].Value(); a != nil {
		return a
	}
	a := newAccount(s, id)
	s.accounts[id] = weak.Make(a)
	addForget(s, a)
	return a
}
