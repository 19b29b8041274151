package mem

import (
	"bytes"
	"encoding/binary"
	"sync"

	"posthouse/store/engine"
)

type reader struct {
	e     *Engine
	a     engine.Account
	st    *state
	close sync.Once
}

// Snapshot implements engine.Engine.
func (e *Engine) Snapshot(a engine.Account) engine.Reader {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.readers++
	return &reader{e: e, a: a, st: e.state}
}

func (r *reader) Get(key []byte) ([]byte, error) {
	n := r.st.keys.find(physical(r.a, key))
	if n == nil {
		return nil, engine.ErrNotFound
	}
	return append(make([]byte, 0, len(n.val)), n.val...), nil
}

func (r *reader) Scan(lo, hi []byte, f func(key, val []byte) bool) error {
	end := after(r.a)
	if hi != nil {
		if bytes.Compare(lo, hi) >= 0 {
			return nil
		}
		end = physical(r.a, hi)
	}
	r.st.keys.scan(physical(r.a, lo), end, func(n *node) bool { return f(n.key[8:], n.val) })
	return nil
}

func (r *reader) Version() uint64 { return r.st.version(r.a) }

func (r *reader) Close() error {
	r.close.Do(func() {
		r.e.mu.Lock()
		defer r.e.mu.Unlock()
		r.e.readers--
		r.e.reclaimLocked()
	})
	return nil
}

func (s *state) version(a engine.Account) uint64 {
	if n := s.versions.find(physical(a, nil)); n != nil {
		return binary.BigEndian.Uint64(n.val)
	}
	return 0
}
