package imap

import (
	"io"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"posthouse/imap/wire"
	"posthouse/message"
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
		p, ok := parsePieceURL(link)
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

// A pieceURL is an imessagepart of RFC 5092 §11 on this server.
type pieceURL struct {
	mailbox  string // "": the selected one
	validity uint32
	uid      store.UID
	section  section
}

// parsePieceURL parses a URL without scheme and server.
func parsePieceURL(link string) (p pieceURL, ok bool) {
	at := indexFold(link, ";UID=")
	if at < 0 {
		return p, false
	}
	box, rest := strings.TrimSuffix(link[:at], "/"), link[at+len(";UID="):]
	if i := indexFold(box, ";UIDVALIDITY="); i >= 0 {
		n, err := strconv.ParseUint(box[i+len(";UIDVALIDITY="):], 10, 32)
		if err != nil || n == 0 {
			return p, false
		}
		p.validity, box = uint32(n), box[:i]
	}
	if box != "" {
		if box[0] != '/' || strings.HasPrefix(box, "//") {
			return p, false
		}
		var err error
		if p.mailbox, err = url.PathUnescape(box[1:]); err != nil || !utf8.ValidString(p.mailbox) {
			return p, false
		}
	}
	number, rest, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 {
		return p, false
	}
	p.uid = store.UID(n)
	return p, p.section.parseURL(rest)
}

// parseURL parses ";SECTION=…" and ";PARTIAL=…" behind the UID.
func (s *section) parseURL(rest string) bool {
	if rest == "" {
		return true
	}
	for part := range strings.SplitSeq(rest, "/") {
		name, value, _ := strings.Cut(part, "=")
		value, err := url.PathUnescape(value)
		if err != nil || value == "" {
			return false
		}
		switch strings.ToUpper(name) {
		case ";SECTION":
			if !s.parseSpec(value) {
				return false
			}
		case ";PARTIAL":
			first, count, limited := strings.Cut(value, ".")
			a, err := strconv.ParseInt(first, 10, 64)
			b := int64(1<<62 - 1)
			if err == nil && limited {
				b, err = strconv.ParseInt(count, 10, 63)
			}
			if err != nil || a < 0 || b <= 0 {
				return false
			}
			s.partial, s.first, s.count = true, a, b
		default: // ";URLAUTH=" among them
			return false
		}
	}
	return true
}

// parseSpec parses a section as in BODY[section], but for header fields.
func (s *section) parseSpec(text string) bool {
	words := strings.Split(strings.ToUpper(text), ".")
	for len(words) > 0 {
		n, err := strconv.ParseUint(words[0], 10, 31)
		if err != nil || n == 0 || len(s.path) > 100 {
			break
		}
		s.path, words = append(s.path, int(n)), words[1:]
	}
	switch strings.Join(words, ".") {
	case "":
	case "HEADER":
		s.spec = message.SpecHeader
	case "TEXT":
		s.spec = message.SpecText
	case "MIME":
		s.spec = message.SpecMIME
		return len(s.path) > 0
	default:
		return false
	}
	return true
}

// indexFold finds part without regard to case.
func indexFold(s, part string) int {
	for i := 0; i+len(part) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(part)], part) {
			return i
		}
	}
	return -1
}

// copyPiece copies the bytes that a URL names. \Seen is not set (RFC 4469 §3).
func (c *conn) copyPiece(p pieceURL, link string, to *store.Staged, left int64) error {
	var m fetched
	acct := c.sel.acct
	t := target{}
	if p.mailbox != "" {
		var err error
		if t, err = c.target(p.mailbox); err != nil {
			return badURL(link)
		}
		acct = t.acct
	} else if c.state != stateSelected {
		return badURL(link)
	}
	err := acct.View(c.ctx, func(v *store.View) error {
		var box *store.Mailbox
		var err error
		if p.mailbox != "" {
			box, err = t.mailbox(v)
		} else {
			box, err = v.MailboxByID(c.sel.mailbox)
		}
		if err != nil || box.NoSelect || p.validity != 0 && p.validity != box.UIDValidity {
			return badURL(link)
		}
		snap, err := v.Snapshot(box.ID)
		if err != nil {
			return err
		}
		i, found := snap.Search(p.uid)
		if !found {
			return badURL(link)
		}
		m.email, err = v.Email(snap.Row(i).Email)
		return err
	})
	if err != nil {
		return err
	}
	f := fetch{c: c}
	r, ok := f.section(&m, p.section.path, p.section.spec)
	if !ok {
		return badURL(link)
	}
	if p.section.partial {
		r = r.Cut(p.section.first, p.section.count)
	}
	if r.Len() > left {
		return no("TOOBIG", "the message is too large")
	}
	body, err := acct.Open(c.ctx, m.email)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	_, err = io.Copy(to, io.NewSectionReader(body, r.Start, r.Len()))
	return err
}
