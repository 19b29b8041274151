package imap

import (
	"slices"
	"strings"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/search"
	"posthouse/store"
)

// extGmail is X-GM-EXT-1, as Gmail has it: numbers of messages and conversations,
// labels, and searches in the language of its search box. A label is another mailbox
// that the message is in; \Starred is \Flagged and \Important $Important.
var extGmail = &extension{name: "X-GM-EXT-1",
	fetch: []fetchItem{
		{name: "X-GM-MSGID", write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
			return appendUint(append(dst, "X-GM-MSGID "...), uint64(m.row.Email))
		}},
		{name: "X-GM-THRID", need: needRecord, write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
			return appendUint(append(dst, "X-GM-THRID "...), uint64(m.email.Thread))
		}},
		{name: "X-GM-LABELS", write: func(f *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
			return f.c.appendLabels(append(dst, "X-GM-LABELS "...), m.snap, m.row)
		}},
	},
	search: []searchKey{
		{"X-GM-MSGID", func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
			d.SP()
			return search.EmailID(d.Number64())
		}},
		{"X-GM-THRID", func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
			d.SP()
			return search.ThreadID(d.Number64())
		}},
		{"X-GM-LABELS", func(c *conn, d *wire.Decoder, s *searchCommand) search.Key {
			d.SP()
			l := c.readLabel(d)
			if d.Err() != nil || s.dry {
				return search.All{}
			}
			return c.labelled(d, func(m *store.Mailbox) bool { return l.names(m) }, l)
		}},
		{"X-GM-RAW", (*conn).readRaw},
	},
	storeItems: []storeItem{{"X-GM-LABELS", readLabels}},
}

// roleInbox is no role of the store: the inbox is known by its name.
const roleInbox mail.Role = `\Inbox`

// systemLabels are the labels that stand for roles and flags.
var systemLabels = []struct {
	name string
	role mail.Role
	flag mail.Flag
}{
	{`\Inbox`, roleInbox, ""}, {`\Sent`, mail.RoleSent, ""}, {`\Draft`, mail.RoleDrafts, ""},
	{`\Trash`, mail.RoleTrash, ""}, {`\Spam`, mail.RoleJunk, ""},
	{`\Starred`, mail.RoleNone, mail.FlagFlagged}, {`\Important`, mail.RoleNone, "$Important"},
}

// A label as a client names it: a mailbox by its path or its role, or a flag.
type label struct {
	path string
	role mail.Role
	flag mail.Flag
}

// names reports whether the label is a mailbox.
func (l *label) names(m *store.Mailbox) bool {
	switch {
	case l.role == roleInbox:
		return m.Path == "INBOX"
	case l.role != mail.RoleNone:
		return m.Role == l.role
	}
	return l.flag == "" && m.Path == l.path
}

