package imap

import (
	"slices"
	"strings"

	"posthouse/imap/wire"
	"posthouse/search"
	"posthouse/store"
)

// extMultiSearch is MULTISEARCH: one search in many mailboxes, RFC 7377 §2.
var extMultiSearch = &extension{name: "MULTISEARCH", rfc: "RFC 7377",
	commands: []command{{"ESEARCH", loggedIn, tellAll, true, (*conn).esearchCmd}},
}

// esearchCmd is ESEARCH, RFC 7377 §2. Without a source it is UID SEARCH with an
// extended response.
func (c *conn) esearchCmd(d *wire.Decoder) error {
	s := &searchCommand{extended: true, multi: true}
	var from mailboxFilters
	d.SP()
	if d.TryWord("IN") {
		d.SP()
		d.Open()
		for d.Err() == nil {
			from = append(from, c.readMailboxFilter(d))
			if !d.Try(' ') {
				break
			}
		}
		d.Close()
		d.SP()
	} else {
		from = mailboxFilters{{kind: filterSelected}}
	}
	c.readReturns(d, s)
	if d.TryWord("CHARSET") {
		d.SP()
		c.readCharset(d)
		d.SP()
	}
	key := c.readProgram(d, s)
	if err := from.allow(c, s); err != nil {
		d.Fail(err)
	}
	if d.Err() != nil {
		return d.Err()
	}
	boxes, err := from.mailboxes(c)
	if err != nil {
		return err
	}
	for i := range boxes {
		if err := c.searchMailbox(&boxes[i], *s, key); err != nil {
			return err
		}
	}
	return nil
}

// searchMailbox searches one mailbox and answers if something matches (§2.1). Of
// the selected one the client is told nothing that it does not know yet.
func (c *conn) searchMailbox(m *place, s searchCommand, key search.Key) error {
	selected := c.selected(m)
	s.acct, s.snap = m.acct, nil
	if selected {
		s.snap = c.sel.snap
	}
	err := m.acct.View(c.ctx, func(v *store.View) (err error) {
		s.cur, err = v.Snapshot(m.ID)
		return err
	})
	if err != nil {
		return nil // it was deleted just now, or may not be read
	}
	if s.snap == nil {
		s.snap = s.cur
	}
	if err := c.findIn(&s, key); err != nil {
		return err
	}
	if selected {
		s.save(c)
	}
	if s.n > 0 {
		s.box = m
		s.reportExtended(c)
	}
	if selected {
		c.follow(&s, key, nil)
	}
	return c.drain()
}

// A filterKind says which mailboxes are meant, RFC 5465 §6 and RFC 7377 §2.2.
type filterKind uint8

const (
	filterSelected filterKind = iota
	filterDelayed
	filterPersonal // and "inboxes": mail may be filed anywhere
	filterSubscribed
	filterSubtree
	filterSubtreeOne
	filterMailboxes
)

var filterKinds = map[string]filterKind{
	"SELECTED": filterSelected, "SELECTED-DELAYED": filterDelayed, "PERSONAL": filterPersonal, "INBOXES": filterPersonal,
	"SUBSCRIBED": filterSubscribed, "SUBTREE": filterSubtree, "SUBTREE-ONE": filterSubtreeOne, "MAILBOXES": filterMailboxes,
}

// A mailboxFilter is one filter-mailboxes.
type mailboxFilter struct {
	kind  filterKind
	paths []string
}

type mailboxFilters []mailboxFilter

// readMailboxFilter reads filter-mailboxes, RFC 5465 §8.
func (c *conn) readMailboxFilter(d *wire.Decoder) (f mailboxFilter) {
	kind, known := filterKinds[string(d.Word())]
	if !known {
		d.Bad("unknown mailbox filter")
		return f
	}
	f.kind = kind
	if kind < filterSubtree {
		return f
	}
	d.SP()
	read := func() {
		if f.paths = append(f.paths, storePath(c.mailbox(d))); len(f.paths) > c.lim.ListPatterns {
			d.Bad("too many mailboxes")
		}
	}
	if d.Peek() == '(' {
		d.List(read)
	} else {
		read()
	}
	return f
}

// storePath spells a name as the store has it.
func storePath(name string) string {
	name = strings.TrimSuffix(name, "/")
	if len(name) >= 5 && strings.EqualFold(name[:5], "INBOX") && (len(name) == 5 || name[5] == '/') {
		return "INBOX" + name[5:]
	}
	return name
}

// matches reports whether the filter means a mailbox, which is not the selected
// one where that matters.
func (f *mailboxFilter) matches(m *place) bool {
	switch f.kind {
	case filterPersonal: // RFC 5465 §6.2: of the personal namespace
		return m.acct != nil && m.acct.Owned()
	case filterSubscribed:
		return m.Subscribed
	case filterMailboxes:
		return slices.Contains(f.paths, m.Path)
	case filterSubtree, filterSubtreeOne:
		for _, p := range f.paths {
			if m.Path == p {
				return true
			}
			if rest, below := strings.CutPrefix(m.Path, p+"/"); below && (f.kind == filterSubtree || !strings.Contains(rest, "/")) {
				return true
			}
		}
	}
	return false
}

// allow checks what RFC 7377 §2.2 asks of the sources.
func (fs mailboxFilters) allow(c *conn, s *searchCommand) error {
	for _, f := range fs {
		switch {
		case f.kind == filterDelayed:
			return bad("selected-delayed is for NOTIFY")
		case f.kind == filterSelected && c.state != stateSelected:
			return bad("select a mailbox first")
		case f.kind != filterSelected && s.want&returnSave != 0:
			return bad("SAVE is for the selected mailbox alone")
		}
	}
	return nil
}

// mailboxes are the mailboxes that the filters mean, each once.
func (fs mailboxFilters) mailboxes(c *conn) (out []place, err error) {
	boxes, _, err := c.tree()
	for _, m := range boxes {
		if m.NoSelect {
			continue
		}
		for i := range fs {
			if fs[i].matches(&m) || fs[i].kind == filterSelected && c.selected(&m) {
				out = append(out, m)
				break
			}
		}
	}
	return out, err
}
