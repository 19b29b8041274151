package jmap

import (
	"encoding/json"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// roles are the names of JMAP for special uses, RFC 8621 §2.
var roles = map[mail.Role]string{
	mail.RoleAll: "all", mail.RoleArchive: "archive", mail.RoleDrafts: "drafts", mail.RoleFlagged: "flagged",
	mail.RoleImportant: "important", mail.RoleJunk: "junk", mail.RoleSent: "sent", mail.RoleTrash: "trash",
}

// sortOrders are those of mailboxes whose order nobody chose.
var sortOrders = map[string]int{"inbox": 1, "drafts": 3, "sent": 4, "archive": 5, "junk": 6, "trash": 7}

const inboxPath = "INBOX"

// roleOf is a mailbox's role, "" for none.
func roleOf(m *store.Mailbox) string {
	if m.Path == inboxPath {
		return "inbox"
	}
	return roles[m.Role]
}

// storeRole is the special use of a role's name.
func storeRole(name string) (mail.Role, bool) {
	for r, n := range roles {
		if n == name {
			return r, true
		}
	}
	return "", name == ""
}

// nameOf is the last level of a mailbox's path.
func nameOf(m *store.Mailbox) string {
	if m.Path == inboxPath {
		return "Inbox"
	}
	return m.Path[strings.LastIndexByte(m.Path, '/')+1:]
}

// A mailboxNote is what clients keep of a mailbox beside what the store knows.
type mailboxNote struct {
	SortOrder *int `json:"sortOrder,omitempty"`
}

func noteID(id store.MailboxID) string { return "F" + uintText(uint64(id)) }

// mailboxNoteOf reads the note of a mailbox; the zero note if there is none.
func mailboxNoteOf(v *store.View, id store.MailboxID) (n mailboxNote, err error) {
	if !v.Owner() { // notes are the owner's
		return n, nil
	}
	o, err := v.Object(store.ObjectMailbox, noteID(id))
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return n, nil
	}
	if err == nil {
		err = json.Unmarshal(o.Value, &n)
	}
	return n, err
}

// mailboxType is Mailbox, RFC 8621 §2.
func mailboxType() *objectType {
	count := func(f func(counts) int) func(*getter, any) (any, error) {
		return func(g *getter, rec any) (any, error) { return f(g.acct.index.counts(rec.(*store.Mailbox).ID)), nil }
	}
	return &objectType{
		name: "Mailbox", capability: capMail,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "name", typ: "String", get: func(_ *getter, r any) (any, error) { return nameOf(r.(*store.Mailbox)), nil }},
			{name: "parentId", typ: "Id|null", mode: optional, get: parentOf},
			{name: "role", typ: "String|null", mode: optional, get: func(_ *getter, r any) (any, error) { return textOrNull(roleOf(r.(*store.Mailbox))), nil }},
			{name: "sortOrder", typ: "UnsignedInt", mode: optional, def: int64(defaultSortOrder), get: sortOrderOf},
			{name: "totalEmails", typ: "UnsignedInt", mode: serverSet, get: count(func(c counts) int { return c.emails })},
			{name: "unreadEmails", typ: "UnsignedInt", mode: serverSet, get: count(func(c counts) int { return c.unread })},
			{name: "totalThreads", typ: "UnsignedInt", mode: serverSet, get: count(func(c counts) int { return c.threads })},
			{name: "unreadThreads", typ: "UnsignedInt", mode: serverSet, get: count(func(c counts) int { return c.unreadThreads })},
			{name: "myRights", typ: "MailboxRights", mode: serverSet, get: rightsOf},
			{name: "shareWith", typ: "Id[String[Boolean]]|null", mode: optional | onRequest, get: shareWithOf},
			{name: "isSubscribed", typ: "Boolean", mode: optional, get: func(_ *getter, r any) (any, error) { return r.(*store.Mailbox).Subscribed, nil }},
		},
		setArgs: []wire.Field{{Name: "onDestroyRemoveEmails?", Type: "Boolean"}},
		load:    loadMailboxes, touched: mailboxesTouched, extra: mailboxExtra,
		query: &queryType{
			args:    []wire.Field{{Name: "sortAsTree?", Type: "Boolean"}, {Name: "filterAsTree?", Type: "Boolean"}},
			filters: map[string]filterProperty{"parentId": {"Id|null"}, "name": {"String"}, "role": {"String|null"}, "hasAnyRole": {"Boolean"}, "isSubscribed": {"Boolean"}},
			sorts:   []string{"sortOrder", "name", "parentId"},
			run:     queryMailboxes, changed: mailboxQueryChanged,
		},
		create: createMailbox, update: updateMailbox, destroy: destroyMailbox, destroyOrder: deepestFirst,
	}
}

