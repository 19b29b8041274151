// Package mem is an engine in memory, for tests of what stands on an engine.
//
// It keeps every promise of package engine except that it forgets everything
// when the process ends (Reopen and Restore stand in for a new start), and it is stricter than a real engine where that finds
// mistakes: a blob is gone as soon as its last owner key is gone and no Reader
// is open, not at some later collection.
//
// State is one immutable tree, so a Reader is a pointer. Commits are queued and
// applied one by one by a goroutine that lives only while there is work:
// nothing leaks from an engine that is never closed. Lock order: none nests.
package mem

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"posthouse/store/engine"
)

// state is one immutable, consistent state of all accounts.
type state struct {
	keys     *node // account (8 bytes, big-endian) + key
	versions *node // account -> version (8 bytes, big-endian)
	pos      engine.Pos
}

// An Engine holds a store in memory. Make it with New.
type Engine struct {
	mu      sync.Mutex
	idle    sync.Cond // signalled when the queue is drained
	queue   []*pending
	running bool
	closed  bool
	state   *state
	readers int
	subs    map[int]func(engine.Pos, engine.Account)
	nextSub int
	blobs   map[engine.BlobID]*blob
	dead    []engine.BlobID // lost their last owner while Readers were open
	nextID  engine.BlobID
	stats   engine.Stats
}

var _ engine.Engine = (*Engine)(nil)

// New returns an empty engine.
func New() *Engine {
	e := &Engine{state: &state{}, subs: map[int]func(engine.Pos, engine.Account){}, blobs: map[engine.BlobID]*blob{}}
	e.idle.L = &e.mu
	return e
}

// physical returns the key under which the tree holds an account's key.
func physical(a engine.Account, key []byte) []byte {
	k := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(key)), uint64(a))
	return append(k, key...)
}

// after returns the end of an account's keys.
func after(a engine.Account) []byte {
	if a == ^engine.Account(0) {
		return nil
	}
	return physical(a+1, nil)
}

// Accounts implements engine.Engine.
func (e *Engine) Accounts(f func(engine.Account) bool) error {
	e.mu.Lock()
	root := e.state.keys
	e.mu.Unlock()
	for lo := []byte{}; lo != nil; {
		var a engine.Account
		found := false
		root.scan(lo, nil, func(n *node) bool {
			a, found = engine.Account(binary.BigEndian.Uint64(n.key)), true
			return false
		})
		if !found || !f(a) {
			return nil
		}
		lo = after(a)
	}
	return nil
}

// Subscribe implements engine.Engine.
func (e *Engine) Subscribe(f func(engine.Pos, engine.Account)) (cancel func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := e.nextSub
	e.nextSub++
	e.subs[id] = f
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.subs, id)
	}
}

// Check verifies that every owner key's blob exists.
func (e *Engine) Check(_ context.Context, _ bool, report func(problem string)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state.keys.scan(nil, nil, func(n *node) bool {
		if n.blob != 0 && e.blobs[n.blob] == nil {
			report(fmt.Sprintf("key %x owns blob %x, which does not exist", n.key, n.blob))
		}
		return true
	})
	return nil
}

// Stats implements engine.Engine. Syncs and sizes of files are 0. What no key owns and
// a Reader keeps counts as alive.
func (e *Engine) Stats() engine.Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// Close waits for queued commits. What was stored stays readable, in Readers
// that are open.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for e.running {
		e.idle.Wait()
	}
	return nil
}
