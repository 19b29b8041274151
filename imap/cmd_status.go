package imap

import (
	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// A statusItem is one item of STATUS, RFC 9051 §6.3.11. It appends its value.
type statusItem struct {
	name  string
	write func(dst []byte, c *conn, m *mailboxState) []byte
}

// mailboxState is the mailbox whose status is asked for.
type mailboxState struct{ place }

var statusItems = []statusItem{
	{"MESSAGES", func(dst []byte, _ *conn, m *mailboxState) []byte { return appendUint(dst, uint64(m.Messages)) }},
	{"RECENT", func(dst []byte, c *conn, m *mailboxState) []byte { return appendUint(dst, c.recentOf(&m.place)) }},
	{"UIDNEXT", func(dst []byte, _ *conn, m *mailboxState) []byte { return appendUint(dst, uint64(m.UIDNext)) }},
	{"UIDVALIDITY", func(dst []byte, _ *conn, m *mailboxState) []byte { return appendUint(dst, uint64(m.UIDValidity)) }},
	{"UNSEEN", func(dst []byte, _ *conn, m *mailboxState) []byte { return appendUint(dst, uint64(m.Unseen)) }},
}

// extStatusSize is the SIZE item, RFC 8438 §3.
var extStatusSize = &extension{name: "STATUS=SIZE", rfc: "RFC 8438",
	status: []statusItem{{"SIZE", func(dst []byte, _ *conn, m *mailboxState) []byte {
		return appendUint(dst, uint64(m.Bytes))
	}}},
}

// recentOf counts what the next session would be told of as \Recent.
func (c *conn) recentOf(p *place) (n uint64) {
	if c.selected(p) {
		return uint64(c.recentCount())
	}
	first := p.acct.Recent(p.ID)
	_ = p.acct.View(c.ctx, func(v *store.View) error { // a mailbox that just went has none
		snap, err := v.Snapshot(p.ID)
		if err == nil && first > 0 {
			i, _ := snap.Search(first)
			n = uint64(snap.Len() - i)
		}
		return err
	})
	return n
}

// statusCmd is STATUS, RFC 9051 §6.3.11.
func (c *conn) statusCmd(d *wire.Decoder) error {
	d.SP()
	path := c.mailbox(d)
	d.SP()
	items := c.readStatusItems(d)
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	t, err := c.target(path)
	if err != nil {
		return err
	}
	var m *store.Mailbox
	err = t.acct.View(c.ctx, func(v *store.View) (err error) {
		if m, err = t.mailbox(v); err != nil {
			return err
		}
		return allowed(v, m, store.RightRead)
	})
	if err != nil {
		return err
	}
	if m.NoSelect {
		return &mail.Error{Kind: mail.NotFound, Op: "imap.status", Text: "the mailbox cannot be selected"}
	}
	c.sayStatus(place{t.shown(m), t.acct}, items)
	return nil
}

// readStatusItems reads a parenthesised list of items.
func (c *conn) readStatusItems(d *wire.Decoder) []*statusItem {
	var items []*statusItem
	d.List(func() {
		it := c.tab.status[string(d.Word())]
		switch {
		case it == nil:
			d.Bad("unknown STATUS item")
		case len(items) >= len(c.tab.status):
			d.Bad("too many STATUS items")
		default:
			items = append(items, it)
		}
	})
	if len(items) == 0 {
		d.Bad("STATUS wants an item")
	}
	return items
}

func (c *conn) sayStatus(m place, items []*statusItem) {
	c.say("* STATUS ")
	dst := append(c.dia.appendMailbox(c.out, m.Path), " ("...)
	state := mailboxState{m}
	for i, it := range items {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(append(dst, it.name...), ' ')
		dst = it.write(dst, c, &state)
	}
	c.out = append(dst, ")\r\n"...)
}
