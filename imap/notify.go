package imap

import (
	"errors"
	"slices"
	"strings"

	"posthouse/store"
)

// await waits for the next command. A client that asked for NOTIFY hears of changes
// while it says nothing.
func (c *conn) await() error {
	for {
		c.idling = c.notify != nil
		err := c.rd.Wait()
		if !errors.Is(err, errWoken) {
			c.idling = false
			return err
		}
		c.cmd, c.okCode, c.echo, c.hold = nil, "", nil, tellAll
		c.ready()
		t := tellAll
		if c.notify.delayed {
			t = tellNoExpunge
		}
		err = c.sync(t)
		if err == nil {
			err = c.tellOthers()
		}
		if err == nil {
			err = c.tellMetadata()
		}
		if err != nil {
			c.idling = false
			return err
		}
	}
}

// removing are the commands whose outcome is told even to a client that wants to
// hear of nothing.
var removing = []string{"EXPUNGE", "UID EXPUNGE", "MOVE", "UID MOVE", "REPLACE", "UID REPLACE"}

// timing applies the wishes for the selected mailbox to what sync may tell.
func (n *notification) timing(c *conn, t timing) timing {
	switch {
	case n == nil || c.cmd != nil && slices.Contains(removing, c.cmd.name):
		return t
	case n.selected.want&messageEvents == 0:
		return tellNothing
	case n.delayed || t == tellNothing:
		return t
	}
	return tellAll // RFC 5465 §5.3: such a client uses no message numbers
}

// tellsFlags reports whether flags that others change are told.
func (n *notification) tellsFlags() bool {
	return n == nil || n.selected.want&(eventFlags|eventAnnotation) != 0
}

// fetchNew sends the items that were asked for of new messages, RFC 5465 §5.2.
func (n *notification) fetchNew(c *conn, added store.UIDSet) error {
	if n == nil || len(n.selected.items) == 0 || len(added) == 0 {
		return nil
	}
	f := fetches.Get().(*fetch)
	f.c = c
	defer f.release()
	f.items = append(f.items, n.selected.items...)
	for i := range f.items {
		f.items[i].seen = false
		f.need = max(f.need, f.items[i].need)
		f.flags = f.flags || f.items[i].name == "FLAGS"
	}
	return f.run(c.spansOf(added))
}

// wants is what was asked for of a mailbox.
func (n *notification) wants(m *place) (want events) {
	for i := range n.others {
		if n.others[i].filter.matches(m) {
			want |= n.others[i].want
		}
	}
	return want
}

// sayAllStatus answers NOTIFY SET STATUS, RFC 5465 §3.1.
func (c *conn) sayAllStatus(n *notification) error {
	for i := range n.boxes {
		m := &n.boxes[i]
		want := n.wants(m)
		if want&messageEvents == 0 || m.NoSelect || c.selected(m) {
			continue
		}
		c.sayStatusOf(*m, "MESSAGES", "UIDNEXT", "UIDVALIDITY", c.ifAware(want&eventFlags != 0))
		if err := c.drain(); err != nil {
			return err
		}
	}
	return nil
}

// ifAware is HIGHESTMODSEQ if it is wanted, or if the client uses it.
func (c *conn) ifAware(wanted bool) string {
	if wanted || c.dia.condstore || c.dia.qresync {
		return "HIGHESTMODSEQ"
	}
	return ""
}

// sayStatusOf writes a STATUS response; empty names are passed over.
func (c *conn) sayStatusOf(m place, names ...string) {
	aware := c.dia.condstore // asking for HIGHESTMODSEQ makes aware, being told does not
	var items []*statusItem
	for _, name := range names {
		if it := c.tab.status[name]; it != nil {
			items = append(items, it)
		}
	}
	c.sayStatus(m, items)
	c.dia.condstore = aware
}

