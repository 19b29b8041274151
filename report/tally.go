package report

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"posthouse/store/engine"
	"posthouse/tlspolicy/tlsrpt"
)

// TallyOptions of OpenTally. Engine is required.
type TallyOptions struct {
	Engine engine.Engine
	// DMARC and TLS say what is counted, Failures whether single messages that fail are
	// told to domains that ask for it (ruf=).
	DMARC, TLS, Failures bool
	// Delay is how long counts are gathered before they are committed; 1 s.
	Delay  time.Duration
	Now    func() time.Time
	Logger *slog.Logger
}

// A Tally counts what the reports that we send are made of: one row for what is alike in
// a day, so that a flood of mail is a number. Recording costs its caller a look into a
// map and never waits; counts are committed together. A crash takes at most those of
// the last moment. Its methods may be called at once.
type Tally struct {
	opts TallyOptions
	veil []byte // key of redact
	quit chan struct{}
	wake chan struct{}
	done chan struct{}

	writing sync.Mutex     // of write; nests outside of mu
	rows    map[string]int // of a group, as far as they were asked for; under writing
	day     uint32         // of rows

	mu      sync.Mutex // guards what follows, nests in nothing
	pending map[string]counter
	left    uint64
	closed  bool
}

// A counter is what waits to be added to the value of a key.
type counter interface {
	// onto returns the value of the key with the count in it; old is nil if there is none.
	onto(old []byte) ([]byte, error)
}

const (
	maxPending   = 20_000 // keys that wait to be written
	maxGroupRows = 20_000 // of one report
	maxDayGroups = 50_000 // reports of a day
	perCommit    = 2_000  // operations
)

// The keys begin with what they count, the day, the domain and 0: that is the group of one
// TLS report. That of a DMARC report has a hash of the policy after it, that of a failure a
// hash of what is alike.
const (
	dmarcPrefix   = "rd"
	tlsPrefix     = "rt"
	failurePrefix = "rf"
)

func dayOf(t time.Time) uint32 { return uint32(max(0, t.Unix()) / 86400) }

func appendGroup(dst []byte, prefix string, day uint32, domain string) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, prefix...), day)
	return append(append(dst, domain...), 0)
}

func hashOf(v any, n int) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return make([]byte, n) // cannot be: they are plain structs
	}
	sum := sha256.Sum256(b)
	return sum[:n]
}

// OpenTally returns the counts that lie in the engine.
func OpenTally(o TallyOptions) *Tally {
	if o.Delay == 0 {
		o.Delay = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Tally{opts: o, veil: make([]byte, 32), quit: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{}), pending: map[string]counter{}, rows: map[string]int{}}
	_, _ = rand.Read(t.veil) // never fails
	go t.run()
	return t
}

