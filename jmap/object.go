package jmap

import (
	"slices"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// An objectType is one type of the data model: a table of its properties, and what
// is particular to it. Methods exist for the functions that are there.
type objectType struct {
	name       string // "Email"
	capability string
	properties []property
	getArgs    []wire.Field
	setArgs    []wire.Field
	// dynamic finds properties that are not in the table, as "header:Subject:asText".
	dynamic func(name string) *property
	// singleton types have one object that always exists.
	singleton bool
	// noState: of a type without /changes.
	noState bool
	// guests: what its methods take of the owner's objects in an account of somebody
	// else; nil: nothing of it is there, unless its capability is.
	guests []store.ObjectKind
	// noAccount: its objects belong to the user, not to an account.
	noAccount bool

	// load returns the records of ids, or all for nil. Those that do not exist are
	// left out.
	load func(c *call, v *store.View, ids []string) ([]record, error)
	// touched returns the ids that a stretch of the log names, in its order.
	touched func(c *call, v *store.View, d *delta) ([]touch, error)
	// extra adds to the response of /changes.
	extra func(d *delta, out wire.Object) wire.Object
	query *queryType

	// prepare does what must happen before the transaction of a create; its result
	// is passed on to create. It may be nil.
	prepare func(c *call, props map[string]any) (any, error)
	create  func(s *setter, props map[string]any, prepared any) (id string, set wire.Object, err error)
	update  func(s *setter, r record, changed map[string]any) (set wire.Object, err error)
	destroy func(s *setter, id string) error
	// destroyOrder puts what is to be destroyed in an order that works; nil: any.
	destroyOrder func(s *setter, ids []string) []string
	// before runs at the start of the transaction, after at its end.
	after func(s *setter) error
	// done runs when the set is durable.
	done func(c *call, out wire.Object) error
}

// A record is one object: its id, and what its properties are read from.
type record struct {
	id  string
	rec any
}

// A property is one row of a type's table.
type property struct {
	name string
	typ  string // in the notation of RFC 8620
	mode mode
	def  any // what it is when a create leaves it out
	get  func(g *getter, rec any) (any, error)

	check *wire.Type
}

// mode says who may set a property, RFC 8620 §1.1, and whether /get returns it
// unasked.
type mode uint8

const (
	serverSet mode = 1 << iota
	immutable
	onRequest // not among the default properties of /get
	optional  // has a default: may be left out of a create
	writeOnly // never returned
)

// A getter is what properties are read with.
type getter struct {
	*call
	v *store.View
}

func (t *objectType) property(name string) *property {
	for i := range t.properties {
		if t.properties[i].name == name {
			return &t.properties[i]
		}
	}
	if t.dynamic != nil {
		return t.dynamic(name)
	}
	return nil
}

// compile prepares the types of the properties.
func (t *objectType) compile() {
	for i := range t.properties {
		p := &t.properties[i]
		p.check = wire.CompileType(p.typ, structs)
	}
}

// standard lists the methods that a type has.
func (t *objectType) standard() []*method {
	var list []*method
	add := func(verb string, args []wire.Field, do func(t *objectType, c *call) (wire.Object, error)) {
		list = append(list, &method{name: t.name + "/" + verb, capability: t.capability, args: args, noAccount: t.noAccount, guests: t.guests,
			do: func(c *call) (wire.Object, error) {
				c.typ = t
				return do(t, c)
			}})
	}
	if t.load != nil {
		add("get", slices.Concat([]wire.Field{{Name: "ids?", Type: "Id[]"}, {Name: "properties?", Type: "String[]"}}, t.getArgs), (*objectType).get)
	}
	if t.touched != nil {
		add("changes", []wire.Field{{Name: "sinceState", Type: "String"}, {Name: "maxChanges?", Type: "UnsignedInt"}}, (*objectType).changes)
	}
	if q := t.query; q != nil {
		add("query", slices.Concat(queryArgs, q.args), (*objectType).doQuery)
		if q.changed != nil {
			add("queryChanges", slices.Concat(queryChangesArgs, q.args), (*objectType).queryChanges)
		}
	}
	if t.create != nil || t.update != nil || t.destroy != nil {
		args := []wire.Field{{Name: "create?", Type: "Id[Any]"}, {Name: "update?", Type: "Id[Any]"}, {Name: "destroy?", Type: "Id[]"}}
		if !t.noState {
			args = slices.Insert(args, 0, wire.Field{Name: "ifInState?", Type: "String"})
		}
		add("set", append(args, t.setArgs...), (*objectType).set)
	}
	return list
}

// get is Foo/get, RFC 8620 §5.1.
func (t *objectType) get(c *call) (wire.Object, error) {
	ids, all := unique(c.strs("ids")), c.args["ids"] == nil
	if len(ids) > c.limits.Get {
		return nil, refused("requestTooLarge", "more ids than maxObjectsInGet")
	}
	if all {
		ids = nil
	}
	props, err := t.wanted(c)
	if err != nil {
		return nil, err
	}
	var out wire.Object
	err = c.viewOrUser(func(v *store.View) error {
		recs, err := t.load(c, v, ids)
		if err != nil {
			return err
		}
		if len(recs) > c.limits.Get {
			return refused("requestTooLarge", "there are more objects than maxObjectsInGet")
		}
		g := &getter{c, v}
		list := make([]wire.Object, len(recs))
		found := make(map[string]bool, len(recs))
		for i, r := range recs {
			found[r.id] = true
			if list[i], err = g.object(r, props); err != nil {
				return err
			}
		}
		missing := []string{}
		for _, id := range ids {
			if !found[id] {
				missing = append(missing, id)
			}
		}
		out = c.head()
		if !t.noState {
			out = out.With("state", stateOf(v))
		}
		out = out.With("list", list).With("notFound", missing)
		return nil
	})
	return out, err
}

// head begins a response.
func (c *call) head() wire.Object {
	if c.method.noAccount {
		return wire.Object{}
	}
	return wire.Object{{Name: "accountId", Value: c.acct.id}}
}

// viewOrUser is view of the account, or, for types that belong to the user, of the
// user's own.
func (c *call) viewOrUser(f func(v *store.View) error) error {
	if c.acct == nil {
		var err error
		if c.acct, err = c.account(c.ctx, c.who, accountID(c.who.account.ID)); err != nil {
			return err
		}
	}
	return c.view(f)
}

// wanted returns the properties that a /get asks for.
func (t *objectType) wanted(c *call) ([]*property, error) {
	names, given := c.args["properties"].([]any)
	if !given {
		var all []*property
		for i := range t.properties {
			if p := &t.properties[i]; p.mode&(onRequest|writeOnly) == 0 {
				all = append(all, p)
			}
		}
		return all, nil
	}
	list := []*property{t.property("id")}
	for _, n := range names {
		name, _ := n.(string)
		p := t.property(name)
		if p != nil && p.mode&writeOnly != 0 { // RFC 8620 §7.2.1
			return nil, refused("forbidden", name+" is not shown again")
		}
		if p == nil {
			return nil, invalidArguments("there is no property " + name)
		}
		if !slices.ContainsFunc(list, func(q *property) bool { return q.name == p.name }) {
			list = append(list, p)
		}
	}
	return list, nil
}

// object reads the properties of one record.
func (g *getter) object(r record, props []*property) (wire.Object, error) {
	o := make(wire.Object, 0, len(props))
	for _, p := range props {
		if p.name == "id" {
			o = o.With("id", r.id)
			continue
		}
		val, err := p.get(g, r.rec)
		if err != nil {
			return nil, err
		}
		o = o.With(p.name, val)
	}
	return o, nil
}

func unique(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	return slices.DeleteFunc(ids, func(id string) bool {
		twice := seen[id]
		seen[id] = true
		return twice
	})
}
