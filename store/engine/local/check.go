package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"posthouse/store/engine"
)

// A checker verifies a store while it runs.
type checker struct {
	e      *Engine
	ctx    context.Context
	deep   bool
	report func(problem string)
	end    position
	sizes  map[uint32]int64    // of segments, by number
	bad    map[uint32]struct{} // segments with damaged frames
	snap   *pebble.Snapshot
	live   map[fileKey]uint64 // bytes of blobs, by the file that they are in
	buf    []byte
}

// Check implements engine.Engine. Without deep it reads the index only, and
// the sizes of files; deep reads all frames and all blobs.
func (e *Engine) Check(ctx context.Context, deep bool, report func(problem string)) error {
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	c := &checker{e: e, ctx: ctx, deep: deep, report: report, sizes: map[uint32]int64{}, live: map[fileKey]uint64{}}
	// The end first: all that the index names up to it must be there.
	c.end = *e.end.Load()
	if err := e.failed(); err == nil {
		if _, err := e.Commit(ctx).Wait(); err != nil {
			return err
		}
	}
	if err := c.log(); err != nil {
		return err
	}
	if !deep {
		c.known()
	} else if err := e.verifyBase(); errors.Is(err, engine.ErrCorrupt) {
		c.problem("%v; the next collection makes it anew", err)
		e.keeper.rebase.Store(true)
	} else if err != nil {
		return err
	}
	return c.index()
}

// known reads the blobs again that were found damaged: a deep check finds them by itself.
func (c *checker) known() {
	for _, id := range c.e.keeper.bad.all() {
		b, err := c.e.OpenBlob(c.ctx, id)
		if err == nil {
			_ = b.Close()
		} else if !errors.Is(err, engine.ErrNotFound) {
			c.problem("blob %x, of %s: %v", uint64(id), ownerNames(c.e.ownersOf(id)), err)
		}
	}
}

func (c *checker) problem(format string, args ...any) { c.report(fmt.Sprintf(format, args...)) }

// log verifies that the segments are there, and deep their frames.
func (c *checker) log() error {
	segs, err := c.e.segments()
	if err != nil {
		return err
	}
	next := uint64(0) // unknown
	for i, n := range segs {
		st, err := c.e.fs.Stat(c.e.segmentName(n))
		if errors.Is(err, errNotExist) { // collected meanwhile
			next = 0
			continue
		}
		if err != nil {
			return err
		}
		c.sizes[n] = st.Size()
		if i > 0 && n != segs[i-1]+1 { // collected; or missing, which the index tells
			next = 0
		}
		if !c.deep || n > c.end.segment {
			continue
		}
		if next, err = c.frames(n, next); err != nil {
			return err
		}
	}
	if len(segs) == 0 || segs[len(segs)-1] < c.end.segment {
		c.problem("the active segment %d is missing", c.end.segment)
	}
	if c.deep && next != 0 && next <= c.end.lsn {
		c.problem("the log ends with frame %d, but frame %d is durable", next-1, c.end.lsn)
	}
	return nil
}

// frames verifies a segment's frames, which begin with LSN next if that is not
// 0, and returns the LSN that should follow them.
func (c *checker) frames(n uint32, next uint64) (_ uint64, err error) {
	f, err := c.e.segs.acquire(n)
	if errors.Is(err, engine.ErrCorrupt) && c.e.get(c.e.db, appendSegmentKey(nil, n), func([]byte) error { return nil }) == engine.ErrNotFound {
		return 0, nil // collected meanwhile
	}
	if err != nil {
		return 0, err
	}
	defer c.e.segs.release(f)
	s, err := newScanner(f, n, c.e.store)
	if err != nil {
		return 0, err
	}
	off := int64(0)
	for n != c.end.segment || off < int64(c.end.off) {
		if err := c.ctx.Err(); err != nil {
			return 0, err
		}
		h, ok, err := s.header(off)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		whole, err := s.sound(h, off)
		if err != nil {
			return 0, err
		}
		if !whole {
			if _, err := s.tail(off, h.lsn); err == nil && n != c.end.segment {
				break // torn by a crash: the next segment has this LSN again
			}
			c.badSegment(n, "segment %d at %d: frame %d is damaged", n, off, h.lsn)
		}
		if next != 0 && h.lsn != next {
			c.badSegment(n, "segment %d at %d: frame %d follows frame %d", n, off, h.lsn, next-1)
		}
		if meta, _, err := s.meta(h, off); err != nil {
			return 0, err
		} else if whole && eachChange(meta, func(change) error { return nil }) != nil {
			c.badSegment(n, "segment %d at %d: the meta of frame %d does not parse", n, off, h.lsn)
		}
		next = h.lsn + 1
		off += int64(alignUp(h.frameLen))
	}
	want := c.end.off
	if n != c.end.segment {
		if want, err = c.e.framesOf(n); err != nil {
			return 0, err
		}
	}
	if off < int64(want) {
		c.badSegment(n, "segment %d ends at %d, frames were durable up to %d", n, off, want)
		next = 0
	}
	return next, nil
}

