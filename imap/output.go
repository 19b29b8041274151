package imap

import (
	"sync"
	"time"
)

// outputSize is the buffer in which replies gather: Limits.FlushBytes and what
// one more reply may add.
const outputSize = 72 << 10

var outputs = sync.Pool{New: func() any { b := make([]byte, 0, outputSize); return &b }}

// flush writes what was said so far and gives the buffer back. It is called
// before each read that may wait, and when much has gathered.
func (c *conn) flush() error {
	if c.werr == nil && len(c.out) > 0 {
		c.werr = c.write(c.out)
	}
	if c.outBuf != nil {
		if cap(c.out) <= 2*outputSize {
			*c.outBuf = c.out[:0]
		}
		outputs.Put(c.outBuf)
		c.outBuf, c.out = nil, nil
	}
	return c.werr
}

// write writes b. A client that does not read is given up after Limits.StallTime,
// or up to half of it earlier: the deadline is not set for each write.
func (c *conn) write(b []byte) error {
	now, limit := time.Now(), c.lim.StallTime
	if c.stall.Sub(now) < limit/2 {
		c.stall = now.Add(limit)
		if err := c.nc.SetWriteDeadline(c.stall); err != nil {
			return err
		}
	}
	n, err := c.nc.Write(b)
	c.bytesOut += int64(n)
	return err
}

// ready makes sure that out has its buffer.
func (c *conn) ready() {
	if c.outBuf == nil {
		c.outBuf = outputs.Get().(*[]byte)
		c.out = append((*c.outBuf)[:0], c.out...)
	}
}

// full reports that it is time to write. Callers that hold a View must leave it
// first and then call drain.
func (c *conn) full() bool { return len(c.out) >= c.lim.FlushBytes }

// drain writes if much has gathered. It keeps the buffer.
func (c *conn) drain() error {
	if !c.full() || c.werr != nil {
		return c.werr
	}
	c.werr = c.write(c.out)
	c.out = c.out[:0]
	return c.werr
}

// say appends pieces of a reply.
func (c *conn) say(parts ...string) {
	c.ready()
	for _, p := range parts {
		c.out = append(c.out, p...)
	}
}

// untagged appends a whole untagged response.
func (c *conn) untagged(parts ...string) {
	c.ready()
	c.out = append(c.out, "* "...)
	c.say(parts...)
	c.out = append(c.out, "\r\n"...)
}

// tagged appends the response that ends a command.
func (c *conn) tagged(tag, cond, code, text string) {
	c.ready()
	c.say(tag, " ", cond, " ")
	if code != "" {
		c.say("[", code, "] ")
	}
	c.say(text, "\r\n")
}
