package jmap

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// A setter is a /set under way: one transaction, in which each record happens as a
// whole or not at all.
type setter struct {
	*call
	tx *store.Tx

	created, updated       wire.Object
	destroyed              []string
	notCreated, notUpdated wire.Object
	notDestroyed           wire.Object
	fresh                  map[string]string // creation ids of this set
	moved                  map[store.EmailID]bool
	oldState, newState     store.LogPos
	afterwards             []func() // when it is durable
	refused                map[string]*setError
	updates                map[string]any   // those of the set, by id
	destroys               []string         // and these
	finished               map[string]bool  // updates that were made
	aside                  map[string]place // mailboxes that are out of the way
	cards                  int              // contacts of the account and one, 0: not counted
}

// A halfway error says that a record failed when it had changed something: the
// transaction starts again without it.
type halfway struct {
	key string // of the record: its part of the request and its id
	err *setError
}

func (e *halfway) Error() string { return e.key + ": " + e.err.Error() }

// A change is a checked entry of "create".
type creation struct {
	name     string
	props    map[string]any
	prepared any
	refusal  *setError
}

// set is Foo/set, RFC 8620 §5.3.
func (t *objectType) set(c *call) (wire.Object, error) {
	creates, updates, destroys := c.object("create"), c.object("update"), c.strs("destroy")
	if len(creates)+len(updates)+len(destroys) > c.limits.Set {
		return nil, refused("requestTooLarge", "more objects than maxObjectsInSet")
	}
	destroys = unique(destroys)
	if c.acct == nil {
		var err error
		if c.acct, err = c.account(c.ctx, c.who, accountID(c.who.account.ID)); err != nil {
			return nil, err
		}
	}
	made := t.creations(c, creates)
	refusedOnes := map[string]*setError{}
	for {
		s := &setter{call: c, refused: refusedOnes}
		err := c.acct.Update(c.ctx, func(tx *store.Tx) error {
			c.exact = true
			*s = setter{call: c, tx: tx, refused: refusedOnes, fresh: map[string]string{}, moved: map[store.EmailID]bool{}}
			return t.transact(s, made, updates, destroys)
		})
		c.exact = false
		var half *halfway
		if errors.As(err, &half) {
			refusedOnes[half.key] = half.err
			continue
		}
		if err != nil {
			if se, ok := asSetError(err); ok && se.kind != "invalidProperties" { // of the commit: all fail for one reason
				return s.allRefused(se, creates, updates, destroys), nil
			}
			return nil, err
		}
		maps.Copy(c.req.created, s.fresh)
		for _, f := range s.afterwards {
			f()
		}
		out := s.response(t)
		if t.done != nil {
			if err := t.done(c, out); err != nil {
				return nil, c.partly(err)
			}
		}
		return out, nil
	}
}

// transact does all of it in one transaction.
func (t *objectType) transact(s *setter, made []creation, updates map[string]any, destroys []string) error {
	s.oldState = s.tx.LogEnd()
	s.updates, s.destroys, s.finished = updates, destroys, map[string]bool{}
	if want := s.str("ifInState"); want != "" {
		same, err := t.unchanged(s.call, &s.tx.View, want)
		if err != nil {
			return err
		}
		if !same {
			return refused("stateMismatch", "")
		}
	}
	if err := t.createAll(s, made); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(updates)) {
		if err := t.updateOne(s, id, updates[id]); err != nil {
			return err
		}
	}
	if t.destroyOrder != nil {
		destroys = t.destroyOrder(s, destroys)
	}
	for _, id := range destroys {
		if err := t.destroyOne(s, id); err != nil {
			return err
		}
	}
	if t.after != nil {
		if err := t.after(s); err != nil {
			return err
		}
	}
	s.newState = s.tx.LogAfter()
	return nil
}

// sort puts the outcome of one record where it belongs.
func (s *setter) fail(into *wire.Object, key, id string, err error) error {
	var half *halfway
	if errors.As(err, &half) {
		half.key = key
		return err
	}
	se, ok := asSetError(err)
	if !ok {
		return err
	}
	*into = into.With(id, se.object())
	return nil
}

// creations checks the entries of "create" and prepares them.
func (t *objectType) creations(c *call, creates map[string]any) []creation {
	var list []creation
	for _, name := range slices.Sorted(maps.Keys(creates)) {
		one := creation{name: name}
		one.props, one.refusal = t.checkCreate(creates[name])
		if one.refusal == nil && t.prepare != nil && !hasReference(one.props, creates) {
			one.prepared, one.refusal = t.prepareOne(c, one.props)
		}
		list = append(list, one)
	}
	return list
}

func (t *objectType) prepareOne(c *call, props map[string]any) (any, *setError) {
	p, err := t.prepare(c, props)
	if err == nil {
		return p, nil
	}
	if se, ok := asSetError(err); ok {
		return nil, se
	}
	e, internal := asMethodError(err)
	if internal {
		c.failed(c.ctx, "jmap: create failed", "type", t.name, "err", err)
	}
	return nil, unfit(e.kind, e.text)
}