// framesOf returns how many bytes of frames a segment that is full has; 0 if it was
// collected meanwhile.
func (e *Engine) framesOf(n uint32) (length uint64, err error) {
	err = e.get(e.db, appendSegmentKey(nil, n), func(val []byte) error {
		r, err := decodeSegmentRecord(val)
		length = r.length
		return err
	})
	if errors.Is(err, engine.ErrNotFound) || errors.Is(err, engine.ErrCorrupt) { // the index's check reports that
		err = nil
	}
	return length, err
}

// badSegment reports a problem in segment n.
func (c *checker) badSegment(n uint32, format string, args ...any) {
	if c.bad == nil {
		c.bad = map[uint32]struct{}{}
	}
	c.bad[n] = struct{}{}
	c.problem(format, args...)
}

// index verifies each record of the engine's own.
func (c *checker) index() error {
	c.snap = c.e.db.NewSnapshot()
	err := c.e.scan(c.snap, nil, nil, func(key, val []byte) (bool, error) {
		if err := c.ctx.Err(); err != nil {
			return false, err
		}
		return true, c.record(key, val)
	})
	return errors.Join(err, c.snap.Close())
}

// keyLens are the lengths that keys of each kind have at least.
var keyLens = [256]int{kindBlob: 9, kindCold: 9, kindDead: 17, kindDict: 5, kindRemove: 10, kindFile: 9, kindKey: 9, kindMark: 1, kindOwner: 17, kindSegment: 5, kindTime: 1, kindVersion: 9}

func (c *checker) record(key, val []byte) error {
	if n := keyLens[key[0]]; n == 0 || len(key) < n {
		c.problem("index: key %x of no known kind", key)
		return nil
	}
	switch key[0] {
	case kindBlob:
		return c.blob(engine.BlobID(be.Uint64(key[1:])), val)
	case kindOwner:
		return c.owner(engine.BlobID(be.Uint64(key[1:])))
	case kindFile:
		return c.file(be.Uint64(key[1:]), val)
	case kindSegment:
		c.sealed(be.Uint32(key[1:]), val)
	case kindCold:
		return c.cold(be.Uint64(key[1:]), val)
	case kindMark:
		if m, err := decodeMark(val); len(key) == 1 && err == nil {
			c.lives(fileKey{inLog, uint64(m.segment)}, m.blobs-min(m.blobs, m.dead))
		}
	case kindVersion:
		if len(val) != 8 {
			c.problem("index: version of account %d has %d bytes", be.Uint64(key[1:]), len(val))
		}
	}
	return nil
}

