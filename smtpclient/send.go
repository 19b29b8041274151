package smtpclient

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// A Message is one transaction: an envelope and its content.
type Message struct {
	Envelope mail.Envelope
	Size     int64     // octets that Content will yield
	Content  io.Reader // read once, from beginning to end
	// HeaderUTF8: the header section holds UTF-8, so that the message needs SMTPUTF8
	// also where its addresses do not. It counts only if Envelope.UTF8.
	HeaderUTF8 bool
}

// An Outcome is what became of one recipient.
type Outcome struct {
	Reply   mail.Reply // never zero; positive: the server has taken the message
	Remote  bool       // the server said it; else it was decided here
	Unknown bool       // the server may have taken the message; Reply is transient
}

// A Result is what became of a transaction.
type Result struct {
	Outcomes []Outcome // one for each recipient, in their order
	// DSN: the server took the DSN parameters and will report by itself, RFC 3461
	// §5.2.2.
	DSN bool
	// Stale: a connection that was used before had died meanwhile. Nothing was tried:
	// a new connection may do.
	Stale bool
	// Err is what ended the connection, for the log; nil while it lives.
	Err error
}

// unexpected is the verdict for a reply that makes no sense at s.
func unexpected(t Target, s stage, r mail.Reply) mail.Reply {
	return mail.Reply{Code: 451, Enhanced: [3]uint8{4, 5, 0}, Text: fmt.Sprintf("%s gave an unexpected answer to %s: %v", t, s, r)}
}

// Send does one transaction. The context ends it and the connection.
func (c *Conn) Send(ctx context.Context, m Message) Result {
	t := &transaction{c: c, m: m, res: Result{Outcomes: make([]Outcome, len(m.Envelope.Recipients))}}
	t.res.DSN = c.Offers("DSN")
	if err := ctx.Err(); err != nil || c.dead {
		t.fail(stMail, context.Canceled)
		return t.res
	}
	stop := context.AfterFunc(ctx, func() { _ = c.nc.Close() })
	t.run()
	if !stop() {
		c.dead = true
	}
	if t.res.Err != nil {
		c.dead = true
	}
	return t.res
}

// A transaction is one Send under way.
type transaction struct {
	c        *Conn
	m        Message
	res      Result
	utf8     bool  // SMTPUTF8 is used
	live     []int // recipients that were sent, by index
	accepted []int // and accepted by RCPT
	mailOK   bool
	ended    bool // the end of the data may have reached the server
	heard    bool // the server answered something
}

// run does the steps; when it returns each recipient has an outcome.
func (t *transaction) run() {
	if !t.prepare() {
		return
	}
	fresh := t.c.used == 0
	t.c.used++
	if t.c.dirty {
		if r, err := t.c.command(stReset, "RSET"); err != nil || !r.Positive() {
			t.res.Stale = true
			t.broken(stReset, r, err)
			return
		}
		t.c.dirty, t.heard = false, true
	}
	t.c.dirty = true
	s, err := t.envelope()
	if err == nil && len(t.accepted) > 0 {
		s, err = t.content()
	}
	if err != nil {
		t.res.Stale = !fresh && !t.heard
		t.fail(s, err)
	}
}

// broken ends a transaction before it began.
func (t *transaction) broken(s stage, r mail.Reply, err error) {
	if err == nil {
		err = fmt.Errorf("%s answered: %v", s, r)
	}
	t.fail(s, err)
}

// decide sets the outcome of recipient i, once.
func (t *transaction) decide(i int, o Outcome) {
	if t.res.Outcomes[i].Reply.Code == 0 {
		t.res.Outcomes[i] = o
	}
}

func (t *transaction) decideAll(idx []int, o Outcome) {
	for _, i := range idx {
		t.decide(i, o)
	}
}

// fail gives all recipients that have no outcome that of a lost connection.
func (t *transaction) fail(s stage, err error) {
	t.res.Err = err
	r := t.c.local(s, err)
	if t.ended {
		t.decideAll(t.accepted, Outcome{Reply: r, Unknown: true})
	}
	for i := range t.res.Outcomes {
		t.decide(i, Outcome{Reply: r})
	}
}

// refusal is the outcome for a reply that is not the one we need.
func (t *transaction) refusal(s stage, r mail.Reply) Outcome {
	if r.Transient() || r.Permanent() {
		return Outcome{Reply: r, Remote: true}
	}
	return Outcome{Reply: unexpected(t.c.target, s, r)}
}

