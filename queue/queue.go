package queue

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"posthouse/dns"
	"posthouse/mail"
	"posthouse/smtpclient"
	"posthouse/store/engine"
	"posthouse/tlspolicy"
	"posthouse/trace"
)

// An Injector takes the queue's own messages: DSNs. Delivery does it.
type Injector interface {
	// Inject stores content for the recipients of env, or queues it where they are
	// elsewhere, in one commit with also, which records that the report was made. An
	// error means that nothing was committed: of kind NotFound, Denied, TooLarge or
	// Invalid that it never will be, else that it may be later.
	Inject(ctx context.Context, env mail.Envelope, content []byte, also *engine.Batch) error
}

// Limits bound the queue. Zero fields take the defaults, negative ones mean no
// limit.
type Limits struct {
	Entries        int   // 100,000
	Bytes          int64 // of all entries, 10 GB
	Active         int   // attempts at a time, 200
	PerDestination int   // attempts at a time to one destination, 20
	PerConnection  int   // messages on one connection, 100
	ReturnedBytes  int64 // largest message that a DSN returns whole, 1 MB
	Suppressed     int   // addresses that are not written to, 20,000
}

// Options of Open. Engine, Hostname and Resolver are required.
type Options struct {
	Engine   engine.Engine
	Hostname string // our name: in DSNs, and to know ourselves in MX records
	Resolver dns.Resolver
	// Dialer connects to MX hosts. Hosts of the Router may have any address.
	Dialer smtpclient.Dialer
	Router Router // nil: everything goes by MX
	// Local says that a domain is ours: mail for it that waited for its time
	// (FUTURERELEASE), or for a domain that came to us meanwhile, goes to the Injector.
	// nil: none is.
	Local func(ctx context.Context, d mail.Domain) bool
	// Told hears of an entry after each attempt and change, when that is durable. It must
	// not wait.
	Told func(Info)
	// SelfAddrs are our own addresses: an MX that has one of them is ourselves.
	SelfAddrs []netip.Addr
	MXPort    uint16 // 25
	// TLS says how to talk TLS to MX hosts; nil: where it is offered.
	TLS *tlspolicy.Planner

	Retry    []time.Duration // wait after each failed attempt, the last repeats
	Lifetime time.Duration   // give up after, 5 days
	DelayDSN time.Duration   // tell the sender of a delay after, 4 h; negative: never
	// Pause is how long a destination that takes no connection is left alone; 4 min.
	Pause time.Duration
	// Linger is how long a connection is kept for the next message; 2 s. Negative:
	// not at all.
	Linger time.Duration
	// Spread is the time over which due work is spread after a start; 30 s.
	Spread time.Duration
	Limits Limits
	// Providers are groups of servers, by the organizational domain of their MX hosts, that
	// are treated otherwise than what is known of them.
	Providers map[string]Provider
	// Suppress is for how long accounts do not write to an address that does not exist; 30
	// days. Negative: they do.
	Suppress time.Duration

	// Trace remembers what becomes of each message; nil: nothing is remembered.
	Trace trace.Recorder

	Now    func() time.Time
	Rand   func() float64 // 0 <= x < 1
	Logger *slog.Logger
}

const defaultSuppress = 30 * 24 * time.Hour

// defaultRetry is dense where a greylisting or restarting server comes back, and
// then doubles up to 4 h, so that 5 days are some 35 attempts.
func defaultRetry() []time.Duration {
	return []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour}
}

