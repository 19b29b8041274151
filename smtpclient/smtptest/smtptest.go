// Package smtptest is an SMTP and LMTP server for tests of clients: it keeps what
// it gets and misbehaves on demand. Tests only.
package smtptest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/smtp/wire"
)

// A Reaction is what the server does at a command instead of the usual. The zero
// Reaction is the usual.
type Reaction struct {
	Reply string // sent as it is, with CRLF added
	Close bool   // close, after Reply if there is one
	Hang  bool   // say nothing until the client goes
}

// A Command is a point at which the server may misbehave. Verb is CONNECT before
// the greeting, "." after the data (with LMTP once for each recipient, whose path
// is Arg), "BODY" before the data is read, else that of the command.
type Command struct {
	Conn      int // the connections are counted from 1
	Verb, Arg string
	TLS       bool
}

// A Message is one that was accepted.
type Message struct {
	Conn      int
	From      string   // all after "MAIL FROM:"
	To        []string // all after "RCPT TO:" of those accepted
	Data      string
	TLS       bool
	Pipelined bool // MAIL came together with what follows
}

// Options of New.
type Options struct {
	Extensions []string // beside the first line of EHLO, as "SIZE 1000"
	LMTP       bool
	TLS        *tls.Config // for STARTTLS, see Certificate
	Hook       func(Command) Reaction
	OnMessage  func(Message)
	Addr       string // default 127.0.0.1:0
}

// A Server accepts connections until the test ends.
type Server struct {
	Addr netip.AddrPort

	opt   Options
	group sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]bool
	count int
	msgs  []Message
	log   []Command
	open  int // now
	most  int // at one time
}

// New starts a server.
func New(t testing.TB, opt Options) *Server {
	t.Helper()
	if opt.Addr == "" {
		opt.Addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", opt.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: l.Addr().(*net.TCPAddr).AddrPort(), opt: opt, conns: map[net.Conn]bool{}}
	s.group.Go(func() { s.serve(l) })
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for c := range s.conns {
			_ = c.Close()
		}
		s.conns = nil
		s.mu.Unlock()
		s.group.Wait()
	})
	return s
}

// Messages returns what was accepted so far.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.msgs...)
}

// Conns is the number of connections so far, and the most there were at a time.
func (s *Server) Conns() (total, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, s.most
}

// Verbs returns the verbs seen, in order.
func (s *Server) Verbs() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b []string
	for _, c := range s.log {
		b = append(b, c.Verb)
	}
	return strings.Join(b, " ")
}

// Commands returns the commands seen, in order.
func (s *Server) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Command(nil), s.log...)
}

func (s *Server) serve(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns == nil {
			s.mu.Unlock()
			_ = nc.Close()
			return
		}
		s.conns[nc] = true
		s.count++
		s.open++
		s.most = max(s.most, s.open)
		c := &session{s: s, id: s.count, raw: nc, nc: nc}
		s.mu.Unlock()
		s.group.Go(func() {
			defer func() {
				_ = nc.Close()
				s.mu.Lock()
				delete(s.conns, nc)
				s.open--
				s.mu.Unlock()
			}()
			c.run()
		})
	}
}

// A session is one connection.
type session struct {
	s    *Server
	id   int
	raw  net.Conn
	nc   net.Conn
	r    *bufio.Reader
	msg  Message
	tls  bool
	mail bool
}

func (c *session) say(format string, args ...any) bool {
	_, err := fmt.Fprintf(c.nc, format+"\r\n", args...)
	return err == nil
}

// at asks the hook; false ends the session, done says that the reply was given.
func (c *session) at(verb, arg string) (alive, done bool) { return c.do(c.ask(verb, arg)) }

func (c *session) ask(verb, arg string) Reaction {
	cmd := Command{c.id, verb, arg, c.tls}
	c.s.mu.Lock()
	c.s.log = append(c.s.log, cmd)
	c.s.mu.Unlock()
	if c.s.opt.Hook == nil {
		return Reaction{}
	}
	return c.s.opt.Hook(cmd)
}

func (c *session) do(re Reaction) (alive, done bool) {
	if re.Hang {
		_, _ = io.Copy(io.Discard, c.r)
		return false, true
	}
	if re.Reply != "" && !c.say("%s", re.Reply) || re.Close {
		return false, true
	}
	return true, re.Reply != ""
}

