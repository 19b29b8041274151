package store

import (
	"context"
	"log/slog"
	"slices"

	"posthouse/store/engine"
)

// The journal behind the last checkpoint is read when an account is loaded: it
// is kept this short.
const (
	maxTailActions = 512
	maxTailBytes   = 64 << 10
	// closeTail is how many actions are worth a checkpoint when an account leaves
	// memory.
	closeTail = 64
)

func (t tail) full(most tail) bool { return t.actions >= most.actions || t.bytes >= most.bytes }

// checkpoint returns what brings the chunks on disk up to st, and marks st so.
// It belongs to the transaction that made st, or to a time when st is durable.
func (st *state) checkpoint() ([]engine.Op, error) {
	for _, b := range st.boxes {
		if b.dirty {
			if _, err := b.lazy.load(); err != nil {
				return nil, err
			}
		}
	}
	var ops []engine.Op
	st.boxes = slices.Clone(st.boxes)
	for i, b := range st.boxes {
		if !b.dirty {
			continue
		}
		c := b.lazy.done.Load()
		ops = c.save(ops, b.mb.ID)
		clean := *b
		clean.dirty = false
		clean.lazy = loaded(&content{dir: c.dir, n: c.n, saved: c.chunks()})
		st.boxes[i] = &clean
	}
	st.hdr.checkpoint = st.hdr.modseq
	st.tail = tail{}
	return ops, nil
}

// save appends what makes the records of a mailbox equal c.
func (c *content) save(ops []engine.Op, m MailboxID) []engine.Op {
	set := func(kind byte, base UID, val []byte) {
		ops = append(ops, engine.Op{Kind: engine.Set, Key: chunkKey(kind, m, base), Val: val})
	}
	old := c.saved
	drop := func(k *chunk) {
		ops = append(ops, engine.Op{Kind: engine.Delete, Key: chunkKey(keyColumns, m, k.base)},
			engine.Op{Kind: engine.Delete, Key: chunkKey(keyMarks, m, k.base)})
	}
	for i := range c.dir {
		k := c.dir[i].c
		for len(old) > 0 && old[0].base < k.base {
			drop(old[0])
			old = old[1:]
		}
		var was chunk
		if len(old) > 0 && old[0].base == k.base {
			was = *old[0]
			old = old[1:]
		}
		if was.cols != k.cols {
			set(keyColumns, k.base, appendColumns(nil, k.cols))
		}
		if was.mark != k.mark {
			set(keyMarks, k.base, appendMarks(nil, k.mark))
		}
	}
	for _, k := range old {
		drop(k)
	}
	return ops
}

// checkpointLocked writes a checkpoint of the durable state if its tail has at
// least min actions and no commit is under way. Failing does no harm: the
// journal has it all.
func (a *account) checkpointLocked(ctx context.Context, min int) {
	a.pub.Lock()
	idle := len(a.submitted) == 0 && !a.broken
	a.pub.Unlock()
	if !idle || a.pending == nil || !a.pending.exists || a.pending.tail.actions < min {
		return
	}
	st := *a.pending
	st.list = new(mailboxList)
	ops, err := st.checkpoint()
	if err == nil {
		ops = append(ops, engine.Op{Kind: engine.Set, Key: []byte{keyAccount}, Val: appendHeader(nil, &st.hdr)})
		_, err = a.store.eng.Commit(ctx, &engine.Batch{Account: a.id, Expect: engine.AnyVersion, Ops: ops}).Wait()
	}
	if err != nil {
		a.warnCheckpoint(ctx, err)
		return
	}
	a.pending = &st
	a.durable.Store(&st)
}

func (a *account) warnCheckpoint(ctx context.Context, err error) {
	a.store.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "checkpoint failed", slog.Uint64("account", uint64(a.id)), slog.Any("err", err))
}
