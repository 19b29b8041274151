package imap

import (
	"strings"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// extACL is ACL: who may do what with a mailbox, RFC 4314 §3. What a right allows is
// decided in the store, for every command at once.
var extACL = &extension{name: "ACL", rfc: "RFC 4314",
	when: shares,
	commands: []command{
		{"SETACL", loggedIn, tellAll, false, (*conn).setACL},
		{"DELETEACL", loggedIn, tellAll, false, (*conn).deleteACL},
		{"GETACL", loggedIn, tellAll, false, (*conn).aclCmd},
		{"LISTRIGHTS", loggedIn, tellAll, false, (*conn).listRights},
		{"MYRIGHTS", loggedIn, tellAll, false, (*conn).myRights},
	},
}

// extRights announces the rights beside those of RFC 2086, RFC 4314 §2.2.
var extRights = &extension{name: "RIGHTS=kxten", rfc: "RFC 4314", when: shares}

// extListMyRights is LIST-MYRIGHTS, RFC 8440 §3.
var extListMyRights = &extension{name: "LIST-MYRIGHTS", rfc: "RFC 8440",
	when:       shares,
	listReturn: []listOption{{"MYRIGHTS", func(_ *conn, _ *wire.Decoder, o *listOptions) { o.myRights = true }}},
}

// shares reports whether mailboxes can be shared here.
func shares(o *Options) bool { return o.Neighbours != nil }

// maxIdentifier is more than the longest address.
const maxIdentifier = 400

// mailboxAndIdentifier reads what most commands of RFC 4314 §3 begin with.
func (c *conn) mailboxAndIdentifier(d *wire.Decoder) (string, store.Grant) {
	d.SP()
	name := c.mailbox(d)
	d.SP()
	return name, c.identifier(d)
}

// identifier reads who is meant, RFC 4314 §3: an address, "anyone", or either with a
// minus before it, which takes rights away.
func (c *conn) identifier(d *wire.Decoder) (g store.Grant) {
	text := d.Astring()
	text, g.Negative = strings.CutPrefix(text, "-")
	switch {
	case d.Err() != nil:
		return g
	case strings.EqualFold(text, "anyone"):
		g.Who = store.Anyone
		return g
	case len(text) > maxIdentifier:
		d.Fail(errNobody)
		return g
	}
	a := mail.Address{Local: text, Domain: c.user.Address.Domain}
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		a.Local, a.Domain = text[:at], mail.Domain(strings.ToLower(text[at+1:]))
	}
	who, err := c.srv.opts.Neighbours.Identify(c.ctx, a)
	switch {
	case err == nil:
		g.Who = who
	case mail.KindOf(err) == mail.NotFound || mail.KindOf(err) == mail.Invalid:
		d.Fail(errNobody)
	default:
		d.Fail(err)
	}
	return g
}

var errNobody = no("", "there is nobody of this name here")

// appendIdentifier spells who is meant.
func (c *conn) appendIdentifier(dst []byte, g store.Grant) []byte {
	name := "anyone"
	if g.Who != store.Anyone {
		a, err := c.srv.opts.Neighbours.Name(c.ctx, g.Who)
		if err != nil {
			return nil // it is gone, and its grants will be
		}
		name = a.String()
	}
	if g.Negative {
		name = "-" + name
	}
	return wire.AppendAstring(dst, name, c.dia.utf8())
}

// SETACL, RFC 4314 §3.1.
func (c *conn) setACL(d *wire.Decoder) error {
	name, g := c.mailboxAndIdentifier(d)
	d.SP()
	letters := d.Astring()
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	sign := byte(0)
	if letters != "" && (letters[0] == '+' || letters[0] == '-') {
		sign, letters = letters[0], letters[1:]
	}
	rights, err := store.ParseRights(letters)
	if err != nil {
		return bad("there is no such right") // RFC 4314 §3.1
	}
	return c.grant(name, g, func(had store.Rights) store.Rights {
		switch sign {
		case '+':
			return had | rights
		case '-':
			return had &^ rights
		}
		return rights
	})
}

// DELETEACL, RFC 4314 §3.2.
func (c *conn) deleteACL(d *wire.Decoder) error {
	name, g := c.mailboxAndIdentifier(d)
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	return c.grant(name, g, func(store.Rights) store.Rights { return store.NoRights })
}

