package imap

import (
	"slices"
	"strings"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// selectCommands open and close a mailbox, RFC 9051 §6.3.2, §6.3.3 and §6.4.1,
// and RFC 3501 §6.4.1.
var selectCommands = []command{
	{"SELECT", loggedIn, tellNothing, false, func(c *conn, d *wire.Decoder) error { return c.selectMailbox(d, false) }},
	{"EXAMINE", loggedIn, tellNothing, false, func(c *conn, d *wire.Decoder) error { return c.selectMailbox(d, true) }},
	{"CLOSE", stateSelected, tellNothing, false, (*conn).closeMailbox},
	{"CHECK", stateSelected, tellAll, false, (*conn).noop},
}

// A selectParam is a parameter of SELECT and EXAMINE, RFC 4466 §2.1.
type selectParam struct {
	name string
	read func(c *conn, d *wire.Decoder, o *selectOptions)
}

// selectOptions are what the parameters of a SELECT ask for.
type selectOptions struct {
	condstore bool
	qresync   *resync
}

// SELECT and EXAMINE, RFC 9051 §6.3.2 and §6.3.3.
func (c *conn) selectMailbox(d *wire.Decoder, readOnly bool) error {
	d.SP()
	path := c.mailbox(d)
	var o selectOptions
	if d.Try(' ') {
		d.List(func() {
			if p := c.tab.selectParams[string(d.Word())]; p != nil {
				p.read(c, d, &o)
			} else {
				d.Bad("unknown SELECT parameter")
			}
		})
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if c.state == stateSelected { // also when the new one cannot be selected
		c.unselect()
		if c.dia.rev2 || c.dia.qresync {
			c.untagged("OK [CLOSED] the mailbox before is closed") // RFC 7162 §3.2.11
		}
	}
	if o.condstore || o.qresync != nil {
		c.dia.condstore = true
	}
	var vanished store.UIDSet
	var snap *store.Snapshot
	t, err := c.target(path)
	if err != nil {
		return err
	}
	rights := store.AllRights
	err = t.acct.View(c.ctx, func(v *store.View) error {
		m, err := t.mailbox(v)
		if err == nil {
			rights, err = v.Rights(m.ID)
		}
		if err != nil {
			return err
		}
		if m.NoSelect {
			return &mail.Error{Kind: mail.NotFound, Op: "imap.select", Text: "the mailbox cannot be selected"}
		}
		if snap, err = v.Snapshot(m.ID); err != nil {
			return err
		}
		vanished, err = o.qresync.vanished(v, snap)
		return err
	})
	if err != nil {
		return err
	}
	readOnly = readOnly || rights&mayChange == 0
	c.sel = selection{acct: t.acct, name: t.name, rights: rights, mailbox: snap.Mailbox().ID, readOnly: readOnly, snap: snap, told: snap}
	c.state = stateSelected
	c.claimRecent()
	c.announce()
	c.okCode = "READ-WRITE"
	if readOnly {
		c.okCode = "READ-ONLY"
	}
	return o.qresync.resume(c, vanished)
}

// announce sends the untagged responses of SELECT, RFC 9051 §6.3.2 and RFC 3501
// §6.3.1.
func (c *conn) announce() {
	snap := c.sel.snap
	m := snap.Mailbox()
	c.ready()
	c.sayCount(snap.Len(), "EXISTS")
	if !c.dia.rev2 {
		c.sayCount(c.recentCount(), "RECENT")
		if i := firstUnseen(snap, m); i >= 0 && !c.dia.uidonly {
			c.say("* OK [UNSEEN ")
			c.out = appendUint(c.out, uint64(i+1))
			c.say("] first unseen\r\n")
		}
	}
	c.say("* OK [UIDVALIDITY ")
	c.out = appendUint(c.out, uint64(m.UIDValidity))
	c.say("] UIDs valid\r\n* OK [UIDNEXT ")
	c.out = appendUint(c.out, uint64(m.UIDNext))
	c.say("] predicted next UID\r\n")
	c.sayFlagLists(snap)
	if c.dia.rev2 {
		shown := *m
		if !c.sel.acct.Owned() {
			shown.Role = mail.RoleNone // a special use is the owner's
		}
		c.say("* LIST (")
		c.out = c.appendAttributes(c.out, &shown)
		c.say(`) "/" `)
		c.out = c.dia.appendMailbox(c.out, c.sel.name)
		c.say("\r\n")
	}
	for _, x := range c.tab.extensions {
		if x.onSelect != nil {
			x.onSelect(c, &place{m, c.sel.acct})
		}
	}
}

const systemFlags = `\Answered \Flagged \Deleted \Seen \Draft`

// mayChange are the rights without all of which a mailbox is read-only, RFC 4314 §5.2.
const mayChange = store.RightInsert | store.RightExpunge | store.RightSeen | store.RightDeleted | store.RightWrite | store.RightAnnotate

// permanent spells the system flags that somebody may change, RFC 4314 §5.2.
func permanent(r store.Rights) string {
	if r == store.AllRights {
		return systemFlags
	}
	var b strings.Builder
	for _, f := range []struct {
		right store.Rights
		name  string
	}{{store.RightWrite, `\Answered \Flagged`}, {store.RightDeleted, `\Deleted`}, {store.RightSeen, `\Seen`}, {store.RightWrite, `\Draft`}} {
		if r.Has(f.right) {
			b.WriteString(" " + f.name)
		}
	}
	return strings.TrimPrefix(b.String(), " ")
}

// sayKeywords tells of keywords that are new, before a response names one (RFC
// 9051 §7.3.5).
func (c *conn) sayKeywords(snap *store.Snapshot) {
	if !slices.Equal(snap.Keywords(), c.sel.keywords) {
		c.sayFlagLists(snap)
	}
}

func (c *conn) sayFlagLists(snap *store.Snapshot) {
	c.sel.keywords = snap.Keywords()
	c.say("* FLAGS (", systemFlags)
	for _, k := range snap.Keywords() {
		c.say(" ", string(k))
	}
	c.say(")\r\n")
	if c.sel.readOnly {
		c.say("* OK [PERMANENTFLAGS ()] read-only\r\n")
		return
	}
	c.say("* OK [PERMANENTFLAGS (", permanent(c.sel.rights))
	if c.sel.rights.Has(store.RightWrite) {
		for _, k := range snap.Keywords() {
			c.say(" ", string(k))
		}
		c.say(` \*`)
	}
	c.say(")] flags that stay\r\n")
}

// firstUnseen finds the first message without \Seen. The count of the mailbox
// tells when there is none, so that a mailbox that was read costs nothing.
func firstUnseen(snap *store.Snapshot, m *store.Mailbox) int {
	if m.Unseen == 0 {
		return -1
	}
	if i := snap.FirstWithout(store.SeenBit); i < snap.Len() {
		return i
	}
	return -1
}

// CLOSE, RFC 9051 §6.4.1: removes what is \Deleted without a word.
func (c *conn) closeMailbox(d *wire.Decoder) error {
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if !c.sel.readOnly {
		if err := c.expungeDeleted(nil); err != nil && mail.KindOf(err) != mail.Denied { // RFC 4314 §4
			return err
		}
	}
	c.unselect()
	return nil
}
