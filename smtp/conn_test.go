package smtp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/directory"
	"posthouse/sasl"
	"posthouse/store/engine/mem"
	"posthouse/trace"
)

// A client is one that a test drives by hand.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func newClient(t testing.TB, nc net.Conn) *client {
	must(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	t.Cleanup(func() { nc.Close() })
	return &client{t, nc, bufio.NewReader(nc)}
}

func (h *house) dial(address string) *client {
	h.t.Helper()
	nc, err := net.Dial("tcp", address)
	must(h.t, err)
	return newClient(h.t, nc)
}

// pipe serves one connection that is no socket.
func (h *house) pipe(f Face, wrap func(net.Conn) net.Conn) *client {
	ours, theirs := net.Pipe()
	if wrap != nil {
		theirs = wrap(theirs)
	}
	go h.srv.ServeConn(context.Background(), theirs, f)
	return newClient(h.t, ours)
}

func (p *client) send(lines ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		p.t.Fatal(err)
	}
}

// want reads replies, whose last lines begin with the given texts.
func (p *client) want(codes ...string) string {
	p.t.Helper()
	line := ""
	for _, code := range codes {
		for {
			var err error
			if line, err = p.r.ReadString('\n'); err != nil {
				p.t.Fatalf("want %s, got %q, %v", code, line, err)
			}
			if len(line) > 3 && line[3] == ' ' {
				break
			}
		}
		if !strings.HasPrefix(line, code) {
			p.t.Fatalf("want %s, got %q", code, line)
		}
	}
	return strings.TrimRight(line, "\r\n")
}

func (p *client) wantClosed() {
	p.t.Helper()
	if line, err := p.r.ReadString('\n'); err == nil || line != "" {
		p.t.Fatalf("not closed: %q, %v", line, err)
	}
}

// countingConn counts writes.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// A batch of commands is answered in one write (RFC 2920 §3.2), whatever it is.
func TestOneWriteForABatch(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	var writes atomic.Int64
	p := h.pipe(MX, func(c net.Conn) net.Conn { return countingConn{c, &writes} })
	batch := func(want int64, lines []string, codes ...string) {
		t.Helper()
		before := writes.Load()
		p.send(lines...)
		p.want(codes...)
		if n := writes.Load() - before; n != want {
			t.Errorf("%d writes for %q", n, lines)
		}
	}
	p.want("220")
	batch(1, []string{"EHLO client.test"}, "250")
	batch(1, []string{"MAIL FROM:<eve@far.test>", "RCPT TO:<ada@demo.test>", "RCPT TO:<nobody@demo.test>",
		"RCPT TO:<ben@demo.test>", "DATA"}, "250", "250", "550", "250", "354")
	batch(1, []string{"Subject: x", "", ".", "MAIL FROM:<>", "RCPT TO:<ada@demo.test>", "BDAT 4 LAST", "ab", "NOOP", "VRFY x",
		"MAIL FROM:<>", "RCPT TO:<ben@demo.test>", "BDAT 1", "xBDAT 0 LAST", "RSET"},
		"250 2.0.0", "250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.0.0", "252", "250 2.1.0", "250 2.1.5", "250 2.0.0 1 octets", "250 2.0.0 Ok: stored", "250 2.0.0 Ok")
	if a, b := len(h.inbox("ada@demo.test")), len(h.inbox("ben@demo.test")); a != 2 || b != 2 {
		t.Errorf("ada has %d, ben %d", a, b)
	}
}

// Replies do not pile up without bound while a peer sends and never reads.
func TestPendingRepliesAreBounded(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	p := h.pipe(MX, nil)
	p.want("220")
	go func() { _, _ = io.WriteString(p, strings.Repeat("HELP\r\n", 5000)) }() // ends with the pipe
	longest := 0
	buf := make([]byte, 1<<20)
	for total := 0; total < 5000*20; {
		n, err := p.r.Read(buf)
		must(t, err)
		total += n
		longest = max(longest, n)
	}
	if longest > 2*maxPending {
		t.Errorf("%d octets in one write", longest)
	}
}

