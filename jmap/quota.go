package jmap

import (
	"cmp"
	"slices"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// A quota is one that is in force, RFC 9425 §4.
type quota struct {
	id, resource, name string
	used, limit        int64
}

// quotaType is Quota, RFC 9425 §4. What changes with every message is not told as a
// change of its own: clients ask when they show it.
func quotaType() *objectType {
	of := func(f func(q quota) any) func(*getter, any) (any, error) {
		return func(_ *getter, r any) (any, error) { return f(r.(quota)), nil }
	}
	return &objectType{
		name: "Quota", capability: capQuota,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet},
			{name: "resourceType", typ: "String", mode: serverSet, get: of(func(q quota) any { return q.resource })},
			{name: "used", typ: "UnsignedInt", mode: serverSet, get: of(func(q quota) any { return q.used })},
			{name: "hardLimit", typ: "UnsignedInt", mode: serverSet, get: of(func(q quota) any { return q.limit })},
			{name: "scope", typ: "String", mode: serverSet, get: of(func(quota) any { return "account" })},
			{name: "name", typ: "String", mode: serverSet, get: of(func(q quota) any { return q.name })},
			{name: "types", typ: "String[]", mode: serverSet, get: of(func(q quota) any { return []string{"Mail"} })},
			{name: "warnLimit", typ: "UnsignedInt|null", mode: serverSet, get: of(func(quota) any { return nil })},
			{name: "softLimit", typ: "UnsignedInt|null", mode: serverSet, get: of(func(quota) any { return nil })},
			{name: "description", typ: "String|null", mode: serverSet, get: of(func(quota) any { return nil })},
		},
		load: loadQuotas, touched: quotasTouched,
		extra: func(_ *delta, out wire.Object) wire.Object { return out.With("updatedProperties", []string{"used"}) },
		query: &queryType{
			filters: map[string]filterProperty{"name": {"String"}, "scope": {"String"}, "resourceType": {"String"}, "type": {"String"}},
			sorts:   []string{"name", "used"}, run: queryQuotas,
		},
	}
}

func quotasOf(v *store.View) []quota {
	u := v.Usage()
	all := []quota{{"octets", "octets", "Storage", u.Bytes, u.Quota.Bytes}, {"messages", "count", "Messages", u.Messages, u.Quota.Messages}}
	return slices.DeleteFunc(all, func(q quota) bool { return q.limit == 0 })
}

func loadQuotas(_ *call, v *store.View, ids []string) ([]record, error) {
	var list []record
	for _, q := range quotasOf(v) {
		if ids == nil || slices.Contains(ids, q.id) {
			list = append(list, record{q.id, q})
		}
	}
	return list, nil
}

func quotasTouched(_ *call, v *store.View, d *delta) ([]touch, error) {
	moved := false
	for _, n := range d.emails {
		moved = moved || n != 0
	}
	var list []touch
	for _, q := range quotasOf(v) {
		if moved {
			list = append(list, touch{q.id, true, true})
		}
	}
	return list, nil
}

func queryQuotas(c *call, v *store.View, q *query) (results, error) {
	recs, err := loadQuotas(c, v, nil)
	recs = slices.DeleteFunc(recs, func(r record) bool {
		x := r.rec.(quota)
		have := map[string]any{"name": x.name, "scope": "account", "resourceType": x.resource, "type": "Mail"}
		return !q.filter.fits(func(condition string, val any) bool { return have[condition] == val })
	})
	return sortedIDs(recs, q.sort, func(a, b record, property string) int {
		x, y := a.rec.(quota), b.rec.(quota)
		if property == "name" {
			return cmp.Compare(x.name, y.name)
		}
		return cmp.Compare(x.used, y.used)
	}), err
}
