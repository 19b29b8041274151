package smtp

import (
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// SMTPUTF8, RFC 6531 §3.4.
var extSMTPUTF8 = &extension{keyword: "SMTPUTF8", rfc: "RFC 6531",
	mailParams: []param{{"SMTPUTF8", func(_ *conn, e *envelope, p wire.Param) mail.Reply {
		if p.HasValue {
			return syntaxReply("SMTPUTF8 has no value")
		}
		e.mail.UTF8 = true
		return mail.Reply{}
	}}},
}
