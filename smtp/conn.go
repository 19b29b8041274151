package smtp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"posthouse/delivery"
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// A conn is one connection. Only its own goroutine touches it, but for phase and
// raw, by which Shutdown ends its waiting.
type conn struct {
	srv   *Server
	face  *face
	ctx   context.Context
	raw   net.Conn      // the connection itself
	net   net.Conn      // raw, or the TLS layer on it
	r     *bufio.Reader // reads through feed
	out   []byte        // replies not yet written
	phase atomic.Uint32

	owner   mail.AccountID // who has logged in; guarded by Server.mu
	dropped atomic.Bool    // by Drop

	started  time.Time
	session  delivery.Session
	opts     *Options // those of the server when it began
	counted  bool     // by admission, at session.Remote
	state    state
	tx       *delivery.Transaction // nil between transactions
	record   record                // of tx, for the log
	size     int64                 // SIZE of tx
	data     dataClock             // while the peer sends a message
	badChunk bool                  // a chunk of tx was refused: so is the rest
	chunks   wire.LineCheck        // of tx, if it comes by BDAT

	messages      int   // accepted
	bytes         int64 // of all messages
	badCommands   int
	badRecipients int
	failedLogins  int
	done          bool // write what is in out and close
	hungUp        bool // it was us who had enough
}

// The phases of a conn.
const (
	phaseBusy    uint32 = iota // at work: Shutdown waits for it
	phaseIdle                  // waits for a command: Shutdown may wake it
	phaseClosing               // ends at its next command
)

const (
	// A connection begins with a buffer for commands: ten thousand that do nothing must
	// not cost much. It gets a larger one when it brings a message of some size.
	commandBuffer = 2 << 10
	widenAt       = 4 << 10  // octets of a message
	readBuffer    = 32 << 10 // a message of usual size in one read
	maxPending    = 16 << 10 // octets of replies that are gathered before they are written
)

// readers and outs are kept for the next connection.
var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, commandBuffer) }}
	wide    = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}
	outs    = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}
)

var errShutdown = errors.New("smtp: shutting down")

// feed is what a conn's bufio.Reader reads from: whenever it would wait for the
// peer, the peer gets what it waits for.
type feed struct{ c *conn }

func (f feed) Read(p []byte) (int, error) {
	c := f.c
	if err := c.flush(); err != nil {
		return 0, err
	}
	if err := c.arm(); err != nil {
		return 0, err
	}
	n, err := c.net.Read(p)
	c.phase.CompareAndSwap(phaseIdle, phaseBusy)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && c.phase.Load() == phaseClosing && !c.data.running() {
		err = errShutdown
	}
	return n, err
}

// arm sets the deadline of the next read.
func (c *conn) arm() error {
	now := time.Now()
	if c.data.running() {
		return c.raw.SetReadDeadline(c.data.deadline(now, &c.opts.Limits))
	}
	if err := c.raw.SetReadDeadline(c.commandDeadline(now)); err != nil {
		return err
	}
	if !c.phase.CompareAndSwap(phaseBusy, phaseIdle) {
		return errShutdown
	}
	return nil
}

// commandDeadline is when waiting for a command ends.
func (c *conn) commandDeadline(now time.Time) time.Time {
	l := &c.opts.Limits
	d := now.Add(l.CommandTimeout)
	end := c.started.Add(c.face.session(l))
	if c.face.login && c.session.Account == nil {
		end = c.started.Add(l.LoginTimeout)
	}
	if end.Before(d) {
		return end
	}
	return d
}

// flush writes the gathered replies.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	if err := c.raw.SetWriteDeadline(time.Now().Add(c.opts.Limits.WriteTimeout)); err != nil {
		return err
	}
	_, err := c.net.Write(c.out)
	if out := c.out[:0]; cap(out) <= 2*maxPending {
		outs.Put(&out)
	}
	c.out = nil // who waits for a command needs none
	if err != nil {
		c.done = true
	}
	return err
}

// write gathers a reply; one without a code is none.
func (c *conn) write(r mail.Reply) {
	if r.Code == 0 {
		return
	}
	if c.out == nil {
		c.out = *outs.Get().(*[]byte)
	}
	c.out = wire.AppendReply(c.out, r)
	if len(c.out) >= maxPending {
		_ = c.flush() // an error ends the connection: done is set
	}
}

// serve speaks with the peer until one of the two has enough.
func (c *conn) serve() {
	defer c.close()
	if !c.begin() {
		return
	}
	for !c.done {
		line, err := wire.ReadLine(c.r, c.lineLimit())
		switch {
		case err == nil:
			c.run(line)
		case errors.Is(err, wire.ErrLineTooLong):
			c.answer(replyLongLine)
		case errors.Is(err, wire.ErrBareLF):
			c.answer(replyBareLine)
		case errors.Is(err, wire.ErrLineEndless):
			c.end(replyLongLine)
		default:
			c.hangUp(err)
		}
	}
	if c.flush() == nil && c.hungUp {
		c.linger()
	}
}