const defaultSortOrder = 10

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func parentOf(g *getter, rec any) (any, error) {
	m := rec.(*store.Mailbox)
	if m.Parent == 0 {
		return nil, nil
	}
	p, err := g.v.MailboxByID(m.Parent)
	if mail.KindOf(err) == mail.NotFound && err != nil { // of somebody else, and not shared
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return mailboxID(p), nil
}

func sortOrderOf(g *getter, rec any) (any, error) {
	m := rec.(*store.Mailbox)
	n, err := mailboxNoteOf(g.v, m.ID)
	if err != nil {
		return nil, err
	}
	return sortOrder(m, n), nil
}

func sortOrder(m *store.Mailbox, n mailboxNote) int {
	if n.SortOrder != nil {
		return *n.SortOrder
	}
	if o := sortOrders[roleOf(m)]; o > 0 {
		return o
	}
	return defaultSortOrder
}

// rightsOf is myRights, RFC 8621 §2. A name without a mailbox holds no messages.
func rightsOf(g *getter, rec any) (any, error) {
	m := rec.(*store.Mailbox)
	have, err := g.rights(m)
	if err != nil {
		return nil, err
	}
	real, inbox := !m.NoSelect, m.Path == inboxPath
	return wire.Object{{Name: "mayReadItems", Value: real && have.Has(store.RightLookup|store.RightRead)}, {Name: "mayAddItems", Value: real && have.Has(store.RightInsert)},
		{Name: "mayRemoveItems", Value: real && have.Has(store.RightDeleted|store.RightExpunge)}, {Name: "maySetSeen", Value: real && have.Has(store.RightSeen)},
		{Name: "maySetKeywords", Value: real && have.Has(store.RightWrite)}, {Name: "mayCreateChild", Value: have.Has(store.RightCreate)},
		{Name: "mayRename", Value: !inbox && have.Has(store.RightDelete)}, {Name: "mayDelete", Value: !inbox && real && have.Has(store.RightDelete)},
		{Name: "maySubmit", Value: real && have.Has(store.RightPost)}, {Name: "mayAdmin", Value: real && have.Has(store.RightAdminister)}}, nil
}

func loadMailboxes(_ *call, v *store.View, ids []string) ([]record, error) {
	var list []record
	if ids == nil {
		for _, m := range v.Mailboxes() {
			list = append(list, record{mailboxID(m), m})
		}
		return list, nil
	}
	for _, id := range ids {
		if m := findMailbox(v, id); m != nil {
			list = append(list, record{id, m})
		}
	}
	return list, nil
}

// mailboxesTouched: also those whose counts of unread threads change because another
// message of a thread did.
func mailboxesTouched(c *call, v *store.View, d *delta) ([]touch, error) {
	var list []touch
	for _, id := range c.affected(d) {
		what := d.boxes[id]
		m, err := v.MailboxByID(id)
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return nil, err
		}
		if err == nil {
			list = append(list, touch{mailboxID(m), what&boxMade == 0, true})
			continue
		}
		if what&boxMade != 0 {
			continue
		}
		name := c.acct.index.mailboxName(id)
		if name == "" { // gone before we looked: its id is not known
			return nil, errCannotCalculate
		}
		list = append(list, touch{name, true, false})
	}
	for _, o := range d.objects {
		if o.Kind != store.ObjectMailbox {
			continue
		}
		n, ok := number(o.ID, 'F')
		m, err := v.MailboxByID(store.MailboxID(n))
		if ok && err == nil && d.boxes[m.ID] == 0 {
			list = append(list, touch{mailboxID(m), true, true})
		}
	}
	return list, nil
}

// affected lists the mailboxes that a stretch of the log names, and those that hold
// other messages of the threads that it names.
func (c *call) affected(d *delta) []store.MailboxID {
	list := append([]store.MailboxID(nil), d.boxed...)
	known := map[store.MailboxID]bool{}
	for _, id := range list {
		known[id] = true
	}
	seen := map[store.ThreadID]bool{}
	x := c.acct.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, e := range d.order {
		ent := x.entryLocked(e)
		if ent == nil || seen[ent.thread] {
			continue
		}
		seen[ent.thread] = true
		x.threadLocked(ent.thread, func(_ store.EmailID, e *entry) {
			e.memberships(func(m store.Membership) {
				if !known[m.Mailbox] {
					known[m.Mailbox] = true
					list = append(list, m.Mailbox)
				}
			})
		})
	}
	return list
}

// mailboxExtra is updatedProperties, RFC 8621 §2.2.
func mailboxExtra(d *delta, out wire.Object) wire.Object {
	only := true
	for _, what := range d.boxes {
		only = only && what == boxMessages
	}
	for _, o := range d.objects {
		only = only && o.Kind != store.ObjectMailbox
	}
	if !only || len(d.boxes) == 0 {
		return out.With("updatedProperties", nil)
	}
	return out.With("updatedProperties", []string{"totalEmails", "unreadEmails", "totalThreads", "unreadThreads"})
}
