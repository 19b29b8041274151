package smtpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// A stage is a point in the dialogue: it names what we wait for.
type stage uint8

const (
	stConnect stage = iota
	stGreeting
	stHello
	stStartTLS
	stHandshake
	stAuth
	stMail
	stRcpt
	stData
	stContent
	stDone
	stReset
)

// stages says how each is called and how long it may take.
var stages = [...]struct {
	name string
	wait func(*Timeouts) time.Duration
}{
	stConnect:   {"connect", func(t *Timeouts) time.Duration { return t.Connect }},
	stGreeting:  {"greeting", func(t *Timeouts) time.Duration { return t.Greeting }},
	stHello:     {"EHLO", func(t *Timeouts) time.Duration { return t.Hello }},
	stStartTLS:  {"STARTTLS", func(t *Timeouts) time.Duration { return t.Hello }},
	stHandshake: {"TLS handshake", func(t *Timeouts) time.Duration { return t.TLS }},
	stAuth:      {"AUTH", func(t *Timeouts) time.Duration { return t.Hello }},
	stMail:      {"MAIL FROM", func(t *Timeouts) time.Duration { return t.Mail }},
	stRcpt:      {"RCPT TO", func(t *Timeouts) time.Duration { return t.Rcpt }},
	stData:      {"DATA", func(t *Timeouts) time.Duration { return t.DataInit }},
	stContent:   {"the content", func(t *Timeouts) time.Duration { return t.DataBlock }},
	stDone:      {"end of data", func(t *Timeouts) time.Duration { return t.DataDone }},
	stReset:     {"RSET", func(t *Timeouts) time.Duration { return t.Reset }},
}

func (s stage) String() string { return stages[s].name }

// Buffers of one connection. A block of content is one write.
const (
	readBuffer  = 4 << 10
	writeBuffer = 64 << 10
)

// A Conn is a connection that can take messages. One goroutine uses it at a time.
type Conn struct {
	d      *Dialer
	target Target
	time   Timeouts
	nc     net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	ext    map[string]string // from EHLO: keyword in upper case to parameters
	name   string            // what the server calls itself
	dead   bool              // nothing more can be sent
	dirty  bool              // a transaction was left open: RSET first
	used   int               // transactions begun
	tlsErr error             // why it goes on in plain text although TLS was offered
}

// A blockWriter gives each write its deadline.
type blockWriter struct{ c *Conn }

func (b blockWriter) Write(p []byte) (int, error) {
	if err := b.c.nc.SetWriteDeadline(time.Now().Add(b.c.time.DataBlock)); err != nil {
		return 0, err
	}
	return b.c.nc.Write(p)
}

// use makes nc the connection's transport.
func (c *Conn) use(nc net.Conn) {
	c.nc = nc
	c.r = bufio.NewReaderSize(nc, readBuffer)
	c.w = bufio.NewWriterSize(blockWriter{c}, writeBuffer)
}

// Target is where c leads.
func (c *Conn) Target() Target { return c.target }

// ServerName is what the server calls itself in its answer to EHLO.
func (c *Conn) ServerName() string { return c.name }

// Used is the number of transactions begun on c.
func (c *Conn) Used() int { return c.used }

// Reusable reports whether another transaction may be tried.
func (c *Conn) Reusable() bool { return !c.dead }

// Offers reports whether the server offers an extension, by its EHLO keyword in
// upper case.
func (c *Conn) Offers(keyword string) bool {
	_, ok := c.ext[keyword]
	return ok
}

// TLS returns the state of TLS, or nil.
func (c *Conn) TLS() *tls.ConnectionState {
	if t, ok := c.nc.(*tls.Conn); ok {
		s := t.ConnectionState()
		return &s
	}
	return nil
}

