package imap

import (
	"io"
	"strings"

	"posthouse/imap/wire"
	"posthouse/imapurl"
	"posthouse/store"
)

// extCatenate is CATENATE: a message made of pieces, some of them already here, RFC
// 4469 §3.
var extCatenate = &extension{name: "CATENATE", rfc: "RFC 4469",
	appendData: []appendData{{"CATENATE", (*conn).catenate}},
}

// extURLPartial announces ";PARTIAL=" in the URLs of CATENATE, RFC 5550 §5.7.1.
var extURLPartial = &extension{name: "URL-PARTIAL", rfc: "RFC 5550"}

// maxPieces is the most pieces of one message.
const maxPieces = 1000

// catenate reads the pieces and copies them one after another.
func (c *conn) catenate(d *wire.Decoder, u *upload, left int64) (err error) {
	if u.staged, err = c.srv.opts.Store.Stage(c.ctx); err != nil {
		return err
	}
	d.SP()
	d.Open()
	for n := 0; d.Err() == nil; n++ {
		if n >= maxPieces {
			return no("LIMIT", "too many pieces in one message")
		}
		if err := c.piece(d, u.staged, left-u.staged.Size()); err != nil {
			return err
		}
		if !d.Try(' ') {
			break
		}
	}
	if d.Close(); d.Err() != nil {
		return d.Err()
	}
	return u.staged.Finish()
}

// piece reads one cat-part: TEXT, UTF8 (RFC 6855 §4) or URL.
func (c *conn) piece(d *wire.Decoder, to *store.Staged, left int64) error {
	switch word := string(d.Word()); word {
	case "TEXT", "UTF8":
		d.SP()
		if word == "UTF8" {
			d.Expect('(')
		}
		lit := d.Announced()
		if d.Err() == nil && lit.Size > left {
			return no("TOOBIG", "the message is too large") // RFC 4469 §4.2
		}
		if d.Accept(); d.Err() != nil {
			return d.Err()
		}
		if err := c.stream(to, lit.Size); err != nil {
			return err
		}
		if d.Resume(); word == "UTF8" {
			d.Expect(')')
		}
	case "URL":
		d.SP()
		link := d.Astring()
		if d.Err() != nil {
			return d.Err()
		}
		p, ok := imapurl.ParsePiece(link)
		if !ok {
			return badURL(link)
		}
		return c.copyPiece(p, link, to, left)
	default:
		d.Bad("expected TEXT or URL")
	}
	return d.Err()
}

// badURL is BADURL, RFC 4469 §4.1.
func badURL(link string) error {
	shown := strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || r == ']' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, link[:min(len(link), 200)])
	return no(`BADURL "`+shown+`"`, "there is no such message or part")
}

// copyPiece copies the bytes that a URL names. \Seen is not set (RFC 4469 §3).
func (c *conn) copyPiece(p imapurl.Piece, link string, to *store.Staged, left int64) error {
	var email *store.Email
	acct := c.sel.acct
	t := target{}
	if p.Mailbox != "" {
		var err error
		if t, err = c.target(p.Mailbox); err != nil {
			return badURL(link)
		}
		acct = t.acct
	} else if c.state != stateSelected {
		return badURL(link)
	}
	err := acct.View(c.ctx, func(v *store.View) error {
		var box *store.Mailbox
		var err error
		if p.Mailbox != "" {
			box, err = t.mailbox(v)
		} else {
			box, err = v.MailboxByID(c.sel.mailbox)
		}
		if err != nil || box.NoSelect || p.Validity != 0 && p.Validity != box.UIDValidity {
			return badURL(link)
		}
		snap, err := v.Snapshot(box.ID)
		if err != nil {
			return err
		}
		i, found := snap.Search(p.UID)
		if !found {
			return badURL(link)
		}
		email, err = v.Email(snap.Row(i).Email)
		return err
	})
	if err != nil {
		return err
	}
	r, ok, err := p.In(email)
	if err != nil {
		return err
	}
	if !ok {
		return badURL(link)
	}
	if r.Len() > left {
		return no("TOOBIG", "the message is too large")
	}
	body, err := acct.Open(c.ctx, email)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	_, err = io.Copy(to, io.NewSectionReader(body, r.Start, r.Len()))
	return err
}
