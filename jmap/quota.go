package jmap

import (
	"cmp"
	"slices"
	"strings"

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
			{name: "types", typ: "String[]", mode: serverSet, get: of(func(q quota) any { return []string{"Email"} })},
			{name: "warnLimit", typ: "UnsignedInt|null", mode: serverSet, get: of(func(quota) any { return nil })},
			{name: "softLimit", typ: "UnsignedInt|null", mode: serverSet, get: of(func(quota) any { return nil })},
			{name: "description", typ: "String|null", mode: serverSet, get: of(func(quota) any { return nil })},
		},
		load: loadQuotas, touched: quotasTouched,
		// Limits change without a trace in the log, so more than the use may have changed.
		extra: func(_ *delta, out wire.Object) wire.Object { return out.With("updatedProperties", nil) },
		query: &queryType{
			filters: map[string]filterProperty{"name": {"String"}, "scope": {"String"}, "resourceType": {"String"}, "type": {"String"}},
			sorts:   []string{"name", "used"}, run: queryQuotas, changed: quotaQueryChanged,
		},
	}
}

// quotasOf are the quotas in force, for a client that knows of mail, RFC 9425 §4.1.
func (c *call) quotasOf(v *store.View) []quota {
	if !contains(c.req.using, capMail) {
		return nil
	}
	u := v.Usage()
	all := []quota{{"octets", "octets", "Storage", u.Bytes, u.Quota.Bytes}, {"messages", "count", "Messages", u.Messages, u.Quota.Messages}}
	return slices.DeleteFunc(all, func(q quota) bool { return q.limit == 0 })
}

func loadQuotas(c *call, v *store.View, ids []string) ([]record, error) {
	var list []record
	for _, q := range c.quotasOf(v) {
		if ids == nil || slices.Contains(ids, q.id) {
			list = append(list, record{q.id, q})
		}
	}
	return list, nil
}

func quotasTouched(c *call, v *store.View, d *delta) ([]touch, error) {
	moved := false
	for _, n := range d.emails {
		moved = moved || n != 0
	}
	var list []touch
	for _, q := range c.quotasOf(v) {
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
		have := map[string]any{"scope": "account", "resourceType": x.resource, "type": "Email"}
		return !q.filter.fits(func(condition string, val any) bool {
			if text, _ := val.(string); condition == "name" {
				return strings.Contains(strings.ToLower(x.name), strings.ToLower(text))
			}
			return have[condition] == val
		})
	})
	return sortedIDs(recs, q.sort, func(a, b record, property string) int {
		x, y := a.rec.(quota), b.rec.(quota)
		if property == "name" {
			return cmp.Compare(x.name, y.name)
		}
		return cmp.Compare(x.used, y.used)
	}), err
}

// quotaQueryChanged: what is used may have moved every quota.
func quotaQueryChanged(c *call, v *store.View, _ *query, d *delta, res results) (removed []string, added []int, err error) {
	moved, err := quotasTouched(c, v, d)
	for _, t := range moved {
		removed = append(removed, t.id)
		if at := res.find(t.id); at >= 0 {
			added = append(added, at)
		}
	}
	return removed, added, err
}
