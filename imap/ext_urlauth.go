package imap

import (
	"context"
	"strings"

	"posthouse/imap/wire"
	"posthouse/imapurl"
	"posthouse/mail"
)

// URLs sign URLs of messages and read what they name; [imapurl.Service] does.
type URLs interface {
	// Sign appends to each URL of owner's messages the proof that it may be used; Invalid.
	Sign(ctx context.Context, owner mail.AccountID, links []string) ([]string, error)
	// Revoke voids all that was signed for a mailbox of owner, RevokeAll for all of them.
	Revoke(ctx context.Context, owner mail.AccountID, mailbox string) error
	RevokeAll(ctx context.Context, owner mail.AccountID) error
	// Open opens what a URL names; Invalid, Denied or NotFound if it names nothing for r.
	Open(ctx context.Context, link string, r imapurl.Reader) (*imapurl.Content, error)
}

// extURLAuth is URLAUTH: URLs that let others read one part of one message, RFC 4467
// §7. Keys are those of the mailboxes of one's own account.
var extURLAuth = &extension{name: "URLAUTH", rfc: "RFC 4467",
	when: func(o *Options) bool { return o.URLs != nil },
	commands: []command{
		{"GENURLAUTH", loggedIn, tellAll, false, (*conn).genURLAuth},
		{"RESETKEY", loggedIn, tellAll, false, (*conn).resetKey},
		{"URLFETCH", loggedIn, tellAll, false, (*conn).urlFetch},
	},
	onSelect: func(c *conn, p *place) {
		if p.acct == c.acct { // RFC 4467 §8
			c.untagged("OK [URLMECH ", imapurl.Internal, "] URLs may be signed")
		}
	},
}

// readURLs reads one URL or more; pair reads what belongs to each.
func (c *conn) readURLs(d *wire.Decoder, pair func()) []string {
	var links []string
	for d.Err() == nil && (len(links) == 0 || !d.AtEnd()) {
		if len(links) >= c.lim.FetchItems {
			d.Bad("too many URLs")
			break
		}
		d.SP()
		links = append(links, d.Astring())
		pair()
	}
	d.End()
	return links
}

// GENURLAUTH, RFC 4467 §7.
func (c *conn) genURLAuth(d *wire.Decoder) error {
	known := true
	links := c.readURLs(d, func() {
		d.SP()
		known = strings.EqualFold(d.Atom(), imapurl.Internal) && known
	})
	if d.Err() != nil {
		return d.Err()
	}
	if !known {
		return bad("the only mechanism is " + imapurl.Internal)
	}
	signed, err := c.srv.opts.URLs.Sign(c.ctx, c.user.ID, links)
	if err != nil {
		if mail.KindOf(err) == mail.Invalid {
			return bad(err.Error())
		}
		return err
	}
	c.say("* GENURLAUTH")
	for _, link := range signed {
		c.out = wire.AppendString(append(c.out, ' '), link, false)
	}
	c.say("\r\n")
	return nil
}

// RESETKEY, RFC 4467 §7. A mechanism that is not ours has no key here.
func (c *conn) resetKey(d *wire.Decoder) error {
	if d.AtEnd() {
		if d.End(); d.Err() != nil {
			return d.Err()
		}
		c.okText = "all keys removed"
		return c.srv.opts.URLs.RevokeAll(c.ctx, c.user.ID)
	}
	d.SP()
	path := c.mailbox(d)
	known := true
	for d.Try(' ') {
		known = strings.EqualFold(d.Atom(), imapurl.Internal) && known
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if !known {
		return no("CANNOT", "the only mechanism is "+imapurl.Internal)
	}
	t, err := c.target(path)
	if err != nil {
		return err
	}
	if t.acct != c.acct {
		return no("NOPERM", "keys are those of one's own mailboxes")
	}
	if err := c.srv.opts.URLs.Revoke(c.ctx, c.user.ID, t.path); err != nil {
		return err
	}
	c.okCode = "URLMECH " + imapurl.Internal
	return nil
}

// URLFETCH, RFC 4467 §7: what names nothing, or may not be read, is NIL.
func (c *conn) urlFetch(d *wire.Decoder) error {
	links := c.readURLs(d, func() {})
	if d.Err() != nil {
		return d.Err()
	}
	for _, link := range links { // one response for each: what is large goes out before the next is opened
		if err := c.sayURL(link); err != nil {
			return err
		}
		if err := c.drain(); err != nil {
			return err
		}
	}
	return nil
}

// sayURL tells what one URL names.
func (c *conn) sayURL(link string) error {
	content, err := c.srv.opts.URLs.Open(c.ctx, link, imapurl.Reader{Account: c.user.ID})
	switch mail.KindOf(err) {
	case mail.Invalid, mail.Denied, mail.NotFound:
		content = nil
	default:
		if err != nil {
			return err
		}
	}
	c.say("* URLFETCH ")
	c.out = append(wire.AppendAstring(c.out, link, c.dia.utf8()), ' ')
	if content == nil || err != nil {
		c.say("NIL\r\n")
		return nil
	}
	defer func() { _ = content.Close() }()
	c.out = c.copyOut(wire.AppendLiteral(c.out, content.Size()), content, content.Size())
	c.say("\r\n")
	return nil
}
