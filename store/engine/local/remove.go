package local

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// drop gives up files in which nothing lives. A segment has commits besides, so
// it goes only when the index's copy has them: from that copy and the rest of
// the log, the index can always be made anew.
func (k *keeping) drop() error {
	e := k.e
	held, base := uint64(0), e.keeper.base.Load()
	err := e.eachFile(func(v victim) error {
		if v.place == inLog && v.live == 0 && v.last > base {
			held += v.length
		}
		return nil
	})
	if err != nil {
		return err
	}
	if e.keeper.rebase.Load() {
		if err := k.writeBase(); err != nil {
			return fmt.Errorf("local: copying the index anew: %w", err)
		}
		e.keeper.rebase.Store(false)
	}
	if base = e.keeper.base.Load(); held > 0 && (k.all || held >= max(uint64(e.opt.SegmentSize), e.db.Metrics().DiskSpaceUsage())) && !e.opt.mutate.unlinkEarly {
		if err := k.writeBase(); err != nil {
			return fmt.Errorf("local: copying the index: %w", err)
		}
	}
	if !e.keeper.files.TryLock() {
		return nil
	}
	defer e.keeper.files.Unlock()
	base = e.keeper.base.Load()
	var items []upkeep
	err = e.eachFile(func(v victim) error {
		switch {
		case v.live > 0:
		case v.place == inCold:
			item := appendDelete(nil, appendColdKey(nil, v.number))
			items = append(items, upkeep{meta: appendSet(item, appendRemoveKey(nil, inCold, v.number), nil)})
		case v.last <= base || e.opt.mutate.unlinkEarly:
			item := appendDelete(nil, appendSegmentKey(nil, uint32(v.number)))
			items = append(items, upkeep{meta: appendSet(item, appendRemoveKey(nil, inLog, v.number), nil)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return k.commit(items, e.applied.Load())
}

// remove removes the files that were given up. Whoever has one open reads on.
func (k *keeping) remove() error {
	e := k.e
	if !e.ship.reaches(e.applied.Load(), k.ctx.Done()) {
		return nil // frames that name the files are still to be shipped with them
	}
	if !e.keeper.files.TryLock() {
		return nil
	}
	defer e.keeper.files.Unlock()
	flushed := e.opt.mutate.unlinkEarly
	dirs := map[string]struct{}{}
	done := e.db.NewBatch()
	err := e.scan(e.db, []byte{kindRemove}, []byte{kindRemove + 1}, func(key, _ []byte) (bool, error) {
		if len(key) != 10 {
			return true, nil
		}
		f := fileKey{place(key[1]), be.Uint64(key[2:])}
		if f.place == inLog && !flushed { // the next Open must not ask for its frames
			if err := e.writeIndex(); err != nil {
				return false, err
			}
			flushed = true
		}
		if err := e.removeFile(f, dirs); err != nil {
			return false, err
		}
		return true, done.Delete(key, nil)
	})
	for dir := range dirs {
		if err == nil {
			err = syncDir(e.fs, dir)
		}
	}
	if err == nil && !done.Empty() {
		err = done.Commit(pebble.NoSync)
	}
	return errors.Join(err, done.Close())
}

// removeFile removes a file, or keeps it as a spare, and notes its directory.
func (e *Engine) removeFile(f fileKey, dirs map[string]struct{}) error {
	name := e.fileName(f)
	if f.place == inFile {
		name = e.largeName(f.number)
	}
	st, err := e.fs.Stat(name)
	if errors.Is(err, errNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	size := uint64(st.Size())
	kept, err := e.keepSpare(f, st)
	if err != nil {
		return err
	}
	if !kept {
		e.segs.forget(f)
		if err := e.fs.Remove(name); err != nil && !errors.Is(err, errNotExist) {
			return err
		}
	}
	dirs[e.fs.PathDir(name)] = struct{}{}
	e.keeper.removals.Add(1)
	switch f.place {
	case inLog:
		e.segmentCount.Add(-1)
		e.sealedBytes.Add(-size)
	case inCold:
		e.keeper.coldBytes.Add(-size)
	}
	e.keeper.collected.Add(size)
	return nil
}
