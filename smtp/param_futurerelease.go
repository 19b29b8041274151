package smtp

import (
	"strconv"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// FUTURERELEASE, RFC 4865: our accounts write today what goes out later.
var extFutureRelease = &extension{keyword: "FUTURERELEASE", rfc: "RFC 4865",
	offered: func(c *conn) bool { return c.face.login },
	args: func(c *conn) string {
		return strconv.Itoa(int(maxHold/time.Second)) + " " + c.opts.Now().Add(maxHold).UTC().Format(time.RFC3339)
	},
	mailParams: []param{{"HOLDFOR", paramHoldFor}, {"HOLDUNTIL", paramHoldUntil}},
}

// maxHold is how long a message may be kept: who wants longer should not rely on a
// queue.
const maxHold = 366 * 24 * time.Hour

// mayHold: only who is known may keep mail here (RFC 4865 §3).
func (c *conn) mayHold() bool { return c.face.login && c.session.Account != nil }

func paramHoldFor(c *conn, e *envelope, p wire.Param) mail.Reply {
	n, err := strconv.ParseInt(p.Value, 10, 64)
	if err != nil || !isDigits(p.Value) || len(p.Value) > 9 || n == 0 {
		return syntaxReply("HOLDFOR=seconds")
	}
	return c.hold(e, c.opts.Now().Add(time.Duration(n)*time.Second))
}

func paramHoldUntil(c *conn, e *envelope, p wire.Param) mail.Reply {
	at, err := time.Parse("2006-01-02T15:04:05Z", p.Value) // RFC 3339 §5.6, in UTC
	if err != nil {
		return syntaxReply("HOLDUNTIL=2026-11-23T09:30:00Z")
	}
	return c.hold(e, at)
}

// hold keeps when the message may go, RFC 4865 §4.2.
func (c *conn) hold(e *envelope, at time.Time) mail.Reply {
	now := c.opts.Now()
	switch {
	case !c.mayHold():
		return replyUnknownParam
	case !e.mail.HoldUntil.IsZero():
		return syntaxReply("HOLDFOR or HOLDUNTIL, once")
	case at.After(now.Add(maxHold + time.Minute)): // between EHLO and MAIL passes some time
		return syntaxReply("too far in the future; the limit is in the reply to EHLO")
	case e.mail.ReversePath.IsNull(): // RFC 4865 §5.1.1
		return syntaxReply("reports are not held")
	case !at.After(now):
		return mail.Reply{} // it is time already
	}
	e.mail.HoldUntil = at
	return mail.Reply{}
}

// checkTimes refuses what should be delivered before it may be sent, RFC 4865 §5.2.2.
func checkTimes(env *mail.Envelope) mail.Reply {
	if !env.HoldUntil.IsZero() && !env.DeliverBy.IsZero() && env.HoldUntil.After(env.DeliverBy) {
		return syntaxReply("BY ends before HOLDFOR or HOLDUNTIL begins")
	}
	return mail.Reply{}
}