// prepare decides what this server cannot take; false if nobody is left.
func (t *transaction) prepare() bool {
	if r, refused := t.refuseAll(); refused {
		for i := range t.res.Outcomes {
			t.decide(i, Outcome{Reply: r})
		}
		return false
	}
	t.utf8 = t.m.Envelope.UTF8 && t.c.Offers("SMTPUTF8")
	for i, rcpt := range t.m.Envelope.Recipients {
		if wire.NeedsUTF8(rcpt.Address) && !t.utf8 {
			t.decide(i, Outcome{Reply: t.needUTF8("the address " + rcpt.Address.String())})
			continue
		}
		if n := t.rcptMax(); n > 0 && len(t.live) == n {
			t.decide(i, Outcome{Reply: mail.Reply{Code: 452, Enhanced: [3]uint8{4, 5, 3},
				Text: fmt.Sprintf("%s takes no more than %d recipients at a time", t.c.target, n)}})
			continue
		}
		t.live = append(t.live, i)
	}
	return len(t.live) > 0
}

// rcptMax is the number of recipients that the server takes at a time, if it says
// so: LIMITS of RFC 9422 §3.
func (t *transaction) rcptMax() int {
	for _, f := range strings.Fields(t.c.ext["LIMITS"]) {
		if v, ok := strings.CutPrefix(strings.ToUpper(f), "RCPTMAX="); ok {
			n, _ := strconv.Atoi(v) // what is no number is no limit
			return n
		}
	}
	return 0
}

func (t *transaction) needUTF8(what string) mail.Reply {
	return mail.Reply{Code: 550, Enhanced: [3]uint8{5, 6, 7},
		Text: fmt.Sprintf("%s cannot take %s: it does not know internationalised mail (SMTPUTF8)", t.c.target, what)}
}

// deliverByMin is the shortest time that the server promises, RFC 2852 §3.
func (c *Conn) deliverByMin() (time.Duration, bool) {
	if !c.Offers("DELIVERBY") {
		return 0, false
	}
	n, err := strconv.ParseUint(c.ext["DELIVERBY"], 10, 31)
	return time.Duration(n) * time.Second, err == nil
}

// refuseAll finds what keeps the whole message from this server.
func (t *transaction) refuseAll() (mail.Reply, bool) {
	c, env := t.c, &t.m.Envelope
	if limit, err := strconv.ParseInt(c.ext["SIZE"], 10, 64); err == nil && limit > 0 && t.m.Size > limit {
		return mail.Reply{Code: 552, Enhanced: [3]uint8{5, 3, 4},
			Text: fmt.Sprintf("the message has %d bytes, and %s takes no more than %d", t.m.Size, c.target, limit)}, true
	}
	if !c.Offers("SMTPUTF8") || !env.UTF8 {
		if wire.NeedsUTF8(env.ReversePath) {
			return t.needUTF8("the sender's address " + env.ReversePath.String()), true
		}
		if env.UTF8 && t.m.HeaderUTF8 {
			return t.needUTF8("the message"), true
		}
	}
	if env.RequireTLS && !env.ReversePath.IsNull() && (c.TLS() == nil || !c.Offers("REQUIRETLS")) { // RFC 8689 §4.2.1
		return mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 30},
			Text: fmt.Sprintf("the message requires TLS all the way, which %s does not promise (REQUIRETLS)", c.target)}, true
	}
	if min, ok := c.deliverByMin(); ok && env.ByReturn && time.Until(env.DeliverBy) < min { // RFC 2852 §4.1.4.1
		return mail.Reply{Code: 550, Enhanced: [3]uint8{5, 4, 7},
			Text: fmt.Sprintf("%s promises no delivery within the time that is left", c.target)}, true
	}
	if env.Body == mail.BodyBinaryMIME && !(c.Offers("BINARYMIME") && c.Offers("CHUNKING")) {
		return mail.Reply{Code: 554, Enhanced: [3]uint8{5, 6, 1},
			Text: fmt.Sprintf("%s does not take binary messages", c.target)}, true
	}
	if env.Body == mail.Body8BitMIME && c.d.Strict8Bit && !c.Offers("8BITMIME") {
		return mail.Reply{Code: 554, Enhanced: [3]uint8{5, 6, 3},
			Text: fmt.Sprintf("%s does not take 8-bit messages", c.target)}, true
	}
	return mail.Reply{}, false
}
