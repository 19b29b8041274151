package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"posthouse/directory"
	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// conn is one client connection. Only its own goroutine touches it, except for
// what is said to be atomic.
type conn struct {
	srv   *Server
	lim   *Limits  // those of when it began; not to be changed
	nc    net.Conn // the TLS connection once there is one
	face  Face
	ctx   context.Context
	trace string
	log   *slog.Logger
	peer  netip.Addr

	rd  *wire.Reader
	dec *wire.Decoder

	out    []byte
	outBuf *[]byte // from the pool; nil while out is empty
	werr   error   // the first failed write: nothing more will be said

	tab     *tables // what it is offered
	state   state
	dia     dialect
	acct    *store.Account
	user    directory.Account
	sel     selection
	notify  *notification // nil: the client did not ask
	cmd     *command      // that runs now
	tag     string        // of it
	okCode  string        // response code of its OK
	okText  string        // text of its OK
	echo    store.UIDSet  // messages whose flags it told itself
	stopped store.UID     // where it stopped because of Limits.Messages; 0: it did not
	hold    timing        // what it forbids to tell, beside its row
	spoken  time.Time     // when it began, or last said how far it is
	started time.Time
	tls     bool
	bad     int // bad commands in a row
	failed  int // failed logins
	// stranger: counted among the connections of its address that have not logged
	// in; guarded by Server.mu
	stranger bool
	owner    mail.AccountID // who has logged in; guarded by Server.mu
	dropped  atomic.Bool    // by Drop
	news     []metadataNews // that others changed; guarded by Server.mu
	hungry   atomic.Bool    // for news
	// metadataOn: ENABLE METADATA
	metadataOn bool

	deadline time.Time       // of reading
	armed    time.Time       // the read deadline that is set
	stall    time.Time       // the write deadline that is set
	one      [1]byte         // what is read while there is no buffer
	raw      syscall.RawConn // of a plain socket
	woken    atomic.Bool     // by a watcher or Shutdown: stop reading and look
	idling   bool            // woken ends a read

	commands, bytesOut int64
}

