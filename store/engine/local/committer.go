package local

import (
	"encoding/binary"
	"errors"
	"runtime"
	"time"

	"posthouse/store/engine"
)

const (
	// gatherTime and gatherBytes: with fewer bytes queued, the committer waits so
	// long for commits under way, to share a sync with them.
	gatherTime  = 200 * time.Microsecond
	gatherBytes = 256 << 10
	// groupBytes caps a group, so that a burst of large blobs does not hold up
	// small commits.
	groupBytes = 2 << 20
	// keptBuffer is the largest frame buffer that is used again.
	keptBuffer = 4 << 20
	pipeline   = 4 // groups between committer and applier
)

// A group is the requests that share a frame.
type group struct {
	lsn     uint64 // of the frame, or of the last one if nothing needed a frame
	off     uint64 // where the frame begins
	frame   []byte // nil: nothing needed a frame
	head    header
	reqs    []*request    // also those with an err set
	barrier chan struct{} // if not nil, closed when everything before is applied
}

// A committer orders commits and makes them durable. It is one goroutine's.
type committer struct {
	e         *Engine
	w         *writer
	lsn       uint64 // last one written
	meta      []byte
	versions  map[engine.Account]version // of accounts that changed lately
	undo      []undo
	links     links
	unapplied []*group      // that the index may not have yet, in order
	retry     time.Duration // since the engine's begin: when to try again to make a reserve
	stamped   time.Time     // when a frame was stamped last
	usual     int64         // how many commits were under way at once of late
}

// stampEvery is how exactly the log knows when a commit was made.
const stampEvery = 100 * time.Millisecond

// stamp notes in the frame under way what time it is, for restores of a moment.
func (c *committer) stamp() {
	now := c.e.opt.Now()
	if d := now.Sub(c.stamped); d >= 0 && d < stampEvery {
		return
	}
	c.stamped = now
	c.meta = appendSet(c.meta, []byte{kindTime}, be.AppendUint64(nil, uint64(now.UnixNano())))
}

// run commits until the engine is closed and the queue is empty.
func (c *committer) run() {
	e := c.e
	defer e.wg.Done()
	defer close(e.groups)
	for {
		reqs, more := c.take()
		switch {
		case !more:
			return
		case reqs == nil:
			c.keepReserves()
		default:
			c.commit(reqs)
		}
	}
}

// take waits for work and returns the requests of the next group, or none if it is
// time to look after the reserves; false at the end.
func (c *committer) take() (reqs []*request, more bool) {
	e := c.e
	e.mu.Lock()
	for len(e.queue) == 0 && !e.closed && !e.remake {
		e.wake.Wait()
	}
	remake := e.remake && len(e.queue) == 0 && !e.closed
	e.remake = false
	e.mu.Unlock()
	if remake {
		return nil, true
	}
	c.gather()
	e.mu.Lock()
	defer e.mu.Unlock()
	size, blobs, n := 0, 0, 0
	for _, r := range e.queue {
		if n > 0 && (size+r.size > groupBytes || blobs+len(r.blobs) > maxBlobs) {
			break
		}
		size += r.size
		blobs += len(r.blobs)
		n++
	}
	if n == 0 {
		return nil, false
	}
	reqs = e.queue[:n:n]
	if e.queue = e.queue[n:]; len(e.queue) == 0 {
		e.queue = nil
	}
	e.queued.Add(int64(-n))
	e.queuedBytes.Add(int64(-size))
	return reqs, true
}

// gather waits a moment for commits that come soon: fewer, larger groups. As many as
// were under way at once may come again, because who was answered a moment ago is
// often at work on the next one. If they do not come in time, fewer are waited for.
func (c *committer) gather() {
	e := c.e
	for start := time.Now(); ; runtime.Gosched() {
		c.usual = max(c.usual, e.inflight.Load())
		if e.queued.Load() >= c.usual || e.queuedBytes.Load() >= gatherBytes {
			return
		}
		if time.Since(start) >= gatherTime {
			c.usual = e.inflight.Load()
			return
		}
	}
}

// commit makes reqs durable and hands them to the applier.
func (c *committer) commit(reqs []*request) {
	e := c.e
	err := e.failed()
	if err == nil {
		if err = c.w.roll(); isNoSpace(err) {
			err = nil // the segment may grow over its size
		}
	}
	if err == nil {
		if err = c.write(c.build(reqs, false)); isNoSpace(err) {
			err = c.writeWithoutSpace(reqs)
		}
	}
	if err == nil {
		return
	}
	if !errors.Is(err, engine.ErrUnavailable) {
		err = e.stop(err)
	}
	for _, r := range reqs {
		r.err = err
		e.finish(r, true)
	}
}

