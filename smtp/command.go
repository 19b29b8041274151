package smtp

import (
	"slices"
	"strings"

	"posthouse/mail"
)

// A command is one row of the command table. What is true of it, in which states
// it may come and who may give it, is data in the row, so that one place decides
// it for all.
type command struct {
	verb string
	in   state
	flag flags
	// run returns the reply; one without a code means that it was written already.
	run func(c *conn, arg string) mail.Reply
}

// A state is how far a session has come.
type state uint8

const (
	stateStart state = 1 << iota // no hello yet
	stateReady                   // between transactions
	stateMail                    // MAIL was accepted
	stateRcpt                    // a recipient was accepted
	stateChunk                   // BDAT has begun

	anyState   = stateStart | stateReady | stateMail | stateRcpt | stateChunk
	stateHello = anyState &^ stateStart
)

type flags uint8

const (
	withLogin flags = 1 << iota // only after login, on faces that have it
	onlySMTP                    // not on LMTP
	onlyLMTP                    // only there
	ownState                    // judges its state itself: it must read what follows in any case
)

// baseCommands are those of RFC 5321 §4.1.1.
var baseCommands = []command{
	{"EHLO", anyState, onlySMTP, (*conn).ehlo},
	{"HELO", anyState, onlySMTP, (*conn).helo},
	{"LHLO", anyState, onlyLMTP, (*conn).ehlo},
	{"MAIL", stateReady, withLogin, (*conn).mail},
	{"RCPT", stateMail | stateRcpt, withLogin, (*conn).rcpt},
	{"DATA", stateMail | stateRcpt, withLogin, (*conn).dataCommand},
	{"RSET", anyState, 0, (*conn).rset},
	{"NOOP", anyState, 0, func(*conn, string) mail.Reply { return replyOK }},
	{"QUIT", anyState, 0, (*conn).quit},
	{"VRFY", anyState, withLogin, (*conn).vrfy},
	{"EXPN", anyState, withLogin, func(*conn, string) mail.Reply { return replyNotImplemented }},
	{"HELP", anyState, 0, (*conn).help},
}

// wrongState is what a peer is missing, by the state it is in.
func wrongState(s state) mail.Reply {
	r := mail.Reply{Code: 503, Enhanced: [3]uint8{5, 5, 1}}
	switch s {
	case stateStart:
		r.Text = "Say hello first"
	case stateReady:
		r.Text = "Send MAIL first"
	case stateChunk:
		r.Text = "A message is under way: end it with BDAT LAST or RSET"
	default:
		r.Text = "A transaction is under way"
	}
	return r
}

// allow reports why cmd may not run now, or a reply without a code.
func (c *conn) allow(cmd *command) mail.Reply {
	switch {
	case cmd.run == nil,
		cmd.flag&onlySMTP != 0 && c.face.lmtp,
		cmd.flag&onlyLMTP != 0 && !c.face.lmtp:
		return replyUnknownCommand
	case cmd.flag&ownState != 0:
		return mail.Reply{}
	}
	return c.allowState(cmd)
}

func (c *conn) allowState(cmd *command) mail.Reply {
	switch {
	case cmd.flag&withLogin != 0 && c.face.login && c.session.Account == nil:
		if !c.mayLogin() {
			return replyNeedTLS
		}
		return replyNeedLogin
	case cmd.in&c.state == 0:
		return wrongState(c.state)
	}
	return mail.Reply{}
}

// RSET, RFC 5321 §4.1.1.5.
func (c *conn) rset(string) mail.Reply {
	c.endTransaction()
	return replyOK
}

// QUIT, RFC 5321 §4.1.1.10.
func (c *conn) quit(string) mail.Reply {
	c.done = true
	return mail.Reply{Code: 221, Enhanced: [3]uint8{2, 0, 0}, Text: "Bye"}
}

// VRFY, RFC 5321 §4.1.1.6: it tells strangers nothing (§7.3).
func (c *conn) vrfy(arg string) mail.Reply {
	if arg == "" {
		return syntaxReply("use VRFY address")
	}
	return mail.Reply{Code: 252, Enhanced: [3]uint8{2, 0, 0}, Text: "Send it and see"}
}

// HELP, RFC 5321 §4.1.1.8.
func (c *conn) help(string) mail.Reply {
	verbs := slices.Clone(c.srv.baseVerbs)
	for _, x := range c.srv.extensions {
		if x.offered != nil && !x.offered(c) {
			continue
		}
		for _, cmd := range x.commands {
			verbs = append(verbs, cmd.verb)
		}
	}
	return mail.Reply{Code: 214, Enhanced: [3]uint8{2, 0, 0}, Text: "This is Posthouse. Commands:\n" + strings.Join(verbs, " ")}
}
