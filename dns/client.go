package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

// A Server is a recursive resolver.
type Server struct {
	Addr netip.AddrPort
	// TrustAD believes its AD bit. It is believed without that if Addr is loopback:
	// no one can have changed the answer on its way.
	TrustAD bool
}

// Options configure a Client. Zero fields take their defaults.
type Options struct {
	Servers      []Server         // default: those of ResolvConf
	ResolvConf   string           // default /etc/resolv.conf; read again when it changes
	Timeout      time.Duration    // for one query to one server; default 3 s
	Attempts     int              // rounds over all servers; default 2
	CacheEntries int              // default 10,000
	MaxTTL       time.Duration    // default 24 h
	MaxNegative  time.Duration    // longest time to keep an absence; default 15 min
	FailTTL      time.Duration    // how long a temporary failure is repeated unasked; default 2 s
	Now          func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	set(&o.ResolvConf, "/etc/resolv.conf")
	set(&o.Timeout, 3*time.Second)
	set(&o.Attempts, 2)
	set(&o.CacheEntries, 10_000)
	set(&o.MaxTTL, 24*time.Hour)
	set(&o.MaxNegative, 15*time.Minute)
	set(&o.FailTTL, 2*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// A Client is the Resolver that asks recursive resolvers and keeps their answers.
// All methods may be called at once.
type Client struct {
	opt   Options
	conf  resolvConf
	ctx   context.Context // of the queries: ends with Close
	stop  context.CancelFunc
	group sync.WaitGroup // queries under way

	mu     sync.Mutex // guards what follows; nothing is locked under it
	cache  map[question]*entry
	flight map[question]*call
	closed bool
	asked  uint64
	hits   uint64
}

type question struct {
	name  string
	qtype uint16
}

// A call is one query that several lookups wait for.
type call struct {
	done  chan struct{}
	entry *entry // valid after done
}

// New returns a Client. Close it to end its queries.
func New(opt Options) *Client {
	opt = opt.withDefaults()
	c := &Client{opt: opt, cache: map[question]*entry{}, flight: map[question]*call{}}
	c.conf = resolvConf{path: opt.ResolvConf}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// Close ends all queries; lookups fail from now on.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.group.Wait()
	return nil
}

// Stats are counters since New, and the number of entries in the cache.
type Stats struct{ Queries, CacheHits, CacheEntries uint64 }

// Stats returns the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{c.asked, c.hits, uint64(len(c.cache))}
}

// known returns the cached entry for q, or nil.
func (c *Client) known(q question) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.cache[q]; e != nil && c.opt.Now().Before(e.expires) {
		c.hits++
		return e
	}
	return nil
}

// lookup returns the cached entry for q or asks. It fails only with ctx.
func (c *Client) lookup(ctx context.Context, q question) (*entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if e := c.cache[q]; e != nil && c.opt.Now().Before(e.expires) {
		c.hits++
		c.mu.Unlock()
		return e, nil
	}
	if c.closed {
		c.mu.Unlock()
		return &entry{err: ErrTemporary, detail: "resolver closed"}, nil
	}
	f := c.flight[q]
	if f == nil {
		f = &call{done: make(chan struct{})}
		c.flight[q] = f
		c.asked++
		c.group.Go(func() { c.fly(q, f) })
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.entry, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fly asks for q and hands the entry to all who wait. The caller that asked first
// may have gone: the answer is kept all the same.
func (c *Client) fly(q question, f *call) {
	e := c.ask(q)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keepLocked(q, e)
	delete(c.flight, q)
	f.entry = e
	close(f.done)
}

// ask tries the servers in order, round by round, until one answers for certain.
func (c *Client) ask(q question) *entry {
	servers, err := c.servers()
	if err != nil {
		return c.failed(err.Error())
	}
	detail := "no servers"
	for range c.opt.Attempts {
		for _, s := range servers {
			m, err := c.exchange(q, s)
			if c.ctx.Err() != nil {
				return c.failed("resolver closed")
			}
			if err != nil {
				detail = errText(err) + " from " + s.Addr.String()
				continue
			}
			if m.Rcode != mdns.RcodeSuccess && m.Rcode != mdns.RcodeNameError {
				detail = mdns.RcodeToString[m.Rcode] + " from " + s.Addr.String()
				continue
			}
			secure := m.AuthenticatedData && (s.TrustAD || s.Addr.Addr().IsLoopback())
			return c.entryOf(q, m, secure)
		}
	}
	return c.failed(detail)
}

func (c *Client) failed(detail string) *entry {
	return &entry{err: ErrTemporary, detail: detail, expires: c.opt.Now().Add(c.opt.FailTTL)}
}

func errText(err error) string {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return "no answer"
	}
	return err.Error()
}

// udpSize is the size of answers that never needs fragments (DNS flag day 2020).
const udpSize = 1232

var errMismatch = errors.New("answer to another question")

// exchange asks one server, over UDP and, if the answer was cut, over TCP. A
// server that does not know EDNS is asked again without.
func (c *Client) exchange(q question, s Server) (*mdns.Msg, error) {
	m := newQuery(q)
	m.SetEdns0(udpSize, false)
	r, err := c.once(m, s, "udp")
	if err == nil && (r.Rcode == mdns.RcodeFormatError || r.Rcode == mdns.RcodeNotImplemented) {
		m = newQuery(q)
		r, err = c.once(m, s, "udp")
	}
	if err == nil && r.Truncated {
		r, err = c.once(m, s, "tcp")
	}
	return r, err
}

func newQuery(q question) *mdns.Msg {
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	return &mdns.Msg{
		// AD in a query asks for AD in the answer without the signatures of DO.
		MsgHdr:   mdns.MsgHdr{Id: binary.BigEndian.Uint16(id[:]), RecursionDesired: true, AuthenticatedData: true},
		Question: []mdns.Question{{Name: mdns.Fqdn(q.name), Qtype: q.qtype, Qclass: mdns.ClassINET}},
	}
}

// once sends m from a socket of its own, whose random port is what makes a forged
// answer hard.
func (c *Client) once(m *mdns.Msg, s Server, network string) (*mdns.Msg, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.opt.Timeout)
	defer cancel()
	cl := mdns.Client{Net: network, Timeout: c.opt.Timeout, UDPSize: udpSize}
	addr := net.JoinHostPort(s.Addr.Addr().String(), strconv.Itoa(int(s.Addr.Port())))
	conn, err := cl.DialContext(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	r, _, err := cl.ExchangeWithConnContext(ctx, m, conn)
	if err != nil {
		return nil, err
	}
	if !r.Response || len(r.Question) != 1 || r.Question[0].Qtype != m.Question[0].Qtype ||
		canonical(r.Question[0].Name) != canonical(m.Question[0].Name) {
		return nil, errMismatch
	}
	return r, nil
}
