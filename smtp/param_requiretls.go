package smtp

import (
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// REQUIRETLS, RFC 8689: offered where the session itself has TLS. The queue passes the
// message on over verified TLS only, to servers that promise the same.
var extRequireTLS = &extension{keyword: "REQUIRETLS", rfc: "RFC 8689",
	offered: func(c *conn) bool { return c.session.TLS != nil },
	mailParams: []param{{"REQUIRETLS", func(c *conn, e *envelope, p wire.Param) mail.Reply {
		switch {
		case p.HasValue:
			return syntaxReply("REQUIRETLS has no value")
		case c.session.TLS == nil: // RFC 8689 §4.1
			return replyNeedTLS
		}
		e.mail.RequireTLS = true
		return mail.Reply{}
	}}},
}
