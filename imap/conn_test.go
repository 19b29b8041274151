package imap

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/imap/wire"
)

// client is a connection that a test drives by hand.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (h *house) client(user string) *client {
	h.t.Helper()
	nc, err := h.login(user)
	if err != nil {
		h.t.Fatal(err)
	}
	return newClient(h.t, nc)
}

func newClient(t testing.TB, nc net.Conn) *client {
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &client{t, nc, bufio.NewReader(nc)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatal(err)
	}
}

// until reads lines up to the first with the prefix, and returns all.
func (c *client) until(prefix string) []string {
	c.t.Helper()
	var got []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("waiting for %q: %v after %q", prefix, err, got)
		}
		got = append(got, strings.TrimRight(line, "\r\n"))
		if strings.HasPrefix(line, prefix) {
			return got
		}
	}
}

// countWrites counts the writes of a server's connections.
type countWrites struct {
	net.Listener
	n atomic.Int64
}

func (l *countWrites) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{nc, &l.n}, nil
}

type countedConn struct {
	net.Conn
	n *atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.n.Add(1)
	return c.Conn.Write(p)
}

// TestOneWrite: the replies to commands that came together leave in one write.
func TestOneWrite(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &countWrites{Listener: l}
	go func() { _ = h.srv.Serve(context.Background(), counted, Face{}) }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	c.until("* OK")
	c.send("a LOGIN ada demo\r\n")
	c.until("a OK")
	before := counted.n.Load()
	c.send(strings.Repeat("x NOOP\r\n", 50) + "b SELECT INBOX\r\nc STATUS INBOX (MESSAGES)\r\nd NOOP\r\n")
	c.until("d OK")
	if n := counted.n.Load() - before; n != 1 {
		t.Errorf("%d writes for one batch", n)
	}
}

// TestStartTLSInjection: what was sent in the clear behind STARTTLS is never run,
// RFC 9051 §11.1.
func TestStartTLSInjection(t *testing.T) {
	h := newHouse(t, Options{TLSConfig: selfSigned(t)})
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	c.until("* OK")
	c.send("a STARTTLS\r\nb CAPABILITY\r\n")
	c.until("a OK")
	sec := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	if err := sec.Handshake(); err != nil {
		return // the server took the injected bytes for TLS: safe too
	}
	c = newClient(t, sec)
	c.send("c NOOP\r\n")
	for _, l := range c.until("c OK") {
		if strings.HasPrefix(l, "b ") || strings.HasPrefix(l, "* CAPABILITY") {
			t.Fatalf("the injected command was run: %s", l)
		}
	}
}

func TestImplicitTLS(t *testing.T) {
	h := newHouse(t, Options{TLSConfig: selfSigned(t)})
	nc, err := tls.Dial("tcp", h.tls, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	if l := c.until("* OK")[0]; strings.Contains(l, "STARTTLS") || !strings.Contains(l, "AUTH=PLAIN") {
		t.Errorf("greeting over TLS: %s", l)
	}
	c.send("a LOGIN ada demo\r\nb SELECT INBOX\r\nc IDLE\r\n")
	c.until("+ ")
	if err := h.deliver(1, "INBOX", sample(0)); err != nil {
		t.Fatal(err)
	}
	c.until("* 1 EXISTS")
	c.send("DONE\r\n")
	c.until("c OK")
}

// TestPlainToTLS: a client that speaks plain text to the TLS face costs nothing.
func TestPlainToTLS(t *testing.T) {
	h := newHouse(t, Options{TLSConfig: selfSigned(t)})
	nc, err := net.Dial("tcp", h.tls)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	c.send("a LOGIN ada demo\r\n")
	if b, err := io.ReadAll(c.r); err == nil && strings.Contains(string(b), "OK") {
		t.Errorf("answered %q", b)
	}
}

// TestShutdown: every connection gets its BYE, idling or not.
func TestShutdown(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	idle, plain := h.client("ada"), h.client("ben")
	idle.send("a SELECT INBOX\r\nb IDLE\r\n")
	idle.until("+ ")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := h.srv.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{idle, plain} {
		c.until("* BYE")
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("still open: %v", err)
		}
	}
	if open := h.srv.Stats().Open; open != 0 {
		t.Errorf("%d connections are left", open)
	}
}

// TestShutdownStalled: a client that does not read holds up nobody for longer
// than it may.
func TestShutdownStalled(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true, Limits: Limits{StallTime: time.Hour}})
	for range 40 { // more in one answer than the sockets hold
		if err := h.deliver(1, "INBOX", sample(0)+strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	c := h.client("ada")
	if err := c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	c.send("a SELECT INBOX\r\n")
	c.until("a OK")
	c.send("b FETCH 1:* BODY.PEEK[]\r\n")
	c.until("* 1 FETCH")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := h.srv.Shutdown(ctx); err == nil {
		t.Error("a stalled client was not noticed")
	}
}

// TestIdleTimeout: a silent client is sent away, RFC 9051 §5.4.
func TestIdleTimeout(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true, Limits: Limits{IdleTime: 30 * time.Millisecond}})
	c := h.client("ada")
	c.until("* BYE")
}

// TestLoginTimeout: so is one that does not log in, whatever it says.
func TestLoginTimeout(t *testing.T) {
	h := newHouse(t, Options{Limits: Limits{LoginTime: 50 * time.Millisecond}})
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	c.until("* BYE")
}

