package smtp

import (
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// MAIL, RFC 5321 §4.1.1.2.
func (c *conn) mail(arg string) mail.Reply {
	if c.worn() {
		c.end(replySessionOver)
		return mail.Reply{}
	}
	path, err := wire.ParseMail(arg)
	if err != nil {
		return syntaxErrorReply(err)
	}
	env := mail.Envelope{ReversePath: path.Address, TraceID: c.srv.ids.Next(c.opts.Now())}
	if c.session.Account != nil {
		env.Account = c.session.Account.ID
	}
	e := envelope{mail: &env}
	if r := c.applyParams(c.srv.mailParams, &e, path.Params); r.Code != 0 {
		return r
	}
	if path.NonASCII && !env.UTF8 {
		return replyNeedUTF8
	}
	if r := checkTimes(&env); r.Code != 0 {
		return r
	}
	c.tx = c.opts.Delivery.Begin(&c.session, env)
	c.record = record{started: c.opts.Now()}
	c.size, c.badChunk = e.size, false
	r := c.tx.Sender(c.ctx)
	c.record.note(r)
	if !r.Positive() {
		c.endTransaction()
		return r
	}
	c.state = stateMail
	if e.lowered {
		return replyLowered
	}
	return r
}

// worn reports that the connection has had its share.
func (c *conn) worn() bool {
	l := &c.opts.Limits
	return !c.face.trusted && (c.messages >= l.Messages || c.bytes >= c.face.sessionBytes(l))
}

// RCPT, RFC 5321 §4.1.1.3.
func (c *conn) rcpt(arg string) mail.Reply {
	l := &c.opts.Limits
	path, err := wire.ParseRcpt(arg)
	if err != nil {
		return syntaxErrorReply(err)
	}
	if len(c.tx.Env.Recipients) >= l.Recipients {
		c.tx.Refused(path.Address, replyTooManyRcpts)
		return replyTooManyRcpts
	}
	rcpt := mail.Recipient{Address: path.Address}
	e := envelope{mail: &c.tx.Env, rcpt: &rcpt}
	if r := c.applyParams(c.srv.rcptParams, &e, path.Params); r.Code != 0 {
		return r
	}
	if path.NonASCII && !c.tx.Env.UTF8 {
		return replyNeedUTF8
	}
	r := c.tx.Recipient(c.ctx, rcpt)
	c.record.note(r)
	switch {
	case r.Positive():
		c.state = stateRcpt
	case r.Permanent():
		c.badRecipients++
		if c.badRecipients >= l.BadRecipients && !c.face.trusted {
			if c.opts.Bans != nil {
				c.opts.Bans.Blame(c.session.Remote, blameNames)
			}
			c.write(r)
			c.end(replyTooManyBad)
			return mail.Reply{}
		}
	}
	return r
}

// blameNames is how many failures it counts for a network to have tried as many names
// as a connection may: it is kept out for a while.
const blameNames = 10

// endTransaction forgets the transaction, if there is one.
func (c *conn) endTransaction() {
	if c.tx != nil {
		c.tx.Close()
		c.logTransaction()
		c.tx = nil
	}
	c.data = dataClock{}
	if c.state != stateStart {
		c.state = stateReady
	}
}
