package smtp

import (
	"context"
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
		for _, m := range sasl.Mechanisms() {
			names = append(names, m.Name)
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

// mayLogin: passwords do not travel in the clear.
func (c *conn) mayLogin() bool {
	return c.srv.opts.Authenticator != nil && (c.session.TLS != nil || c.srv.opts.AllowPlaintextLogin)
}

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
	case !c.face.login || c.srv.opts.Authenticator == nil:
		return replyNotImplemented
	case c.session.Account != nil:
		return replyHaveLogin
	case name == "":
		return syntaxReply("AUTH mechanism [initial-response]")
	case !known:
		return replyNoMechanism
	case mech.Plaintext && !c.mayLogin():
		return replyEncrypt
	}
	var account directory.Account
	server := mech.Server(func(ctx context.Context, cr sasl.Credentials) (err error) {
		account, err = c.srv.opts.Authenticator.Authenticate(ctx, cr.Login, cr.Password, c.session.Remote)
		return err
	})
	var response []byte
	if hasInitial {
		var err error
		if response, err = sasl.Decode([]byte(strings.TrimSpace(initial))); err != nil {
			return saslReply(err)
		}
	}
	return c.exchange(server, response, &account)
}

// exchange runs challenges and responses to their end.
func (c *conn) exchange(server sasl.Server, response []byte, account *directory.Account) mail.Reply {
	for {
		challenge, done, err := server.Next(c.ctx, response)
		switch {
		case err != nil:
			return c.loginFailed(err)
		case done:
			c.session.Account = account
			c.badCommands, c.failedLogins = 0, 0
			c.srv.stats.logins.Add(1)
			return replyLoggedIn
		}
		c.out = append(sasl.AppendEncoded(append(c.out, "334 "...), challenge), "\r\n"...)
		line, err := wire.ReadLine(c.r, c.srv.opts.Limits.AuthLine)
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
// ones later and later, and a few only.
func (c *conn) loginFailed(err error) mail.Reply {
	switch mail.KindOf(err) {
	case mail.Invalid:
		return replyBadResponse
	case mail.Denied, mail.NotFound:
	default:
		c.srv.opts.Logger.Warn("login could not be checked", "face", c.face.name, "remote", c.session.Remote, "err", err)
		return replyNoLoginNow
	}
	l := &c.srv.opts.Limits
	c.failedLogins++
	c.srv.stats.failedLogins.Add(1)
	c.srv.opts.Logger.Info("login failed", "face", c.face.name, "remote", c.session.Remote, "tries", c.failedLogins)
	if c.failedLogins >= l.FailedLogins {
		c.write(replyBadLogin)
		c.end(replyTooManyBad)
		return mail.Reply{}
	}
	c.pause(l.LoginPause << min(c.failedLogins-1, 10))
	return replyBadLogin
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
