package smtp

import (
	"strings"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// EHLO and LHLO, RFC 5321 §4.1.1.1 and RFC 2033 §4.1.
func (c *conn) ehlo(arg string) mail.Reply {
	if r := c.hello(arg, true); r.Code != 0 {
		return r
	}
	text := c.opts.Hostname
	if c.session.Remote.IsValid() {
		text += " greets " + string(wire.Literal(c.session.Remote))
	}
	for _, x := range c.srv.extensions {
		if x.offered != nil && !x.offered(c) {
			continue
		}
		text += "\n" + x.keyword
		if x.args != nil {
			text += " " + x.args(c)
		}
	}
	return mail.Reply{Code: 250, Text: text}
}

// HELO, RFC 5321 §4.1.1.1.
func (c *conn) helo(arg string) mail.Reply {
	if r := c.hello(arg, false); r.Code != 0 {
		return r
	}
	return mail.Reply{Code: 250, Text: c.opts.Hostname}
}

func (c *conn) hello(arg string, extended bool) mail.Reply {
	name, ok := cleanHello(arg)
	if !ok {
		return syntaxReply("say who you are: a domain or an address literal")
	}
	c.endTransaction()
	c.session.Hello, c.session.Extended = name, extended
	c.state = stateReady
	c.opts.Delivery.Meet(c.ctx, &c.session)
	return mail.Reply{}
}

// maxHello is the longest domain, RFC 5321 §4.5.3.1.2.
const maxHello = 255

// cleanHello checks the name of a peer only for what would break the Received
// field: many a client calls itself something that is no domain, and RFC 5321
// §4.1.4 forbids to refuse mail for that.
func cleanHello(arg string) (string, bool) {
	name := strings.TrimRight(arg, " \t") // more than one word is no name, RFC 5321 §4.1.1.1
	if name == "" || len(name) > maxHello {
		return "", false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || strings.IndexByte(`()<>;,"\`, c) >= 0 {
			return "", false
		}
	}
	return name, true
}
