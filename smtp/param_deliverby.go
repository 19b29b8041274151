package smtp

import (
	"strconv"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// DELIVERBY, RFC 2852: the wish travels with the envelope, the queue keeps it. What
// is delivered here is delivered at once, so there is no least time.
var extDeliverBy = &extension{keyword: "DELIVERBY", rfc: "RFC 2852",
	offered:    func(c *conn) bool { return !c.face.lmtp },
	mailParams: []param{{"BY", paramBy}},
}

// maxByTime is nine digits, RFC 2852 §4.
const maxByTime = 999_999_999

func paramBy(c *conn, e *envelope, p wire.Param) mail.Reply {
	number, mode, ok := strings.Cut(p.Value, ";")
	digits := strings.TrimPrefix(strings.TrimPrefix(number, "-"), "+")
	n, err := strconv.ParseInt(number, 10, 64)
	mode = strings.ToUpper(mode)
	byReturn := strings.HasPrefix(mode, "R")
	switch {
	case !ok || err != nil || !isDigits(digits) || len(digits) > 9:
		return syntaxReply("BY=seconds;mode")
	case mode != "R" && mode != "N" && mode != "RT" && mode != "NT":
		return syntaxReply("BY=seconds;R or BY=seconds;N")
	case byReturn && n <= 0: // RFC 2852 §4
		return syntaxReply("a message cannot be returned before it came")
	}
	e.mail.DeliverBy = c.opts.Now().Add(time.Duration(min(n, maxByTime)) * time.Second)
	e.mail.ByReturn, e.mail.ByTrace = byReturn, strings.HasSuffix(mode, "T")
	return mail.Reply{}
}