func (c *session) run() {
	c.r = bufio.NewReader(c.nc)
	alive, done := c.at("CONNECT", "")
	if !alive || !done && !c.say("220 smtptest ESMTP") {
		return
	}
	for {
		line, err := wire.ReadLine(c.r, 4096)
		if err != nil {
			return
		}
		cmd, err := wire.ParseCommand(line)
		if err != nil {
			c.say("500 5.5.2 what?")
			continue
		}
		alive, done := c.at(cmd.Verb, cmd.Arg)
		if !alive {
			return
		}
		if !c.command(cmd, done) {
			return
		}
	}
}

// command does what is usual; replied says that the reply was given, and if it was
// no success then nothing is to be done.
func (c *session) command(cmd wire.Command, replied bool) bool {
	if replied && cmd.Verb != "DATA" {
		return true
	}
	switch cmd.Verb {
	case "EHLO", "LHLO":
		return c.ehlo()
	case "STARTTLS":
		return c.startTLS()
	case "MAIL":
		c.msg = Message{Conn: c.id, From: cmd.Arg[min(5, len(cmd.Arg)):], TLS: c.tls, Pipelined: c.r.Buffered() > 0}
		c.mail = true
	case "RCPT":
		c.msg.To = append(c.msg.To, cmd.Arg[min(3, len(cmd.Arg)):])
	case "RSET":
		c.msg, c.mail = Message{}, false
	case "DATA":
		if replied {
			return true
		}
		if !c.mail || len(c.msg.To) == 0 {
			return c.say("503 5.5.1 no recipients")
		}
		return c.data()
	case "BDAT":
		return c.bdat(cmd.Arg)
	case "QUIT":
		c.say("221 2.0.0 bye")
		return false
	}
	return c.say("250 2.0.0 ok")
}

func (c *session) ehlo() bool {
	lines := append([]string{"smtptest"}, c.s.opt.Extensions...)
	if c.s.opt.TLS != nil && !c.tls {
		lines = append(lines, "STARTTLS")
	}
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		if !c.say("250%s%s", sep, l) {
			return false
		}
	}
	return true
}

func (c *session) startTLS() bool {
	c.say("220 2.0.0 go")
	tc := tls.Server(c.nc, c.s.opt.TLS)
	if tc.Handshake() != nil {
		return false
	}
	c.nc, c.tls = tc, true
	c.r = bufio.NewReader(tc)
	return true
}

func (c *session) data() bool {
	if !c.say("354 go on") {
		return false
	}
	if alive, _ := c.at("BODY", ""); !alive {
		return false
	}
	d := wire.NewDataReader(c.r, 0)
	b, err := io.ReadAll(d)
	if err != nil {
		return false
	}
	if d.Faults() != 0 {
		return c.say("550 5.6.0 %v", d.Faults())
	}
	c.msg.Data = string(b)
	if c.s.opt.LMTP {
		return c.endEach()
	}
	return c.end()
}

// endEach answers for each recipient. The message is kept before, so that who has the
// answers finds it.
func (c *session) endEach() bool {
	var taken []string
	reactions := make([]Reaction, len(c.msg.To))
	for i, to := range c.msg.To {
		if reactions[i] = c.ask(".", to); reactions[i] == (Reaction{}) {
			taken = append(taken, to)
		}
	}
	c.msg.To = taken
	c.keep()
	for _, re := range reactions {
		if alive, done := c.do(re); !alive || !done && !c.say("250 2.0.0 kept") {
			return false
		}
	}
	return true
}

func (c *session) end() bool {
	alive, done := c.at(".", "")
	if !alive {
		return false
	}
	if done {
		c.msg, c.mail = Message{}, false
		return true
	}
	c.keep()
	return c.say("250 2.0.0 kept")
}

func (c *session) bdat(arg string) bool {
	var n int64
	if _, err := fmt.Sscanf(arg, "%d LAST", &n); err != nil {
		return c.say("501 5.5.4 BDAT n LAST only")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.r, b); err != nil {
		return false
	}
	c.msg.Data = string(b)
	return c.end()
}

func (c *session) keep() {
	if len(c.msg.To) > 0 {
		c.s.mu.Lock()
		c.s.msgs = append(c.s.msgs, c.msg)
		c.s.mu.Unlock()
		if c.s.opt.OnMessage != nil {
			c.s.opt.OnMessage(c.msg)
		}
	}
	c.msg, c.mail = Message{}, false
}

// Certificate makes a TLS configuration with a new self-signed certificate.
func Certificate(t testing.TB, names ...string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "smtptest"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
