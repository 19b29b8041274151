package local

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"posthouse/internal/codec"
	"posthouse/store/engine"
)

// A keeper gives space back: it reaps blobs without owners, collects segments
// that are mostly dead, removes files that nothing needs, and scrubs. Only it
// changes or deletes the record of a blob, one pass at a time.
type keeper struct {
	pass sync.Mutex
	// files is held for reading by whoever copies the store's files: as long,
	// nothing is removed or punched. It is only tried for writing.
	files sync.RWMutex

	removals  atomic.Uint64        // files removed, and copies of the index made
	base      atomic.Uint64        // LSN of the index's last copy
	rebase    atomic.Bool          // that copy is damaged: make another soon
	coldBytes atomic.Uint64        // of all cold files
	skip      map[fileKey]struct{} // damaged: cannot be collected as a whole
	dict      uint32               // to compress with
	asked     bool                 // whether there is one
	codecs    codecs
	scrub     scrub
	bad       badBlobs

	collected, punched, moved, movedTo, scrubbed, damaged, mended atomic.Uint64
}

func (k *keeper) stats(s *engine.Stats) {
	s.Collected, s.Punched, s.Moved, s.MovedTo = k.collected.Load(), k.punched.Load(), k.moved.Load(), k.movedTo.Load()
	s.Scrubbed, s.Damaged, s.Mended = k.scrubbed.Load(), k.damaged.Load(), k.mended.Load()
}

// keep is the keeper's goroutine.
func (e *Engine) keep() {
	defer e.wg.Done()
	if e.opt.CollectEvery < 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-e.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	t := time.NewTicker(e.opt.CollectEvery)
	defer t.Stop()
	for {
		select {
		case <-e.closing:
			return
		case <-e.heal:
			e.healIndex()
			continue
		case <-t.C:
		}
		k := &keeping{e: e, ctx: ctx, rate: e.opt.CollectRate}
		err := k.run()
		if err == nil {
			err = k.scrub(e.scrubBudget())
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrUnavailable) {
			e.log.Warn("collection failed, will try again", "err", err)
		}
	}
}

// Collect gives back all space that can be had now, without a bound on its
// rate. Space is held back by open Readers, by a Checkpoint under way, by
// segments that are more than half alive, and by up to two files that become
// later segments.
func (e *Engine) Collect(ctx context.Context) error {
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	k := &keeping{e: e, ctx: ctx, rate: -1, all: true}
	return k.run()
}

// A keeping is one pass.
type keeping struct {
	e    *Engine
	ctx  context.Context
	rate int64 // bytes per second; negative: no bound
	all  bool  // also what is not yet worth it
	debt int64
	buf  []byte

	tried  map[fileKey]struct{} // collected in this pass: what is left in them stays
	mended func(string)         // is told what was mended; may be nil
}

func (k *keeping) run() error {
	k.e.keeper.pass.Lock()
	defer k.e.keeper.pass.Unlock()
	if err := k.reap(); err != nil {
		return err
	}
	// On a full disk what needs space fails, and what frees some must go on.
	return errors.Join(k.remove(), k.collect(), k.drop(), k.remove())
}

// pace waits as long as reading n bytes should have taken.
func (k *keeping) pace(n uint64) error {
	if k.debt += int64(n); k.rate <= 0 || k.debt < min(k.rate/20, 1<<20) {
		return k.ctx.Err()
	}
	t := time.NewTimer(time.Duration(k.debt) * time.Second / time.Duration(k.rate))
	defer t.Stop()
	k.debt = 0
	select {
	case <-k.ctx.Done():
		return k.ctx.Err()
	case <-k.e.closing:
		return errClosed()
	case <-t.C:
		return nil
	}
}

// upkeepItems and upkeepBytes bound the commits of upkeep: others wait behind
// them. A pass whose rate is not bounded makes larger ones, unbounded times as large.
const (
	upkeepItems = 2000
	upkeepBytes = 128 << 10
	unbounded   = 8
)

// commit makes changes, as far as what was seen at LSN seen still holds, and
// waits for them.
func (k *keeping) commit(items []upkeep, seen uint64) error {
	times := 1
	if k.rate <= 0 {
		times = unbounded
	}
	for len(items) > 0 {
		n, size := 0, 0
		for n < len(items) && (n == 0 || n < times*upkeepItems && size+len(items[n].meta) < times*upkeepBytes) {
			size += len(items[n].meta)
			n++
		}
		r := &request{upkeep: items[:n], seen: seen, size: size + 64, done: make(chan struct{})}
		k.e.enqueue(r)
		if _, err := r.Wait(); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// appendSet and appendDelete append a change to a frame's meta.
func appendSet(b, key, val []byte) []byte {
	b = append(appendMetaKey(b, metaSet, len(key)), key...)
	return codec.AppendBytes(b, val)
}

func appendDelete(b, key []byte) []byte {
	return append(appendMetaKey(b, metaDelete, len(key)), key...)
}
