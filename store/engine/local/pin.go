package local

import "sync"

// pins hold back whatever takes bytes away that were once durable: removal of
// segments and large-blob files, hole punching, reuse of a segment's file. A
// backup holds one from its begin to its end, shipping holds one from what the
// follower does not have yet.
//
// Whoever reclaims calls reclaim around each small step, the commit that takes
// the file's record out of the index included: so all that the index names,
// or has named since a pin was taken, is there.
type pins struct {
	mu   sync.RWMutex
	held map[*pin]uint64 // the first LSN that each needs
}

// A pin is one holder's.
type pin struct{ p *pins }

// hold keeps all files that have bytes of commit from or a later one; 0: all
// files. It waits for a step of reclaiming under way.
func (p *pins) hold(from uint64) *pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = map[*pin]uint64{}
	}
	n := &pin{p}
	p.held[n] = from
	return n
}

// move tells that nothing before from is needed any more.
func (n *pin) move(from uint64) {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	if old, ok := n.p.held[n]; ok && from > old {
		n.p.held[n] = from
	}
}

// release may be called more than once.
func (n *pin) release() {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	delete(n.p.held, n)
}

// reclaim runs f, one step that takes bytes away from a file whose last commit
// is last, unless a pin keeps that file; then it returns false. No pin is given
// out while f runs: f must be short and must not take one. Steps run at once.
func (p *pins) reclaim(last uint64, f func() error) (bool, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, from := range p.held {
		if from <= last {
			return false, nil
		}
	}
	return true, f()
}