// readLabel reads one label, which may be a system one.
func (c *conn) readLabel(d *wire.Decoder) (l label) {
	name := ""
	if d.Peek() == '\\' {
		name = string(d.Flag())
	} else {
		name = d.Astring()
	}
	if d.Err() != nil {
		return l
	}
	if strings.HasPrefix(name, `\`) {
		for _, s := range systemLabels {
			if strings.EqualFold(name, s.name) {
				return label{role: s.role, flag: s.flag}
			}
		}
		d.Fail(no("CANNOT", "there is no such label"))
		return l
	}
	l.path = storePath(c.path(d, name))
	return l
}

// appendLabels appends the labels of a message: the other mailboxes that it is in.
func (c *conn) appendLabels(dst []byte, snap *store.Snapshot, row store.Row) []byte {
	dst = append(dst, '(')
	mark := len(dst)
	add := func(text []byte) {
		if len(dst) > mark {
			dst = append(dst, ' ')
		}
		dst = append(dst, text...)
	}
	if c.sel.acct.Owned() {
		_ = c.sel.acct.View(c.ctx, func(v *store.View) error { // a message that just went has none
			in, err := v.Memberships(row.Email)
			if err != nil {
				return err
			}
			for _, x := range in {
				if m, err := v.MailboxByID(x.Mailbox); err == nil && m.ID != c.sel.mailbox {
					add(c.appendLabel(nil, m))
				}
			}
			return nil
		})
	}
	for _, s := range systemLabels {
		if s.flag != "" && snap.Has(row.Flags, s.flag) {
			add([]byte(s.name))
		}
	}
	return append(dst, ')')
}

// appendLabel spells a mailbox as a label.
func (c *conn) appendLabel(dst []byte, m *store.Mailbox) []byte {
	for _, s := range systemLabels {
		if s.flag == "" && (&label{role: s.role}).names(m) {
			return append(dst, s.name...)
		}
	}
	return c.dia.appendMailbox(dst, m.Path)
}

// labelled matches the messages with a label.
func (c *conn) labelled(d *wire.Decoder, names func(m *store.Mailbox) bool, l label) search.Key {
	if l.flag != "" {
		return search.Flag(l.flag)
	}
	found := search.Or{}
	err := c.acct.View(c.ctx, func(v *store.View) error {
		for _, m := range v.Mailboxes() {
			switch {
			case m.NoSelect || !names(m):
			case c.state == stateSelected && c.sel.acct.Owned() && m.ID == c.sel.mailbox:
				found = append(found, search.All{})
			default:
				snap, err := v.Snapshot(m.ID)
				if err != nil {
					return err
				}
				set := make(search.Among, snap.Len())
				for _, row := range snap.Rows(0, snap.Len()) {
					set[row.Email] = struct{}{}
				}
				found = append(found, set)
			}
		}
		return nil
	})
	d.Fail(err)
	return found
}

// rawPlaces are what in: knows beside the names of mailboxes.
var rawPlaces = map[string]mail.Role{"inbox": roleInbox, "sent": mail.RoleSent, "draft": mail.RoleDrafts, "drafts": mail.RoleDrafts,
	"trash": mail.RoleTrash, "spam": mail.RoleJunk, "junk": mail.RoleJunk, "archive": mail.RoleArchive}

// readRaw is X-GM-RAW: a query of Gmail's search box.
func (c *conn) readRaw(d *wire.Decoder, s *searchCommand) search.Key {
	text := readText(d)
	if d.Err() != nil || s.dry {
		return search.All{}
	}
	lim := c.lim
	key, err := search.ParseRaw(text, search.RawQuery{Now: c.srv.opts.Now().UTC(), Terms: lim.SearchKeys - s.keys, Depth: lim.Nesting,
		Label: func(name string) search.Key { return c.rawLabel(d, name) }})
	if err != nil {
		d.Bad("the query is too long or nested too deeply")
		return search.All{}
	}
	return key
}

// rawLabel finds what label: and in: name. Gmail writes a dash for what is no letter.
func (c *conn) rawLabel(d *wire.Decoder, name string) search.Key {
	switch low := strings.ToLower(name); low {
	case "anywhere", "all":
		return search.All{}
	case "starred":
		return search.Flag(mail.FlagFlagged)
	case "important":
		return search.Flag("$Important")
	}
	want := dashed(name)
	role, isRole := rawPlaces[strings.ToLower(name)]
	l := label{role: role}
	return c.labelled(d, func(m *store.Mailbox) bool { return isRole && l.names(m) || dashed(m.Path) == want }, label{})
}

func dashed(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '/' || r == '.' || r == '_' {
			return '-'
		}
		return r
	}, strings.ToLower(s))
}

// readLabels reads what STORE is to do with labels.
func readLabels(c *conn, d *wire.Decoder, o *storeOptions) {
	var labels []label
	read := func() {
		if labels = append(labels, c.readLabel(d)); len(labels) > c.lim.ListPatterns {
			d.Bad("too many labels")
		}
	}
	if d.Peek() == '(' {
		d.List(read)
	} else {
		read()
	}
	o.run = func(c *conn, spans []span, o *storeOptions) error { return c.storeLabels(labels, spans, o) }
}

// storeLabels is STORE with X-GM-LABELS: messages are put into mailboxes, which are
// made if they are missing, or taken out of them. They stay in the one that is selected.
func (c *conn) storeLabels(labels []label, spans []span, o *storeOptions) error {
	if !c.sel.acct.Owned() {
		return no("CANNOT", "only one's own mail has labels")
	}
	uids := c.uids(spans)
	err := c.sel.acct.Update(c.ctx, func(tx *store.Tx) error {
		l := labeller{c: c, tx: tx, op: o.change.Op, uids: uids}
		return l.run(labels)
	})
	if err != nil {
		return c.selectedGone(err)
	}
	if o.silent {
		return nil
	}
	cur, err := c.current()
	if err != nil {
		return err
	}
	for i, row := range rowsOf(cur, uids) {
		if seq, known := c.seqOf(row.UID, i); known {
			dst := c.dia.beginFetch(c.out, seq, row.UID)
			if c.uidInChanges() {
				dst = append(appendUint(append(dst, "UID "...), uint64(row.UID)), ' ')
			}
			c.out = append(c.appendLabels(append(dst, "X-GM-LABELS "...), cur, row), ")\r\n"...)
			if err := c.drain(); err != nil {
				return err
			}
		}
	}
	return nil
}

// A labeller changes the labels of messages in one transaction.
type labeller struct {
	c    *conn
	tx   *store.Tx
	op   store.FlagOp
	uids store.UIDSet
}

func (l *labeller) run(labels []label) error {
	snap, err := l.tx.Snapshot(l.c.sel.mailbox)
	if err != nil {
		return err
	}
	var boxes []store.MailboxID
	var flags []mail.Flag
	for i := range labels {
		if labels[i].flag != "" {
			flags = append(flags, labels[i].flag)
			continue
		}
		id, err := l.mailbox(&labels[i])
		if err != nil {
			return err
		}
		if id != 0 {
			boxes = append(boxes, id)
		}
	}
	if err := l.mark(snap, flags); err != nil {
		return err
	}
	if l.op != store.FlagsRemove {
		for _, id := range boxes {
			if err := l.put(snap, id); err != nil {
				return err
			}
		}
	}
	if l.op == store.FlagsAdd {
		return nil
	}
	return l.take(snap, func(id store.MailboxID) bool { return slices.Contains(boxes, id) == (l.op == store.FlagsRemove) })
}

// mailbox finds the mailbox of a label, or makes it; 0 if it is not to be made.
func (l *labeller) mailbox(x *label) (store.MailboxID, error) {
	for _, m := range l.tx.Mailboxes() {
		if x.names(m) && !m.NoSelect {
			if m.ID == l.c.sel.mailbox && l.op == store.FlagsRemove {
				return 0, no("CANNOT", "the messages stay in the selected mailbox: move them")
			}
			return m.ID, nil
		}
	}
	if l.op == store.FlagsRemove {
		return 0, nil
	}
	if x.role != mail.RoleNone {
		return 0, no("CANNOT", "there is no mailbox for this label")
	}
	return l.tx.CreateMailbox(store.NewMailbox{Path: x.path})
}

// mark changes the labels that are flags.
func (l *labeller) mark(snap *store.Snapshot, flags []mail.Flag) error {
	op := l.op
	if op == store.FlagsReplace { // of these two alone
		var off []mail.Flag
		for _, s := range systemLabels {
			if s.flag != "" && !slices.Contains(flags, s.flag) && slices.ContainsFunc(snap.RowsOf(l.uids), func(r store.Row) bool { return snap.Has(r.Flags, s.flag) }) {
				off = append(off, s.flag)
			}
		}
		if len(off) == 0 {
			op = store.FlagsAdd
		} else if _, _, err := l.tx.SetFlags(l.c.sel.mailbox, l.uids, store.FlagChange{Op: store.FlagsRemove, Flags: off}); err != nil {
			return err
		}
		op = store.FlagsAdd
	}
	if len(flags) == 0 {
		return nil
	}
	_, _, err := l.tx.SetFlags(l.c.sel.mailbox, l.uids, store.FlagChange{Op: op, Flags: flags})
	return err
}

// put copies the messages that are not there yet into a mailbox.
func (l *labeller) put(snap *store.Snapshot, to store.MailboxID) error {
	var missing store.UIDSet
	for _, row := range rowsOf(snap, l.uids) {
		in, err := l.tx.Memberships(row.Email)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(in, func(m store.Membership) bool { return m.Mailbox == to }) {
			missing = addUID(missing, row.UID)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err := l.tx.Copy(l.c.sel.mailbox, to, missing)
	return err
}

// take removes the messages from other mailboxes.
func (l *labeller) take(snap *store.Snapshot, from func(id store.MailboxID) bool) error {
	gone := map[store.MailboxID]store.UIDSet{}
	for _, row := range rowsOf(snap, l.uids) {
		in, err := l.tx.Memberships(row.Email)
		if err != nil {
			return err
		}
		for _, m := range in {
			if m.Mailbox != l.c.sel.mailbox && from(m.Mailbox) {
				set := gone[m.Mailbox]
				set.AddRange(m.UID, m.UID)
				gone[m.Mailbox] = set
			}
		}
	}
	for id, set := range gone {
		if _, err := l.tx.Expunge(id, set); err != nil {
			return err
		}
	}
	return nil
}
