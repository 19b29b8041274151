package local

import "posthouse/store/engine"

// applier puts synced groups into the index in order, publishes them and
// acknowledges them. It is one goroutine.
func (e *Engine) applier() {
	defer e.wg.Done()
	for g := range e.groups {
		var err error
		if g.frame != nil {
			if err = e.ship.wait(g.lsn); err != nil {
				err = e.stop(err)
			} else if err = e.apply(durableFrame{g.head, g.frame[g.head.metaOff:g.head.frameLen], g.off}); err != nil {
				err = e.stop(err) // the log has it, and a restart will apply it
			}
			e.recycle(g)
		}
		e.acknowledge(g, err)
		if g.barrier != nil {
			close(g.barrier)
		}
	}
}

func (e *Engine) recycle(g *group) {
	if cap(g.frame) > keptBuffer {
		return
	}
	select {
	case e.buffers <- g.frame:
	default:
	}
}

// acknowledge tells subscribers, then the callers, how g ended.
func (e *Engine) acknowledge(g *group, err error) {
	subs := e.subscribers.all()
	for _, r := range g.reqs {
		if r.err == nil {
			r.err = err
		}
		if r.err == nil {
			e.commits.Add(1)
			for i := range r.blobs {
				e.blobBytes.Add(uint64(r.blobs[i].size()))
			}
			publish(r, subs)
		}
		e.finish(r, err != nil)
	}
	if g.frame != nil {
		e.groupCount.Add(1)
	}
}

// publish tells each subscriber each account that r changed, once.
func publish(r *request, subs []*subscriber) {
	for i, b := range r.batches {
		told := false
		for _, before := range r.batches[:i] {
			told = told || before.Account == b.Account
		}
		for _, s := range subs {
			if !told {
				s.f(r.pos, b.Account)
			}
		}
	}
}

// subscriber is what one Subscribe was given.
type subscriber struct {
	f func(engine.Pos, engine.Account)
}

// Subscribe implements engine.Engine.
func (e *Engine) Subscribe(f func(engine.Pos, engine.Account)) (cancel func()) {
	s := &subscriber{f}
	e.subscribers.add(s)
	return func() { e.subscribers.remove(s) }
}
