package smtp

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/delivery"
	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/store/engine/mem"
)

// farConn is a connection that seems to come from the Internet.
type farConn struct {
	net.Conn
	from string
}

func (c farConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.from), Port: 4321} }

// dialFar connects to the server as an address of the Internet would, and says first
// before it is served.
func (h *house) dialFar(from, first string) (net.Conn, *bufio.Reader) {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(h.t, err)
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	must(h.t, err)
	served, err := l.Accept()
	must(h.t, err)
	_, err = io.WriteString(nc, first)
	must(h.t, err)
	var group sync.WaitGroup
	group.Go(func() { h.srv.ServeConn(context.Background(), farConn{served, from}, MX) })
	h.t.Cleanup(func() { nc.Close(); group.Wait() })
	must(h.t, nc.SetDeadline(time.Now().Add(time.Minute)))
	return nc, bufio.NewReader(nc)
}

func newWaryHouse(t *testing.T, pause time.Duration, waiting int) *house {
	srv := dnstest.New(t, "far.test. MX 10 mx.far.test.\nmx.far.test. A 192.0.2.1\n")
	checks := &delivery.Checks{Resolver: srv.Client(t, dns.Options{}), Pause: 50 * time.Millisecond}
	return newCheckingHouse(t, mem.New(), checks, func(o *Options) {
		o.Limits = Limits{LoginPause: -1, GreetingPause: pause, Paused: waiting}
	})
}

// transact sends a message and returns the last reply.
func transact(t *testing.T, nc io.Writer, r *bufio.Reader, hello string) string {
	t.Helper()
	_, err := io.WriteString(nc, "EHLO "+hello+"\r\nMAIL FROM:<eve@far.test>\r\nRCPT TO:<ben@demo.test>\r\nDATA\r\n")
	must(t, err)
	readTo(t, r, "354")
	_, err = io.WriteString(nc, "From: eve@far.test\r\nSubject: x\r\n\r\nbody\r\n.\r\n")
	must(t, err)
	return readTo(t, r, "250 2.0.0")
}

// readTo reads replies until one begins with text.
func readTo(t *testing.T, r *bufio.Reader, text string) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("no %q: %v", text, err)
		}
		if strings.HasPrefix(line, text) {
			return line
		}
		if line[0] == '4' || line[0] == '5' {
			t.Fatalf("%q instead of %q", line, text)
		}
	}
}

// Who speaks before the greeting (RFC 5321 §3.1) is served, but what it brings is
// marked; nothing that it said is lost.
func TestEarlyTalker(t *testing.T) {
	h := newWaryHouse(t, 2*time.Second, 0)
	nc, r := h.dialFar("192.0.2.1", "NOOP\r\n")
	readTo(t, r, "220")
	readTo(t, r, "250")
	transact(t, nc, r, "mx.far.test")
	if n := h.srv.Stats().Early; n != 1 {
		t.Errorf("%d early talkers", n)
	}
	if got := h.inbox("ben@demo.test"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// A stranger is greeted late, until mail of its network was accepted.
func TestGreetingPause(t *testing.T) {
	const pause = 50 * time.Millisecond
	h := newWaryHouse(t, pause, 0)
	began := time.Now()
	nc, r := h.dialFar("192.0.2.1", "")
	readTo(t, r, "220")
	if d := time.Since(began); d < pause {
		t.Errorf("greeted after %v", d)
	}
	transact(t, nc, r, "mx.far.test")
	if h.srv.admission.knows(netip.MustParseAddr("192.0.2.200")) || !h.srv.admission.knows(netip.MustParseAddr("192.0.2.1")) {
		t.Error("not the sender is known, or others too")
	}
}

// Who shows signs waits, and loses nothing; of a crowd only some wait.
func TestSlowed(t *testing.T) {
	h := newWaryHouse(t, 0, 1)
	nc, r := h.dialFar("192.0.2.1", "")
	readTo(t, r, "220")
	transact(t, nc, r, "mx.demo.test") // our own name
	if n := h.srv.Stats().Slowed; n != 1 {
		t.Errorf("%d were slowed", n)
	}
	h.srv.paused.Add(1) // the one place is taken
	transact(t, nc, r, "mx.demo.test")
	h.srv.paused.Add(-1)
	if n := h.srv.Stats().Slowed; n != 1 {
		t.Errorf("%d were slowed", n)
	}
	if got := len(h.inbox("ben@demo.test")); got != 2 {
		t.Errorf("%d messages", got)
	}
}
