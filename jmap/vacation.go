package jmap

import (
	"posthouse/jmap/wire"
	"posthouse/store"
)

// vacationType is VacationResponse, RFC 8621 §8: one object, kept for who answers.
func vacationType() *objectType {
	t := &objectType{
		name: "VacationResponse", capability: capVacation, singleton: true,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "isEnabled", typ: "Boolean", mode: optional, def: false},
			{name: "fromDate", typ: "UTCDate|null", mode: optional},
			{name: "toDate", typ: "UTCDate|null", mode: optional},
			{name: "subject", typ: "String|null", mode: optional},
			{name: "textBody", typ: "String|null", mode: optional},
			{name: "htmlBody", typ: "String|null", mode: optional},
		},
		update: func(s *setter, r record, changed map[string]any) (wire.Object, error) {
			return nil, s.merge(store.ObjectVacation, r, changed)
		},
	}
	return t.keep(store.ObjectVacation).single()
}

const singletonID = "singleton"

// single makes a stored type one of a single object, which has its defaults until it
// is changed.
func (t *objectType) single() *objectType {
	load := t.load
	t.load = func(c *call, v *store.View, ids []string) ([]record, error) {
		if ids == nil {
			ids = []string{singletonID}
		}
		var want []string
		for _, id := range ids {
			if id == singletonID {
				want = []string{id}
			}
		}
		if want == nil {
			return nil, nil
		}
		list, err := load(c, v, want)
		if err == nil && len(list) == 0 {
			list = []record{{singletonID, values{}}}
		}
		return list, err
	}
	return t
}
