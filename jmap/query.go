package jmap

import (
	"cmp"
	"slices"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// A queryType is what a type adds to be queried.
type queryType struct {
	args    []wire.Field
	filters map[string]filterProperty // of its FilterCondition
	sorts   []string                  // properties to sort by
	// fixed are the conditions and properties to sort by that never change of an object.
	fixed []string
	// elsewhere is the condition that is decided by other objects, so that changes cannot be
	// told; "" if there is none.
	elsewhere string
	// run answers a query.
	run func(c *call, v *store.View, q *query) (results, error)
	// changed returns what may have been in the results before a stretch of the log
	// and is not where it was, and what of it is in them now, res, with its place.
	changed func(c *call, v *store.View, q *query, d *delta, res results) (removed []string, added []int, err error)
}

// A filterProperty is one row of a table of filter conditions.
type filterProperty struct {
	typ string // notation
}

var queryArgs = []wire.Field{
	{Name: "filter?", Type: "Any"}, {Name: "sort?", Type: "Comparator[]"}, {Name: "position?", Type: "Int"}, {Name: "anchor?", Type: "Id"},
	{Name: "anchorOffset?", Type: "Int"}, {Name: "limit?", Type: "UnsignedInt"}, {Name: "calculateTotal?", Type: "Boolean"},
}

var queryChangesArgs = []wire.Field{
	{Name: "filter?", Type: "Any"}, {Name: "sort?", Type: "Comparator[]"}, {Name: "sinceQueryState", Type: "String"}, {Name: "maxChanges?", Type: "UnsignedInt"},
	{Name: "upToId?", Type: "Id"}, {Name: "calculateTotal?", Type: "Boolean"},
}

// results are the ids of a query in order.
type results interface {
	len() int
	id(i int) string
	// find returns the place of an id, or -1.
	find(id string) int
}

// idList are results in plain form.
type idList []string

func (l idList) len() int           { return len(l) }
func (l idList) id(i int) string    { return l[i] }
func (l idList) find(id string) int { return slices.Index(l, id) }

// A query is a checked filter and sort.
type query struct {
	filter *filter // nil: everything
	sort   []comparator
	key    string // the same for the same question
}

// A filter is a FilterOperator, or a FilterCondition if op is "".
type filter struct {
	op   string // AND, OR, NOT
	sub  []*filter
	cond map[string]any
}

// A comparator is one criterion of an order, RFC 8620 §5.5.
type comparator struct {
	property   string
	descending bool
	keyword    string
	collation  string
}

// asked checks filter and sort of a query.
func (t *objectType) asked(c *call) (*query, error) {
	q := &query{}
	if f := c.args["filter"]; f != nil {
		r := filterReader{q: t.query, limits: &c.limits, room: c.limits.Conditions}
		var err error
		if q.filter, err = r.read(f, 0); err != nil {
			return nil, err
		}
	}
	list, _ := c.args["sort"].([]any)
	if len(list) > c.limits.SortKeys {
		return nil, refused("unsupportedSort", "too many criteria")
	}
	for _, e := range list {
		m := e.(map[string]any)
		s := comparator{}
		s.property, _ = m["property"].(string)
		s.keyword, _ = m["keyword"].(string)
		s.collation, _ = m["collation"].(string)
		if up, given := m["isAscending"].(bool); given {
			s.descending = !up
		}
		if !slices.Contains(t.query.sorts, s.property) || s.collation != "" && s.collation != "i;unicode-casemap" {
			return nil, refused("unsupportedSort", "cannot sort by "+s.property)
		}
		q.sort = append(q.sort, s)
	}
	q.key = string(wire.Append(nil, []any{wire.Raw(wire.Append(nil, wire.Plain(c.args["filter"]))), wire.Raw(wire.Append(nil, c.args["sort"])),
		wire.Raw(wire.Append(nil, c.args["collapseThreads"]))}))
	return q, nil
}

// A filterReader checks a filter against its table and limits.
type filterReader struct {
	q      *queryType
	limits *Limits
	room   int
}

func (r *filterReader) read(v any, depth int) (*filter, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, invalidArguments("a filter is not an object")
	}
	if r.room--; r.room < 0 || depth > r.limits.FilterDepth {
		return nil, refused("unsupportedFilter", "the filter is too large")
	}
	op, isOperator := m["operator"].(string)
	if !isOperator {
		for name, val := range m {
			p, known := r.q.filters[name]
			if !known {
				return nil, refused("unsupportedFilter", "there is no condition "+name)
			}
			if !wire.CompileType(p.typ, structs).Valid(val) {
				return nil, invalidArguments("the filter's " + name + " is not of its type")
			}
		}
		return &filter{cond: m}, nil
	}
	list, isList := m["conditions"].([]any)
	if len(m) != 2 || !isList || op != "AND" && op != "OR" && op != "NOT" {
		return nil, invalidArguments("a filter operator is not AND, OR or NOT with conditions")
	}
	f := &filter{op: op}
	for _, e := range list {
		s, err := r.read(e, depth+1)
		if err != nil {
			return nil, err
		}
		f.sub = append(f.sub, s)
	}
	return f, nil
}