// add counts by f under key, which f is given nil for if it is new. It is called with mu.
func (t *Tally) add(key []byte, f func(c counter) counter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, there := t.pending[string(key)]
	if t.closed || !there && len(t.pending) >= maxPending {
		t.left++
		return
	}
	t.pending[string(key)] = f(c)
	if len(t.pending) == 1 {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// Left is how much was not counted: too many domains or sources, or a full disk.
func (t *Tally) Left() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.left
}

func (t *Tally) run() {
	defer close(t.done)
	for {
		select {
		case <-t.wake:
			delay := time.NewTimer(t.opts.Delay)
			select {
			case <-delay.C:
			case <-t.quit:
				delay.Stop()
			}
			t.Flush(context.Background())
		case <-t.quit:
			t.Flush(context.Background())
			return
		}
	}
}

// Close writes what waits and ends the count.
func (t *Tally) Close(ctx context.Context) error {
	t.mu.Lock()
	closed := t.closed
	t.closed = true
	t.mu.Unlock()
	if !closed {
		close(t.quit)
	}
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Flush returns when what was counted before is stored, or could not be.
func (t *Tally) Flush(ctx context.Context) {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.mu.Lock()
	list := t.pending
	t.pending = map[string]counter{}
	t.mu.Unlock()
	if len(list) == 0 {
		return
	}
	if today := dayOf(t.opts.Now()); today != t.day {
		t.day, t.rows = today, map[string]int{}
	}
	ops, left, err := t.ops(list)
	for len(ops) > 0 && err == nil {
		some := ops[:min(len(ops), perCommit)]
		ops = ops[len(some):]
		_, err = t.opts.Engine.Commit(ctx, &engine.Batch{Expect: engine.AnyVersion, Ops: some}).Wait()
	}
	left += len(ops)
	t.mu.Lock()
	t.left += uint64(left)
	t.mu.Unlock()
	if err != nil && !errors.Is(err, engine.ErrUnavailable) {
		t.opts.Logger.Warn("report: counts are lost", "rows", len(list), "err", err)
	}
}

// ops are what stores the counts, and how many found no room.
func (t *Tally) ops(list map[string]counter) (ops []engine.Op, left int, err error) {
	r := t.opts.Engine.Snapshot(0)
	defer r.Close()
	for _, key := range slices.Sorted(maps.Keys(list)) {
		old, err := r.Get([]byte(key))
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return nil, len(list), err
		}
		if err != nil {
			old = nil
			room, err := t.room(r, key)
			if err != nil {
				return nil, len(list), err
			}
			if !room {
				left++
				continue
			}
		}
		val, err := list[key].onto(old)
		if err != nil {
			return nil, len(list), err
		}
		ops = append(ops, engine.Op{Kind: engine.Set, Key: []byte(key), Val: val})
	}
	return ops, left, nil
}

// room reports whether a new key may be made, and counts it.
func (t *Tally) room(r engine.Reader, key string) (bool, error) {
	group, most := groupOf(key), maxGroupRows
	if strings.HasPrefix(key, failurePrefix) {
		most = maxFailures
	}
	n, known := t.rows[group]
	if !known {
		if len(t.rows) >= maxDayGroups {
			return false, nil
		}
		err := r.Scan([]byte(group), after([]byte(group)), func(_, _ []byte) bool { n++; return n <= most })
		if err != nil {
			return false, err
		}
	}
	if n >= most {
		t.rows[group] = n
		return false, nil
	}
	t.rows[group] = n + 1
	return true, nil
}

// groupOf is the key's part up to the end of the domain.
func groupOf(key string) string {
	const head = len(dmarcPrefix) + 4
	for i := head; i < len(key); i++ {
		if key[i] == 0 {
			return key[:i+1]
		}
	}
	return key
}

// after is the end of the range of keys that begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// A tlsCounter is what was seen of the sessions with the servers of a domain.
type tlsCounter struct{ tlsrpt.Counts }

func (c *tlsCounter) onto(old []byte) ([]byte, error) {
	var all tlsrpt.Counts
	if old == nil || json.Unmarshal(old, &all) != nil {
		return json.Marshal(c.Counts)
	}
	all.Merge(c.Counts)
	return json.Marshal(all)
}

// RecordTLS counts a session with a server of domain (A-labels). It implements
// tlspolicy.Recorder.
func (t *Tally) RecordTLS(domain string, p tlsrpt.Policy, d tlsrpt.Detail) {
	if t == nil || !t.opts.TLS || !keyable(domain) {
		return
	}
	key := appendGroup(nil, tlsPrefix, dayOf(t.opts.Now()), domain)
	key = append(key, hashOf(p, 8)...)
	t.add(key, func(c counter) counter {
		counts, ok := c.(*tlsCounter)
		if !ok {
			counts = &tlsCounter{tlsrpt.Counts{Policy: p}}
		}
		counts.Add(d)
		return counts
	})
}

// keyable reports whether a domain can stand in a key.
func keyable(domain string) bool {
	for i := range len(domain) {
		if domain[i] <= ' ' || domain[i] > '~' {
			return false
		}
	}
	return domain != "" && len(domain) <= 253
}
