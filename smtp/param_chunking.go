package smtp

import (
	"math"
	"strconv"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// CHUNKING, RFC 3030 §2.
var extChunking = &extension{keyword: "CHUNKING", rfc: "RFC 3030",
	commands: []command{{verbBdat, stateRcpt | stateChunk, ownState | withLogin, (*conn).bdat}},
}

// BINARYMIME, RFC 3030 §3; its parameter is BODY of 8BITMIME.
var extBinaryMIME = &extension{keyword: "BINARYMIME", rfc: "RFC 3030"}

const verbBdat = "BDAT"

var (
	replyBadChunk = mail.Reply{Code: 503, Enhanced: [3]uint8{5, 5, 1}, Text: "The message is refused: send RSET"}
	bdatAllowed   = command{verb: verbBdat, in: stateMail | stateRcpt | stateChunk, flag: withLogin}
)

// BDAT, RFC 3030 §2. The chunk follows whatever we think of the command, so it is
// read before anything is said.
func (c *conn) bdat(arg string) mail.Reply {
	size, last, ok := parseBdat(arg)
	if !ok { // how much follows is not known: nothing after this can be trusted
		c.giveUp()
		return syntaxReply("BDAT octets [LAST]")
	}
	refused := c.beginChunk()
	if c.data.start.IsZero() {
		c.data = dataClock{start: time.Now()}
	}
	refused = c.readChunk(size, refused)
	if c.done {
		return refused
	}
	if c.state != stateChunk {
		c.data = dataClock{}
		return refused
	}
	clock := c.data
	c.data = dataClock{bytes: clock.bytes}
	return c.endChunk(refused, last,
		mail.Reply{Code: 250, Enhanced: [3]uint8{2, 0, 0}, Text: strconv.FormatInt(size, 10) + " octets received"})
}

// endChunk answers a chunk: with next if others follow.
func (c *conn) endChunk(refused mail.Reply, last bool, next mail.Reply) mail.Reply {
	switch {
	case refused.Code != 0:
		c.badChunk = true
		if last {
			return c.finish(refused)
		}
		c.record.note(refused)
		return refused
	case !last:
		return next
	}
	if f := c.chunks.Finish(); f != 0 && c.tx.Env.Body != mail.BodyBinaryMIME {
		refused = faultReply(f)
	}
	return c.finish(refused)
}

// beginChunk says whether a chunk may come now, and opens the message with the
// first one.
func (c *conn) beginChunk() mail.Reply {
	if r := c.allowState(&bdatAllowed); r.Code != 0 {
		return r
	}
	switch {
	case c.badChunk:
		return replyBadChunk
	case c.state == stateChunk:
		return mail.Reply{}
	case len(c.tx.Env.Recipients) == 0:
		return replyNoRecipient
	}
	c.chunks = wire.LineCheck{MaxLine: c.opts.Limits.DataLine}
	c.state = stateChunk
	r := c.tx.Open(c.ctx)
	if r.Code == 0 {
		c.slow(c.tx.Pause())
	}
	return r
}

// readChunk reads the octets of one chunk and hands them on unless refused.
func (c *conn) readChunk(size int64, refused mail.Reply) mail.Reply {
	for size > 0 {
		if _, err := c.r.Peek(1); err != nil {
			c.hangUp(err)
			return mail.Reply{}
		}
		n := min(int64(c.r.Buffered()), size)
		chunk, _ := c.r.Peek(int(n)) // no read: they are there
		if refused.Code == 0 {
			c.chunks.Check(chunk)
		}
		refused = c.take(chunk, refused)
		_, _ = c.r.Discard(int(n)) // within the buffer: cannot fail
		if c.done {
			return refused
		}
		if size -= n; size > widenAt {
			c.widen()
		}
	}
	return refused
}

// parseBdat parses "octets [LAST]". A number over an int64 is not believed.
func parseBdat(arg string) (size int64, last, ok bool) {
	number, word, more := strings.Cut(arg, " ")
	if word = strings.TrimSpace(word); more && !strings.EqualFold(word, "LAST") || !isDigits(number) {
		return 0, false, false
	}
	size, err := strconv.ParseInt(number, 10, 64)
	return size, more, err == nil && size < math.MaxInt64
}
