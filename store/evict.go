package store

import (
	"cmp"
	"context"
	"slices"
)

// keep holds a loaded account in memory, and lets others go if there are too
// many.
func (s *Store) keep(a *account) {
	s.mu.Lock()
	s.loaded[a] = struct{}{}
	s.mu.Unlock()
}

// trim evicts the accounts that were not used for longest until what is loaded
// fits the budget again, with some room. No lock is held.
func (s *Store) trim() {
	if s.size.Load() <= s.opts.MemoryBudget {
		return
	}
	s.mu.Lock()
	all := make([]*account, 0, len(s.loaded))
	for a := range s.loaded {
		all = append(all, a)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *account) int { return cmp.Compare(a.used.Load(), b.used.Load()) })
	for _, a := range all {
		if s.size.Load() <= s.opts.MemoryBudget*9/10 {
			return
		}
		a.evict()
	}
}

// evict forgets the account's state if nobody uses it. Sessions keep the
// snapshots that they hold; the next View loads it again.
func (a *account) evict() {
	if !a.mu.TryLock() {
		return
	}
	defer a.mu.Unlock()
	a.pub.Lock()
	idle := len(a.submitted) == 0 && !a.broken && a.active.Load() == 0
	a.pub.Unlock()
	if !idle || a.pending == nil {
		return
	}
	a.checkpointLocked(context.Background(), min(closeTail, a.store.maxTail.actions))
	st := a.durable.Swap(nil)
	if a.active.Load() != 0 { // somebody came meanwhile and may hold st
		a.durable.Store(st)
		return
	}
	a.pending = nil
	a.index = flagIndex{}
	a.threads = threadCache{}
	a.memo.forget()
	a.store.size.Add(-a.size.Swap(0))
	a.store.mu.Lock()
	delete(a.store.loaded, a)
	a.store.mu.Unlock()
}
