package jmap

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"posthouse/jmap/wire"
)

// patched applies a PatchObject (RFC 8620 §5.3) and returns the properties that it
// changes, whole.
func (t *objectType) patched(s *setter, r record, v any) (map[string]any, error) {
	patch, ok := v.(map[string]any)
	if !ok {
		return nil, unfit("invalidPatch", "not an object")
	}
	g := &getter{s.call, &s.tx.View}
	now := map[string]any{}
	was := map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(patch)) {
		tokens := strings.Split(path, "/")
		name := wire.Unescape(tokens[0])
		p := t.property(name)
		if p == nil {
			return nil, invalidProperties("there is no such property", name)
		}
		if _, known := now[name]; !known {
			cur, err := t.current(g, r, p)
			if err != nil {
				return nil, err
			}
			was[name], now[name] = cur, cur
		} else if len(tokens) == 1 || now[name] == nil || prefixed(patch, path) {
			return nil, unfit("invalidPatch", "one path of the patch is part of another")
		}
		if prefixed(patch, path) {
			return nil, unfit("invalidPatch", "one path of the patch is part of another")
		}
		val, err := put(now[name], tokens[1:], patch[path], p)
		if err != nil {
			return nil, err
		}
		now[name] = val
	}
	for name, val := range now {
		p := t.property(name)
		if reflect.DeepEqual(val, was[name]) {
			delete(now, name)
			continue
		}
		if p.mode&(serverSet|immutable) != 0 || !p.check.Valid(val) {
			return nil, invalidProperties("of the wrong type, or cannot be changed", name)
		}
	}
	out, bad := s.references(t, now)
	if bad != nil {
		return nil, bad
	}
	return out, nil
}

// current reads a property as plain values; what is never returned is unknown.
func (t *objectType) current(g *getter, r record, p *property) (any, error) {
	if p.name == "id" {
		return r.id, nil
	}
	if p.get == nil {
		return nil, nil
	}
	val, err := p.get(g, r.rec)
	return wire.Plain(val), err
}

// prefixed reports whether another path of the patch begins with path.
func prefixed(patch map[string]any, path string) bool {
	for other := range patch {
		if strings.HasPrefix(other, path+"/") {
			return true
		}
	}
	return false
}

// put returns v with a value at a path inside of it; null removes.
func put(v any, tokens []string, val any, p *property) (any, error) {
	if len(tokens) == 0 {
		if val == nil && !p.check.Nullable() { // back to its default
			return wire.Plain(p.def), nil
		}
		return val, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, unfit("invalidPatch", fmt.Sprintf("%q leads through what is no object", p.name))
	}
	m = maps.Clone(m)
	key := wire.Unescape(tokens[0])
	if len(tokens) == 1 {
		if val == nil {
			delete(m, key)
		} else {
			m[key] = val
		}
		return m, nil
	}
	inner, err := put(m[key], tokens[1:], val, p)
	if err != nil {
		return nil, err
	}
	m[key] = inner
	return m, nil
}

func (t *objectType) destroyOne(s *setter, id string) error {
	key := "destroy/" + id
	real := s.idOf(id)
	err := error(s.refused[key])
	switch {
	case s.refused[key] != nil:
	case t.singleton:
		err = unfit("singleton", "it always exists")
	case t.destroy == nil:
		err = unfit("forbidden", "these cannot be destroyed")
	case real == "":
		err = unfit("notFound", "")
	default:
		err = t.destroy(s, real)
	}
	if err != nil {
		return s.fail(&s.notDestroyed, key, id, s.astray(key, real, err))
	}
	s.destroyed = append(s.destroyed, real)
	return nil
}

func (s *setter) response(t *objectType) wire.Object {
	out := s.head()
	if !t.noState {
		out = out.With("oldState", stateAt(s.oldState)).With("newState", stateAt(s.newState))
	}
	return append(out, wire.Object{{Name: "created", Value: orNull(s.created)}, {Name: "updated", Value: orNull(s.updated)}, {Name: "destroyed", Value: orNone(s.destroyed)},
		{Name: "notCreated", Value: orNull(s.notCreated)}, {Name: "notUpdated", Value: orNull(s.notUpdated)}, {Name: "notDestroyed", Value: orNull(s.notDestroyed)}}...)
}

// allRefused is the response when nothing could be committed.
func (s *setter) allRefused(e *setError, creates, updates map[string]any, destroys []string) wire.Object {
	all := func(ids []string) (o wire.Object) {
		for _, id := range ids {
			o = o.With(id, e.object())
		}
		return o
	}
	s.created, s.updated, s.destroyed = nil, nil, nil
	s.notCreated = all(slices.Sorted(maps.Keys(creates)))
	s.notUpdated = all(slices.Sorted(maps.Keys(updates)))
	s.notDestroyed = all(destroys)
	s.newState = s.oldState
	return s.response(&objectType{})
}

func orNull(o wire.Object) any {
	if len(o) == 0 {
		return nil
	}
	return o
}

func orNone(list []string) any {
	if len(list) == 0 {
		return nil
	}
	return list
}