// grant changes one entry of a list.
func (c *conn) grant(name string, g store.Grant, rights func(had store.Rights) store.Rights) error {
	t, err := c.target(name)
	if err != nil {
		return err
	}
	return t.acct.Update(c.ctx, func(tx *store.Tx) error {
		m, err := t.mailbox(&tx.View)
		if err != nil {
			return err
		}
		had, err := tx.Granted(m.ID, g.Who, g.Negative)
		if err != nil {
			return err
		}
		g.Rights = rights(had)
		return tx.SetACL(m.ID, g)
	})
}

// GETACL, RFC 4314 §3.3.
func (c *conn) aclCmd(d *wire.Decoder) error {
	var list []store.Grant
	name, err := c.viewOf(d, func(v *store.View, m *store.Mailbox) (err error) {
		list, err = v.ACL(m.ID)
		return err
	})
	if err != nil {
		return err
	}
	c.say("* ACL ")
	dst := c.dia.appendMailbox(c.out, name)
	for _, g := range list {
		if next := c.appendIdentifier(append(dst, ' '), g); next != nil {
			dst = append(append(next, ' '), rightsOrNone(g.Rights)...)
		}
	}
	c.out = append(dst, "\r\n"...)
	return nil
}

// viewOf reads the name of a mailbox, which ends the command, and looks at it.
func (c *conn) viewOf(d *wire.Decoder, look func(v *store.View, m *store.Mailbox) error) (name string, err error) {
	d.SP()
	name = c.mailbox(d)
	if d.End(); d.Err() != nil {
		return name, d.Err()
	}
	t, err := c.target(name)
	if err != nil {
		return name, err
	}
	return name, t.acct.View(c.ctx, func(v *store.View) error {
		m, err := t.mailbox(v)
		if err != nil {
			return err
		}
		return look(v, m)
	})
}

func rightsOrNone(r store.Rights) string {
	if s := r.IMAP(); s != "" {
		return s
	}
	return `""`
}

// LISTRIGHTS, RFC 4314 §3.4: the owner has all in any case, anybody else may be given
// each alone. "c" and "d" stand for what they were in RFC 2086.
func (c *conn) listRights(d *wire.Decoder) error {
	name, g := c.mailboxAndIdentifier(d)
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	t, err := c.target(name)
	if err != nil {
		return err
	}
	err = t.acct.View(c.ctx, func(v *store.View) error {
		m, err := t.mailbox(v)
		if err == nil {
			_, err = v.Granted(m.ID, g.Who, g.Negative)
		}
		return err
	})
	if err != nil {
		return err
	}
	c.say("* LISTRIGHTS ")
	dst := append(c.dia.appendMailbox(c.out, name), ' ')
	if dst = append(c.appendIdentifier(dst, g), ' '); g.Who == t.acct.ID() && !g.Negative {
		dst = append(dst, store.AllRights.IMAP()...)
	} else {
		dst = append(dst, `""`...)
		for _, letter := range []byte(store.AllRights.IMAP()) {
			dst = append(dst, ' ', letter)
		}
	}
	c.out = append(dst, "\r\n"...)
	return nil
}

// MYRIGHTS, RFC 4314 §3.5.
func (c *conn) myRights(d *wire.Decoder) error {
	var rights store.Rights
	name, err := c.viewOf(d, func(v *store.View, m *store.Mailbox) (err error) {
		rights, err = v.Rights(m.ID)
		return err
	})
	if err != nil {
		return err
	}
	c.sayMyRights(name, rights)
	return nil
}

func (c *conn) sayMyRights(name string, rights store.Rights) {
	c.say("* MYRIGHTS ")
	c.out = c.dia.appendMailbox(c.out, name)
	c.say(" ", rights.IMAP(), "\r\n")
}

// sayRightsOf tells LIST-MYRIGHTS of one mailbox. One that went meanwhile has none.
func (c *conn) sayRightsOf(p place) error {
	var rights store.Rights
	err := p.acct.View(c.ctx, func(v *store.View) (err error) {
		rights, err = v.Rights(p.ID)
		return err
	})
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return nil
		}
		return err
	}
	c.sayMyRights(p.Path, rights)
	return nil
}
