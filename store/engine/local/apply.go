package local

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"posthouse/store/engine"
)

// A durableFrame is one that is synced, but not yet in the index.
type durableFrame struct {
	head header
	meta []byte
	off  uint64 // where it begins
}

// apply puts the changes of frames of one segment into the index, with the mark
// that says so. Recovery uses it too, for many frames at once.
func (e *Engine) apply(frames ...durableFrame) error {
	size, length := 0, uint64(0)
	for i := range frames {
		size += len(frames[i].meta)
		length += alignUp(frames[i].head.frameLen)
	}
	b := e.db.NewBatchWithSize(size + size/4 + 128)
	f := filling{e: e, b: b, m: e.mark, old: e.mark, sets: e.sets[:0]}
	err := f.frames(frames)
	e.keepSets(f.sets)
	if errors.Is(err, errSearch) {
		if err = b.Close(); err == nil && len(frames) > 1 {
			for i := range frames {
				if err := e.apply(frames[i]); err != nil {
					return err
				}
			}
			return nil
		}
		b = e.db.NewIndexedBatchWithSize(size + size/4 + 128)
		f = filling{e: e, b: b, m: e.mark, old: e.mark, search: true}
		if err == nil {
			err = f.frames(frames)
		}
	}
	if err != nil {
		return errors.Join(err, b.Close())
	}
	if err := e.db.Apply(b, pebble.NoSync); err != nil {
		return indexError(err)
	}
	if err := b.Close(); err != nil {
		return indexError(err)
	}
	e.markMu.Lock()
	e.mark = f.m
	e.markMu.Unlock()
	e.liveBytes.Add(f.live)
	e.deadBytes.Add(f.dead)
	e.applied.Store(f.m.lsn)
	if e.unflushed.Add(length) > uint64(e.opt.FlushBytes) {
		return e.flushIndex()
	}
	return nil
}

// errSearch: the changes need a batch that can be searched.
var errSearch = errors.New("local: frame deletes or moves something")

// A filling puts frames' changes into a batch. All that it does follows from
// the frames and the index before them, so that a replay does the same.
type filling struct {
	e          *Engine
	b          *pebble.Batch
	m          mark // to be written with the changes
	old        mark
	search     bool             // b can be searched; then there is one frame only
	sets       []change         // not in b yet; none while b can be searched
	segments   map[uint64]int64 // bytes that died, by segment
	live, dead int64            // changes of the gauges
}

// frames puts the frames' changes into the batch, and the mark that follows from them.
func (f *filling) frames(frames []durableFrame) error {
	for i := range frames {
		h := &frames[i].head
		if h.segment != f.m.segment || f.m.firstLSN == 0 {
			f.m.segment, f.m.firstLSN, f.m.blobs, f.m.dead = h.segment, h.lsn, 0, 0
		}
		f.m.lsn = h.lsn
		f.m.offset = frames[i].off + alignUp(h.frameLen)
		f.m.blobs += h.metaOff - headerLen
		f.live += int64(h.metaOff - headerLen)
		if err := eachChange(frames[i].meta, f.change); err != nil {
			return err
		}
	}
	if err := f.putSets(); err != nil {
		return err
	}
	if err := f.seal(); err != nil {
		return err
	}
	var buf [markLen]byte
	return f.b.Set([]byte{kindMark}, f.m.append(buf[:0]), nil)
}

func (f *filling) change(c change) error {
	switch c.kind {
	case metaSet:
		return f.set(c.key, c.val)
	case metaDelete:
		return f.delete(c.key)
	}
	if !f.search {
		return errSearch
	}
	return f.deleteRange(c.key, c.val)
}

