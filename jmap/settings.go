package jmap

import (
	"encoding/json"
	"slices"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// settingsType is Settings of the vendor capability: one object for what a person
// chose in a client. Names are the client's.
func settingsType() *objectType {
	t := &objectType{
		name: "Settings", capability: capPosthouse, singleton: true,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "values", typ: "String[Any]", mode: optional, def: map[string]any{}},
		},
		update: func(s *setter, r record, changed map[string]any) (wire.Object, error) {
			if len(wire.Append(nil, changed["values"])) > maxSettings {
				return nil, unfit("tooLarge", "the settings are too large")
			}
			return nil, s.merge(store.ObjectSettings, r, changed)
		},
	}
	return t.keep(store.ObjectSettings).single()
}

// maxSettings is how much a client may keep.
const maxSettings = 256 << 10

// loginSessionType is LoginSession of the vendor capability: where the user is logged
// in. One that is destroyed is not a login any more.
func loginSessionType() *objectType {
	of := func(f func(g *getter, id string, s sessionRecord) any) func(*getter, any) (any, error) {
		return func(g *getter, r any) (any, error) {
			o := r.(store.Object)
			var rec sessionRecord
			if err := json.Unmarshal(o.Value, &rec); err != nil {
				return nil, &mail.Error{Kind: mail.Corrupt, Op: "jmap.session", Err: err}
			}
			return f(g, o.ID, rec), nil
		}
	}
	return &objectType{
		name: "LoginSession", capability: capPosthouse, noAccount: true,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "createdAt", typ: "UTCDate", mode: serverSet, get: of(func(_ *getter, _ string, s sessionRecord) any { return utcDate(s.Created) })},
			{name: "usedAt", typ: "UTCDate", mode: serverSet, get: of(func(_ *getter, _ string, s sessionRecord) any { return utcDate(s.Used) })},
			{name: "address", typ: "String", mode: serverSet, get: of(func(_ *getter, _ string, s sessionRecord) any { return s.Address })},
			{name: "userAgent", typ: "String", mode: serverSet, get: of(func(_ *getter, _ string, s sessionRecord) any { return s.Agent })},
			{name: "isThis", typ: "Boolean", mode: serverSet, get: of(func(g *getter, id string, _ sessionRecord) any { return id == g.who.session })},
		},
		load: func(_ *call, v *store.View, ids []string) ([]record, error) {
			var list []record
			err := v.Objects(store.ObjectSession, func(o store.Object) bool {
				if ids == nil || slices.Contains(ids, o.ID) {
					list = append(list, record{o.ID, o})
				}
				return true
			})
			return list, err
		},
		destroy: func(s *setter, id string) error {
			s.afterwards = append(s.afterwards, func() { s.users.drop(s.acct.ID()) })
			if err := s.tx.DeleteObject(store.ObjectSession, id); err != nil {
				return err
			}
			return s.dropSubscriptions(s.tx)
		},
	}
}
