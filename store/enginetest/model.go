package enginetest

import (
	"fmt"
	"sort"
	"strings"

	"posthouse/store/engine"
)

// A model is an engine without blobs, conditions and haste.
type model struct {
	keys     map[engine.Account]map[string]string
	versions map[engine.Account]uint64
}

func newModel() *model {
	return &model{map[engine.Account]map[string]string{}, map[engine.Account]uint64{}}
}

func (m *model) apply(bs []*engine.Batch) {
	for _, b := range bs {
		if b.Expect != engine.AnyVersion {
			m.versions[b.Account]++
		}
		if m.keys[b.Account] == nil {
			m.keys[b.Account] = map[string]string{}
		}
		kv := m.keys[b.Account]
		for _, o := range b.Ops {
			switch o.Kind {
			case engine.Set:
				kv[string(o.Key)] = string(o.Val)
			case engine.Delete:
				delete(kv, string(o.Key))
			case engine.DeleteRange:
				for k := range kv {
					if k >= string(o.Key) && k < string(o.End) {
						delete(kv, k)
					}
				}
			}
		}
	}
}

func (m *model) dump(a engine.Account) string {
	var out []string
	for k, v := range m.keys[a] {
		out = append(out, fmt.Sprintf("%s=%s", k, v))
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}
