package imap

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// errWoken says that a read ended because something else is to be done.
var errWoken = errors.New("imap: woken")

// errIdleTimeout says that the client was silent for too long.
var errIdleTimeout = errors.New("imap: idle timeout")

// errShutdown says that the server is going down.
var errShutdown = errors.New("imap: shutting down")

// Read reads from the network with the deadline of the moment. The reader of the
// grammar calls it.
func (c *conn) Read(p []byte) (int, error) {
	return c.read(func() (int, error) { return c.nc.Read(p) })
}

// ReadLazily waits without a buffer, so that an idle connection costs none (it is
// a wire.LazyReader). A plain socket is asked by the poller; from TLS one byte is
// taken first, the rest of its record is in memory then.
func (c *conn) ReadLazily(alloc func() []byte, free func()) (int, error) {
	if c.raw != nil {
		return c.read(func() (int, error) { return readRaw(c.raw, alloc, free) })
	}
	n, err := c.read(func() (int, error) { return c.nc.Read(c.one[:]) })
	if n > 0 {
		alloc()[0] = c.one[0]
	}
	return n, err
}

// readRaw reads from a socket, giving the buffer back for as long as it waits.
func readRaw(raw syscall.RawConn, alloc func() []byte, free func()) (n int, err error) {
	var rerr error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, rerr = syscall.Read(int(fd), alloc())
			switch rerr {
			case syscall.EINTR:
				continue
			case syscall.EAGAIN:
				free()
				return false
			}
			return true
		}
	})
	switch {
	case err != nil:
		return 0, err
	case rerr != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", rerr)}
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// slack is how much too early a read deadline may end a read, which then is begun
// again: setting it for each command would cost more than many a command.
const slack = 10 * time.Second

// arm sets the read deadline if the one that is set is too early or too late.
func (c *conn) arm() error {
	if d := c.deadline.Sub(c.armed); d >= 0 && d < slack {
		return nil
	}
	c.armed = c.deadline
	return c.nc.SetReadDeadline(c.deadline)
}

// rawOf gives access to a plain socket, or nil.
func rawOf(nc net.Conn) syscall.RawConn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// read waits for bytes until the deadline, or until there is something else to do.
func (c *conn) read(attempt func() (int, error)) (int, error) {
	for {
		if err := c.arm(); err != nil {
			return 0, err
		}
		// Who wakes us sets the flag first and the deadline then: one of the two is
		// seen here or ends the read.
		if err := c.interrupted(); err != nil {
			return 0, err
		}
		n, err := attempt()
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		c.armed = time.Time{}
		if err := c.interrupted(); err != nil {
			return 0, err
		}
		if !time.Now().Before(c.deadline) {
			return 0, errIdleTimeout
		}
	}
}

func (c *conn) interrupted() error {
	if c.srv.closing.Load() {
		return errShutdown
	}
	if c.dropped.Load() {
		return errDropped
	}
	if c.idling && c.woken.Swap(false) {
		return errWoken
	}
	return nil
}

// wake makes the connection's goroutine look up from a read. Any goroutine may
// call it.
func (c *conn) wake(nc net.Conn) {
	c.woken.Store(true)
	nc.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // a closed connection is awake
}
