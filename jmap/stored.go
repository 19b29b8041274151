package jmap

import (
	"encoding/hex"
	"io"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// Types whose objects the store keeps as such ([store.Object]): the value is the
// object as JSON, without its id.

// values is such an object.
type values map[string]any

// kept makes the getter of a property that is kept.
func kept(name string, def any) func(*getter, any) (any, error) {
	return func(_ *getter, rec any) (any, error) {
		if v, there := rec.(values)[name]; there {
			return v, nil
		}
		return def, nil
	}
}

// keep fills in what a stored type has in common.
func (t *objectType) keep(kind store.ObjectKind) *objectType {
	for i := range t.properties {
		if p := &t.properties[i]; p.get == nil && p.name != "id" {
			p.get = kept(p.name, p.def)
		}
	}
	t.load = loadStored(kind)
	if !t.noState {
		t.touched = objectsTouched(kind)
	}
	return t
}

func decodeValues(b []byte) (values, error) {
	v, err := wire.Parse(b, wire.Limits{})
	if err != nil {
		return nil, &mail.Error{Kind: mail.Corrupt, Op: "jmap.object", Err: err}
	}
	m, _ := v.(map[string]any)
	return m, nil
}

func loadStored(kind store.ObjectKind) func(c *call, v *store.View, ids []string) ([]record, error) {
	return func(_ *call, v *store.View, ids []string) ([]record, error) {
		var list []record
		var failed error
		add := func(o store.Object) bool {
			var m values
			if m, failed = decodeValues(o.Value); failed == nil {
				list = append(list, record{o.ID, m})
			}
			return failed == nil
		}
		if ids == nil {
			err := v.Objects(kind, add)
			if err == nil {
				err = failed
			}
			return list, err
		}
		for _, id := range ids {
			o, err := v.Object(kind, id)
			if mail.KindOf(err) == mail.NotFound && err != nil || id == "" {
				continue
			}
			if err != nil {
				return nil, err
			}
			if !add(o) {
				return nil, failed
			}
		}
		return list, nil
	}
}

// newID makes an id of a letter and a random number.
func (s *Server) newID(letter string) (string, error) {
	var b [9]byte
	_, err := io.ReadFull(s.opts.Rand, b[:])
	return letter + hex.EncodeToString(b[:]), err
}

// put writes an object.
func (s *setter) put(kind store.ObjectKind, id string, m values) error {
	return s.tx.PutObject(kind, id, wire.Append(nil, map[string]any(m)), nil)
}

// merge writes what an update changed into an object.
func (s *setter) merge(kind store.ObjectKind, r record, changed map[string]any) error {
	m := values{}
	for k, v := range r.rec.(values) {
		m[k] = v
	}
	for k, v := range changed {
		m[k] = v
	}
	return s.put(kind, r.id, m)
}

// countOf is how many objects of a kind there are.
func countOf(v *store.View, kind store.ObjectKind) (n int, err error) {
	err = v.Objects(kind, func(store.Object) bool {
		n++
		return true
	})
	return n, err
}
