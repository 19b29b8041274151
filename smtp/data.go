package smtp

import (
	"errors"
	"io"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

var (
	replyGo = mail.Reply{Code: 354, Text: "End data with <CR><LF>.<CR><LF>"}
	// DATA ends what may be sent at once (RFC 2920 §3.1): the answer may be no.
	replyTooEarly = mail.Reply{Code: 554, Enhanced: [3]uint8{5, 5, 0}, Text: "Wait for 354 before you send the message"}
	replyBadData  = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 5, 2}}
	replyBinary   = mail.Reply{Code: 503, Enhanced: [3]uint8{5, 5, 1}, Text: "BINARYMIME goes with BDAT"}
)

// A dataClock times the bytes of one message. The zero clock stands still.
type dataClock struct {
	start time.Time
	bytes int64
}

func (d *dataClock) running() bool { return !d.start.IsZero() }

// deadline is when waiting for the next bytes ends: after a silence of
// DataTimeout, or, from the first minute on, when the average falls under DataRate.
func (d *dataClock) deadline(now time.Time, l *Limits) time.Time {
	silent := now.Add(l.DataTimeout)
	slow := d.start.Add(time.Minute + time.Duration(d.bytes)*time.Second/time.Duration(l.DataRate))
	if slow.Before(silent) {
		return slow
	}
	return silent
}

// DATA, RFC 5321 §4.1.1.4.
func (c *conn) dataCommand(arg string) mail.Reply {
	switch {
	case arg != "":
		return replyNoArgument
	case c.tx.Env.Body == mail.BodyBinaryMIME: // RFC 3030 §3
		return replyBinary
	case len(c.tx.Env.Recipients) == 0:
		return replyNoRecipient
	}
	if r := c.tx.Open(c.ctx); r.Code != 0 {
		c.record.note(r)
		c.endTransaction()
		return r
	}
	c.slow(c.tx.Pause())
	if c.r.Buffered() > 0 { // what it sent was written for somebody who reads on whatever he said
		c.record.note(replyTooEarly)
		c.tx.RefusedData(replyTooEarly)
		c.endTransaction()
		c.giveUp()
		return replyTooEarly
	}
	c.write(replyGo)
	return c.receive()
}

// receive reads the message to its end, whatever is wrong with it: only then are
// the two sides in step again.
func (c *conn) receive() mail.Reply {
	c.data = dataClock{start: time.Now()}
	r := wire.NewDataReader(c.r, c.opts.Limits.DataLine)
	var refused mail.Reply
	for {
		chunk, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			c.data = dataClock{}
			c.hangUp(err)
			return mail.Reply{}
		}
		if refused = c.take(chunk, refused); c.done {
			return refused
		}
		if c.data.bytes > widenAt {
			c.widen()
			r.Use(c.r)
		}
	}
	c.data = dataClock{}
	if f := r.Faults(); f != 0 && refused.Code == 0 {
		refused = faultReply(f)
	}
	return c.finish(refused)
}

// take hands bytes of the message on, unless it is refused already.
func (c *conn) take(chunk []byte, refused mail.Reply) mail.Reply {
	l := &c.opts.Limits
	c.data.bytes += int64(len(chunk))
	c.bytes += int64(len(chunk))
	switch {
	case refused.Code == 0 && c.tx.Size()+int64(len(chunk)) > l.Message:
		refused = replyTooLarge
	case refused.Code == 0:
		// An error stays with the transaction: Accept makes its reply of it.
		_, _ = c.tx.Write(chunk)
	}
	if refused.Code != 0 && c.data.bytes/4 > l.Message { // it will not stop by itself
		c.record.note(refused)
		c.tx.RefusedData(refused)
		c.giveUp()
	}
	return refused
}

func faultReply(f wire.Faults) mail.Reply {
	r := replyBadData
	r.Text = "The message has a " + f.String()
	return r
}

// finish ends the transaction and makes its reply; for LMTP one for each
// recipient (RFC 2033 §4.2).
func (c *conn) finish(refused mail.Reply) mail.Reply {
	defer c.endTransaction()
	if refused.Code != 0 {
		c.tx.RefusedData(refused)
	}
	if !c.face.lmtp {
		r := refused
		if r.Code == 0 {
			r = c.tx.Accept(c.ctx)
		}
		c.record.result(r, 1)
		c.count(r)
		return r
	}
	n := len(c.tx.Env.Recipients)
	if refused.Code != 0 {
		c.record.result(refused, n)
		for range n {
			c.write(refused)
		}
		return mail.Reply{}
	}
	for _, r := range c.tx.AcceptEach(c.ctx) {
		c.record.result(r, 1)
		c.count(r)
		c.write(r)
	}
	return mail.Reply{}
}
