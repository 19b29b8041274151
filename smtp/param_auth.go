package smtp

import (
	"errors"
	"strings"
	"time"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/sasl"
	"posthouse/smtp/wire"
)

// AUTH, RFC 4954.
var extAuth = &extension{keyword: verbAuth, rfc: "RFC 4954",
	offered: func(c *conn) bool { return c.face.login && c.session.Account == nil && c.mayLogin() },
	args: func(c *conn) string {
		var names []string
		known, ch := c.opts.Authenticator.Methods(), c.channel()
		for _, m := range sasl.Mechanisms() {
			if m.Possible(known, ch) {
				names = append(names, m.Name)
			}
		}
		return strings.Join(names, " ")
	},
	commands:   []command{{verbAuth, stateReady, 0, (*conn).auth}},
	mailParams: []param{{verbAuth, paramAuth}},
}

const verbAuth = "AUTH"

var (
	replyLoggedIn     = mail.Reply{Code: 235, Enhanced: [3]uint8{2, 7, 0}, Text: "Authenticated"}
	replyHaveLogin    = mail.Reply{Code: 503, Enhanced: [3]uint8{5, 5, 1}, Text: "Authenticated already"}
	replyNoMechanism  = mail.Reply{Code: 504, Enhanced: [3]uint8{5, 5, 4}, Text: "Mechanism not recognised"}
	replyEncrypt      = mail.Reply{Code: 538, Enhanced: [3]uint8{5, 7, 11}, Text: "Encryption required: use STARTTLS first"}
	replyCancelled    = mail.Reply{Code: 501, Enhanced: [3]uint8{5, 7, 0}, Text: "Authentication cancelled"}
	replyBadResponse  = mail.Reply{Code: 501, Enhanced: [3]uint8{5, 5, 2}, Text: "Authentication response not understood"}
	replyLongResponse = mail.Reply{Code: 500, Enhanced: [3]uint8{5, 5, 6}, Text: "Authentication response too long"}
	replyBadLogin     = mail.Reply{Code: 535, Enhanced: [3]uint8{5, 7, 8}, Text: "Login or password is wrong"}
	replyNoLoginNow   = mail.Reply{Code: 454, Enhanced: [3]uint8{4, 7, 0}, Text: "Temporary authentication failure"}
)

// mayLogin: nobody logs in where others read along.
func (c *conn) mayLogin() bool {
	return c.opts.Authenticator != nil && (c.session.TLS != nil || c.opts.AllowPlaintextLogin)
}

// channel is what proofs are bound to.
func (c *conn) channel() sasl.Channel { return sasl.Channel{TLS: c.session.TLS, Config: c.tlsConfig()} }

// paramAuth takes the AUTH parameter of MAIL, RFC 4954 §5, and ignores it as one
// may: we trust nobody to vouch for others.
func paramAuth(_ *conn, _ *envelope, p wire.Param) mail.Reply {
	if _, err := wire.DecodeXtext(p.Value); err != nil || p.Value == "" {
		return syntaxReply("bad AUTH parameter")
	}
	return mail.Reply{}
}

// AUTH, RFC 4954 §4.
func (c *conn) auth(arg string) mail.Reply {
	name, initial, hasInitial := strings.Cut(arg, " ")
	mech, known := sasl.Lookup(name)
	switch {
	case !c.face.login || c.opts.Authenticator == nil:
		return replyNotImplemented
	case c.session.Account != nil:
		return replyHaveLogin
	case name == "":
		return syntaxReply("AUTH mechanism [initial-response]")
	case known && !c.mayLogin():
		return replyEncrypt
	}
	ch := c.channel()
	if !known || !mech.Possible(c.opts.Authenticator.Methods(), ch) {
		return replyNoMechanism
	}
	var response []byte
	if hasInitial {
		var err error
		if response, err = sasl.Decode([]byte(strings.TrimSpace(initial))); err != nil {
			return saslReply(err)
		}
	}
	try := c.opts.Authenticator.Attempt(c.session.Remote, ch.TLS)
	r := c.exchange(mech.Server(try, ch), response)
	if r.Code == replyLoggedIn.Code {
		c.loggedIn(try.Account(), mech.Name)
	}
	return r
}

// loggedIn makes the session that of an account.
func (c *conn) loggedIn(who directory.Account, how string) {
	c.session.Account, c.session.AuthType = &who, how
	c.badCommands, c.failedLogins = 0, 0
	c.srv.stats.logins.Add(1)
	c.srv.own(c, who.ID)
	c.opts.Logger.Info("login", "face", c.face.name, "remote", c.session.Remote, "how", how, "account", uint64(who.ID))
}

// exchange runs challenges and responses to their end.
func (c *conn) exchange(server sasl.Server, response []byte) mail.Reply {
	for {
		challenge, done, err := server.Next(c.ctx, response)
		switch {
		case err != nil:
			return c.loginFailed(err)
		case done:
			return replyLoggedIn
		}
		c.out = append(sasl.AppendEncoded(append(c.out, "334 "...), challenge), "\r\n"...)
		line, err := wire.ReadLine(c.r, c.opts.Limits.AuthLine)
		switch {
		case errors.Is(err, wire.ErrLineTooLong):
			return replyLongResponse
		case errors.Is(err, wire.ErrBareLF):
			return replyBareLine
		case err != nil:
			c.hangUp(err)
			return mail.Reply{}
		}
		if response, err = sasl.Decode(line); err != nil {
			return saslReply(err)
		}
	}
}

// saslReply is what the peer hears of a response that is none.
func saslReply(err error) mail.Reply {
	if errors.Is(err, sasl.ErrCancelled) {
		return replyCancelled
	}
	return replyBadResponse
}

// loginFailed answers a login that the mechanism or the directory refused: wrong
// ones, and those that were not looked at, later and later, and a few only.
func (c *conn) loginFailed(err error) mail.Reply {
	reply := replyBadLogin
	switch mail.KindOf(err) {
	case mail.Invalid:
		return replyBadResponse
	case mail.Denied, mail.NotFound:
	case mail.Unavailable:
		reply = replyNoLoginNow
	default:
		c.opts.Logger.Warn("login could not be checked", "face", c.face.name, "remote", c.session.Remote, "err", err)
		return replyNoLoginNow
	}
	l := &c.opts.Limits
	c.failedLogins++
	c.srv.stats.failedLogins.Add(1)
	c.opts.Logger.Info("login failed", "face", c.face.name, "remote", c.session.Remote, "tries", c.failedLogins, "why", mail.KindOf(err))
	if c.failedLogins >= l.FailedLogins {
		c.write(reply)
		c.end(replyTooManyBad)
		return mail.Reply{}
	}
	c.pause(l.LoginPause << min(c.failedLogins-1, 10))
	return reply
}

// pause waits, unless the server ends.
func (c *conn) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.srv.quit:
	case <-c.ctx.Done():
	}
}
