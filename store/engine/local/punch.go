package local

import (
	"cmp"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

const (
	punchLeast = 16 << 10 // dead blobs below this wait for collection
	punchBlock = 4 << 10  // whole blocks of the file system are given back
)

// punch gives back the space of large dead blobs in sealed segments and cold
// files, without touching their neighbours. Headers and metas stay, and so do
// the blobs of a segment's last frame: recovery reads those.
func (k *keeping) punch(holes []hole) error {
	if k.e.punchHole == nil {
		return nil
	}
	holes = slices.DeleteFunc(holes, func(h hole) bool { return h.r.place == inFile || h.r.occupied() < punchLeast })
	holes, err := k.e.buried(holes)
	if err != nil {
		return err
	}
	slices.SortFunc(holes, func(a, b hole) int {
		return cmp.Or(cmp.Compare(a.r.place, b.r.place), cmp.Compare(a.r.where, b.r.where), cmp.Compare(a.r.offset, b.r.offset))
	})
	for len(holes) > 0 {
		f := fileKey{holes[0].r.place, holes[0].r.where}
		n := slices.IndexFunc(holes, func(h hole) bool { return h.r.place != f.place || h.r.where != f.number })
		if n < 0 {
			n = len(holes)
		}
		if err := k.punchFile(f, holes[:n]); err != nil {
			return err
		}
		holes = holes[n:]
	}
	return nil
}

// buried returns those of holes whose blob is gone. A commit that gave a blob an
// owner just before it would have died keeps it.
func (e *Engine) buried(holes []hole) ([]hole, error) {
	var failed error
	gone := slices.DeleteFunc(holes, func(h hole) bool {
		_, err := e.blobRecord(h.id)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			failed = err
		}
		return !errors.Is(err, engine.ErrNotFound)
	})
	return gone, failed
}

// punchFile punches holes into one file, unless it is the active segment or
// somebody else's too: a backup may have it by a hard link.
func (k *keeping) punchFile(f fileKey, holes []hole) (err error) {
	e := k.e
	last := ^uint64(0)
	if f.place == inLog {
		err := e.get(e.db, appendSegmentKey(nil, uint32(f.number)), func(val []byte) error {
			r, err := decodeSegmentRecord(val)
			last = r.lastLSN
			return err
		})
		if err == engine.ErrNotFound {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if !e.keeper.files.TryLock() {
		return nil
	}
	defer e.keeper.files.Unlock()
	name := e.fileName(f)
	if st, err := e.fs.Stat(name); err != nil || !ownFile(st) {
		return nil
	}
	file, err := e.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for _, h := range holes {
		if h.lsn == last && f.place == inLog {
			continue
		}
		size := h.r.length
		if f.place == inCold {
			size = uint64(h.r.stored)
		}
		begin := (h.r.offset + punchBlock - 1) &^ (punchBlock - 1)
		end := (h.r.offset + size) &^ (punchBlock - 1)
		if begin >= end {
			continue
		}
		if err := e.punchHole(file, int64(begin), int64(end-begin)); err != nil {
			e.log.Debug("this file system gives back no parts of files", "err", err)
			e.punchHole = nil
			return nil
		}
		e.keeper.punched.Add(end - begin)
		if err := k.pace(end - begin); err != nil {
			return err
		}
	}
	return nil
}
