package trace

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

// Options of Open. Engine is required.
type Options struct {
	Engine engine.Engine
	// Keep is for how long records are kept; 30 days. Negative: none are made.
	Keep time.Duration
	// BytesPerDay bounds what is recorded in a day, so that a flood of refused mail
	// does not fill the disk; 1 GB. Negative: no bound.
	BytesPerDay int64
	// Delay is how long records are gathered before they are committed; 200 ms.
	Delay  time.Duration
	Now    func() time.Time
	Logger *slog.Logger
}

// Stats are counters since Open.
type Stats struct {
	Recorded uint64 // records taken
	Left     uint64 // records left out: too many at once, over BytesPerDay, or not stored
}

// A Log keeps records. Its methods may be called at once.
type Log struct {
	opts Options
	quit chan struct{}
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex // guards what follows
	pending []engine.Op
	waiting int // records in pending
	seq     uint64
	day     uint32
	bytes   int64 // of day
	stats   Stats
	closed  bool
}

const (
	maxWaiting = 50_000 // records that may wait to be written; some 30 MB
	perCommit  = 8_000  // operations
)

// Open returns the log that lies in the engine.
func Open(o Options) *Log {
	if o.Keep == 0 {
		o.Keep = 30 * 24 * time.Hour
	}
	if o.BytesPerDay == 0 {
		o.BytesPerDay = 1 << 30
	}
	if o.Delay == 0 {
		o.Delay = 200 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{opts: o, quit: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.seq = uint64(o.Now().UnixNano())
	go l.run()
	return l
}

// Record remembers e. It never waits.
func (l *Log) Record(e *Event) {
	if l == nil || l.opts.Keep < 0 || e.ID == "" || len(e.ID) > maxText || strings.IndexByte(e.ID, 0) >= 0 {
		return
	}
	at := *e
	if at.At.IsZero() {
		at.At = l.opts.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if day := dayOf(at.At); day > l.day {
		l.day, l.bytes = day, 0
	}
	if l.closed || l.waiting >= maxWaiting || l.opts.BytesPerDay > 0 && l.bytes >= l.opts.BytesPerDay {
		l.stats.Left++
		return
	}
	l.seq++
	from := len(l.pending)
	l.pending = ops(l.pending, &at, l.seq)
	for _, op := range l.pending[from:] {
		l.bytes += int64(len(op.Key) + len(op.Val))
	}
	l.waiting++
	l.stats.Recorded++
	if l.waiting == 1 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// Stats returns the counters.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// run writes what waits and forgets what is old, until Close.
func (l *Log) run() {
	defer close(l.done)
	expire := time.NewTimer(0)
	defer expire.Stop()
	for {
		select {
		case <-l.wake:
			t := time.NewTimer(l.opts.Delay)
			select {
			case <-t.C:
			case <-l.quit:
				t.Stop()
			}
			l.write(context.Background())
		case <-expire.C:
			l.expire(context.Background())
			expire.Reset(time.Hour)
		case <-l.quit:
			l.write(context.Background())
			return
		}
	}
}

// write commits what waits.
func (l *Log) write(ctx context.Context) {
	l.mu.Lock()
	list, n := l.pending, l.waiting
	l.pending, l.waiting = nil, 0
	l.mu.Unlock()
	for len(list) > 0 {
		some := list[:min(len(list), perCommit)]
		list = list[len(some):]
		if _, err := l.opts.Engine.Commit(ctx, &engine.Batch{Expect: engine.AnyVersion, Ops: some}).Wait(); err != nil {
			l.mu.Lock()
			l.stats.Left += uint64(n)
			l.mu.Unlock()
			if !errors.Is(err, engine.ErrUnavailable) {
				l.opts.Logger.Warn("trace: records are lost", "records", n, "err", err)
			}
			return
		}
	}
}

// Flush returns when what was recorded before is stored, or could not be.
func (l *Log) Flush(ctx context.Context) { l.write(ctx) }

// expire forgets the days that are over.
func (l *Log) expire(ctx context.Context) {
	if l.opts.Keep < 0 {
		return
	}
	first := appendDay(nil, 0, 0)
	end := appendDay(nil, dayOf(l.opts.Now().Add(-l.opts.Keep)), 0)
	r := l.opts.Engine.Snapshot(0)
	found := false
	err := r.Scan(first, end, func(_, _ []byte) bool { found = true; return false })
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err == nil && found {
		b := &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.DeleteRange, Key: first, End: end}}}
		_, err = l.opts.Engine.Commit(ctx, b).Wait()
	}
	if err != nil && !errors.Is(err, engine.ErrUnavailable) {
		l.opts.Logger.Warn("trace: old records stay", "err", err)
	}
}

// Close writes what waits and ends the log.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if !closed {
		close(l.quit)
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return &mail.Error{Kind: mail.Unavailable, Op: "trace.Close", Err: ctx.Err()}
	}
}