// serve runs the connection to its end.
func (c *conn) serve() {
	var err error
	defer func() {
		if p := recover(); p != nil {
			c.srv.stats.panics.Add(1)
			c.log.Error("imap: panic", "tid", c.trace, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("panic")
		}
		c.end(err)
	}()
	err = c.session()
}

// session greets and runs commands until the connection ends.
func (c *conn) session() error {
	c.deadline = c.started.Add(c.lim.LoginTime)
	if !c.srv.admit(c) {
		if !c.face.ImplicitTLS { // where it would cost a handshake to say it, nothing is said
			c.untagged("BYE [LIMIT] too many connections from your address")
		}
		return c.flush()
	}
	if err := c.handshake(); err != nil {
		return err
	}
	c.ready()
	c.out = append(c.out, "* OK [CAPABILITY"...)
	c.out = c.appendCaps(c.out)
	c.say("] ", c.srv.opts.Greeting, "\r\n")
	for c.state != stateLogout {
		if err := c.next(); err != nil {
			return c.bye(err)
		}
	}
	return c.flush()
}

// handshake does implicit TLS, so that a failure is seen here.
func (c *conn) handshake() error {
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := t.SetDeadline(c.deadline); err != nil {
		return err
	}
	if err := t.HandshakeContext(c.ctx); err != nil {
		return err
	}
	c.tls = true
	return t.SetDeadline(time.Time{})
}

// bye says why the server ends the connection, where there is something to say.
func (c *conn) bye(err error) error {
	switch {
	case errors.Is(err, errShutdown):
		c.untagged("BYE [UNAVAILABLE] the server is going down")
	case errors.Is(err, errDropped):
		c.untagged("BYE [EXPIRED] the account was changed: log in again")
	case errors.Is(err, errIdleTimeout):
		c.untagged("BYE idle for too long")
	case errors.Is(err, wire.ErrFlood):
		c.untagged("BYE [TOOBIG] the line is far too long")
	case errors.Is(err, errTooManyBad):
		c.untagged("BYE [LIMIT] too many bad commands")
	case errors.Is(err, errMailboxGone):
		c.untagged("BYE [NONEXISTENT] the selected mailbox was deleted")
	case errors.Is(err, errTooLargeToSkip):
		c.untagged("BYE [TOOBIG] the literal is too large")
	case errors.Is(err, errBye):
	default:
		return err
	}
	if werr := c.flush(); werr != nil {
		return werr
	}
	return err
}

// next waits for a command, reads it, runs it and answers it.
func (c *conn) next() error {
	lim := c.lim
	if c.state != stateNotAuthenticated {
		c.deadline = time.Now().Add(lim.IdleTime)
	}
	if c.rd.Buffered() == 0 {
		if err := c.await(); err != nil {
			return err
		}
	}
	begin := c.dec.Begin(lim.wire(c.state != stateNotAuthenticated))
	if begin != nil && !errors.Is(begin, wire.ErrLineTooLong) {
		return begin
	}
	c.ready()
	c.commands++
	c.srv.stats.commands.Add(1)
	c.cmd, c.okCode, c.okText, c.echo, c.hold, c.stopped = nil, "", "", nil, tellAll, 0
	c.spoken = time.Now()
	c.tag = c.dec.Tag()
	if c.dec.Err() != nil {
		c.tag = "*"
	}
	c.dec.SP()
	c.dec.Fail(begin)
	err := c.run()
	return c.answer(err)
}

// run finds the command and runs it.
func (c *conn) run() error {
	cmd, err := c.tab.lookup(c.dec)
	if err == nil {
		err = c.allow(cmd)
	}
	if err != nil {
		return err
	}
	c.cmd = cmd
	if err := cmd.run(c, c.dec); err != nil {
		return err
	}
	if err := c.sync(cmd.tell); err != nil {
		return err
	}
	c.sayStopped()
	if err := c.tellOthers(); err != nil {
		return err
	}
	return c.tellMetadata()
}

// answer writes the tagged response.
func (c *conn) answer(err error) error {
	if errors.Is(err, errAnswered) {
		c.bad = 0
		return c.werr
	}
	if err == nil {
		c.bad = 0
		text := c.okText
		if text == "" {
			text = c.cmd.name + " completed"
		}
		c.tagged(c.tag, "OK", c.okCode, text)
		return c.werr
	}
	if c.werr != nil {
		return c.werr
	}
	r, told := outcome(err)
	if !told {
		if errors.Is(err, io.EOF) || isConnError(err) {
			return err
		}
		c.log.Error("imap: command failed", "tid", c.trace, "command", c.cmdName(), "err", err)
		r = &respError{"NO", kindCodes[0], "internal error"}
	} else if r.code == kindCodes[0] || r.code == "CORRUPTION" || r.code == "UNAVAILABLE" {
		c.log.Error("imap: command failed", "tid", c.trace, "command", c.cmdName(), "err", err)
	}
	if r.cond == "BAD" {
		c.bad++
		c.srv.stats.bad.Add(1)
	}
	cond := r.cond
	if c.tag == "*" {
		cond = "BAD"
	}
	c.tagged(c.tag, cond, r.code, r.text)
	if err := c.skipRest(); err != nil {
		return err
	}
	lim := c.lim
	if c.state == stateNotAuthenticated && c.bad >= lim.BadBeforeLogin || c.bad >= lim.BadCommands {
		return errTooManyBad
	}
	return c.werr
}

var (
	errTooManyBad     = errors.New("imap: too many bad commands")
	errTooLargeToSkip = errors.New("imap: refused literal too large")
	errMailboxGone    = errors.New("imap: selected mailbox deleted")
)

// skipRest drops what is left of a command that failed. A refused literal that
// is on its way is read too, if it is not absurdly large.
func (c *conn) skipRest() error {
	limit := c.lim.OutsizeSkippedBytes
	if c.state == stateNotAuthenticated {
		limit = int64(c.lim.LineBeforeLogin)
	}
	err := c.dec.Rest(limit)
	if errors.Is(err, wire.ErrTooLargeToSkip) {
		return errTooLargeToSkip
	}
	return err
}

func (c *conn) cmdName() string {
	if c.cmd == nil {
		return ""
	}
	return c.cmd.name
}

// isConnError reports an error of the connection, not of a command.
func isConnError(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrNoProgress) || errors.Is(err, errShutdown) ||
		errors.Is(err, errIdleTimeout) || errors.Is(err, errDropped) || errors.Is(err, errBye) || errors.Is(err, wire.ErrFlood) ||
		errors.Is(err, errMailboxGone) || errors.Is(err, context.Canceled)
}

// acceptLiteral lets the client send a literal.
func (c *conn) acceptLiteral(l wire.Literal) error {
	if l.Sync {
		c.say("+ go on\r\n")
	}
	return c.werr
}

// end closes the connection and writes its one line of log.
func (c *conn) end(err error) {
	c.unselect()
	c.stopNotify()
	_ = c.flush()
	c.rd.Release()
	_ = c.nc.Close()
	c.srv.leave(c)
	reason := "logout"
	switch {
	case c.state == stateLogout && err == nil:
	case err == nil || errors.Is(err, io.EOF):
		reason = "closed"
	case errors.Is(err, errBye):
		reason = "ended"
	default:
		reason = err.Error()
	}
	c.log.Info("imap: connection", "tid", c.trace, "peer", c.peer.String(), "tls", c.tls, "account", uint64(c.user.ID),
		"commands", c.commands, "in", c.rd.Bytes(), "out", c.bytesOut, "seconds", int64(time.Since(c.started).Seconds()), "end", reason)
}

// errAnswered says that a command wrote its tagged response itself.
var errAnswered = errors.New("imap: answered")
