package jmap

import "posthouse/store"

// collapse keeps the first message of each thread.
func (c *call) collapse(order []store.EmailID) []store.EmailID {
	x := c.acct.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	var seen threadSet
	out := make([]store.EmailID, 0, len(order))
	var p *page // the last one: neighbours are asked for one after the other
	at := store.EmailID(0)
	for _, id := range order {
		if p == nil || id/pageLen != at {
			p, at = x.pages[id/pageLen], id/pageLen
		}
		if p == nil || p[id%pageLen].thread == 0 { // not known
			out = append(out, id)
			continue
		}
		e := &p[id%pageLen]
		alone := e.next == 0 && store.EmailID(e.thread) == id
		if alone || seen.add(e.thread) {
			out = append(out, id)
		}
	}
	return out
}

// A threadSet is a set of threads, most of which are near each other.
type threadSet struct {
	pages map[store.ThreadID]*[pageLen / 64]uint64
	at    store.ThreadID
	last  *[pageLen / 64]uint64 // of at
}

// add reports whether t is new.
func (s *threadSet) add(t store.ThreadID) bool {
	if s.last == nil || t/pageLen != s.at {
		if s.pages == nil {
			s.pages = map[store.ThreadID]*[pageLen / 64]uint64{}
		}
		s.at = t / pageLen
		if s.last = s.pages[s.at]; s.last == nil {
			s.last = new([pageLen / 64]uint64)
			s.pages[s.at] = s.last
		}
	}
	word, bit := &s.last[t%pageLen/64], uint64(1)<<(t%64)
	fresh := *word&bit == 0
	*word |= bit
	return fresh
}
