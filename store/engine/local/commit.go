package local

import (
	"context"
	"fmt"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A request is one commit on its way.
type request struct {
	batches []*engine.Batch
	blobs   []newBlob            // the distinct new blobs
	refs    []int32              // for each op with a Blob, in order: its index in blobs, or stored
	index   map[*engine.Blob]int // of many blobs, in blobs
	size    int                  // bytes that it adds to a frame, at most
	seen    uint64               // LSN of the index that the stored blobs were looked up in
	upkeep  []upkeep             // what the engine itself changes; then there are no batches
	pos     engine.Pos
	err     error
	done    chan struct{}
}

// stored as a ref: the Blob's ID names a blob that is stored already.
const stored = -1

// A newBlob is a blob that a request brings.
type newBlob struct {
	src    *engine.Blob
	more   []*engine.Blob // further ones with the same Staged
	data   []byte         // for the log; nil: in big
	crc    uint32
	staged *staged // that it comes from, or nil
	own    bool    // staged was made here, for Bytes
	big    bool    // staged has a file
	owned  bool    // the committer has written its record
	offset uint64  // in the active segment
	id     engine.BlobID
}

// size returns the blob's length in bytes.
func (n *newBlob) size() int64 {
	if n.big {
		return n.staged.Size()
	}
	return int64(len(n.data))
}

// record returns the blob's record, without an owner.
func (n *newBlob) record(segment uint32) blobRecord {
	r := blobRecord{place: inLog, where: uint64(segment), offset: n.offset, length: uint64(n.size()), crc: n.crc}
	if n.big {
		r.place, r.where, r.offset = inFile, n.staged.number, 0
	}
	return r
}

func (r *request) Wait() (engine.Pos, error) {
	<-r.done
	return r.pos, r.err
}

// Commit implements engine.Engine.
func (e *Engine) Commit(ctx context.Context, batches ...*engine.Batch) engine.Pending {
	r := &request{batches: batches, done: make(chan struct{})}
	if err := e.prepare(ctx, r); err != nil {
		r.err = err
		r.settle(false)
		close(r.done)
		return r
	}
	e.enqueue(r)
	return r
}

// enqueue passes a request that is prepared to the committer.
func (e *Engine) enqueue(r *request) {
	e.inflight.Add(1)
	e.mu.Lock()
	err := e.fault
	if err == nil && e.closed {
		err = errClosed()
	}
	if err == nil {
		e.queue = append(e.queue, r)
		e.queued.Add(1)
		e.queuedBytes.Add(int64(r.size))
		e.mu.Unlock()
		e.wake.Signal()
		return
	}
	e.mu.Unlock()
	e.inflight.Add(-1)
	r.err = err
	r.settle(false)
	close(r.done)
}

// prepare does all that does not need the order of commits: checksums, large
// blobs, sizes.
func (e *Engine) prepare(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	r.seen = e.applied.Load()
	if err := e.ship.refuses(); err != nil {
		return err
	}
	for _, b := range r.batches {
		r.size += 32
		for i := range b.Ops {
			op := &b.Ops[i]
			r.size += len(op.Key) + len(op.End) + len(op.Val) + 24
			if op.Blob == nil || op.Kind != engine.Set {
				continue
			}
			if err := e.prepareBlob(ctx, r, op); err != nil {
				return err
			}
		}
	}
	if len(r.blobs) > 0 && e.space.full(e) {
		return errFull()
	}
	if r.size > maxFrame || len(r.blobs) > maxBlobs {
		return &mail.Error{Kind: mail.TooLarge, Op: "local.Commit", Text: fmt.Sprintf("one commit of %d bytes with %d blobs", r.size, len(r.blobs))}
	}
	return nil
}

// prepareBlob finds out what op's Blob is.
func (e *Engine) prepareBlob(ctx context.Context, r *request, op *engine.Op) error {
	b := op.Blob
	r.size += 2*len(op.Key) + 96
	if i := r.find(b); i >= 0 {
		r.refs = append(r.refs, int32(i))
		return nil
	}
	n := newBlob{src: b}
	switch {
	case b.Bytes != nil && int64(len(b.Bytes)) <= e.opt.LargeBlob:
		n.data = b.Bytes
	case b.Bytes != nil:
		s, err := e.stageBytes(ctx, b.Bytes)
		if err != nil {
			return err
		}
		n.staged, n.own = s, true
	case b.Staged != nil:
		s, ok := b.Staged.(*staged)
		if !ok || s.e != e {
			return fmt.Errorf("local: the staged blob is not this store's: %w", engine.ErrNotFound)
		}
		n.staged = s
	default:
		r.refs = append(r.refs, stored)
		return e.exists(b.ID)
	}
	if n.staged != nil {
		id, err := n.staged.claim(&n)
		if err != nil && n.own {
			_ = n.staged.Close()
		}
		if err != nil {
			return err
		}
		if id != 0 { // an earlier commit has stored it
			b.ID = id
			r.refs = append(r.refs, stored)
			return nil
		}
	}
	if !n.big {
		n.crc = checksum(n.data)
		r.size += len(n.data) + frameAlign
	}
	r.refs = append(r.refs, int32(len(r.blobs)))
	r.add(n)
	return nil
}

// manyBlobs is how many a request looks through before it keeps a map.
const manyBlobs = 16

func (r *request) add(n newBlob) {
	r.blobs = append(r.blobs, n)
	switch {
	case len(r.blobs) == manyBlobs:
		r.index = make(map[*engine.Blob]int, 2*manyBlobs)
		for i := range r.blobs {
			r.index[r.blobs[i].src] = i
		}
	case len(r.blobs) > manyBlobs:
		r.index[n.src] = len(r.blobs) - 1
	}
}

// find returns the index in r.blobs of the one that b names, or -1.
func (r *request) find(b *engine.Blob) int {
	if s, _ := b.Staged.(*staged); s != nil && b.Bytes == nil {
		for i := range r.blobs {
			if n := &r.blobs[i]; n.staged == s {
				if n.src != b {
					n.more = append(n.more, b)
				}
				return i
			}
		}
		return -1
	}
	if r.index != nil {
		if i, ok := r.index[b]; ok {
			return i
		}
		return -1
	}
	for i := range r.blobs {
		if r.blobs[i].src == b {
			return i
		}
	}
	return -1
}

// settle tells the blobs how their commit ended. unknown: it may be on disk.
func (r *request) settle(unknown bool) {
	for i := range r.blobs {
		n := &r.blobs[i]
		if r.err == nil {
			n.src.ID = n.id
			for _, b := range n.more {
				b.ID = n.id
			}
		}
		if n.staged == nil {
			continue
		}
		if r.err == nil {
			n.staged.adopt(n.id)
		} else {
			n.staged.release(unknown)
		}
		if n.own {
			_ = n.staged.Close()
		}
	}
}

// finish reports how a request ended.
func (e *Engine) finish(r *request, unknown bool) {
	r.settle(unknown)
	e.inflight.Add(-1)
	close(r.done)
}

// stop ends all commits: after a failed write or sync nobody knows what is on
// the disk until it is read again.
func (e *Engine) stop(cause error) error {
	err := fmt.Errorf("local: stopped, restart to recover: %w: %w", engine.ErrUnavailable, cause)
	e.mu.Lock()
	if e.fault != nil {
		err = e.fault
	} else {
		e.fault = err
		e.log.Error("store stopped: writing failed", "err", cause)
	}
	waiting := e.queue
	e.queue = nil
	e.queued.Store(0)
	e.queuedBytes.Store(0)
	e.mu.Unlock()
	for _, r := range waiting {
		r.err = err
		e.finish(r, false)
	}
	return err
}