// blob verifies that a blob is where its record says, and deep its bytes.
func (c *checker) blob(id engine.BlobID, val []byte) error {
	r, err := decodeBlobRecord(val)
	if err != nil {
		c.problem("blob %x: its record is damaged", uint64(id))
		return nil
	}
	if r.place != inFile {
		c.live[fileKey{r.place, r.where}] += r.occupied()
	}
	if r.place == inLog {
		if size := c.sizes[uint32(r.where)]; int64(r.offset+r.length) > size && r.where <= uint64(c.end.segment) && uint64(id)>>16 <= c.end.lsn && c.same(id, r) {
			c.problem("blob %x: segment %d has %d bytes, the blob ends at %d", uint64(id), r.where, size, r.offset+r.length)
			return nil
		}
	} else if r.place == inFile {
		if err := c.e.get(c.snap, appendFileKey(nil, r.where), func([]byte) error { return nil }); err == engine.ErrNotFound {
			c.problem("blob %x: its file %x is not registered", uint64(id), r.where)
		} else if err != nil {
			return err
		}
	}
	switch {
	case c.deep && r.place != inFile:
		c.buf, err = c.e.readBlob(c.buf[:0], id)
	case c.deep:
		err = c.large(id, r)
	case r.place == inFile:
		var b *largeReader
		if b, err = c.e.openLarge(id, r); err == nil {
			err = b.Close()
		}
	}
	if err != nil && c.same(id, r) {
		c.problem("blob %x, of %s: %v", uint64(id), ownerNames(c.e.ownersOf(id)), err)
	}
	return nil
}

// same tells whether a blob still is where r says: what changes while it is
// looked at is no fault.
func (c *checker) same(id engine.BlobID, r blobRecord) bool {
	now, err := c.e.blobRecord(id)
	return err == nil && now.place == r.place && now.where == r.where
}

// large reads a large blob without holding all of it.
func (c *checker) large(id engine.BlobID, r blobRecord) error {
	b, err := c.e.openLarge(id, r)
	if err != nil {
		return err
	}
	if c.buf = c.buf[:0]; cap(c.buf) < largeBlock {
		c.buf = make([]byte, largeBlock)
	}
	for off := int64(0); off < b.Size() && err == nil; off += largeBlock {
		_, err = b.ReadAt(c.buf[:min(largeBlock, b.Size()-off)], off)
	}
	return errors.Join(err, b.Close())
}

func (c *checker) owner(id engine.BlobID) error {
	err := c.e.get(c.snap, appendBlobKey(nil, id), func([]byte) error { return nil })
	if err == engine.ErrNotFound {
		c.problem("blob %x has an owner but does not exist", uint64(id))
		return nil
	}
	return err
}

func (c *checker) file(number uint64, val []byte) error {
	if len(val) != 16 {
		c.problem("large-blob file %x: its record is damaged", number)
		return nil
	}
	id := engine.BlobID(be.Uint64(val))
	var r blobRecord
	err := c.e.get(c.snap, appendBlobKey(nil, id), func(b []byte) (err error) { r, err = decodeBlobRecord(b); return err })
	if err == engine.ErrNotFound || err == nil && (r.place != inFile || r.where != number) {
		c.problem("large-blob file %x belongs to blob %x, which does not say so", number, uint64(id))
		return nil
	}
	return err
}

func (c *checker) sealed(n uint32, val []byte) {
	r, err := decodeSegmentRecord(val)
	if err != nil {
		c.problem("segment %d: its record is damaged", n)
		return
	}
	if n > c.end.segment {
		return
	}
	if size, ok := c.sizes[n]; !ok && n < c.end.segment {
		c.problem("segment %d is missing", n)
	} else if size < int64(r.length) {
		c.problem("segment %d has %d bytes, it had %d", n, size, r.length)
	}
	c.lives(fileKey{inLog, uint64(n)}, r.live())
}

// lives verifies the count of live bytes in a file: the records of blobs come
// before those of files.
func (c *checker) lives(f fileKey, n uint64) {
	if c.live[f] != n {
		c.problem("%v %d: %d bytes are alive, its record says %d", f.place, f.number, c.live[f], n)
	}
}

func (c *checker) cold(n uint64, val []byte) error {
	r, err := decodeColdRecord(val)
	if err != nil {
		c.problem("cold file %x: its record is damaged", n)
		return nil
	}
	c.lives(fileKey{inCold, n}, r.live())
	st, err := c.e.fs.Stat(c.e.coldName(n))
	if err == nil && uint64(st.Size()) < r.length {
		c.problem("cold file %x has %d bytes, it had %d", n, st.Size(), r.length)
	}
	if errors.Is(err, errNotExist) {
		if err = c.e.get(c.e.db, appendColdKey(nil, n), func([]byte) error { return nil }); err == nil {
			c.problem("cold file %x is missing", n)
		} else if err == engine.ErrNotFound {
			err = nil // collected meanwhile
		}
	}
	return err
}
