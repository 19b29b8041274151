package imap

import (
	"cmp"
	"crypto/tls"
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
		known, ch := c.srv.opts.Directory.Methods(), c.channel()
		for _, m := range sasl.Mechanisms() {
			if m.Possible(known, ch) {
				dst = append(append(dst, " AUTH="...), m.Name...)
			}
		}
		return dst
	},
}

// private reports whether one may log in: not where others read along, for they
// would read the mail too.
func (c *conn) private() bool { return c.tls || c.srv.opts.AllowPlaintextLogin }

// channel is what proofs are bound to.
func (c *conn) channel() sasl.Channel {
	ch := sasl.Channel{Config: c.srv.opts.TLSConfig, Rand: c.srv.opts.Rand}
	if t, ok := c.nc.(*tls.Conn); ok && c.tls {
		state := t.ConnectionState()
		ch.TLS = &state
	}
	return ch
}

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
	try := c.srv.opts.Directory.Attempt(c.peer, nil)
	if err := try.Password(c.ctx, sasl.Credentials{Login: name, Password: password}); err != nil {
		return c.loginFailed(err)
	}
	return c.loggedIn(try.Account(), "LOGIN")
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
	if ok && !c.private() {
		return errPrivacy
	}
	ch := c.channel()
	if !ok || !m.Possible(c.srv.opts.Directory.Methods(), ch) {
		return no("CANNOT", "this authentication mechanism is not available")
	}
	var initial []byte
	if response != nil {
		b, err := sasl.Decode(response)
		if err != nil {
			return bad("bad base64")
		}
		initial = b
	}
	try := c.srv.opts.Directory.Attempt(c.peer, ch.TLS)
	if err := c.converse(m.Server(try, ch), initial); err != nil {
		return err
	}
	return c.loggedIn(try.Account(), m.Name)
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
		line, err := c.rd.Line(c.lim.LineBeforeLogin, c.lim.Flood)
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
func (c *conn) loggedIn(who directory.Account, how string) error {
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
	c.log.Info("imap: login", "tid", c.trace, "peer", c.peer.String(), "tls", c.tls, "how", how, "account", uint64(who.ID))
	return nil
}

// loginFailed answers a failed login after a pause that grows, and ends the
// connection after some. So it does with one that was not even looked at.
func (c *conn) loginFailed(err error) error {
	var e *mail.Error
	switch {
	case isConnError(err):
		return err
	case !errors.As(err, &e) || e.Kind == mail.Invalid:
		return bad("the authentication exchange makes no sense")
	case e.Kind != mail.Denied && e.Kind != mail.Unavailable:
		return err
	}
	lim := c.lim
	c.failed++
	c.srv.stats.loginsBad.Add(1)
	c.log.Info("imap: login failed", "tid", c.trace, "peer", c.peer.String(), "tls", c.tls, "why", mail.KindOf(err))
	if pause := lim.LoginPause << min(c.failed-1, 4); pause > 0 {
		t := time.NewTimer(pause)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.ctx.Done():
		}
	}
	code, text := "AUTHENTICATIONFAILED", "wrong name or password"
	if e.Kind == mail.Unavailable {
		code, text = "UNAVAILABLE", cmp.Or(e.Text, "try again later")
	}
	if c.failed < lim.FailedLogins {
		return no(code, text)
	}
	c.tagged(c.tag, "NO", code, text)
	c.untagged("BYE too many failed logins")
	return errBye
}
