package smtp

import (
	"net/netip"
	"strings"

	"posthouse/delivery"
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// XCLIENT, Postfix's XCLIENT_README: a filter or proxy in front of us says for whom it
// speaks. Only the hosts of Options.XClient may, and nobody else is told of it.
var extXClient = &extension{keyword: verbXClient, rfc: "",
	offered:  func(c *conn) bool { return c.mayProxy() },
	args:     func(*conn) string { return "NAME ADDR PORT PROTO HELO DESTADDR DESTPORT" },
	commands: []command{{verbXClient, stateStart | stateReady, 0, (*conn).xclient}},
}

const verbXClient = "XCLIENT"

var replyNotProxy = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "You may not speak for others"}

func contains(list []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// mayProxy judges the peer itself, whoever it has spoken for before.
func (c *conn) mayProxy() bool {
	return !c.face.lmtp && contains(c.opts.XClient, remoteAddr(c.raw))
}

// xclient makes the session that of another client, which begins anew.
func (c *conn) xclient(arg string) mail.Reply {
	if !c.mayProxy() {
		return replyNotProxy
	}
	next := c.session.Remote
	hello, extended := "", true
	for attr := range strings.FieldsSeq(arg) {
		name, raw, ok := strings.Cut(attr, "=")
		value, err := wire.DecodeXtext(raw)
		if !ok || err != nil {
			return syntaxReply("XCLIENT name=value …")
		}
		known := !strings.EqualFold(value, "[UNAVAILABLE]") && !strings.EqualFold(value, "[TEMPUNAVAIL]")
		switch strings.ToUpper(name) {
		case "ADDR":
			next = netip.Addr{}
			if known {
				if next, err = parseXAddr(value); err != nil {
					return syntaxReply("ADDR=address")
				}
			}
		case "HELO":
			if known {
				if hello, ok = cleanHello(value); !ok {
					return syntaxReply("HELO=name")
				}
			}
		case "PROTO":
			extended = !strings.EqualFold(value, "SMTP")
		case "NAME", "PORT", "DESTADDR", "DESTPORT": // we ask DNS ourselves, and need no ports
		default: // LOGIN too: who logs in says so to us
			return syntaxReply("XCLIENT with NAME, ADDR, PORT, PROTO, HELO, DESTADDR or DESTPORT")
		}
	}
	c.endTransaction()
	if !c.become(next) {
		c.end(replyBusy)
		return mail.Reply{}
	}
	if hello != "" { // it stands for the hello that the client said to the proxy
		c.session.Hello, c.session.Extended = hello, extended
	}
	return c.greeting()
}

func parseXAddr(s string) (netip.Addr, error) {
	if len(s) > 5 && strings.EqualFold(s[:5], "IPV6:") {
		s = s[5:]
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err
}

// become makes the session that of a client at another address, and counts it there.
// It is false if that has too many connections.
func (c *conn) become(a netip.Addr) bool {
	c.srv.leave(c)
	c.session = delivery.Session{Origin: c.face.origin, Remote: a, TLS: c.session.TLS, Early: c.session.Early}
	c.state, c.failedLogins = stateStart, 0
	return c.srv.enter(c)
}