func (o Options) withDefaults() Options {
	if o.Retry == nil {
		o.Retry = defaultRetry()
	}
	orDefault(&o.MXPort, 25)
	orDefault(&o.Lifetime, 5*24*time.Hour)
	orDefault(&o.DelayDSN, 4*time.Hour)
	orDefault(&o.Pause, 4*time.Minute)
	orDefault(&o.Linger, 2*time.Second)
	orDefault(&o.Spread, 30*time.Second)
	orDefault(&o.Suppress, defaultSuppress)
	limit(&o.Limits.Suppressed, 20_000)
	limit(&o.Limits.Entries, 100_000)
	limit(&o.Limits.Bytes, 10<<30)
	limit(&o.Limits.Active, 200)
	limit(&o.Limits.PerDestination, 20)
	limit(&o.Limits.PerConnection, 100)
	limit(&o.Limits.ReturnedBytes, 1<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Trace == nil {
		o.Trace = trace.Discard{}
	}
	if o.Router == nil {
		o.Router = Routes{}
	}
	return o
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// limit also turns a negative limit into one that is never reached.
func limit[T int | int64](v *T, def T) {
	orDefault(v, def)
	if *v < 0 {
		*v = math.MaxInt
	}
}

// A Queue sends mail to other servers. Its methods may be called at once.
type Queue struct {
	opts    Options
	current atomic.Pointer[settings]
	ctx     context.Context // of attempts; ends when Close loses patience
	stop    context.CancelFunc
	group   sync.WaitGroup // the scheduler and the workers
	wake    chan struct{}
	closing chan struct{} // closed with closed
	unsure  atomic.Bool   // some announced entries were committed, nobody says which
	count   counters

	suppressed suppressions

	mu        sync.Mutex // guards what follows
	inject    Injector
	items     map[ID]*item
	waiting   itemHeap
	dests     map[string]*dest
	sites     map[string]*site
	ready     fair[*site]    // those that have ready items and may begin with them, each once
	slow      map[*site]bool // those that have ready items and rest
	nReady    int            // ready items
	swept     time.Time
	announced map[ID]announcement
	fresh     fresh
	lastID    ID
	bytes     int64
	active    int // items
	held      int
	workers   int
	faults    int // commits that do not work just now
	started   bool
	closed    bool
	changed   chan struct{} // closed when an item stops being ready or active; nil: nobody waits for that
}

// sessionCache is how many servers' TLS sessions are kept; each is some kilobytes.
const sessionCache = 500

// Open returns the queue that lies in the engine. Nothing is sent before Start;
// until then it can be looked at and changed.
func Open(ctx context.Context, o Options) (*Queue, error) {
	o = o.withDefaults()
	if o.Dialer.Sessions == nil {
		o.Dialer.Sessions = tls.NewLRUClientSessionCache(sessionCache)
	}
	q := &Queue{opts: o, wake: make(chan struct{}, 1), closing: make(chan struct{}), items: map[ID]*item{}, dests: map[string]*dest{}, sites: map[string]*site{}, slow: map[*site]bool{},
		announced: map[ID]announcement{}, fresh: fresh{}}
	q.use(o)
	q.ctx, q.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := q.loadSuppressions(); err != nil {
		return nil, err
	}
	if err := q.rescan(); err != nil {
		return nil, err
	}
	return q, nil
}

// settings are the options that may change while the queue runs, and what follows from
// them. Whoever began with some ends with them.
type settings struct {
	Options
	direct smtpclient.Dialer // to hosts of the Router: any address
}

// set returns the settings of this moment.
func (q *Queue) set() *settings { return q.current.Load() }

func (q *Queue) use(o Options) {
	next := &settings{Options: o, direct: o.Dialer}
	next.direct.AddrPolicy = smtpclient.AnyAddr
	if old := q.set(); old != nil {
		next.direct.Sessions = old.direct.Sessions
	} else {
		next.direct.Sessions = tls.NewLRUClientSessionCache(sessionCache)
	}
	q.current.Store(next)
}

// Apply makes the queue go on with other Retry, Lifetime, DelayDSN, Suppress, Limits,
// Providers, Router and addresses of the Dialer. What is being sent goes on as it began; all else
// follows what is new from its next attempt on.
func (q *Queue) Apply(o Options) {
	o = o.withDefaults()
	next := q.set().Options
	next.Retry, next.Lifetime, next.DelayDSN, next.Suppress, next.Limits, next.Router, next.Providers = o.Retry, o.Lifetime, o.DelayDSN, o.Suppress, o.Limits, o.Router, o.Providers
	next.Dialer.AddrPolicy, next.Dialer.LocalAddrs = o.Dialer.AddrPolicy, o.Dialer.LocalAddrs
	q.use(next)
	q.Wake()
}

// Start begins to send. DSNs go to inj.
func (q *Queue) Start(inj Injector) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.started || q.closed {
		return
	}
	q.started, q.inject = true, inj
	q.group.Go(q.run)
}

// Close begins no more attempts and waits for those under way until ctx ends; then
// it breaks them off. Nothing is lost by that.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.closing)
	}
	q.mu.Unlock()
	q.nudge()
	done := make(chan struct{})
	go func() {
		q.group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	q.stop()
	<-done
	return nil
}

// nudge makes the scheduler look again.
func (q *Queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Idle waits until nothing is due, ready or under way, or until ctx ends.
func (q *Queue) Idle(ctx context.Context) error {
	for {
		q.settle()
		q.mu.Lock()
		if q.changed == nil {
			q.changed = make(chan struct{})
		}
		c := q.changed
		now := q.opts.Now().UnixNano()
		idle := q.active == 0 && q.nReady == q.restingLocked(now) && (len(q.waiting) == 0 || q.waiting[0].next > now)
		q.mu.Unlock()
		if idle {
			return nil
		}
		q.nudge()
		select {
		case <-c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// restingLocked is how many ready items belong to sites that rest.
func (q *Queue) restingLocked(now int64) int {
	n := 0
	for s := range q.slow {
		if s.notBefore.UnixNano() > now {
			n += s.ready.n
		}
	}
	return n
}

// signalLocked wakes those who wait in Idle.
func (q *Queue) signalLocked() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

func failure(kind mail.Kind, op, text string, err error) error {
	return &mail.Error{Kind: kind, Op: "queue." + op, Text: text, Err: err}
}
