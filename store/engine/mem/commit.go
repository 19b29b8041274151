package mem

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"posthouse/store/engine"
)

// A pending is one commit in the queue, and then its result.
type pending struct {
	batches []*engine.Batch
	pos     engine.Pos
	err     error
	done    chan struct{}
}

func (p *pending) Wait() (engine.Pos, error) {
	<-p.done
	return p.pos, p.err
}

// Commit implements engine.Engine.
func (e *Engine) Commit(ctx context.Context, batches ...*engine.Batch) engine.Pending {
	p := &pending{batches: batches, done: make(chan struct{}), err: ctx.Err()}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed && p.err == nil {
		p.err = fmt.Errorf("mem: commit after Close: %w", engine.ErrUnavailable)
	}
	if p.err != nil {
		close(p.done)
		return p
	}
	e.queue = append(e.queue, p)
	if !e.running {
		e.running = true
		go e.run()
	}
	return p
}

// run applies queued commits until there is none.
func (e *Engine) run() {
	for {
		e.mu.Lock()
		if len(e.queue) == 0 {
			e.running = false
			e.idle.Broadcast()
			e.mu.Unlock()
			return
		}
		p := e.queue[0]
		e.queue = e.queue[1:]
		p.err = e.applyLocked(p)
		subs := make([]func(engine.Pos, engine.Account), 0, len(e.subs))
		for id := 0; id < e.nextSub && p.err == nil; id++ {
			if f := e.subs[id]; f != nil {
				subs = append(subs, f)
			}
		}
		e.mu.Unlock()
		publish(p, subs)
		close(p.done)
	}
}

// publish tells each subscriber each changed account once.
func publish(p *pending, subs []func(engine.Pos, engine.Account)) {
	seen := map[engine.Account]bool{}
	for _, b := range p.batches {
		if seen[b.Account] {
			continue
		}
		seen[b.Account] = true
		for _, f := range subs {
			f(p.pos, b.Account)
		}
	}
}

// A tx is a commit while it is applied; e.mu is held.
type tx struct {
	e   *Engine
	st  state
	ids map[*engine.Blob]engine.BlobID // new blobs that this commit has stored
}

// applyLocked makes p's changes visible as a whole, or changes nothing.
func (e *Engine) applyLocked(p *pending) error {
	t := &tx{e: e, st: *e.state, ids: map[*engine.Blob]engine.BlobID{}}
	for _, b := range p.batches {
		if err := t.check(b); err != nil {
			return err
		}
	}
	t.st.pos++
	for _, b := range p.batches {
		for i := range b.Ops {
			t.apply(b.Account, &b.Ops[i])
		}
	}
	e.reclaimLocked()
	e.state, p.pos = &t.st, t.st.pos
	e.stats.Commits++
	e.stats.Groups++
	return nil
}

// check looks at everything that can refuse a batch, and raises its account's version.
func (t *tx) check(b *engine.Batch) error {
	if b.Expect != engine.AnyVersion {
		v := t.st.version(b.Account)
		if v != b.Expect {
			return fmt.Errorf("mem: account %d is at version %d, expected %d: %w", b.Account, v, b.Expect, engine.ErrConflict)
		}
		k := physical(b.Account, nil)
		t.st.versions = t.st.versions.set(node{key: k, prio: priority(k), val: binary.BigEndian.AppendUint64(nil, v+1+b.Skip)})
	}
	for _, c := range b.CAS {
		n := t.st.keys.find(physical(b.Account, c.Key))
		if (n == nil) != (c.Old == nil) || n != nil && !bytes.Equal(n.val, c.Old) {
			return fmt.Errorf("mem: account %d, key %x has changed: %w", b.Account, c.Key, engine.ErrConflict)
		}
	}
	for i := range b.Ops {
		if err := t.e.usableLocked(b.Ops[i].Blob); err != nil {
			return err
		}
	}
	return nil
}

// usableLocked tells whether an op may name b.
func (e *Engine) usableLocked(b *engine.Blob) error {
	switch {
	case b == nil || b.Bytes != nil:
		return nil
	case b.Staged != nil:
		s, ok := b.Staged.(*staged)
		if !ok || s.e != e {
			return fmt.Errorf("mem: staged blob of another engine: %w", engine.ErrNotFound)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if (s.closed || s.id != 0) && e.blobs[s.id] == nil {
			return fmt.Errorf("mem: staged blob is gone: %w", engine.ErrNotFound)
		}
		return nil
	case e.blobs[b.ID] == nil:
		return fmt.Errorf("mem: blob %x: %w", uint64(b.ID), engine.ErrNotFound)
	}
	return nil
}

func (t *tx) apply(a engine.Account, op *engine.Op) {
	k := physical(a, op.Key)
	switch op.Kind {
	case engine.Delete:
		t.cut(k, append(k[:len(k):len(k)], 0))
	case engine.DeleteRange:
		t.cut(k, physical(a, op.End))
	case engine.Set:
		n := node{key: k, prio: priority(k), val: op.Val}
		if op.Blob != nil {
			n.blob = t.own(op.Blob)
			n.val = binary.BigEndian.AppendUint64(append(make([]byte, 0, len(op.Val)+8), op.Val...), uint64(n.blob))
		}
		t.disownReplaced(t.st.keys.find(k), &n)
		t.st.keys = t.st.keys.set(n)
	}
}

func (t *tx) cut(lo, hi []byte) {
	rest, out := t.st.keys.cut(lo, hi)
	t.st.keys = rest
	out.scan(nil, nil, func(n *node) bool {
		t.e.disownLocked(n.blob)
		return true
	})
}

// disownReplaced settles what old owned when n takes its place. A key whose
// value still ends with its blob's id goes on owning it.
func (t *tx) disownReplaced(old, n *node) {
	if old == nil || old.blob == 0 {
		return
	}
	if n.blob == 0 && bytes.HasSuffix(n.val, binary.BigEndian.AppendUint64(nil, uint64(old.blob))) {
		n.blob = old.blob
		return
	}
	t.e.disownLocked(old.blob) // also if n owns it too: own has counted n
}

// own gives b an id, unless it has one, and counts one more owner.
func (t *tx) own(b *engine.Blob) engine.BlobID {
	id := b.ID
	switch s, _ := b.Staged.(*staged); {
	case b.Bytes != nil:
		if id = t.ids[b]; id == 0 {
			id = t.e.addLocked(bytes.Clone(b.Bytes)) // the caller may reuse them after the commit
		}
	case s != nil:
		s.mu.Lock()
		if s.id == 0 {
			s.id = t.e.addLocked(s.data)
		}
		id = s.id
		s.mu.Unlock()
	}
	b.ID, t.ids[b] = id, id
	t.e.blobs[id].owners++
	return id
}

func (e *Engine) addLocked(data []byte) engine.BlobID {
	e.nextID++
	e.keepLocked(e.nextID, data)
	e.stats.BlobBytes += uint64(len(data))
	return e.nextID
}

// largeBlob is what Stats calls a large blob from there on.
const largeBlob = 1 << 20

// keepLocked holds the bytes of a blob that has no owner yet.
func (e *Engine) keepLocked(id engine.BlobID, data []byte) {
	e.blobs[id] = &blob{data: data}
	e.stats.LiveBytes += uint64(len(data))
	if len(data) > largeBlob {
		e.stats.LargeBlobs++
	}
}

func (e *Engine) forgetLocked(id engine.BlobID) {
	n := len(e.blobs[id].data)
	delete(e.blobs, id)
	e.stats.LiveBytes -= uint64(n)
	if n > largeBlob {
		e.stats.LargeBlobs--
	}
}