func (f *filling) set(key, val []byte) error {
	switch {
	case key[0] == kindFile && len(val) == 16:
		f.m.files++
		f.m.fileLen += be.Uint64(val[8:])
		f.live += int64(be.Uint64(val[8:]))
	case key[0] == kindBlob && len(val) > 0 && place(val[0]) == inCold:
		if !f.search {
			return errSearch
		}
		if err := f.move(key, val); err != nil {
			if err == engine.ErrNotFound {
				err = nil
			}
			return err
		}
	}
	if f.search {
		return f.b.Set(key, val, nil)
	}
	f.sets = append(f.sets, change{key: key, val: val, at: len(f.sets)})
	return nil
}

// putSets puts the collected sets into the batch, the last one of each key, in the
// order of the keys: so the index finds the place of most of them next to the one
// before, which is a third of what inserting them costs otherwise.
func (f *filling) putSets() error {
	slices.SortFunc(f.sets, func(a, b change) int {
		if c := bytes.Compare(a.key, b.key); c != 0 {
			return c
		}
		return a.at - b.at
	})
	for i := range f.sets {
		if i+1 < len(f.sets) && bytes.Equal(f.sets[i].key, f.sets[i+1].key) {
			continue
		}
		if err := f.b.Set(f.sets[i].key, f.sets[i].val, nil); err != nil {
			return err
		}
	}
	return nil
}

// keptSets is up to how many collected sets the engine keeps the room.
const keptSets = 16 << 10

// keepSets keeps the room of collected sets for the next frame, not what they name.
func (e *Engine) keepSets(sets []change) {
	if e.sets = nil; cap(sets) <= keptSets {
		clear(sets)
		e.sets = sets
	}
}

func (f *filling) delete(key []byte) error {
	if !f.search {
		return errSearch
	}
	var err error
	switch key[0] {
	case kindKey:
		err = f.ownerGone(key)
	case kindBlob:
		err = f.died(key)
	case kindFile:
		err = f.e.get(f.b, key, func(val []byte) error {
			if len(val) == 16 {
				f.m.files -= min(f.m.files, 1)
				f.m.fileLen -= min(f.m.fileLen, be.Uint64(val[8:]))
				f.live -= int64(be.Uint64(val[8:]))
			}
			return nil
		})
	case kindSegment:
		err = f.e.get(f.b, key, func(val []byte) error {
			r, err := decodeSegmentRecord(val)
			f.dead -= int64(r.dead)
			return err
		})
	case kindCold:
		err = f.e.get(f.b, key, func(val []byte) error {
			r, err := decodeColdRecord(val)
			f.dead -= int64(r.dead)
			return err
		})
	}
	if err != nil && err != engine.ErrNotFound {
		return err
	}
	return f.b.Delete(key, nil)
}

// fewKeys is up to how many keys of a range are deleted one by one. A range
// deletion slows down every reader that comes after the next write, until the
// memtable that holds it is flushed: a thousand of them cost 1 ms per read.
const fewKeys = 500

// deleteRange deletes the keys lo <= k < hi that the index and the batch have.
func (f *filling) deleteRange(lo, hi []byte) error {
	if bytes.Compare(lo, hi) >= 0 {
		return nil
	}
	var keys [][]byte
	err := f.e.scan(f.b, lo, hi, func(key, _ []byte) (bool, error) {
		keys = append(keys, bytes.Clone(key))
		return len(keys) <= fewKeys, nil
	})
	if err != nil {
		return err
	}
	if len(keys) > fewKeys {
		// the keys are too many to ask each of them what it owns
		if err := f.b.Set(appendDeadKey(nil, f.m.lsn, 0), nil, nil); err != nil {
			return err
		}
		return f.b.DeleteRange(lo, hi, nil)
	}
	for _, k := range keys {
		if err := f.delete(k); err != nil {
			return err
		}
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

// flusher flushes the index every FlushEvery if there is something to flush, and
// sees to it that there are reserves.
func (e *Engine) flusher() {
	defer e.wg.Done()
	t := time.NewTicker(e.opt.FlushEvery)
	defer t.Stop()
	reserves := time.NewTicker(time.Duration(spaceEvery))
	defer reserves.Stop()
	for {
		select {
		case <-e.closing:
			return
		case <-reserves.C:
			e.askReserves()
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