// writeWithoutSpace commits what carries no blobs to the reserve, and refuses the rest.
// Files that are only kept to be used again go first.
func (c *committer) writeWithoutSpace(reqs []*request) error {
	if c.e.dropSpares() {
		c.drain()
		if err := c.write(c.build(reqs, false)); !isNoSpace(err) {
			return err
		}
	}
	c.e.space.exhausted(c.e)
	c.drain()
	if err := c.w.useReserve(); err != nil && !isNoSpace(err) && !errors.Is(err, errNoReserve) {
		return err
	}
	g := c.build(reqs, true)
	err := c.write(g)
	if !isNoSpace(err) {
		return err
	}
	c.drain()
	g.frame, g.lsn = nil, c.lsn
	for _, r := range reqs {
		if r.err == nil {
			r.err = errFull()
		}
	}
	return c.write(g)
}

// drain waits until the index has everything, and forgets what it kept for
// frames that the index did not have, and for the one that failed.
func (c *committer) drain() {
	b := make(chan struct{})
	c.e.groups <- &group{lsn: c.lsn, barrier: b}
	<-b
	clear(c.versions)
	c.links.reset(c.lsn)
	c.unapplied = nil
}

// write makes g durable and passes it on.
func (c *committer) write(g *group) error {
	e := c.e
	if g.frame == nil {
		e.groups <- g
		return nil
	}
	frame, err := c.w.write(g.frame)
	if err != nil {
		return err
	}
	g.frame = frame[:len(g.frame)]
	if e.opt.mutate.publishEarly {
		e.groups <- g
	}
	if !e.opt.mutate.ackUnsynced {
		if err := c.w.f.SyncData(); err != nil {
			return e.stop(err)
		}
	}
	c.lsn = g.lsn
	c.w.off += uint64(len(g.frame))
	e.syncs.Add(1)
	c.unapplied = append(c.unapplied, g)
	c.forget()
	e.end.Store(&position{g.lsn, c.w.segment, c.w.off})
	e.ship.notify()
	if !e.opt.mutate.publishEarly {
		e.groups <- g
	}
	c.keepReserves()
	return nil
}

// forget drops what the index has by now.
func (c *committer) forget() {
	applied := c.e.applied.Load()
	n := 0
	for n < len(c.unapplied) && c.unapplied[n].lsn <= applied {
		n++
	}
	c.unapplied = append(c.unapplied[:0], c.unapplied[n:]...)
	clear(c.unapplied[len(c.unapplied):cap(c.unapplied)])
	c.links.forget(applied)
	if len(c.versions) > maxVersions {
		for a, v := range c.versions {
			if v.lsn <= applied {
				delete(c.versions, a)
			}
		}
	}
}

// build makes the frame of reqs. It sets the err of those that it refuses.
func (c *committer) build(reqs []*request, refuseBlobs bool) *group {
	g := &group{lsn: c.lsn + 1, off: c.w.off, reqs: reqs, frame: c.buffer(reqs)}
	g.frame = append(g.frame[:0], zeros[:headerLen]...)
	c.meta = c.meta[:0]
	index := 0
	for i, r := range reqs {
		if r.err = c.admit(g, i, refuseBlobs); r.err != nil {
			continue
		}
		index = c.place(g, r, index)
		c.encode(r)
		r.pos = engine.Pos(g.lsn)
	}
	if len(c.meta) == 0 {
		g.frame, g.lsn = nil, c.lsn
		for _, r := range reqs {
			r.pos = engine.Pos(c.lsn)
		}
		return g
	}
	c.stamp()
	g.frame = appendPadding(g.frame)
	g.head = header{
		frameLen: uint64(len(g.frame) + len(c.meta)),
		lsn:      g.lsn,
		durable:  c.lsn,
		segment:  c.w.segment,
		metaLen:  uint32(len(c.meta)),
		metaCRC:  checksum(c.meta),
		blobCRC:  checksum(g.frame[headerLen:]),
		metaOff:  uint64(len(g.frame)),
		store:    c.e.store,
	}
	g.frame = appendPadding(append(g.frame, c.meta...))
	g.head.encode(g.frame)
	if cap(c.meta) > keptBuffer {
		c.meta = nil
	}
	return g
}

