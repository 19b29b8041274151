package smtp

import (
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// 8BITMIME, RFC 6152. Its BODY parameter has the value of BINARYMIME too.
var ext8BitMIME = &extension{keyword: "8BITMIME", rfc: "RFC 6152",
	mailParams: []param{{"BODY", func(_ *conn, e *envelope, p wire.Param) mail.Reply {
		body, err := wire.ParseBody(p.Value)
		if err != nil {
			return syntaxErrorReply(err)
		}
		e.mail.Body = body
		return mail.Reply{}
	}}},
}
