package imap

import (
	"context"
	"errors"
	"time"

	"posthouse/directory"
	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/sasl"
)

// loginCommands are those of RFC 9051 §6.2 but STARTTLS, which is an extension
// of its own here.
var loginCommands = []command{
	{"LOGIN", stateNotAuthenticated, tellNothing, false, (*conn).login},
	{"AUTHENTICATE", stateNotAuthenticated, tellNothing, false, (*conn).authenticate},
}

// extAuth announces how to log in, RFC 9051 §6.2.2 and §6.2.3.
var extAuth = &extension{rfc: "RFC 4616", early: true,
	caps: func(c *conn, dst []byte) []byte {
		if c.state != stateNotAuthenticated {
			return dst
		}
		if !c.private() {
			return append(dst, " LOGINDISABLED"...)
		}
		for _, m := range sasl.Mechanisms() {
			dst = append(append(dst, " AUTH="...), m.Name...)
		}
		return dst
	},
}

// private reports whether a password may be sent.
func (c *conn) private() bool { return c.tls || c.srv.opts.AllowPlaintextLogin }

var errPrivacy = no("PRIVACYREQUIRED", "use TLS before logging in")

// LOGIN, RFC 9051 §6.2.3.
func (c *conn) login(d *wire.Decoder) error {
	if !c.private() {
		return errPrivacy // before its literals are taken
	}
	d.SP()
	name := d.Astring()
	d.SP()
	password := d.Astring()
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	who, err := c.srv.opts.Directory.Authenticate(c.ctx, name, password, c.peer)
	if err != nil {
		return c.loginFailed(err)
	}
	return c.loggedIn(who)
}

// AUTHENTICATE, RFC 9051 §6.2.2, with the initial response of RFC 4959.
func (c *conn) authenticate(d *wire.Decoder) error {
	d.SP()
	name := d.Atom()
	var response []byte
	if d.Try(' ') {
		response = d.Token()
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	m, ok := sasl.Lookup(name)
	if !ok {
		return no("", "unknown authentication mechanism")
	}
	if m.Plaintext && !c.private() {
		return errPrivacy
	}
	var initial []byte
	if response != nil {
		b, err := sasl.Decode(response)
		if err != nil {
			return bad("bad base64")
		}
		initial = b
	}
	var who directory.Account
	exchange := m.Server(func(ctx context.Context, cr sasl.Credentials) (err error) {
		who, err = c.srv.opts.Directory.Authenticate(ctx, cr.Login, cr.Password, c.peer)
		return err
	})
	if err := c.converse(exchange, initial); err != nil {
		return err
	}
	return c.loggedIn(who)
}

// converse runs a SASL exchange.
func (c *conn) converse(x sasl.Server, response []byte) error {
	for {
		challenge, done, err := x.Next(c.ctx, response)
		switch {
		case errors.Is(err, sasl.ErrCancelled):
			return bad("authentication cancelled")
		case err != nil:
			return c.loginFailed(err)
		case done:
			return nil
		}
		c.say("+ ")
		c.out = sasl.AppendEncoded(c.out, challenge)
		c.say("\r\n")
		line, err := c.rd.Line(c.srv.opts.Limits.LineBeforeLogin, c.srv.opts.Limits.Flood)
		if err != nil {
			return err
		}
		c.ready()
		if response, err = sasl.Decode(line); errors.Is(err, sasl.ErrCancelled) {
			return bad("authentication cancelled")
		} else if err != nil {
			return bad("bad base64")
		}
	}
}

// loggedIn makes the connection that of an account.
func (c *conn) loggedIn(who directory.Account) error {
	acct, err := c.srv.opts.Store.Account(c.ctx, who.ID)
	if err != nil {
		return err
	}
	if !c.srv.welcome(c, who.ID) {
		return no("LIMIT", "too many connections of this account from your address")
	}
	c.acct, c.user, c.state, c.bad = acct, who, stateAuthenticated, 0
	c.okCode = "CAPABILITY" + string(c.appendCaps(nil))
	c.okText = "logged in"
	c.srv.stats.logins.Add(1)
	c.log.Info("imap: login", "tid", c.trace, "peer", c.peer.String(), "tls", c.tls, "account", uint64(who.ID))
	return nil
}

// loginFailed answers a failed login after a pause that grows, and ends the
// connection after some.
func (c *conn) loginFailed(err error) error {
	var e *mail.Error
	switch {
	case !errors.As(err, &e) || e.Kind == mail.Invalid:
		return bad("the authentication exchange makes no sense")
	case e.Kind != mail.Denied:
		return err
	}
	lim := c.srv.opts.Limits
	c.failed++
	c.srv.stats.loginsBad.Add(1)
	c.log.Info("imap: login failed", "tid", c.trace, "peer", c.peer.String(), "tls", c.tls)
	if pause := lim.LoginPause << min(c.failed-1, 4); pause > 0 {
		t := time.NewTimer(pause)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.ctx.Done():
		}
	}
	if c.failed < lim.FailedLogins {
		return no("AUTHENTICATIONFAILED", "wrong name or password")
	}
	c.tagged(c.tag, "NO", "AUTHENTICATIONFAILED", "wrong name or password")
	c.untagged("BYE too many failed logins")
	return errBye
}
