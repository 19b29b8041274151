package jmap

import (
	"encoding/json"
	"strconv"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

func uintText(n uint64) string { return strconv.FormatUint(n, 10) }

// pathOf is the path of a mailbox with a name below a parent ("" or null: the top).
func (s *setter) pathOf(name string, parent any) (string, *setError) {
	if name == "" || strings.ContainsAny(name, "/\x00") || strings.TrimSpace(name) != name {
		return "", invalidProperties("not a name for a mailbox", "name")
	}
	if parent == nil {
		return name, nil
	}
	id, _ := parent.(string)
	p := findMailbox(&s.tx.View, id)
	if p == nil {
		return "", invalidProperties("there is no such mailbox", "parentId")
	}
	return p.Path + "/" + name, nil
}

// mailboxError names the property that is to blame.
func mailboxError(err error) error {
	switch mail.KindOf(err) {
	case mail.Exists:
		return invalidProperties("there is a mailbox of that name", "name")
	case mail.Invalid, mail.TooLarge:
		if err != nil {
			return invalidProperties(mail.TextOf(err), "name")
		}
	}
	return err
}

func createMailbox(s *setter, props map[string]any, _ any) (string, wire.Object, error) {
	name, _ := props["name"].(string)
	path, bad := s.pathOf(name, props["parentId"])
	if bad != nil {
		return "", nil, bad
	}
	role, _ := props["role"].(string)
	r, ok := storeRole(role)
	if !ok {
		return "", nil, invalidProperties("there is no such role", "role")
	}
	if free, err := s.freeRole(role, 0); err != nil || !free {
		if err == nil {
			err = invalidProperties("another mailbox has the role", "role")
		}
		return "", nil, err
	}
	if _, err := s.freePath(path, 0); err != nil {
		return "", nil, err
	}
	if m, err := s.tx.Mailbox(path); err == nil && m.Path == inboxPath {
		return "", nil, invalidProperties("there is a mailbox of that name", "name")
	}
	subscribe, given := props["isSubscribed"].(bool)
	id, err := s.tx.CreateMailbox(store.NewMailbox{Path: path, Role: r, Subscribe: subscribe || !given})
	if err != nil && s.acct.shared && mail.KindOf(err) == mail.NotFound { // one may not know what is above
		return "", nil, unfit("forbidden", "you may not make a mailbox here")
	}
	if err != nil {
		return "", nil, mailboxError(err)
	}
	m, err := s.tx.MailboxByID(id)
	if err != nil {
		return "", nil, err
	}
	note := mailboxNote{}
	if n, ok := props["sortOrder"].(int64); ok && n != defaultSortOrder {
		o := int(n)
		note.SortOrder = &o
		if err := s.putNote(id, note); err != nil {
			return "", nil, halfDone(err)
		}
	}
	if v := props["shareWith"]; v != nil {
		if err := s.share(id, v); err != nil {
			return "", nil, halfDone(err)
		}
	}
	g := &getter{s.call, &s.tx.View}
	set := wire.Object{}
	for _, p := range s.typ.properties {
		if p.mode&onRequest != 0 {
			continue
		}
		if _, given := props[p.name]; given && p.name != "isSubscribed" || p.name == "id" {
			continue
		}
		val, err := p.get(g, m)
		if err != nil {
			return "", nil, err
		}
		set = set.With(p.name, val)
	}
	return mailboxID(m), set, nil
}

func (s *setter) putNote(id store.MailboxID, n mailboxNote) error {
	if err := s.ownerOnly(); err != nil {
		return err
	}
	val, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return s.tx.PutObject(store.ObjectMailbox, noteID(id), val, nil)
}

func updateMailbox(s *setter, r record, changed map[string]any) (wire.Object, error) {
	m := r.rec.(*store.Mailbox)
	if err := s.rename(m, changed); err != nil {
		return nil, err
	}
	// What follows fails for reasons that no client can cause, but the role's, which
	// is checked first when it comes alone.
	half := func(err error) error { return halfDone(mailboxError(err)) }
	if v, there := changed["shareWith"]; there {
		if err := s.share(m.ID, v); err != nil {
			return nil, halfDone(err)
		}
	}
	if v, there := changed["role"]; there {
		name, _ := v.(string)
		role, ok := storeRole(name)
		if !ok || m.Path == inboxPath {
			return nil, &halfway{err: invalidProperties("there is no such role, or it cannot have it", "role")}
		}
		if free, err := s.freeRole(name, m.ID); err != nil || !free {
			if err == nil {
				err = &halfway{err: invalidProperties("another mailbox has the role", "role")}
			}
			return nil, err
		}
		if err := s.tx.SetRole(m.ID, role); err != nil {
			return nil, half(err)
		}
	}
	if v, there := changed["isSubscribed"].(bool); there {
		now, err := s.tx.MailboxByID(m.ID)
		if err != nil {
			return nil, half(err)
		}
		if err := s.tx.Subscribe(now.Path, v); err != nil {
			return nil, half(err)
		}
	}
	if v, there := changed["sortOrder"].(int64); there {
		note, err := mailboxNoteOf(&s.tx.View, m.ID)
		if err != nil {
			return nil, half(err)
		}
		o := int(v)
		note.SortOrder = &o
		if err := s.putNote(m.ID, note); err != nil {
			return nil, half(err)
		}
	}
	return nil, nil
}

// halfDone is an error after something was changed.
func halfDone(err error) error {
	if se, ok := asSetError(err); ok {
		return &halfway{err: se}
	}
	return err
}

// rename gives a mailbox another name or parent.
func (s *setter) rename(m *store.Mailbox, changed map[string]any) error {
	want, moves, err := s.wanted(m, changed)
	if err != nil || !moves {
		return err
	}
	if m.Path == inboxPath {
		return unfit("forbidden", "the inbox keeps its name")
	}
	path, bad := s.pathOf(want.name, want.parent)
	if bad != nil {
		return bad
	}
	if path == m.Path {
		return nil
	}
	if strings.HasPrefix(path, m.Path+"/") { // unless what is above it there goes away
		id, _ := want.parent.(string)
		if p := findMailbox(&s.tx.View, id); p != nil && p.ID != m.ID {
			if _, err := s.moveAside(p); err != nil {
				return err
			}
		}
		if path, bad = s.pathOf(want.name, want.parent); bad != nil {
			return bad
		}
	}
	if strings.HasPrefix(path, m.Path+"/") {
		return invalidProperties("a mailbox cannot be inside itself", "parentId")
	}
	if free, err := s.freePath(path, m.ID); err != nil || !free {
		if err == nil {
			err = invalidProperties("there is a mailbox of that name", "name")
		}
		return err
	}
	return mailboxError(s.tx.RenameMailbox(m.ID, path))
}

func destroyMailbox(s *setter, id string) error {
	m := findMailbox(&s.tx.View, id)
	switch {
	case m == nil:
		return unfit("notFound", "")
	case m.Path == inboxPath:
		return unfit("forbidden", "the inbox cannot be destroyed")
	case m.HasChildren:
		return unfit("mailboxHasChild", "")
	case m.Messages > 0 && !s.flag("onDestroyRemoveEmails"):
		return unfit("mailboxHasEmail", "")
	}
	if err := s.tx.DeleteMailbox(m.ID); err != nil {
		return err
	}
	if s.acct.shared {
		return nil
	}
	if err := s.tx.DeleteObject(store.ObjectMailbox, noteID(m.ID)); err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	return nil
}
