// Package delivery decides what becomes of mail that somebody hands in: who may
// send it, who receives it, and whether it is taken. Front ends (SMTP, submission,
// LMTP, later the web) drive a [Transaction]; the queue and the server itself hand
// in their own messages through [Service.Inject].
//
// Guarantees:
//
//   - A positive reply of Accept means: on stable storage, in the mailbox of every
//     local recipient and in the queue for every remote one, by one commit.
//   - A negative reply of Accept means that nothing at all was stored.
//   - An account receives a message once, however many recipients lead to it.
//   - Nobody relays: mail for others is taken from an account of ours, or because
//     an alias of ours points there.
//   - What an account of ours sends elsewhere is signed for the domain in From, if
//     that has keys (DKIM, RFC 6376).
//   - N recipients share one blob; what differs is a prefix of header lines.
//
// The checks between envelope and mailbox are a table of stages, one file each
// (check_loop.go, check_from.go). Those of who sent a message share its findings,
// which are looked up at once and in bounded time. A verdict is a mail.Reply: SMTP writes it, the
// queue makes bounces of it. Delivery owns no state but caches of keys,
// and the lock of each nests in nothing.
package delivery

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"posthouse/directory"
	"posthouse/hook"
	"posthouse/mail"
	"posthouse/mailauth/dkim"
	"posthouse/mailauth/srs"
	"posthouse/message"
	"posthouse/report"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/trace"
)

// A Directory answers who exists; [directory.Directory] does.
type Directory interface {
	Resolve(ctx context.Context, a mail.Address) (directory.Resolution, error)
	MaySend(ctx context.Context, id mail.AccountID, from mail.Address) (bool, error)
	Account(ctx context.Context, id mail.AccountID) (directory.Account, error)
	// SigningKeys are the keys of a domain, none if it has none.
	SigningKeys(ctx context.Context, name mail.Domain) ([]directory.SigningKey, error)
}

// A Queue takes mail for other servers; the queue package does.
type Queue interface {
	// AddBatch returns what must be committed for msg, with the header lines of
	// prefix before it, to be sent to all recipients of env. A batch that is not
	// committed leaves no trace.
	AddBatch(ctx context.Context, env *mail.Envelope, prefix []byte, msg *store.Staged) (*store.Batch, error)
	// Wake says that these batches were committed.
	Wake(committed ...*store.Batch)
}

// A Suppression knows addresses that accounts should not write to; the queue does.
type Suppression interface {
	// Suppressed reports whether accounts of a domain should not, and what they are told.
	Suppressed(from mail.Domain, to mail.Address) (mail.Reply, bool)
	// Complained notes that whoever reads at an address does not want mail of a domain.
	Complained(ctx context.Context, from mail.Domain, to mail.Address, who string) error
	// Returned notes that mail of a domain came back because an address is not there.
	Returned(ctx context.Context, from mail.Domain, to mail.Address, said string) error
}

// Limits of what is taken. Zero values take the defaults, negative ones mean no
// limit.
type Limits struct {
	Hops        int   // Received fields; 50, as Postfix and Stalwart (RFC 5321 §6.3)
	HeaderBytes int64 // of the header section; 1 MB
}

// Options of New. Store, Directory and Hostname are required.
type Options struct {
	Store     *store.Store
	Directory Directory
	// Queue sends to other servers. Without one, mail for others is refused.
	Queue    Queue
	Hostname string // in Received and Message-ID
	Logger   *slog.Logger
	Now      func() time.Time
	Rand     io.Reader // of ids and boundaries
	Limits   Limits
	// Trace remembers what became of each message; nil: nothing is remembered.
	Trace trace.Recorder
	// SRS rewrites the sender of what an address of ours leads elsewhere; nil: it stays.
	SRS func() *srs.Rewriter
	// Checks of who sent mail that comes from other servers; nil makes none.
	Checks *Checks
	// Reports keeps what other servers report to ReportAddresses, of which one without a
	// domain is in each of ours; nil: nothing is kept.
	Reports         *report.Log
	ReportAddresses []mail.Address
	// Tally counts what DMARC says, for reports to the domains; nil: nothing is counted.
	Tally *report.Tally
	// Suppression knows addresses that accounts do not write to; nil: there are none.
	Suppression Suppression
	// Reported is told of a delivery status or disposition notification in the
	// transaction that puts it into a mailbox; an error keeps it out. It may be nil.
	Reported func(tx *store.Tx, at store.Appended, r *message.Report) error
	// Hooks are asked about mail from other servers and from accounts.
	Hooks []hook.Asked
	// Caps of what accounts send; they need Engine, where they are counted.
	Caps   Caps
	Engine engine.Engine
	// RefuseOverQuota makes a full mailbox a permanent failure (552) instead of one
	// to be tried again (452).
	RefuseOverQuota bool
}

// A Service delivers. Its methods may be called at once.
type Service struct {
	opts   Options
	stages []stage
	kinds  replies
	server string     // our authserv-id, RFC 8601 §2.5
	keys   *dkim.Keys // of Checks
	sign   *signers
	caps   *caps // nil: nobody is bounded
	// next is the service that new transactions use instead, since Apply.
	next atomic.Pointer[Service]
}

// New returns a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Trace == nil {
		o.Trace = trace.Discard{}
	}
	o.Limits.Hops = orDefault(o.Limits.Hops, 50)
	o.Limits.HeaderBytes = orDefault(o.Limits.HeaderBytes, 1<<20)
	s := &Service{opts: o, stages: stages(), kinds: repliesFor(o.RefuseOverQuota), server: strings.ToLower(o.Hostname), sign: &signers{}}
	s.caps = newCaps(o.Caps, o.Engine)
	s.check(o.Checks)
	return s
}

// check makes the service check who sends.
func (s *Service) check(o *Checks) {
	if o == nil {
		s.opts.Checks = nil
		return
	}
	c := *o
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if s.opts.Checks = &c; s.keys == nil {
		s.keys = dkim.NewKeys(c.Resolver, s.opts.Now)
	}
}

// now is the service with what was applied last.
func (s *Service) now() *Service {
	if n := s.next.Load(); n != nil {
		return n
	}
	return s
}

// Apply gives transactions that begin from now on other Limits, Checks (of the same
// Resolver), Hooks, ReportAddresses, Caps and RefuseOverQuota. Those that have begun go on
// as they were.
func (s *Service) Apply(o Options) {
	old := s.now()
	n := &Service{opts: old.opts, stages: old.stages, kinds: repliesFor(o.RefuseOverQuota), server: old.server, keys: old.keys, sign: old.sign}
	n.opts.Limits.Hops, n.opts.Limits.HeaderBytes = orDefault(o.Limits.Hops, 50), orDefault(o.Limits.HeaderBytes, 1<<20)
	n.opts.Hooks, n.opts.ReportAddresses, n.opts.RefuseOverQuota = o.Hooks, o.ReportAddresses, o.RefuseOverQuota
	n.caps = old.caps.with(o.Caps)
	n.check(o.Checks)
	s.next.Store(n)
}

// noLimit stands for no limit.
const noLimit = 1 << 30

func orDefault[T int | int64](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return noLimit
	}
	return v
}