// tellOthers tells what happened to mailboxes since the last time, RFC 5465 §5.
func (c *conn) tellOthers() error {
	n := c.notify
	if n == nil || len(n.others) == 0 || c.state&loggedIn == 0 {
		return nil
	}
	boxes, subs, err := c.tree()
	if err != nil {
		return err
	}
	before := make(map[placeKey]*place, len(n.boxes))
	for i := range n.boxes {
		before[n.boxes[i].key()] = &n.boxes[i]
	}
	c.ready()
	for i := range boxes {
		m := &boxes[i]
		old := before[m.key()]
		delete(before, m.key())
		if old == nil || !old.same(m) {
			c.tellMailbox(n, old, m)
		}
		if err := c.drain(); err != nil {
			return err
		}
	}
	for i := range n.boxes {
		m := &n.boxes[i]
		if before[m.key()] != nil && n.wants(m)&eventName != 0 {
			c.sayName(m.Path, nil, "")
		}
	}
	if !slices.Equal(subs, n.subs) {
		c.tellSubscriptions(n, boxes, subs)
	}
	if len(boxes) != len(n.boxes) && !slices.EqualFunc(owners(boxes), owners(n.boxes), func(a, b *store.Account) bool { return a.ID() == b.ID() }) {
		n.stop()
		n.stop = c.watchAll(boxes)
	}
	n.boxes, n.subs = boxes, subs
	return c.drain()
}

// tellMailbox tells what became of one mailbox; old is nil if it is new.
func (c *conn) tellMailbox(n *notification, old, m *place) {
	want := n.wants(m)
	if old != nil {
		want |= n.wants(old)
	}
	if want&eventName != 0 {
		switch {
		case old == nil:
			c.sayName(m.Path, m, "")
		case old.Path != m.Path:
			if !renamedAbove(old.Path, m.Path, n, m) {
				c.sayName(m.Path, m, old.Path)
			}
		case old.NoSelect != m.NoSelect || old.HasChildren != m.HasChildren:
			c.sayName(m.Path, m, "")
		}
	}
	if old == nil || m.NoSelect || want&messageEvents == 0 || c.selected(m) {
		return
	}
	switch {
	case old.UIDNext != m.UIDNext || old.Messages != m.Messages || old.UIDValidity != m.UIDValidity:
		c.sayStatusOf(*m, "MESSAGES", "UIDNEXT", "UIDVALIDITY", c.ifAware(false))
	case want&(eventFlags|eventAnnotation) != 0 && old.HighestModSeq != m.HighestModSeq:
		c.sayStatusOf(*m, "UIDVALIDITY", "UNSEEN", c.ifAware(false))
	}
}

// renamedAbove reports whether a mailbox only followed its parent, of which the
// client is told (RFC 5465 §5.4).
func renamedAbove(old, path string, n *notification, m *place) bool {
	i, j := strings.LastIndexByte(old, '/'), strings.LastIndexByte(path, '/')
	if i < 0 || j < 0 || old[i:] != path[j:] || m.Parent == 0 {
		return false
	}
	return slices.ContainsFunc(n.boxes, func(p place) bool {
		return p.acct == m.acct && p.ID == m.Parent && p.Path == old[:i] && p.Path != path[:j]
	})
}

// tellSubscriptions tells of names that were subscribed to or no longer are, RFC
// 5465 §5.5.
func (c *conn) tellSubscriptions(n *notification, boxes []place, subs []string) {
	tell := func(path string, subscribed bool) {
		m := &place{&store.Mailbox{Path: path, Subscribed: subscribed}, c.acct}
		i := slices.IndexFunc(boxes, func(b place) bool { return b.Path == path })
		if i >= 0 {
			m = &boxes[i]
		}
		was := *m.Mailbox
		was.Subscribed = !subscribed // a filter may mean subscribed mailboxes
		if (n.wants(m)|n.wants(&place{&was, m.acct}))&eventSubscription == 0 {
			return
		}
		if i < 0 {
			m = nil
		}
		c.sayName(path, m, "")
	}
	for _, s := range subs {
		if !slices.Contains(n.subs, s) {
			tell(s, true)
		}
	}
	for _, s := range n.subs {
		if !slices.Contains(subs, s) {
			tell(s, false)
		}
	}
}

// sayName writes a LIST response without being asked; m is nil if there is no such
// mailbox.
func (c *conn) sayName(path string, m *place, old string) {
	c.say("* LIST (")
	if m == nil {
		c.say(`\NonExistent`)
	} else {
		if m.Subscribed {
			c.say(`\Subscribed `)
		}
		c.out = c.appendAttributes(c.out, m.Mailbox)
	}
	c.say(`) "/" `)
	c.out = c.dia.appendMailbox(c.out, path)
	if old != "" {
		c.say(` ("OLDNAME" (`)
		c.out = append(c.dia.appendMailbox(c.out, old), "))"...)
	}
	c.say("\r\n")
}
