package smtp

import (
	"context"
	"errors"
	"strings"

	"posthouse/imapurl"
	"posthouse/mail"
)

// URLs read what a URL of a message on this server names; [imapurl.Service] does.
type URLs interface {
	Open(ctx context.Context, link string, r imapurl.Reader) (*imapurl.Content, error)
}

// BURL, RFC 4468 §3: what is on this server already need not be sent again. It is for
// those who have logged in, and names URLs of this server only.
var extBURL = &extension{keyword: verbBurl, rfc: "RFC 4468",
	offered: func(c *conn) bool { return c.face.login && c.opts.URLs != nil && c.session.Account != nil },
	args:    func(c *conn) string { return "imap imap://" + c.opts.Hostname },
	commands: []command{{verbBurl, stateRcpt | stateChunk, ownState | withLogin, func(c *conn, arg string) mail.Reply {
		if !c.face.login || c.opts.URLs == nil {
			return replyUnknownCommand
		}
		return c.burl(arg)
	}}},
}

const verbBurl = "BURL"

var (
	replyBurlWait    = mail.Reply{Code: 250, Enhanced: [3]uint8{2, 5, 0}, Text: "Waiting for more BURL or BDAT"}
	replyBurlSyntax  = syntaxReply("use BURL url [LAST]")
	replyBurlDenied  = mail.Reply{Code: 554, Enhanced: [3]uint8{5, 7, 0}, Text: "IMAP URL authorization failed"}
	replyBurlForeign = mail.Reply{Code: 554, Enhanced: [3]uint8{5, 7, 8}, Text: "URL resolution requires trust relationship"}
	replyBurlMissing = mail.Reply{Code: 554, Enhanced: [3]uint8{5, 6, 6}, Text: "IMAP URL resolution failed"}
	replyBurlLater   = mail.Reply{Code: 451, Enhanced: [3]uint8{4, 4, 1}, Text: "The message store is unavailable"}
	replyBurlTooBig  = mail.Reply{Code: 554, Enhanced: [3]uint8{5, 3, 4}, Text: "The message is too large"}
)

// BURL, RFC 4468 §3.2. One that fails is a hole in the message: the whole of it is
// refused, whatever was pipelined behind.
func (c *conn) burl(arg string) mail.Reply {
	link, word, more := strings.Cut(arg, " ")
	word = strings.TrimSpace(word)
	last := strings.EqualFold(word, "LAST")
	refused := c.beginChunk()
	if c.state != stateChunk {
		return refused
	}
	if refused.Code == 0 && (link == "" || more && !last) {
		refused = replyBurlSyntax
	}
	if refused.Code == 0 {
		refused = c.fetchURL(link)
	}
	if c.done {
		return refused
	}
	return c.endChunk(refused, last, replyBurlWait)
}

// fetchURL adds what a URL names to the message.
func (c *conn) fetchURL(link string) mail.Reply {
	content, err := c.opts.URLs.Open(c.ctx, link, imapurl.Reader{Account: c.session.Account.ID, Submission: true})
	if err != nil {
		return c.burlFailed(err)
	}
	defer func() { _ = content.Close() }()
	if content.Size() > c.opts.Limits.Message-c.tx.Size() {
		return replyBurlTooBig
	}
	var refused mail.Reply
	buf := make([]byte, min(content.Size(), readBuffer))
	for left := content.Size(); left > 0 && refused.Code == 0; {
		n, err := content.Read(buf)
		c.chunks.Check(buf[:n])
		if refused = c.take(buf[:n], refused); err != nil && refused.Code == 0 && int64(n) < left {
			return c.burlFailed(err)
		}
		left -= int64(n)
	}
	return refused
}

// burlFailed is the reply to a URL that could not be read, RFC 4468 §6.
func (c *conn) burlFailed(err error) mail.Reply {
	switch {
	case errors.Is(err, imapurl.ErrForeign):
		return replyBurlForeign
	case mail.KindOf(err) == mail.Denied:
		return replyBurlDenied
	case mail.KindOf(err) == mail.NotFound, mail.KindOf(err) == mail.Invalid:
		return replyBurlMissing
	}
	c.opts.Logger.Warn("a message could not be read for BURL", "remote", c.session.Remote, "account", uint64(c.session.Account.ID), "err", err)
	return replyBurlLater
}
