package smtp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"
)

// patient waits before a stranger is greeted, and notes who speaks first (RFC 5321
// §3.1). What was said is not lost. It is false if the peer is gone.
func (c *conn) patient() bool {
	pause := c.opts.Limits.GreetingPause
	if pause <= 0 || c.face != &faces[MX] || !isStranger(c.session.Remote) || c.srv.admission.knows(c.session.Remote) {
		return true
	}
	if c.raw.SetReadDeadline(time.Now().Add(pause)) != nil {
		return false
	}
	var first [1]byte
	n, err := c.net.Read(first[:])
	if n > 0 {
		c.session.Early = true
		c.srv.stats.early.Add(1)
		c.r.Reset(io.MultiReader(bytes.NewReader(first[:n]), feed{c}))
		c.pause(pause) // as long as the others
		return true
	}
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// slow makes a peer wait that shows signs of a spammer, with what it has been told
// already written. The number of those who wait is bounded: a crowd of them is not
// held, but served.
func (c *conn) slow(d time.Duration) {
	if d <= 0 {
		return
	}
	defer c.srv.paused.Add(-1)
	if c.srv.paused.Add(1) > int64(c.opts.Limits.Paused) {
		return
	}
	if c.flush() == nil {
		c.srv.stats.slowed.Add(1)
		c.pause(d)
	}
}
