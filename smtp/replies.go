package smtp

import (
	"errors"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// Replies that several files give.
var (
	replyOK             = mail.Reply{Code: 250, Enhanced: [3]uint8{2, 0, 0}, Text: "Ok"}
	replyUnknownCommand = mail.Reply{Code: 500, Enhanced: [3]uint8{5, 5, 1}, Text: "Command not recognised"}
	replyNotImplemented = mail.Reply{Code: 502, Enhanced: [3]uint8{5, 5, 1}, Text: "Command not implemented"}
	replyLongLine       = mail.Reply{Code: 500, Enhanced: [3]uint8{5, 5, 6}, Text: "Line too long"}
	replyBareLine       = mail.Reply{Code: 500, Enhanced: [3]uint8{5, 5, 2}, Text: "Lines end in CRLF and hold no other CR, LF or NUL"}
	replyUnknownParam   = mail.Reply{Code: 555, Enhanced: [3]uint8{5, 5, 4}, Text: "Parameter not recognised"}
	replyNoArgument     = mail.Reply{Code: 501, Enhanced: [3]uint8{5, 5, 4}, Text: "This command has no argument"}
	replyNeedLogin      = mail.Reply{Code: 530, Enhanced: [3]uint8{5, 7, 0}, Text: "Authentication required"}
	replyNeedTLS        = mail.Reply{Code: 530, Enhanced: [3]uint8{5, 7, 0}, Text: "Must issue a STARTTLS command first"}
	replyTooLarge       = mail.Reply{Code: 552, Enhanced: [3]uint8{5, 3, 4}, Text: "The message is too large"}
	replyTooManyRcpts   = mail.Reply{Code: 452, Enhanced: [3]uint8{4, 5, 3}, Text: "Too many recipients"}
	replyNoRecipient    = mail.Reply{Code: 503, Enhanced: [3]uint8{5, 5, 1}, Text: "No recipient was accepted"}
	replyNeedUTF8       = mail.Reply{Code: 553, Enhanced: [3]uint8{5, 6, 7}, Text: "The address needs SMTPUTF8"}

	// Those that end the connection.
	replyShutdown    = mail.Reply{Code: 421, Enhanced: [3]uint8{4, 3, 2}, Text: "Shutting down, come again"}
	replyTimeout     = mail.Reply{Code: 421, Enhanced: [3]uint8{4, 4, 2}, Text: "Timeout"}
	replySessionOver = mail.Reply{Code: 421, Enhanced: [3]uint8{4, 7, 0}, Text: "This connection has had its share, make a new one"}
	replyTooManyBad  = mail.Reply{Code: 421, Enhanced: [3]uint8{4, 7, 0}, Text: "Too many errors"}
	replyBusy        = mail.Reply{Code: 421, Enhanced: [3]uint8{4, 7, 0}, Text: "Too many connections from your address, come again later"}
	replyBug         = mail.Reply{Code: 421, Enhanced: [3]uint8{4, 3, 0}, Text: "Internal error, come again later"}
)

func syntaxReply(text string) mail.Reply {
	return mail.Reply{Code: 501, Enhanced: [3]uint8{5, 5, 4}, Text: "Syntax: " + text}
}

// syntaxErrorReply is what the peer hears of an error of wire.
func syntaxErrorReply(err error) mail.Reply {
	var se *wire.SyntaxError
	if errors.As(err, &se) {
		return syntaxReply(se.Text)
	}
	return syntaxReply("not understood")
}

// isBadCommand reports a reply that says that the peer does not know SMTP, not that
// its mail is unwelcome.
func isBadCommand(r mail.Reply) bool {
	switch r.Code {
	case 500, 501, 502, 503, 504, 538, 555:
		return true
	}
	return false
}