// doQuery is Foo/query, RFC 8620 §5.5.
func (t *objectType) doQuery(c *call) (wire.Object, error) {
	q, err := t.asked(c)
	if err != nil {
		return nil, err
	}
	var out wire.Object
	err = c.viewOrUser(func(v *store.View) error {
		res, err := t.query.run(c, v, q)
		if err != nil {
			return err
		}
		from, err := c.start(res)
		if err != nil {
			return err
		}
		most := min(int(min(c.num("limit", noLimit), noLimit)), maxQuery)
		to := min(from+most, res.len())
		ids := make([]string, 0, max(to-from, 0))
		for i := from; i < to; i++ {
			ids = append(ids, res.id(i))
		}
		out = c.head().With("queryState", stateOf(v)).With("canCalculateChanges", t.query.changed != nil && !q.filter.asks(t.query.elsewhere)).
			With("position", from).With("ids", ids)
		if c.flag("calculateTotal") {
			out = out.With("total", res.len())
		}
		if c.num("limit", noLimit) > maxQuery {
			out = out.With("limit", maxQuery)
		}
		return nil
	})
	return out, err
}

// maxQuery is how many ids one /query returns.
const maxQuery = 10_000

// start returns where the window of a query begins.
func (c *call) start(res results) (int, error) {
	if anchor := c.str("anchor"); anchor != "" {
		at := res.find(c.req.idOf(anchor))
		if at < 0 {
			return 0, refused("anchorNotFound", "")
		}
		return min(max(at+int(c.num("anchorOffset", 0)), 0), res.len()), nil
	}
	at := c.num("position", 0)
	if at < 0 {
		at = max(at+int64(res.len()), 0)
	}
	return int(min(at, int64(res.len()))), nil
}

// queryChanges is Foo/queryChanges, RFC 8620 §5.6.
func (t *objectType) queryChanges(c *call) (wire.Object, error) {
	q, err := t.asked(c)
	if err != nil {
		return nil, err
	}
	from, ok := parseState(c.str("sinceQueryState"))
	if !ok || from.upto != 0 {
		return nil, errCannotCalculate
	}
	var out wire.Object
	err = c.viewOrUser(func(v *store.View) error {
		if from.since > v.LogEnd() {
			return errCannotCalculate
		}
		d, err := c.deltaSince(v, from.since, v.LogEnd())
		if err != nil {
			return err
		}
		res, err := t.query.run(c, v, q)
		if err != nil {
			return err
		}
		removed, places, err := t.query.changed(c, v, q, d, res)
		if err != nil {
			return err
		}
		slices.Sort(places)
		removed, places = t.query.upTo(c, q, res, removed, places)
		added := make([]wire.Object, len(places))
		for i, at := range places {
			added[i] = wire.Object{{Name: "id", Value: res.id(at)}, {Name: "index", Value: at}}
		}
		if most := c.num("maxChanges", noLimit); int64(len(removed)+len(added)) > most {
			return refused("tooManyChanges", "")
		}
		if removed == nil {
			removed = []string{}
		}
		out = c.head().With("oldQueryState", c.str("sinceQueryState")).With("newQueryState", stateOf(v)).With("removed", removed).With("added", added)
		if c.flag("calculateTotal") {
			out = out.With("total", res.len())
		}
		return nil
	})
	return out, err
}

