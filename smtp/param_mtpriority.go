package smtp

import (
	"strconv"
	"strings"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// MT-PRIORITY, RFC 6710. Who has not logged in may lower the priority of his mail, not
// raise it (RFC 6710 §4.1).
var extPriority = &extension{keyword: "MT-PRIORITY", rfc: "RFC 6710",
	mailParams: []param{{"MT-PRIORITY", func(c *conn, e *envelope, p wire.Param) mail.Reply {
		n, err := strconv.Atoi(p.Value)
		if err != nil || n < -9 || n > 9 || !isDigits(strings.TrimPrefix(p.Value, "-")) || len(p.Value) > 2 {
			r := syntaxReply("MT-PRIORITY=-9 to 9")
			r.Enhanced = [3]uint8{5, 5, 2}
			return r
		}
		if n > 0 && c.session.Account == nil && !c.face.trusted {
			n, e.lowered = 0, true
		}
		e.mail.Priority = int8(n)
		return mail.Reply{}
	}}},
}

// replyLowered tells who asked for more what the priority is, RFC 6710 §4.1.
var replyLowered = mail.Reply{Code: 250, Enhanced: [3]uint8{2, 3, 6}, Text: "0 is the new priority of the message"}