// What is sent in the clear behind STARTTLS is no part of the session inside (RFC
// 3207 §6).
func TestStartTLSInjection(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	p := h.pipe(Submission, nil)
	p.want("220")
	p.send("EHLO client.test")
	p.want("250")
	p.send("STARTTLS", "EHLO evil.test", "MAIL FROM:<ada@demo.test>")
	p.want("554 5.5.1")
	p.wantClosed()

	q := h.dial(h.listen(Submission))
	q.want("220")
	q.send("STARTTLS")
	q.want("220 2.0.0")
	q.send("EHLO evil.test", "NOOP")
	rest, _ := io.ReadAll(q.r) // a TLS alert or a reset
	if bytes.Contains(rest, []byte("250")) {
		t.Errorf("answered in the clear: %q", rest)
	}
	if h.srv.Stats().FailedHandshakes != 1 {
		t.Error("the failed handshake is not counted")
	}
}

// A login does not survive STARTTLS, for it was given in the clear.
func TestStartTLSForgetsLogin(t *testing.T) {
	h := newHouse(t, mem.New(), func(o *Options) { o.AllowPlaintextLogin = true })
	p := h.dial(h.listen(Submission))
	p.want("220")
	p.send("EHLO client.test")
	p.want("250")
	p.send("AUTH PLAIN AGFkYUBkZW1vLnRlc3QAZGVtbw==")
	p.want("235")
	p.send("STARTTLS")
	p.want("220")
	in := newClient(t, tls.Client(p.Conn, clientTLS()))
	in.send("EHLO client.test")
	in.want("250")
	in.send("MAIL FROM:<ada@demo.test>")
	in.want("530")
}

func TestConnectionsPerAddress(t *testing.T) {
	h := newHouse(t, mem.New(), func(o *Options) { o.Limits.ConnectionsPerAddress = 2 })
	address := h.listen(MX)
	a, b := h.dial(address), h.dial(address)
	a.want("220")
	b.want("220")
	c := h.dial(address)
	c.want("421 4.7.0")
	c.wantClosed()
	a.send("QUIT")
	a.want("221")
	a.wantClosed()
	// The place is free once the server has seen the end, which is soon.
	for range 1000 {
		if d := h.dial(address); strings.HasPrefix(d.firstLine(), "220") {
			break
		}
		runtime.Gosched()
	}
	if s := h.srv.Stats(); s.Turned == 0 || s.Connections != 3 {
		t.Errorf("%+v", s)
	}
	if lmtp := h.dial(h.listen(LMTP)); true { // trusted: not counted
		lmtp.want("220")
	}
}

func (p *client) firstLine() string {
	line, _ := p.r.ReadString('\n')
	return line
}

// Neighbours together have five shares, not one each.
func TestAdmissionAround(t *testing.T) {
	d := newAdmission(2, 1000)
	now := time.Unix(1e9, 0)
	served := 0
	for i := range 40 {
		if d.enter(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), now) {
			served++
		}
	}
	if served != 10 {
		t.Errorf("%d neighbours are served at once, want 10", served)
	}
	if !d.enter(netip.MustParseAddr("192.0.3.1"), now) {
		t.Error("another network is refused")
	}
}

func TestAdmissionRate(t *testing.T) {
	d := newAdmission(10, 3)
	a, same, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:1"), netip.MustParseAddr("2001:db8:0:1::1")
	now := time.Unix(1e9, 0)
	visit := func(x netip.Addr) bool {
		ok := d.enter(x, now)
		if ok {
			d.leave(x)
		}
		return ok
	}
	for i := range 3 {
		if !visit(a) {
			t.Fatal("refused", i)
		}
	}
	if visit(a) || visit(same) {
		t.Error("the fourth in a minute is served")
	}
	if !visit(other) {
		t.Error("another network is refused")
	}
	now = now.Add(20 * time.Second)
	if !visit(same) || visit(a) {
		t.Error("one token in 20 s")
	}
	now = now.Add(2 * time.Minute)
	if !visit(netip.MustParseAddr("192.0.2.1")) || len(d.peers) != 2 { // itself, and what is around it
		t.Errorf("%d peers remembered", len(d.peers))
	}
	now = now.Add(-time.Hour) // the clock goes back
	if !visit(netip.MustParseAddr("192.0.2.1")) {
		t.Error("refused after the clock went back")
	}
}