// checkCreate checks the properties of an object to be made, and fills in defaults.
func (t *objectType) checkCreate(v any) (map[string]any, *setError) {
	given, ok := v.(map[string]any)
	if !ok || t.create == nil || t.singleton {
		if t.singleton {
			return nil, unfit("singleton", "there is one, and it exists")
		}
		if t.create == nil {
			return nil, unfit("forbidden", "these cannot be created")
		}
		return nil, unfit("invalidProperties", "not an object")
	}
	props := make(map[string]any, len(t.properties))
	var wrong []string
	for name, val := range given {
		p := t.property(name)
		switch {
		case p == nil, p.mode&serverSet != 0, !p.check.Valid(val):
			wrong = append(wrong, name)
		default:
			props[name] = val
		}
	}
	for i := range t.properties {
		p := &t.properties[i]
		if _, there := props[p.name]; there || p.mode&serverSet != 0 {
			continue
		}
		if p.mode&optional == 0 && !slices.Contains(wrong, p.name) {
			wrong = append(wrong, p.name)
		} else if p.def != nil {
			props[p.name] = p.def
		}
	}
	if wrong != nil {
		slices.Sort(wrong)
		return nil, invalidProperties("unknown, of the wrong type, set by the server, or missing", wrong...)
	}
	return props, nil
}

// createAll makes the objects; those that refer to others of the same set after them.
func (t *objectType) createAll(s *setter, made []creation) error {
	waiting := made
	for len(waiting) > 0 {
		open := map[string]any{}
		for _, one := range waiting {
			if one.refusal == nil {
				open[one.name] = nil
			}
		}
		var later []creation
		for _, one := range waiting {
			if one.refusal == nil && hasReference(one.props, open) {
				later = append(later, one)
				continue
			}
			if err := t.createOne(s, &one); err != nil {
				return err
			}
		}
		if len(later) == len(waiting) { // they refer to each other in a circle
			for i := range later {
				later[i].refusal = invalidProperties("the references go round in a circle")
			}
		}
		waiting = later
	}
	return nil
}

func (t *objectType) createOne(s *setter, one *creation) error {
	key := "create/" + one.name
	refusal := one.refusal
	if refusal == nil {
		refusal = s.refused[key]
	}
	if refusal != nil {
		return s.fail(&s.notCreated, key, one.name, refusal)
	}
	props, bad := s.references(t, one.props)
	if bad != nil {
		return s.fail(&s.notCreated, key, one.name, bad)
	}
	if one.prepared == nil && t.prepare != nil {
		return s.fail(&s.notCreated, key, one.name, invalidProperties("refers to what is not there yet"))
	}
	id, set, err := t.create(s, props, one.prepared)
	if err != nil {
		return s.fail(&s.notCreated, key, one.name, err)
	}
	s.fresh[one.name] = id
	s.created = s.created.With(one.name, append(wire.Object{{Name: "id", Value: id}}, set...))
	return nil
}

// hasReference reports whether an id among props is a reference to one of open.
func hasReference(props map[string]any, open map[string]any) bool {
	is := func(s string) bool {
		name, ref := strings.CutPrefix(s, "#")
		_, waits := open[name]
		return ref && waits
	}
	for _, v := range props {
		switch v := v.(type) {
		case string:
			if is(v) {
				return true
			}
		case map[string]any:
			for k := range v {
				if is(k) {
					return true
				}
			}
		}
	}
	return false
}

// references replaces references to creations by their ids, where ids stand.
func (s *setter) references(t *objectType, props map[string]any) (map[string]any, *setError) {
	out := make(map[string]any, len(props))
	for name, v := range props {
		p := t.property(name)
		out[name] = v
		if p == nil || !strings.HasPrefix(p.typ, "Id") {
			continue
		}
		switch v := v.(type) {
		case string:
			id := s.idOf(v)
			if id == "" {
				return nil, invalidProperties("refers to nothing", name)
			}
			out[name] = id
		case map[string]any:
			m := make(map[string]any, len(v))
			for k, e := range v {
				id := s.idOf(k)
				if id == "" {
					return nil, invalidProperties("refers to nothing", name)
				}
				m[id] = e
			}
			out[name] = m
		}
	}
	return out, nil
}

// idOf resolves a reference to a creation of this set or of an earlier one.
func (s *setter) idOf(id string) string {
	if name, isRef := strings.CutPrefix(id, "#"); isRef && s.fresh[name] != "" {
		return s.fresh[name]
	}
	return s.req.idOf(id)
}

func (t *objectType) updateOne(s *setter, id string, patch any) error {
	key := "update/" + id
	real := s.idOf(id)
	err := t.tryUpdate(s, key, real, patch)
	s.finished[id] = true
	if err != nil {
		return s.fail(&s.notUpdated, key, id, s.astray(key, real, err))
	}
	return nil
}

// astray is the error of a record that was put aside for another one: it cannot stay there.
func (s *setter) astray(key, id string, err error) error {
	_, aside := s.aside[id]
	if se, ok := asSetError(err); ok && aside && s.refused[key] == nil {
		return &halfway{err: se}
	}
	return err
}

func (t *objectType) tryUpdate(s *setter, key, id string, patch any) error {
	if e := s.refused[key]; e != nil {
		return e
	}
	if t.update == nil {
		return unfit("forbidden", "these cannot be changed")
	}
	if slices.ContainsFunc(s.strs("destroy"), func(other string) bool { return id != "" && s.idOf(other) == id }) {
		return unfit("willDestroy", "")
	}
	recs, err := t.load(s.call, &s.tx.View, []string{id})
	if err != nil {
		return err
	}
	if len(recs) == 0 {
		return unfit("notFound", "")
	}
	changed, err := t.patched(s, recs[0], patch)
	if err != nil {
		return err
	}
	set, err := t.update(s, recs[0], changed)
	if err != nil {
		return err
	}
	var told any
	if len(set) > 0 {
		told = set
	}
	s.updated = s.updated.With(id, told)
	return nil
}
