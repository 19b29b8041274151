package imap

import (
	"strings"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// mailboxCommands change the tree of mailboxes, RFC 9051 §6.3.4 to §6.3.8.
var mailboxCommands = []command{
	{"CREATE", loggedIn, tellAll, false, (*conn).create},
	{"DELETE", loggedIn, tellAll, false, (*conn).delete},
	{"RENAME", loggedIn, tellAll, false, (*conn).rename},
	{"SUBSCRIBE", loggedIn, tellAll, false, func(c *conn, d *wire.Decoder) error { return c.subscribe(d, true) }},
	{"UNSUBSCRIBE", loggedIn, tellAll, false, func(c *conn, d *wire.Decoder) error { return c.subscribe(d, false) }},
}

// A createParam is a parameter of CREATE, RFC 4466 §2.2.
type createParam struct {
	name string
	read func(c *conn, d *wire.Decoder, m *store.NewMailbox)
}

// CREATE, RFC 9051 §6.3.4.
func (c *conn) create(d *wire.Decoder) error {
	d.SP()
	m := store.NewMailbox{Path: c.mailbox(d)}
	if d.Try(' ') {
		d.List(func() {
			if p := c.tab.createParams[string(d.Word())]; p != nil {
				p.read(c, d, &m)
			} else {
				d.Bad("unknown CREATE parameter")
			}
		})
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	t, err := c.target(m.Path)
	if err != nil {
		return err
	}
	m.Path = t.path
	var made *store.Mailbox
	err = t.acct.Update(c.ctx, func(tx *store.Tx) error {
		if _, err := tx.MailboxByRole(m.Role); err == nil {
			return no("USEATTR", "another mailbox has this special use") // RFC 6154 §3
		}
		id, err := tx.CreateMailbox(m)
		if err == nil {
			made, err = tx.MailboxByID(id)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, x := range c.tab.extensions {
		if x.onCreate != nil {
			x.onCreate(c, &place{t.shown(made), t.acct})
		}
	}
	return nil
}

// DELETE, RFC 9051 §6.3.5.
func (c *conn) delete(d *wire.Decoder) error {
	d.SP()
	path := c.mailbox(d)
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	t, err := c.target(path)
	if err != nil {
		return err
	}
	gone := place{acct: t.acct}
	err = t.acct.Update(c.ctx, func(tx *store.Tx) error {
		m, err := t.mailbox(&tx.View)
		if err != nil {
			return err
		}
		if m.NoSelect && m.HasChildren {
			return no("HASCHILDREN", "the mailbox has children")
		}
		gone.Mailbox = m
		return tx.DeleteMailbox(m.ID)
	})
	if err == nil && c.selected(&gone) {
		c.unselect()
		c.untagged("OK [CLOSED] the selected mailbox is deleted")
	}
	return err
}

// RENAME, RFC 9051 §6.3.6.
func (c *conn) rename(d *wire.Decoder) error {
	d.SP()
	from := c.mailbox(d)
	d.SP()
	to := c.mailbox(d)
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	old, err := c.target(from)
	if err != nil {
		return err
	}
	dest, err := c.target(to)
	if err != nil {
		return err
	}
	if old.acct.ID() != dest.acct.ID() {
		return no("CANNOT", "a mailbox stays with its owner")
	}
	return old.acct.Update(c.ctx, func(tx *store.Tx) error {
		m, err := old.mailbox(&tx.View)
		if err != nil {
			return err
		}
		return tx.RenameMailbox(m.ID, dest.path)
	})
}

// SUBSCRIBE and UNSUBSCRIBE, RFC 9051 §6.3.7 and §6.3.8. A subscription needs no
// mailbox (RFC 3501 §6.3.6).
func (c *conn) subscribe(d *wire.Decoder, on bool) error {
	d.SP()
	path := c.mailbox(d)
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	return c.acct.Update(c.ctx, func(tx *store.Tx) error { return tx.Subscribe(path, on) })
}

// roles are what CREATE (USE …) may ask for, RFC 6154 §3.
var roles = map[string]mail.Role{
	`\ALL`: mail.RoleAll, `\ARCHIVE`: mail.RoleArchive, `\DRAFTS`: mail.RoleDrafts, `\FLAGGED`: mail.RoleFlagged,
	`\IMPORTANT`: mail.RoleImportant, `\JUNK`: mail.RoleJunk, `\SENT`: mail.RoleSent, `\TRASH`: mail.RoleTrash,
}

var extCreateSpecialUse = &extension{name: "CREATE-SPECIAL-USE", rfc: "RFC 6154",
	createParams: []createParam{{"USE", func(_ *conn, d *wire.Decoder, m *store.NewMailbox) {
		d.SP()
		d.List(func() {
			r, known := roles[strings.ToUpper(string(d.Flag()))]
			switch {
			case d.Err() != nil:
			case !known || m.Role != mail.RoleNone:
				d.Fail(no("USEATTR", "no such special use, or more than one")) // RFC 6154 §3
			default:
				m.Role = r
			}
		})
	}}},
}
