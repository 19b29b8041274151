package local

import (
	"fmt"
	"sync"

	"posthouse/store/engine"
)

func errClosed() error { return fmt.Errorf("local: the store is closed: %w", engine.ErrUnavailable) }

// A gate lets uses of the index and of files in until it is shut, and shut
// waits for those inside. Unlike a RWMutex it may be entered again from inside.
type gate struct {
	mu     sync.Mutex
	empty  sync.Cond
	inside int
	closed bool
}

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosed()
	}
	g.inside++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.closed && g.inside == 0 {
		g.empty.Broadcast()
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for g.inside > 0 {
		g.empty.Wait()
	}
}
