package smtp

import (
	"strconv"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// SIZE, RFC 1870: what is declared too large is refused at MAIL, what turns out to
// be so at the end of the data.
var extSize = &extension{keyword: "SIZE", rfc: "RFC 1870",
	args: func(c *conn) string {
		if c.opts.Limits.Message == endless {
			return "0" // RFC 1870 §4: no fixed limit
		}
		return strconv.FormatInt(c.opts.Limits.Message, 10)
	},
	mailParams: []param{{"SIZE", func(c *conn, e *envelope, p wire.Param) mail.Reply {
		// A number too long for an int64 is refused like any other that is too large.
		n, err := strconv.ParseInt(p.Value, 10, 64)
		if len(p.Value) > 20 || !isDigits(p.Value) {
			return syntaxReply("SIZE=octets")
		}
		if err != nil || n > c.opts.Limits.Message {
			return replyTooLarge
		}
		e.size, e.mail.Size = n, n
		return mail.Reply{}
	}}},
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