// linger lets the peer read our last words before the connection is closed: with
// unread input in it, the system would reset it and throw them away.
func (c *conn) linger() {
	if c.phase.Load() == phaseClosing || !closeWrite(c.net) || c.net != c.raw && !closeWrite(c.raw) {
		return
	}
	if c.raw.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.raw, lingerBytes) // ends when the peer does
	}
}

// closeWrite says that nothing more will come: with TLS by close_notify.
func closeWrite(nc net.Conn) bool {
	half, ok := nc.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

const (
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// begin makes the connection ready for the first command.
func (c *conn) begin() bool {
	c.r = readers.Get().(*bufio.Reader)
	c.r.Reset(feed{c})
	c.state = stateStart
	if !c.proxied() || c.face.implicit && !c.handshake() || !c.patient() {
		_ = c.flush() // there may be a last word
		return false
	}
	c.write(c.greeting())
	return true
}

func (c *conn) greeting() mail.Reply {
	return mail.Reply{Code: 220, Text: c.opts.Hostname + " " + c.face.greeting + " Posthouse"}
}

// close ends the connection, also after a panic, which is a bug that must not take
// the other connections with it.
func (c *conn) close() {
	if p := recover(); p != nil {
		c.srv.stats.panics.Add(1)
		c.opts.Logger.Error("panic in a connection", "face", c.face.name, "panic", p, "stack", string(debug.Stack()))
		c.write(replyBug)
		_ = c.flush() // the bug is logged: nothing else can be done
	}
	c.endTransaction()
	_ = c.net.Close() // with TLS it says close_notify; the peer may be gone
	_ = c.raw.Close()
	if c.r != nil {
		putReader(c.r)
	}
}

func putReader(r *bufio.Reader) {
	r.Reset(nil)
	if r.Size() >= readBuffer {
		wide.Put(r)
	} else {
		readers.Put(r)
	}
}

// widen gives the connection the large buffer, with what is in the small one.
func (c *conn) widen() {
	old := c.r
	if old.Size() >= readBuffer {
		return
	}
	rest, _ := old.Peek(old.Buffered()) // no read: they are there
	c.r = wide.Get().(*bufio.Reader)
	c.r.Reset(feed{c})
	if len(rest) > 0 {
		c.r.Reset(io.MultiReader(bytes.NewReader(bytes.Clone(rest)), feed{c}))
		_, _ = c.r.Peek(1) // takes them all: what is there must be in the buffer (STARTTLS)
	}
	putReader(old)
}

func (c *conn) lineLimit() int {
	l := &c.opts.Limits
	if c.face.login && c.session.Account == nil {
		return max(l.AuthLine, l.CommandLine)
	}
	return l.CommandLine
}

// run executes one command line.
func (c *conn) run(line []byte) {
	if bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
		c.answer(replyBareLine)
		return
	}
	cmd, err := wire.ParseCommand(line)
	if err != nil {
		c.answer(replyUnknownCommand)
		return
	}
	if len(line) > c.opts.Limits.CommandLine && cmd.Verb != verbAuth {
		c.answer(replyLongLine)
		return
	}
	if isForeign(cmd.Verb) {
		c.end(replyTooManyBad)
		return
	}
	row := c.srv.commands[cmd.Verb]
	reply := c.allow(&row)
	if reply.Code == 0 {
		reply = row.run(c, cmd.Arg)
	}
	c.answer(reply)
}

// isForeign knows the first line of an HTTP request: what follows it was written
// by somebody who makes a browser talk to us.
func isForeign(verb string) bool {
	switch verb {
	case "GET", "POST", "PUT", "CONNECT", "OPTIONS":
		return true
	}
	return false
}

// answer writes a reply and ends the connection of a peer that has made too many
// mistakes.
func (c *conn) answer(r mail.Reply) {
	c.write(r)
	if !isBadCommand(r) {
		return
	}
	c.badCommands++
	budget := c.opts.Limits.BadCommands
	if c.face.login && c.session.Account == nil {
		budget = c.opts.Limits.BadCommandsBeforeLogin
	}
	if c.badCommands >= budget && !c.done {
		c.end(replyTooManyBad)
	}
}

// end writes a last reply and ends the connection.
func (c *conn) end(r mail.Reply) {
	c.write(r)
	c.giveUp()
}

// giveUp ends the connection after the reply to the present command.
func (c *conn) giveUp() { c.done, c.hungUp = true, true }

// hangUp ends the connection after a failed read, with a word where the peer may
// still be listening.
func (c *conn) hangUp(err error) {
	c.done = true
	switch {
	case errors.Is(err, errShutdown) && c.dropped.Load():
		c.end(replyDropped)
	case errors.Is(err, errShutdown):
		c.end(replyShutdown)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.end(replyTimeout)
	}
}
