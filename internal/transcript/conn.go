package transcript

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// errClosed says that the server ended the connection.
var errClosed = errors.New("the server closed the connection")

// A conn is one connection of a dialogue. Sending goes on beside reading, so that
// neither side waits for the other for ever.
type conn struct {
	net.Conn
	r        *bufio.Reader
	timeout  time.Duration
	bytewise bool
	out      []byte        // not yet sent
	sending  chan struct{} // closed when the write under way has ended; nil if none
	werr     error         // of the last write; valid when sending is closed
	held     *held         // a line that was read too early
}

type held struct {
	line string
	err  error
}

func newConn(nc net.Conn, timeout time.Duration, bytewise bool) *conn {
	return &conn{Conn: nc, r: bufio.NewReader(nc), timeout: timeout, bytewise: bytewise}
}

// flush starts to send what C steps have gathered. An error is kept, not raised:
// a server may close before it has read all, and what it said before counts.
func (c *conn) flush() {
	if len(c.out) == 0 {
		return
	}
	c.wait()
	data, done := c.out, make(chan struct{})
	c.out, c.sending = nil, done
	go func() {
		defer close(done)
		c.werr = c.write(data)
	}()
}

// wait lets the write under way end.
func (c *conn) wait() {
	if c.sending != nil {
		<-c.sending
		c.sending = nil
	}
}

// sendError is the error of the last write if that has ended.
func (c *conn) sendError() error {
	select {
	case <-c.sending:
		return c.werr
	default:
		return nil
	}
}

func (c *conn) write(data []byte) error {
	const whole, edge, middle = 64 << 10, 4 << 10, 997
	size := len(data)
	for len(data) > 0 {
		n := len(data)
		if c.bytewise {
			n = 1
			if size > whole && size-len(data) >= edge && len(data) > edge {
				n = min(middle, len(data)-edge)
			}
		}
		if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return err
		}
		if _, err := c.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// line reads the server's next line without its CRLF; a bare LF stays. With an
// error comes what was read of it.
func (c *conn) line() (string, error) {
	if h := c.held; h != nil {
		c.held = nil
		return h.line, h.err
	}
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return "", errClosed
	}
	s, err := c.r.ReadString('\n')
	switch {
	case err == nil:
		return strings.TrimSuffix(s, "\r\n"), nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s, fmt.Errorf("timeout after %v", c.timeout)
	case s != "":
		return s, fmt.Errorf("closed within a line: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed):
		return "", errClosed
	}
	return "", err
}

// unread makes the next call of line return this again.
func (c *conn) unread(line string, err error) { c.held = &held{line, err} }

// buffered returns the lines that have come but were not asked for.
func (c *conn) buffered() []string {
	n := c.r.Buffered()
	if n == 0 {
		return nil
	}
	b, _ := c.r.Peek(n) // cannot fail: they are there
	return strings.Split(strings.TrimSuffix(string(b), "\r\n"), "\r\n")
}

// startTLS makes the connection a TLS one.
func (c *conn) startTLS(config *tls.Config) error {
	c.flush()
	c.wait()
	if c.werr != nil { // nobody sends now
		return c.werr
	}
	if more := c.buffered(); len(more) > 0 {
		return fmt.Errorf("the server said more before TLS: %q", more)
	}
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	tc := tls.Client(c.Conn, config)
	if err := tc.Handshake(); err != nil {
		return err
	}
	c.Conn, c.r = tc, bufio.NewReader(tc)
	return nil
}

// shut sends what is left and closes.
func (c *conn) shut() {
	c.flush()
	if c.sending != nil {
		select {
		case <-c.sending:
		case <-time.After(c.timeout):
		}
	}
	c.Close()
	c.wait()
}