func appendPadding(b []byte) []byte { return append(b, zeros[:alignUp(len(b))-len(b)]...) }

// buffer returns an empty frame buffer with room for reqs.
func (c *committer) buffer(reqs []*request) []byte {
	size := headerLen + padBytes + 4096
	for _, r := range reqs {
		size += r.size
	}
	select {
	case b := <-c.e.buffers:
		if cap(b) >= size {
			return b[:0]
		}
	default:
	}
	return make([]byte, 0, size+size/4)
}

// place puts r's new blobs into the frame and gives them ids, from index on.
func (c *committer) place(g *group, r *request, index int) int {
	for i := range r.blobs {
		n := &r.blobs[i]
		n.id = engine.BlobID(g.lsn<<16 | uint64(index))
		n.owned = false
		index++
		if n.big {
			continue
		}
		g.frame = append(appendPadding(g.frame), n.data...)
		n.offset = g.off + uint64(len(g.frame)-len(n.data))
	}
	return index
}

// encode appends r's changes to the frame's meta.
func (c *committer) encode(r *request) {
	for _, u := range r.upkeep {
		if c.links.mayChange(u, r.seen) {
			c.meta = append(c.meta, u.meta...)
			if u.dies {
				c.links.reaped[u.id] = c.lsn + 1
			}
		}
	}
	ref := 0
	for _, b := range r.batches {
		if b.Expect != engine.AnyVersion {
			c.meta = appendMetaKey(c.meta, metaSet, 9)
			c.meta = appendVersionKey(c.meta, b.Account)
			c.meta = binary.AppendUvarint(c.meta, 8)
			c.meta = be.AppendUint64(c.meta, b.Expect+1+b.Skip)
		}
		for i := range b.Ops {
			op := &b.Ops[i]
			switch op.Kind {
			case engine.Delete:
				c.meta = appendMetaKey(c.meta, metaDelete, 9+len(op.Key))
				c.meta = appendKey(c.meta, b.Account, op.Key)
			case engine.DeleteRange:
				if string(op.Key) >= string(op.End) {
					continue
				}
				c.meta = appendMetaKey(c.meta, metaDeleteRange, 9+len(op.Key))
				c.meta = appendKey(c.meta, b.Account, op.Key)
				c.meta = binary.AppendUvarint(c.meta, uint64(9+len(op.End)))
				c.meta = appendKey(c.meta, b.Account, op.End)
			case engine.Set:
				var n *newBlob
				if op.Blob != nil {
					if r.refs[ref] != stored {
						n = &r.blobs[r.refs[ref]]
					}
					ref++
				}
				c.encodeSet(b.Account, op, n)
			}
		}
	}
}

// encodeSet appends a Set, and what the engine notes of the blob that it owns.
func (c *committer) encodeSet(a engine.Account, op *engine.Op, n *newBlob) {
	c.meta = appendMetaKey(c.meta, metaSet, 9+len(op.Key))
	c.meta = appendKey(c.meta, a, op.Key)
	if op.Blob == nil {
		c.meta = append(binary.AppendUvarint(c.meta, uint64(len(op.Val))), op.Val...)
		return
	}
	id := op.Blob.ID
	if n != nil {
		id = n.id
	}
	c.meta = append(binary.AppendUvarint(c.meta, uint64(len(op.Val)+8)), op.Val...)
	c.meta = be.AppendUint64(c.meta, uint64(id))
	if n == nil || n.owned {
		c.meta = appendMetaKey(c.meta, metaSet, 17+len(op.Key))
		c.meta = appendOwnerKey(c.meta, id, a, op.Key)
		c.meta = binary.AppendUvarint(c.meta, 0)
		return
	}
	n.owned = true
	rec := n.record(c.w.segment)
	rec.account, rec.key = a, op.Key
	c.meta = appendMetaKey(c.meta, metaSet, 9)
	c.meta = appendBlobKey(c.meta, id)
	c.meta = rec.append(binary.AppendUvarint(c.meta, uint64(blobRecordLen+len(op.Key))))
	if n.big {
		c.meta = appendMetaKey(c.meta, metaSet, 9)
		c.meta = appendFileKey(c.meta, rec.where)
		c.meta = binary.AppendUvarint(c.meta, 16)
		c.meta = be.AppendUint64(be.AppendUint64(c.meta, uint64(id)), rec.length)
	}
}
