package local

import (
	"bytes"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"posthouse/store/engine"
)

// applier puts synced groups into the index in order, publishes them and
// acknowledges them. It is one goroutine.
func (e *Engine) applier() {
	defer e.wg.Done()
	for g := range e.groups {
		var err error
		if g.frame != nil {
			if err = e.apply(g.head, g.frame[g.head.metaOff:g.head.frameLen], g.off); err != nil {
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

// apply puts one frame's changes into the index, with the mark that says so.
// off is where the frame begins. Recovery uses it too.
func (e *Engine) apply(h header, meta []byte, off uint64) error {
	b := e.db.NewBatchWithSize(len(meta) + len(meta)/4 + 128)
	m := e.mark
	if h.segment != m.segment && m.firstLSN != 0 {
		r := segmentRecord{firstLSN: m.firstLSN, lastLSN: m.lsn, length: m.offset, blobs: m.blobs}
		if err := b.Set(appendSegmentKey(nil, m.segment), r.append(nil), nil); err != nil {
			return err
		}
	}
	if h.segment != m.segment || m.firstLSN == 0 {
		m.segment, m.firstLSN, m.blobs = h.segment, h.lsn, 0
	}
	err := eachChange(meta, func(kind byte, key, val []byte) error {
		switch kind {
		case metaSet:
			if key[0] == kindFile && len(val) == 16 {
				m.files++
				m.fileLen += be.Uint64(val[8:])
			}
			return b.Set(key, val, nil)
		case metaDelete:
			return b.Delete(key, nil)
		default:
			if bytes.Compare(key, val) >= 0 {
				return nil
			}
			return b.DeleteRange(key, val, nil)
		}
	})
	if err != nil {
		return err
	}
	m.lsn = h.lsn
	m.offset = off + alignUp(h.frameLen)
	m.blobs += h.metaOff - headerLen
	var buf [markLen]byte
	if err := b.Set([]byte{kindMark}, m.append(buf[:0]), nil); err != nil {
		return err
	}
	if err := e.db.Apply(b, pebble.NoSync); err != nil {
		return indexError(err)
	}
	e.markMu.Lock()
	e.mark = m
	e.markMu.Unlock()
	e.applied.Store(h.lsn)
	e.unflushed.Add(alignUp(h.frameLen))
	if err := b.Close(); err != nil {
		return indexError(err)
	}
	if e.unflushed.Load() > uint64(e.opt.FlushBytes) {
		return e.flushIndex()
	}
	return nil
}

// flushIndex begins to write the index's memory to disk, which bounds how much
// log the next start has to replay.
func (e *Engine) flushIndex() error {
	e.unflushed.Store(0)
	if _, err := e.db.AsyncFlush(); err != nil {
		return indexError(err)
	}
	return nil
}

// flusher flushes the index every FlushEvery if there is something to flush.
func (e *Engine) flusher() {
	defer e.wg.Done()
	t := time.NewTicker(e.opt.FlushEvery)
	defer t.Stop()
	for {
		select {
		case <-e.closing:
			return
		case <-t.C:
			if e.unflushed.Load() == 0 {
				continue
			}
			if err := e.flushIndex(); err != nil {
				e.log.Warn("index: flush", "err", err)
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