func TestConnectionLimits(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true, Limits: Limits{PerAddress: 2, PerUserAddress: 1}})
	first := h.client("ada")
	var raw [3]*client
	for i := range raw {
		nc, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		raw[i] = newClient(t, nc)
		want := "* OK"
		if i == 2 {
			want = "* BYE [LIMIT]"
		}
		raw[i].until(want)
	}
	raw[0].send("a LOGIN ada demo\r\n")
	raw[0].until("a NO [LIMIT]")
	raw[0].send("b LOGIN ben demo\r\n")
	raw[0].until("b OK")
	first.send("a LOGOUT\r\n")
	first.until("a OK")
	if _, err := first.r.ReadByte(); err != io.EOF {
		t.Fatal(err)
	}
	for { // its place is free once its goroutine has ended
		raw[1].send("a LOGIN ada demo\r\n")
		if l := raw[1].until("a "); strings.HasPrefix(l[0], "a OK") {
			break
		}
	}
}

// TestPush: a change reaches an idling client at once.
func TestPush(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	c := h.client("ada")
	c.send("a SELECT INBOX\r\nb IDLE\r\n")
	c.until("+ ")
	for i := range 200 {
		if err := h.deliver(1, "INBOX", sample(i)); err != nil {
			t.Fatal(err)
		}
		c.until(fmt.Sprintf("* %d EXISTS", i+1))
	}
	c.send("DONE\r\n")
	c.until("b OK")
}

// TestDropped: a client that goes away in the middle of a literal leaves nothing.
func TestDropped(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	c := h.client("ada")
	c.send("a APPEND INBOX {1000}\r\n")
	c.until("+ ")
	c.send("Subject: half\r\n")
	c.Close()
	c = h.client("ada")
	c.send("a STATUS INBOX (MESSAGES)\r\n")
	if l := c.until("* STATUS")[0]; l != "* STATUS INBOX (MESSAGES 0)" {
		t.Error(l)
	}
}

// TestBigMessage: 30 MB come back as they went.
func TestBigMessage(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	c := h.client("ada")
	body := "Subject: big\r\n\r\n" + strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz\r\n", 800000)
	c.send(fmt.Sprintf("a APPEND INBOX {%d+}\r\n", len(body)))
	c.send(body)
	c.send("\r\nb SELECT INBOX\r\n")
	c.until("b OK")
	c.send("c FETCH 1 (BODY.PEEK[] UID)\r\n")
	if l := c.until("* 1 FETCH")[0]; l != fmt.Sprintf("* 1 FETCH (BODY[] {%d}", len(body)) {
		t.Fatal(l)
	}
	got := make([]byte, len(body))
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != body {
		t.Fatalf("the bytes differ (%v)", err)
	}
	c.until(" UID 1)")
	c.until("c OK")
}

// TestIdleMemory: connections that wait hold no buffers.
func TestIdleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	const conns = 500
	h := newHouse(t, Options{AllowPlaintextLogin: true, Limits: Limits{PerUserAddress: conns, PerAddress: conns}})
	before := heapAndStacks()
	for range conns {
		c := h.client("ada")
		c.send("a SELECT INBOX\r\nb IDLE\r\n")
		c.until("+ ")
		c.r = nil
	}
	per := (heapAndStacks() - before) / conns
	t.Logf("%d bytes an idling connection, the test's own side of it included", per)
	if per > 16<<10 && !raced { // 100,000 of them are to fit into 1.2 GB with their stacks
		t.Errorf("an idling connection costs %d bytes", per)
	}
}

func heapAndStacks() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestPanic: a bug in one command ends one connection, is counted and logged.
func TestPanic(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	h.srv.tables.commands["XPANIC"] = &command{name: "XPANIC", in: anyState, run: func(*conn, *wire.Decoder) error { panic("test") }}
	other, c := h.client("ben"), h.client("ada")
	c.send("a XPANIC\r\n")
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Fatalf("got %v", err)
	}
	other.send("a NOOP\r\n")
	other.until("a OK")
	if h.srv.stats.panics.Swap(0) != 1 {
		t.Error("the panic was not counted")
	}
}

// TestTwice: two extensions cannot claim one name.
func TestTwice(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("taken twice")
		}
	}()
	newTables(append(extensions(), &extension{name: "X", commands: []command{{name: "NOOP"}}}))
}

// What is applied bounds the logins that come then; sessions that are there stay.
func TestApply(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true, Limits: Limits{PerUserAddress: 1}})
	first := h.client("ada")
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	second := newClient(t, nc)
	second.until("* OK")
	second.send("a LOGIN ada demo\r\n")
	second.until("a NO [LIMIT]")
	h.srv.Apply(Limits{PerUserAddress: 2})
	second.send("b LOGIN ada demo\r\n")
	second.until("b OK")
	h.srv.Apply(Limits{PerUserAddress: 1})
	for _, c := range []*client{first, second} {
		c.send("c NOOP\r\n")
		c.until("c OK")
	}
}

// A connection keeps the limits that it began with; the next has those that were applied.
func TestApplyToTheNext(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	before := h.client("ada")
	h.srv.Apply(Limits{SearchKeys: 1})
	after := h.client("ada")
	for i, c := range []*client{before, after} {
		c.send("a SELECT INBOX\r\n")
		c.until("a OK")
		c.send("b SEARCH SEEN DRAFT\r\n")
		c.until([]string{"b OK", "b BAD"}[i])
	}
}
