package jmap

import (
	"slices"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

// identityType is Identity, RFC 8621 §6. Each account has one from the start, whose
// id is "default"; what its owner changes of it is kept as of any other.
func identityType() *objectType {
	t := &objectType{
		name: "Identity", capability: capSubmission,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "name", typ: "String", mode: optional, def: ""},
			{name: "email", typ: "String", mode: immutable},
			{name: "replyTo", typ: "EmailAddress[]|null", mode: optional},
			{name: "bcc", typ: "EmailAddress[]|null", mode: optional},
			{name: "textSignature", typ: "String", mode: optional, def: ""},
			{name: "htmlSignature", typ: "String", mode: optional, def: ""},
			identityShares(),
			{name: "mayDelete", typ: "Boolean", mode: serverSet, def: true,
				get: func(g *getter, rec any) (any, error) {
					return !g.acct.shared && rec.(values)["mayDelete"] != false, nil
				}},
		},
		create: createIdentity,
		update: func(s *setter, r record, changed map[string]any) (wire.Object, error) {
			if err := s.ownerOnly(); err != nil {
				return nil, err
			}
			if v, there := changed["shareWith"]; there {
				if err := s.shareIdentity(r.rec.(values), v); err != nil {
					return nil, err
				}
				delete(changed, "shareWith") // it stands in the directory; that it changed, in the log
			}
			return nil, s.merge(store.ObjectIdentity, r, changed)
		},
		destroy: func(s *setter, id string) error {
			switch err := s.ownerOnly(); {
			case err != nil:
				return err
			case id == defaultIdentity:
				return unfit("forbidden", "the first identity stays")
			}
			return s.tx.DeleteObject(store.ObjectIdentity, id)
		},
	}
	t.keep(store.ObjectIdentity)
	t.load = sendable(withDefault(t.load))
	touched := t.touched
	t.touched = func(c *call, v *store.View, d *delta) ([]touch, error) {
		list, err := touched(c, v, d)
		for i := range list {
			list[i].was = list[i].was || list[i].id == defaultIdentity // it was there before it was kept
		}
		return list, err
	}
	return t
}

type loader = func(c *call, v *store.View, ids []string) ([]record, error)

// sendable leaves out the identities of somebody else's account that the user may not
// send as.
func sendable(load loader) loader {
	return func(c *call, v *store.View, ids []string) ([]record, error) {
		list, err := load(c, v, ids)
		if err != nil || !c.acct.shared {
			return list, err
		}
		return slices.DeleteFunc(list, func(r record) bool {
			text, _ := r.rec.(values)["email"].(string)
			ok, failed := c.maySendAs(text)
			if failed != nil {
				err = failed
			}
			return !ok
		}), err
	}
}

// withDefault adds the identity that each account has.
func withDefault(load loader) loader {
	return func(c *call, v *store.View, ids []string) ([]record, error) {
		list, err := load(c, v, ids)
		for _, r := range list {
			if r.id == defaultIdentity { // the address of an account may change
				first, err := c.firstIdentity(v)
				if err != nil {
					return nil, err
				}
				m := r.rec.(values)
				m["email"], m["mayDelete"] = first["email"], false
			}
		}
		if err != nil || ids != nil && !slices.Contains(ids, defaultIdentity) ||
			slices.ContainsFunc(list, func(r record) bool { return r.id == defaultIdentity }) {
			return list, err
		}
		first, err := c.firstIdentity(v)
		return append([]record{{defaultIdentity, first}}, list...), err
	}
}

const (
	defaultIdentity = "default"
	// maxIdentities of an account.
	maxIdentities = 200
)

// firstIdentity is the account itself.
func (c *call) firstIdentity(v *store.View) (values, error) {
	a, err := c.opts.Directory.Account(c.ctx, v.Account())
	if err != nil {
		return nil, err
	}
	return values{"name": a.Name, "email": a.Address.String(), "mayDelete": false}, nil
}

func createIdentity(s *setter, props map[string]any, _ any) (string, wire.Object, error) {
	if err := s.ownerOnly(); err != nil {
		return "", nil, err
	}
	n, err := countOf(&s.tx.View, store.ObjectIdentity)
	if err != nil {
		return "", nil, err
	}
	if props["shareWith"] != nil {
		return "", nil, invalidProperties("share it when it is there", "shareWith")
	}
	if n >= maxIdentities {
		return "", nil, unfit("overQuota", "too many identities")
	}
	text, _ := props["email"].(string)
	if ok, err := s.maySendAs(text); err != nil || !ok {
		if err == nil {
			err = unfit("forbiddenFrom", "you may not send as this address")
		}
		return "", nil, err
	}
	id, err := s.newID("I")
	if err != nil {
		return "", nil, err
	}
	m := values{}
	for k, v := range props {
		m[k] = v
	}
	set := wire.Object{}
	for _, p := range s.typ.properties {
		if _, given := props[p.name]; !given && p.name != "id" && p.mode&onRequest == 0 {
			set = set.With(p.name, p.def)
		}
	}
	return id, set, s.put(store.ObjectIdentity, id, m)
}

// maySendAs asks whether the user may send as an address.
func (c *call) maySendAs(text string) (bool, error) {
	list := message.ParseAddresses([]byte(text), 2)
	if len(list) != 1 || list[0].Group || list[0].Address.Domain == "" {
		return false, nil
	}
	ok, err := c.opts.Directory.MaySend(c.ctx, c.who.account.ID, list[0].Address)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return false, nil
	}
	return ok, err
}
