package jmap

import (
	"slices"
	"strings"

	"posthouse/store"
)

// What a /set leaves must be valid, and not each step on the way to it (RFC 8620 §5.3): two
// mailboxes may change names, or roles, in one call, and a mailbox may be destroyed together
// with those below it. So what has a name that another one is to have, and will give it up
// in the same call, waits under another. If it then keeps it after all, the transaction
// starts again without what failed.

// A place is where a mailbox was before it went out of the way.
type place struct {
	name   string
	parent any // id, or nil
}

// leaves reports whether the set will still change one of the properties of a mailbox, or
// destroy it.
func (s *setter) leaves(o *store.Mailbox, names ...string) bool {
	id := mailboxID(o)
	for key, patch := range s.updates {
		if s.idOf(key) != id || s.finished[key] || s.refused["update/"+key] != nil {
			continue
		}
		m, _ := patch.(map[string]any)
		for _, name := range names {
			if v, there := m[name]; there && !s.has(o, name, v) {
				return true
			}
		}
	}
	return slices.ContainsFunc(s.destroys, func(key string) bool { return s.idOf(key) == id && s.refused["destroy/"+key] == nil })
}

// has reports whether a mailbox has such a property already.
func (s *setter) has(o *store.Mailbox, name string, v any) bool {
	text, _ := v.(string)
	switch name {
	case "name":
		return text == nameOf(o)
	case "role":
		return text == roleOf(o)
	}
	p := findMailbox(&s.tx.View, s.idOf(text))
	return p == nil && o.Parent == 0 || p != nil && p.ID == o.Parent
}

// freePath sees to it that a path is free for a mailbox (0: a new one), and reports whether
// it is.
func (s *setter) freePath(path string, m store.MailboxID) (bool, error) {
	o, err := s.tx.Mailbox(path)
	if err != nil || o.ID == m {
		return true, nil
	}
	return s.moveAside(o)
}

// moveAside gives a mailbox that is to leave its place another name until then; false if it
// stays.
func (s *setter) moveAside(o *store.Mailbox) (bool, error) {
	if o.Path == inboxPath || !s.leaves(o, "name", "parentId") {
		return false, nil
	}
	was := place{name: nameOf(o)}
	if o.Parent != 0 {
		p, err := s.tx.MailboxByID(o.Parent)
		if err != nil {
			return false, err
		}
		was.parent = mailboxID(p)
	}
	name := "~" + noteID(o.ID)
	for {
		if _, err := s.tx.Mailbox(name); err != nil {
			break
		}
		name += "~" // each is a mailbox that is there, so there is an end
	}
	if err := s.tx.RenameMailbox(o.ID, name); err != nil {
		if _, refused := asSetError(err); refused {
			return false, nil
		}
		return false, err
	}
	s.asideOf(o, was)
	return true, nil
}

// asideOf remembers that a mailbox is not as it was.
func (s *setter) asideOf(o *store.Mailbox, was place) {
	if s.aside == nil {
		s.aside = map[string]place{}
	}
	if _, known := s.aside[mailboxID(o)]; !known {
		s.aside[mailboxID(o)] = was
	}
}

// freeRole takes a role from a mailbox that will give it up, and reports whether m may have
// it.
func (s *setter) freeRole(role string, m store.MailboxID) (bool, error) {
	r, ok := storeRole(role)
	if !ok {
		return false, nil
	}
	o, err := s.tx.MailboxByRole(r)
	if role == "" || err != nil || o.ID == m {
		return true, nil
	}
	if !s.leaves(o, "role") {
		return false, nil
	}
	if err := s.tx.SetRole(o.ID, ""); err != nil {
		if _, refused := asSetError(err); refused {
			return false, nil
		}
		return false, err
	}
	was := place{name: nameOf(o)}
	if p, err := s.tx.MailboxByID(o.Parent); o.Parent != 0 && err == nil {
		was.parent = mailboxID(p)
	}
	s.asideOf(o, was)
	return true, nil
}

// wanted is the place that an update gives to a mailbox; changed is false if it stays.
func (s *setter) wanted(m *store.Mailbox, changes map[string]any) (want place, changed bool, err error) {
	want, aside := s.aside[mailboxID(m)]
	if !aside {
		want.name = nameOf(m)
		if m.Parent != 0 {
			p, err := s.tx.MailboxByID(m.Parent)
			if err != nil {
				return want, false, err
			}
			want.parent = mailboxID(p)
		}
	}
	for key, patch := range s.updates { // what stands there may be what the mailbox has while it waits
		if o, _ := patch.(map[string]any); aside && s.idOf(key) == mailboxID(m) {
			want.apply(o, s.idOf)
		}
	}
	want.apply(changes, s.idOf)
	_, named := changes["name"]
	_, moved := changes["parentId"]
	return want, aside || named || moved, nil
}

func (p *place) apply(patch map[string]any, idOf func(string) string) {
	if name, ok := patch["name"].(string); ok {
		p.name = name
	}
	if v, there := patch["parentId"]; there {
		p.parent = v
		if id, ok := v.(string); ok {
			p.parent = idOf(id)
		}
	}
}

// deepestFirst orders mailboxes to be destroyed.
func deepestFirst(s *setter, ids []string) []string {
	depth := func(id string) int {
		if m := findMailbox(&s.tx.View, s.idOf(id)); m != nil {
			return strings.Count(m.Path, "/")
		}
		return 0
	}
	ids = slices.Clone(ids)
	slices.SortStableFunc(ids, func(a, b string) int { return depth(b) - depth(a) })
	return ids
}
