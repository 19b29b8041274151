package local

import (
	"maps"
	"slices"

	"posthouse/store/engine"
)

// ownerGone notes, if key owned a blob, that the blob may be dead: whoever
// reaps looks whether it has other owners.
func (f *filling) ownerGone(key []byte) error {
	var id engine.BlobID
	err := f.e.get(f.b, key, func(val []byte) error {
		if len(val) >= 8 {
			id = engine.BlobID(be.Uint64(val[len(val)-8:]))
		}
		return nil
	})
	if err != nil || id == 0 || uint64(id)>>16 > f.m.lsn {
		return err
	}
	// most values that end like an id are none: there is no such blob
	var buf [9]byte
	if err := f.e.get(f.b, appendBlobKey(buf[:0], id), func([]byte) error { return nil }); err != nil {
		return err
	}
	return f.b.Set(appendDeadKey(nil, f.m.lsn, id), nil, nil)
}

// died accounts for a blob whose record goes.
func (f *filling) died(key []byte) error {
	return f.e.get(f.b, key, func(val []byte) error {
		r, err := decodeBlobRecord(val)
		if err != nil {
			return err
		}
		return f.leaves(&r)
	})
}

// leaves accounts for a blob that leaves its place.
func (f *filling) leaves(r *blobRecord) error {
	n := int64(r.occupied())
	switch r.place {
	case inLog:
		if f.segments == nil {
			f.segments = map[uint64]int64{}
		}
		f.segments[r.where] += n
	case inCold:
		if err := f.cold(r.where, 0, r.occupied()); err != nil {
			return err
		}
	default:
		return nil
	}
	f.live -= n
	f.dead += n
	return nil
}

// move accounts for a blob that goes to a cold file; ErrNotFound: there is no
// such blob any more, and the move must not bring it back.
func (f *filling) move(key, val []byte) error {
	r, err := decodeBlobRecord(val)
	if err != nil {
		return err
	}
	if err := f.died(key); err != nil {
		return err
	}
	f.live += int64(r.occupied())
	return f.cold(r.where, r.occupied(), 0)
}

// cold adds to the record of a cold file.
func (f *filling) cold(number, blobs, dead uint64) error {
	var c coldRecord
	key := appendColdKey(nil, number)
	err := f.e.get(f.b, key, func(val []byte) (err error) {
		c, err = decodeColdRecord(val)
		return err
	})
	if err != nil && err != engine.ErrNotFound {
		return err
	}
	c.blobs += blobs
	c.dead += dead
	return f.b.Set(key, c.append(nil), nil)
}

// seal writes the records of segments: of the one before if the frame is the
// first of another, and of those in which blobs died.
func (f *filling) seal() error {
	sealed := segmentRecord{firstLSN: f.old.firstLSN, lastLSN: f.old.lsn, length: f.old.offset, blobs: f.old.blobs, dead: f.old.dead}
	rolled := f.m.segment != f.old.segment && f.old.firstLSN != 0
	for _, n := range slices.Sorted(maps.Keys(f.segments)) {
		dead := uint64(f.segments[n])
		switch {
		case n == uint64(f.m.segment):
			f.m.dead += dead
			continue
		case rolled && n == uint64(f.old.segment):
			sealed.dead += dead
			continue
		}
		var r segmentRecord
		key := appendSegmentKey(nil, uint32(n))
		err := f.e.get(f.b, key, func(val []byte) (err error) {
			r, err = decodeSegmentRecord(val)
			return err
		})
		if err == engine.ErrNotFound {
			continue
		}
		if err != nil {
			return err
		}
		r.dead += dead
		if err := f.b.Set(key, r.append(nil), nil); err != nil {
			return err
		}
	}
	if !rolled {
		return nil
	}
	return f.b.Set(appendSegmentKey(nil, f.old.segment), sealed.append(nil), nil)
}

// tally counts live and dead bytes anew, from the records of files.
func (e *Engine) tally() error {
	live, dead := int64(e.mark.blobs-e.mark.dead+e.mark.fileLen), int64(e.mark.dead)
	err := e.scan(e.db, []byte{kindSegment}, []byte{kindSegment + 1}, func(_, val []byte) (bool, error) {
		r, err := decodeSegmentRecord(val)
		live += int64(r.live())
		dead += int64(r.dead)
		return true, err
	})
	if err != nil {
		return err
	}
	err = e.scan(e.db, []byte{kindCold}, []byte{kindCold + 1}, func(_, val []byte) (bool, error) {
		r, err := decodeColdRecord(val)
		live += int64(r.live())
		dead += int64(r.dead)
		return true, err
	})
	e.liveBytes.Store(live)
	e.deadBytes.Store(dead)
	return err
}