// upTo leaves out what lies behind upToId, where nothing moves, RFC 8620 §5.6: what is in
// both lists was there before.
func (t *queryType) upTo(c *call, q *query, res results, removed []string, places []int) ([]string, []int) {
	last := c.str("upToId")
	if last == "" || c.flag("collapseThreads") || !q.isOf(t.fixed) {
		return removed, places
	}
	end := res.find(c.req.idOf(last))
	n, _ := slices.BinarySearch(places, end+1)
	if end < 0 || n == len(places) {
		return removed, places
	}
	behind := make(map[string]bool, len(places)-n)
	for _, at := range places[n:] {
		behind[res.id(at)] = true
	}
	return slices.DeleteFunc(removed, func(id string) bool { return behind[id] }), places[:n]
}

// isOf reports whether a query asks for nothing but names.
func (q *query) isOf(names []string) bool {
	for _, s := range q.sort {
		if !contains(names, s.property) {
			return false
		}
	}
	return q.filter.isOf(names)
}

func (f *filter) isOf(names []string) bool {
	if f == nil {
		return true
	}
	for name := range f.cond {
		if !contains(names, name) {
			return false
		}
	}
	return !slices.ContainsFunc(f.sub, func(s *filter) bool { return !s.isOf(names) })
}

// inOrder compares by the criteria of a query, one after the other; by compares for one
// property.
func inOrder[T any](criteria []comparator, by func(a, b T, property string) int) func(a, b T) int {
	return func(a, b T) int {
		for _, s := range criteria {
			n := by(a, b, s.property)
			if s.descending {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return 0
	}
}

// sortedIDs is the ids of recs in order; equal ones are in the order of their ids.
func sortedIDs(recs []record, criteria []comparator, by func(a, b record, property string) int) idList {
	criteria = append(slices.Clip(criteria), comparator{property: "id"})
	slices.SortFunc(recs, inOrder(criteria, func(a, b record, property string) int {
		if property == "id" {
			return cmp.Compare(a.id, b.id)
		}
		return by(a, b, property)
	}))
	out := idList{}
	for _, r := range recs {
		out = append(out, r.id)
	}
	return out
}

// byText compares records by the texts that key gives for properties.
func byText(key func(r record, property string) string) func(a, b record, property string) int {
	return func(a, b record, property string) int { return cmp.Compare(key(a, property), key(b, property)) }
}

// fits evaluates a filter for what holds answers of one condition; nil fits everything.
func (f *filter) fits(holds func(condition string, val any) bool) bool {
	if f == nil {
		return true
	}
	fits := func(s *filter) bool { return s.fits(holds) }
	switch f.op {
	case "AND":
		return !slices.ContainsFunc(f.sub, func(s *filter) bool { return !fits(s) })
	case "OR":
		return slices.ContainsFunc(f.sub, fits)
	case "NOT":
		return !slices.ContainsFunc(f.sub, fits)
	}
	for name, val := range f.cond {
		if !holds(name, val) {
			return false
		}
	}
	return true
}

// objectsChanged is what changed of a query over the objects of one kind: those that
// were written since are taken out, and put in where they are now.
func objectsChanged(kind store.ObjectKind) func(*call, *store.View, *query, *delta, results) ([]string, []int, error) {
	return func(_ *call, _ *store.View, _ *query, d *delta, res results) (removed []string, added []int, err error) {
		changed := map[string]bool{}
		for _, o := range d.objects {
			if o.Kind == kind && !changed[o.ID] {
				changed[o.ID] = true
				removed = append(removed, o.ID)
			}
		}
		if removed == nil {
			return nil, nil, nil
		}
		for i := range res.len() {
			if changed[res.id(i)] {
				added = append(added, i)
			}
		}
		return removed, added, nil
	}
}
