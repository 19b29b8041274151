package local

import (
	"fmt"
	"sync/atomic"

	"posthouse/store/engine"
)

func errClosed() error { return fmt.Errorf("local: the store is closed: %w", engine.ErrUnavailable) }

// A gate lets uses of the index and of files in until it is shut, and shut
// waits for those inside. Unlike a RWMutex it may be entered again from inside.
type gate struct {
	n     atomic.Int64  // how many are inside, and gateShut
	empty chan struct{} // of size 1
}

const gateShut = 1 << 62

func (g *gate) enter() error {
	if g.n.Add(1)&gateShut != 0 {
		g.leave()
		return errClosed()
	}
	return nil
}

func (g *gate) leave() {
	if g.n.Add(-1) == gateShut {
		select {
		case g.empty <- struct{}{}:
		default:
		}
	}
}

// shut is called once.
func (g *gate) shut() {
	if g.n.Or(gateShut) != 0 {
		<-g.empty
	}
}
