package smtp

import (
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// extensions lists what this server speaks beyond RFC 5321, in the order in which
// EHLO names it. To add one, write its param_*.go and its transcript, and add it
// here.
func extensions() []*extension {
	return []*extension{
		extPipelining,
		extSize,
		ext8BitMIME,
		extEnhancedStatusCodes,
		extSMTPUTF8,
		extDSN,
		extChunking,
		extBinaryMIME,
		extBURL,
		extDeliverBy,
		extFutureRelease,
		extPriority,
		extRequireTLS,
		extLimits,
		extStartTLS,
		extAuth,
		extXClient,
	}
}

// An extension is everything one EHLO keyword adds. A nil field adds nothing. If
// an extension needs to reach what no field offers, add the field.
type extension struct {
	keyword string // as in EHLO
	rfc     string
	// offered says whether the keyword stands in the reply to EHLO now; nil: always.
	offered func(c *conn) bool
	// args are what follows the keyword; nil: nothing.
	args       func(c *conn) string
	commands   []command
	mailParams []param
	rcptParams []param
}

// A param is one parameter of MAIL or RCPT.
type param struct {
	keyword string
	// apply judges the parameter and puts its value where it belongs. A reply with a
	// code refuses the command.
	apply func(c *conn, e *envelope, p wire.Param) mail.Reply
}

// An envelope is what one MAIL or RCPT is about.
type envelope struct {
	mail *mail.Envelope
	rcpt *mail.Recipient // nil in MAIL
	size int64           // of SIZE; 0: not given
	// lowered: the priority is not what was asked for.
	lowered bool
}

// applyParams applies the parameters of a command from its table.
func (c *conn) applyParams(table map[string]param, e *envelope, ps wire.Params) mail.Reply {
	for _, p := range ps {
		row, known := table[p.Keyword]
		if !known || !c.session.Extended { // parameters are for those who said EHLO
			return replyUnknownParam
		}
		if r := row.apply(c, e, p); r.Code != 0 {
			return r
		}
	}
	return mail.Reply{}
}