// LocalAddr is the address that c comes from; invalid for a socket.
func (c *Conn) LocalAddr() netip.AddrPort {
	if a, ok := c.nc.LocalAddr().(*net.TCPAddr); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// TLSFailure is why TLS, which the server offers, did not work, where the policy lets
// the connection go on without; nil if it worked or was not tried.
func (c *Conn) TLSFailure() error { return c.tlsErr }

// Close ends the connection at once.
func (c *Conn) Close() error {
	c.dead = true
	return c.nc.Close()
}

// Quit ends the connection with QUIT. It waits for the answer no longer than
// Timeouts.Reset, nor than ctx.
func (c *Conn) Quit(ctx context.Context) error {
	if !c.dead {
		defer context.AfterFunc(ctx, func() { _ = c.nc.Close() })()
		_, _ = c.command(stReset, "QUIT")
	}
	return c.Close()
}

// command sends one line and reads the reply.
func (c *Conn) command(s stage, line string) (mail.Reply, error) {
	_, _ = c.w.WriteString(line)
	_, _ = c.w.WriteString("\r\n")
	return c.flushAndRead(s)
}

func (c *Conn) flushAndRead(s stage) (mail.Reply, error) {
	if err := c.w.Flush(); err != nil {
		return c.lastWords(s, err)
	}
	return c.reply(s)
}

// reply reads one reply. After 421 the server closes: the connection is dead.
func (c *Conn) reply(s stage) (mail.Reply, error) {
	if err := c.nc.SetReadDeadline(time.Now().Add(stages[s].wait(&c.time))); err != nil {
		c.dead = true
		return mail.Reply{}, err
	}
	r, err := wire.ReadReply(c.r, c.d.Limits)
	if err != nil || r.Code == 421 {
		c.dead = true
	}
	return r, err
}

// lastWordsWait is how long a server may take to say why it closed.
const lastWordsWait = 2 * time.Second

// lastWords is called when a write failed: a server that closes in the middle has
// often said why. Its reply is taken if it is a refusal.
func (c *Conn) lastWords(s stage, cause error) (mail.Reply, error) {
	c.dead = true
	if err := c.nc.SetReadDeadline(time.Now().Add(min(lastWordsWait, stages[s].wait(&c.time)))); err != nil {
		return mail.Reply{}, cause
	}
	r, err := wire.ReadReply(c.r, c.d.Limits)
	if err != nil || r.Code < 400 {
		return mail.Reply{}, cause
	}
	return r, nil
}

// local makes the verdict for a connection that failed at s: always transient.
func (c *Conn) local(s stage, err error) mail.Reply { return localReply(c.target, s, err) }

func localReply(t Target, s stage, err error) mail.Reply {
	r := mail.Reply{Code: 451, Enhanced: [3]uint8{4, 4, 2}}
	var ne net.Error
	var bad *wire.ReplyError
	switch {
	case errors.Is(err, context.Canceled):
		r.Enhanced, r.Text = [3]uint8{4, 3, 2}, "the delivery was interrupted here"
	case errors.As(err, &bad):
		r.Enhanced, r.Text = [3]uint8{4, 5, 0}, fmt.Sprintf("%s gave an answer to %s that is no SMTP", t, s)
	case errors.As(err, &ne) && ne.Timeout() && s == stConnect:
		r.Enhanced, r.Text = [3]uint8{4, 4, 1}, fmt.Sprintf("%s does not answer", t)
	case errors.As(err, &ne) && ne.Timeout():
		r.Text = fmt.Sprintf("%s took too long over %s", t, s)
	case s == stConnect:
		r.Enhanced, r.Text = [3]uint8{4, 4, 1}, fmt.Sprintf("cannot connect to %s: %s", t, reason(err))
	case s == stHandshake:
		r.Enhanced, r.Text = [3]uint8{4, 7, 5}, fmt.Sprintf("no secure connection with %s: %s", t, reason(err))
	default:
		r.Text = fmt.Sprintf("connection with %s lost at %s", t, s)
	}
	return r
}

// reason is the last part of an error of package net, without the addresses.
func reason(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "connection closed"
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		err = e
	}
	return strings.ToValidUTF8(err.Error(), "?")
}
