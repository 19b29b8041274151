package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/queue"
	"posthouse/smtpclient"
	"posthouse/smtpclient/smtptest"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(victimEnv); spec != "" {
		if err := victim(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const text = "Message-ID: <orig@a.test>\r\nSubject: hi\r\n\r\nbody\r\n"

// A clock goes only when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A dsn is a message that the queue injected.
type dsn struct {
	env     mail.Envelope
	content string
}

// An injector keeps DSNs; it commits what belongs to them.
type injector struct {
	eng engine.Engine
	mu  sync.Mutex
	got []dsn
	err error // instead
}

func (i *injector) Inject(ctx context.Context, env mail.Envelope, content []byte, also *engine.Batch) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err != nil {
		return i.err
	}
	if _, err := i.eng.Commit(ctx, also).Wait(); err != nil {
		return &mail.Error{Kind: mail.Unavailable, Err: err}
	}
	i.got = append(i.got, dsn{env, string(content)})
	return nil
}

func (i *injector) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err = err
}

func (i *injector) all() []dsn {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]dsn(nil), i.got...)
}

// A world is a queue with all that is around it.
type world struct {
	t     *testing.T
	eng   engine.Engine
	clock *clock
	dns   *dnstest.Server
	inj   *injector
	q     *queue.Queue
	opts  queue.Options
	once  sync.Once
}

const zone = `
b.test. MX 10 mx.b.test.
mx.b.test. A 127.0.0.1
null.test. MX 0 .
self.test. MX 10 here.test.
selfip.test. MX 10 other.test.
other.test. A 127.0.0.9
backup.test. MX 10 mx.b.test.
backup.test. MX 20 here.test.
backup.test. MX 30 far.test.
implicit.test. A 127.0.0.1
nohost.test. MX 10 gone.test.
two.test. MX 10 mx2.two.test.
two.test. MX 20 mx.b.test.
mx2.two.test. A 127.0.0.2
empty.test. TXT "no mail here"
`

// newWorld starts a queue whose MX hosts listen at port.
func newWorld(t *testing.T, port uint16, change func(*queue.Options)) *world {
	t.Helper()
	w := &world{t: t, eng: mem.New(), clock: &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
	w.dns = dnstest.New(t, zone)
	w.opts = queue.Options{
		Engine: w.eng, Hostname: "here.test", MXPort: port,
		Resolver:  w.dns.Client(t, dns.Options{Now: w.clock.Now}),
		Dialer:    smtpclient.Dialer{Hello: "here.test", AddrPolicy: smtpclient.AnyAddr},
		SelfAddrs: []netip.Addr{netip.MustParseAddr("127.0.0.9")},
		Now:       w.clock.Now, Rand: func() float64 { return 0.5 }, Spread: time.Nanosecond,
	}
	if testing.Verbose() {
		w.opts.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	if change != nil {
		change(&w.opts)
	}
	w.inj = &injector{eng: w.opts.Engine}
	w.start()
	t.Cleanup(func() { w.close() })
	return w
}

func (w *world) start() {
	w.t.Helper()
	q, err := queue.Open(w.t.Context(), w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.q, w.once = q, sync.Once{}
	q.Start(w.inj)
}

func (w *world) close() {
	w.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = w.q.Close(ctx)
	})
}

// reopen is a restart.
func (w *world) reopen() {
	w.t.Helper()
	w.close()
	w.start()
}

// add queues text from ada@a.test.
func (w *world) add(to ...string) {
	w.t.Helper()
	w.addEnv(envelope(to...))
}

func envelope(to ...string) mail.Envelope {
	env := mail.Envelope{ReversePath: mail.Address{Local: "ada", Domain: "a.test"}, TraceID: "T1"}
	for _, s := range to {
		local, domain, _ := strings.Cut(s, "@")
		env.Recipients = append(env.Recipients, mail.Recipient{Address: mail.Address{Local: local, Domain: mail.Domain(domain)}})
	}
	return env
}

func (w *world) addEnv(env mail.Envelope) {
	w.t.Helper()
	err := w.q.Add(w.t.Context(), env, queue.Message{Prefix: []byte("Received: from x\r\n"), Blob: &engine.Blob{Bytes: []byte(text)}, Size: int64(len(text))})
	if err != nil {
		w.t.Fatal(err)
	}
}

// idle waits until there is nothing to do at this time.
func (w *world) idle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	if err := w.q.Idle(ctx); err != nil {
		w.t.Fatalf("not idle: %+v", w.q.Stats())
	}
}

// list returns what waits.
func (w *world) list() []queue.Info {
	w.t.Helper()
	var out []queue.Info
	err := w.q.List(w.t.Context(), 0, func(in queue.Info) bool {
		out = append(out, in)
		return true
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// empty checks that nothing is left in the queue, on disk or in memory.
func (w *world) empty() {
	w.t.Helper()
	r := w.eng.Snapshot(0)
	defer r.Close()
	n := 0
	_ = r.Scan([]byte("q"), []byte("r"), func(key, _ []byte) bool {
		w.t.Errorf("left behind: %q", key)
		n++
		return n < 5
	})
	if s := w.q.Stats(); s.Entries != 0 || s.Active != 0 || s.Bytes != 0 {
		w.t.Errorf("%+v", s)
	}
}

func (w *world) check() {
	w.t.Helper()
	if err := w.q.Check(w.t.Context(), func(p string) { w.t.Error(p) }); err != nil {
		w.t.Error(err)
	}
}

// parts takes a DSN apart: its plain text, its fields and what was returned.
func parts(t *testing.T, d dsn) (plain, fields, back string) {
	t.Helper()
	m := message.Parse([]byte(d.content))
	h := message.ParseHeader([]byte(d.content), message.Limits{})
	ct := h.Value("Content-Type")
	if !strings.HasPrefix(ct, "multipart/report") || !strings.Contains(ct, "report-type=delivery-status") {
		t.Errorf("Content-Type: %s", ct)
	}
	if !d.env.ReversePath.IsNull() || h.Value("Auto-Submitted") != "auto-replied" || h.Value("In-Reply-To") != "<orig@a.test>" {
		t.Errorf("%+v\n%s", d.env, d.content)
	}
	_ = m
	_, rest, _ := strings.Cut(ct, "boundary=")
	boundary := strings.Trim(strings.SplitN(rest, ";", 2)[0], `"`)
	pieces := strings.Split(d.content, "--"+boundary)
	if len(pieces) != 5 {
		t.Fatalf("%d parts:\n%s", len(pieces)-2, d.content)
	}
	return pieces[1], pieces[2], pieces[3]
}

// contains checks that s holds each of want.
func contains(t *testing.T, s string, want ...string) {
	t.Helper()
	for _, x := range want {
		if !strings.Contains(s, x) {
			t.Errorf("no %q in:\n%s", x, s)
		}
	}
}

// answer makes a hook that gives reply at verb, for arguments that hold part.
func answer(verb, part, reply string) func(smtptest.Command) smtptest.Reaction {
	return func(c smtptest.Command) smtptest.Reaction {
		if c.Verb == verb && strings.Contains(c.Arg, part) {
			return smtptest.Reaction{Reply: reply}
		}
		return smtptest.Reaction{}
	}
}

func summary(in queue.Info) string {
	var b strings.Builder
	for _, r := range in.Recipients {
		fmt.Fprintf(&b, "%s %s %d; ", r.Address, r.State, r.LastReply.Code)
	}
	return strings.TrimSuffix(b.String(), "; ")
}