func TestTimeouts(t *testing.T) {
	short := 30 * time.Millisecond
	for name, tt := range map[string]struct {
		face   Face
		limits Limits
		say    []string
		want   []string
	}{
		"command": {MX, Limits{CommandTimeout: short}, nil, []string{"220", "421 4.4.2"}},
		"session": {MX, Limits{MXSession: short}, []string{"NOOP"}, []string{"220", "250", "421 4.4.2"}},
		"login":   {Submission, Limits{LoginTimeout: short}, []string{"NOOP"}, []string{"220", "250", "421 4.4.2"}},
		"data": {MX, Limits{DataTimeout: short}, []string{"HELO x", "MAIL FROM:<>", "RCPT TO:<ada@demo.test>", "DATA"},
			[]string{"220", "250", "250", "250", "354", "421 4.4.2"}},
		"chunk": {MX, Limits{DataTimeout: short}, []string{"HELO x", "MAIL FROM:<>", "RCPT TO:<ada@demo.test>", "BDAT 100 LAST", "half"},
			[]string{"220", "250", "250", "250", "421 4.4.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, mem.New(), func(o *Options) { o.Limits = tt.limits })
			p := h.dial(h.listen(tt.face))
			if tt.say != nil {
				p.send(tt.say...)
			}
			p.want(tt.want...)
			p.wantClosed()
			if n := len(h.inbox("ada@demo.test")); n != 0 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

func TestDataRate(t *testing.T) {
	l := Limits{}.withDefaults()
	start := time.Unix(1e9, 0)
	for _, tt := range []struct {
		bytes     int64
		at, until time.Duration
	}{
		{0, 0, time.Minute},                               // silence from the start
		{500 * 60, time.Minute, 2 * time.Minute},          // just the rate
		{1 << 30, time.Minute, 4 * time.Minute},           // fast: DataTimeout alone
		{100, 59 * time.Second, 60200 * time.Millisecond}, // a trickle
	} {
		d := dataClock{start: start, bytes: tt.bytes}
		if got := d.deadline(start.Add(tt.at), &l).Sub(start); got != tt.until {
			t.Errorf("%d octets after %v: until %v, want %v", tt.bytes, tt.at, got, tt.until)
		}
	}
}

// Shutdown does not wait for ever for a peer in the middle of a message.
func TestShutdownIsBounded(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	p := h.dial(h.listen(MX))
	p.send("HELO x", "MAIL FROM:<>", "RCPT TO:<ada@demo.test>", "DATA")
	p.want("220", "250", "250", "250", "354")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := h.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	p.wantClosed()
	if h.srv.Stats().Open != 0 {
		t.Error("a connection is still open")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if err := h.srv.Serve(t.Context(), l, MX); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// The end of Serve's context is a shutdown too.
func TestContextEnds(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- h.srv.Serve(ctx, l, MX) }()
	p := h.dial(l.Addr().String())
	p.want("220")
	cancel()
	p.want("421 4.3.2")
	if err := <-served; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

type panicker struct{}

func (panicker) Methods() sasl.Methods { return sasl.ByPassword }

func (panicker) Attempt(netip.Addr, *tls.ConnectionState) directory.Attempt {
	panic("a bug")
}

// A bug ends its own connection only.
func TestPanic(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	h2 := &house{t: t, log: h.log, srv: New(Options{Delivery: h.srv.opts.Delivery, Authenticator: panicker{}, Hostname: "x.test",
		AllowPlaintextLogin: true, Logger: h.srv.opts.Logger})}
	p, other := h2.pipe(Submission, nil), h2.pipe(Submission, nil)
	p.want("220")
	other.want("220")
	p.send("EHLO x")
	p.want("250")
	p.send("AUTH PLAIN AGFkYUBkZW1vLnRlc3QAZGVtbw==")
	p.want("421 4.3.0")
	p.wantClosed()
	other.send("NOOP")
	other.want("250")
	other.Close()
	must(t, h2.srv.Shutdown(t.Context()))
	if h2.srv.Stats().Panics != 1 || !strings.Contains(h.log.String(), "panic in a connection") {
		t.Error("not counted or not logged")
	}
}

// One line in the log for each transaction, with the id that the peer was told.
func TestLog(t *testing.T) {
	h := newHouse(t, mem.New(), func(o *Options) { o.AllowPlaintextLogin = true })
	p := h.dial(h.listen(Submission))
	p.send("EHLO client.test", "AUTH PLAIN AGFkYUBkZW1vLnRlc3QAd3Jvbmc=", "AUTH PLAIN AGFkYUBkZW1vLnRlc3QAZGVtbw==")
	p.want("220", "250", "535", "235")
	p.send("MAIL FROM:<ada@demo.test>", "RCPT TO:<nobody@demo.test>", "RCPT TO:<ben@demo.test>", "DATA")
	p.want("250", "550", "250", "354")
	p.send("From: ada@demo.test", "Subject: secret subject", "", "secret body", ".")
	_, id, _ := strings.Cut(p.want("250 2.0.0"), "stored as ")
	p.send("MAIL FROM:<ben@demo.test>", "MAIL FROM:<ada@demo.test>", "RSET", "QUIT")
	p.want("550", "250", "250", "221")
	log := h.log.String()
	for _, want := range []string{"message accepted\" tid=" + id, "message refused", "login failed", "rcpts=1 to=ben@demo.test refused=1"} {
		if n := strings.Count(log, want); n != 1 {
			t.Errorf("%d times %q", n, want)
		}
	}
	for _, never := range []string{"secret", "demo\n", "AGFkYU", "wrong"} {
		if strings.Contains(log, never) {
			t.Errorf("the log holds %q:\n%s", never, log)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	path := filepath.Join(t.TempDir(), "lmtp")
	l, err := net.Listen("unix", path)
	must(t, err)
	go func() { _ = h.srv.Serve(context.Background(), l, LMTP) }()
	nc, err := net.Dial("unix", path)
	must(t, err)
	p := newClient(t, nc)
	p.send("LHLO postfix.test", "MAIL FROM:<>", "RCPT TO:<ada@demo.test>", "DATA")
	p.want("220", "250", "250", "250", "354")
	p.send("", ".")
	p.want("250")
	if got := h.inbox("ada@demo.test"); len(got) != 1 || !strings.Contains(got[0], "Received: from postfix.test\r\n\tby mx.demo.test with LMTP id ") {
		t.Errorf("%q", got)
	}
}

func TestTraceIDs(t *testing.T) {
	var ids trace.IDs
	now := time.Unix(1.8e9, 0)
	ids.Start(now)
	seen := map[string]bool{}
	var last string
	for i := range 5000 {
		id := ids.Next(now.Add(time.Duration(i) * time.Second))
		if seen[id] || len(id) != 13 || id[:6] < last {
			t.Fatal(i, id, last)
		}
		seen[id], last = true, id[:6]
	}
}

// Many peers at once lose nothing and double nothing.
func TestManyAtOnce(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	address := h.listen(MX)
	const peers, each = 8, 12
	var group sync.WaitGroup
	for i := range peers {
		p := h.dial(address)
		group.Go(func() {
			p.send("HELO x")
			p.want("220", "250")
			for j := range each {
				p.send("MAIL FROM:<>", "RCPT TO:<both@demo.test>", "DATA")
				p.want("250", "250", "354")
				p.send(fmt.Sprintf("Subject: %d-%d", i, j), "", ".")
				p.want("250")
			}
		})
	}
	group.Wait()
	for _, who := range []string{"ada@demo.test", "ben@demo.test"} {
		seen := map[string]bool{}
		for _, m := range h.inbox(who) {
			_, s, _ := strings.Cut(m, "Subject: ")
			seen[s] = true
		}
		if got := h.inbox(who); len(seen) != peers*each || len(got) != peers*each {
			t.Errorf("%s has %d of %d, %d different", who, len(got), peers*each, len(seen))
		}
	}
}

// A large message goes through byte by byte the same, in little memory.
func TestLargeMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("30 MB")
	}
	h := newHouse(t, mem.New(), nil)
	p := h.dial(h.listen(MX))
	p.send("HELO x", "MAIL FROM:<>", "RCPT TO:<both@demo.test>", "DATA")
	p.want("220", "250", "250", "250", "354")
	var b strings.Builder
	b.WriteString("Subject: large\r\n\r\n")
	for i := 0; b.Len() < 30<<20; i++ {
		fmt.Fprintf(&b, "%070d\r\n", i)
	}
	_, err := io.WriteString(p, b.String()+".\r\n")
	must(t, err)
	p.want("250")
	for _, who := range []string{"ada@demo.test", "ben@demo.test"} {
		if got := h.inbox(who); len(got) != 1 || !strings.HasSuffix(got[0], b.String()) {
			t.Error(who, "has something else")
		}
	}
}

// A peer that has not logged in costs at most 64 kB.
func TestMemoryOfAConnection(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	const n = 300
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := heap()
	for range n {
		p := h.pipe(MX, nil)
		p.want("220")
		p.send("EHLO client.test")
		p.want("250")
		p.send(strings.Repeat("x", 20000))
		p.want("500")
	}
	if each := (heap() - before) / n; each > 24<<10 {
		t.Errorf("%d octets each", each)
	} else {
		t.Logf("%d octets each, the client's included", each)
	}
}

// A peer that reads nothing does not hold its connection for ever.
func TestOutputStalled(t *testing.T) {
	h := newHouse(t, mem.New(), func(o *Options) { o.Limits.WriteTimeout = 30 * time.Millisecond })
	ours, theirs := net.Pipe() // nobody reads from ours
	defer ours.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.srv.ServeConn(context.Background(), theirs, MX)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the connection is still served")
	}
}

// With TLS the last words come with close_notify: nobody has cut them off.
func TestLastWordsInTLS(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	nc, err := tls.Dial("tcp", h.listen(Submissions), clientTLS())
	must(t, err)
	p := newClient(t, nc)
	p.want("220")
	p.send("A", "B", "C", "more that nobody reads")
	p.want("500", "500", "500", "421")
	if _, err := p.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// What comes with DATA, before 354, is thrown away with the connection.
func TestDataTooEarly(t *testing.T) {
	for _, f := range []Face{MX, LMTP} {
		h := newHouse(t, mem.New(), nil)
		p := h.dial(h.listen(f))
		hello, want := "EHLO client.test", "220"
		if f == LMTP {
			hello = "LHLO client.test"
		}
		p.send(hello)
		p.want(want, "250")
		p.send("MAIL FROM:<eve@far.test>", "RCPT TO:<ada@demo.test>", "DATA", "Subject: early", "", ".", "MAIL FROM:<eve@far.test>", "RCPT TO:<ben@demo.test>")
		p.want("250 2.1.0", "250 2.1.5", "554 5.5.0")
		p.wantClosed()
		if n := len(h.inbox("ada@demo.test")) + len(h.inbox("ben@demo.test")); n != 0 {
			t.Errorf("%d messages", n)
		}
	}
}

// What is applied holds for connections that come then.
func TestApply(t *testing.T) {
	h := newHouse(t, mem.New(), nil)
	at := h.listen(MX)
	old := h.dial(at)
	old.want("220")
	h.srv.Apply(Options{Limits: Limits{Recipients: 1}})
	fresh := h.dial(at)
	fresh.want("220")
	for _, p := range []*client{old, fresh} {
		p.send("EHLO x.test", "MAIL FROM:<eve@far.test>", "RCPT TO:<ada@demo.test>", "RCPT TO:<ben@demo.test>")
		p.want("250", "250", "250")
		if p == old {
			p.want("250")
		} else {
			p.want("452")
		}
	}
}
