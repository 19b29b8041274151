package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"posthouse/store/engine"
)

// Reading many blobs: what lies close together in a file is one read, and several
// reads are under way, verified by those who read, while the caller looks at the
// first.
const (
	bulkExtent = 256 << 10 // bytes of a read of several blobs, at most
	bulkGap    = 16 << 10  // bytes between two blobs that are read as well
	bulkReads  = 32        // under way
	bulkAhead  = 2 << 20   // bytes of those
	bulkLookup = 512       // ids that are looked up at once
)

// An extent is the blobs of one read.
type extent struct {
	first int // place of the first in the caller's ids
	ids   []engine.BlobID
	recs  []blobRecord // of each; length 0: not found, or nothing to read
	size  uint64       // bytes to read
	buf   *[]byte
	data  [][]byte      // of each, in buf or decompressed; nil: could not be read this way
	done  chan struct{} // closed when it was read; nil: not begun
}

// ReadBlobs implements engine.Engine.
func (e *Engine) ReadBlobs(ctx context.Context, ids []engine.BlobID, f func(i int, b []byte, err error) bool) error {
	if len(ids) == 1 {
		return e.readOne(ctx, ids[0], f)
	}
	var queue []*extent // being read
	defer func() {
		for _, x := range queue {
			<-x.done
			e.bulk.Put(x.buf)
		}
	}()
	ahead := uint64(0)
	var planned []*extent
	for next := 0; next < len(ids) || len(planned) > 0 || len(queue) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(planned) == 0 && next < len(ids) {
			n := min(bulkLookup, len(ids)-next)
			recs, err := e.blobRecords(ids[next : next+n])
			if err != nil {
				return err
			}
			planned = plan(ids[next:next+n], recs, next)
			next += n
		}
		for len(planned) > 0 && (len(queue) == 0 || len(queue) < bulkReads && ahead+planned[0].size <= bulkAhead) {
			x := planned[0]
			planned = planned[1:]
			x.buf = e.bulkBuffer(int(x.size))
			x.done = make(chan struct{})
			queue, ahead = append(queue, x), ahead+x.size
			if len(queue) == 1 && len(planned) == 0 && next == len(ids) {
				e.readExtent(x) // there is nothing to do meanwhile
				continue
			}
			go e.readExtent(x)
		}
		x := queue[0]
		<-x.done
		more, err := e.give(x, f)
		queue, ahead = queue[1:], ahead-x.size
		e.bulk.Put(x.buf)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// readOne is ReadBlobs for one.
func (e *Engine) readOne(ctx context.Context, id engine.BlobID, f func(int, []byte, error) bool) error {
	buf := e.bulkBuffer(0)
	b, err := e.ReadBlob(ctx, *buf, id)
	f(0, b, err)
	if cap(b) <= bulkAhead {
		*buf = b
		e.bulk.Put(buf)
	}
	return ctx.Err()
}

// blobRecords looks blobs up; those that are not there get the length 0.
func (e *Engine) blobRecords(ids []engine.BlobID) (recs []blobRecord, err error) {
	if err := e.gate.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	recs = make([]blobRecord, len(ids))
	if len(ids) < 4 {
		for i, id := range ids {
			if recs[i], err = e.blobRecord(id); err != nil && !errors.Is(err, engine.ErrNotFound) {
				return nil, err
			}
		}
		return recs, nil
	}
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindBlob}, UpperBound: []byte{kindBlob + 1}})
	if err != nil {
		return nil, indexError(err)
	}
	var key [9]byte
	for i, id := range ids {
		k := appendBlobKey(key[:0], id)
		if !it.SeekGE(k) || !bytes.Equal(it.Key(), k) {
			continue
		}
		val, verr := it.ValueAndErr()
		if verr == nil {
			recs[i], verr = decodeBlobRecord(val)
			recs[i].key = nil
		}
		if verr != nil {
			recs[i] = blobRecord{} // found out again when it is read alone
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, indexError(err)
	}
	return recs, nil
}

// plan puts blobs that lie one behind the other into one extent each. A blob that
// is not found, or is a file of its own, is an extent without a read.
func plan(ids []engine.BlobID, recs []blobRecord, first int) []*extent {
	var all []*extent
	for lo := 0; lo < len(ids); {
		hi, r := lo+1, recs[lo]
		x := &extent{first: first + lo}
		if r.length > 0 && r.place != inFile {
			end := r.offset + r.storedLen()
			for hi < len(ids) {
				n := recs[hi]
				if n.length == 0 || n.place != r.place || n.where != r.where || n.offset < end || n.offset > end+bulkGap || n.offset+n.storedLen()-r.offset > bulkExtent {
					break
				}
				end = n.offset + n.storedLen()
				hi++
			}
			x.size = end - r.offset
		}
		x.ids, x.recs = ids[lo:hi], recs[lo:hi]
		all = append(all, x)
		lo = hi
	}
	return all
}

// storedLen is how many bytes a blob of the log or of a cold file takes there.
func (r *blobRecord) storedLen() uint64 {
	if r.place == inCold && r.codec != codecRaw {
		return uint64(r.stored)
	}
	return r.length
}

func (e *Engine) bulkBuffer(n int) *[]byte {
	b, _ := e.bulk.Get().(*[]byte)
	if b == nil {
		b = new([]byte)
	}
	*b = slices.Grow((*b)[:0], n)
	return b
}

// readExtent reads and verifies. What fails is left to give.
func (e *Engine) readExtent(x *extent) {
	defer close(x.done)
	x.data = make([][]byte, len(x.ids))
	if x.size == 0 || e.gate.enter() != nil {
		return
	}
	defer e.gate.leave()
	first := &x.recs[0]
	s, err := e.segs.acquireFile(fileKey{first.place, first.where})
	if err != nil {
		return
	}
	buf := (*x.buf)[:x.size]
	n, err := s.ReadAt(buf, int64(first.offset))
	e.segs.release(s)
	if err != nil && err != io.EOF {
		return
	}
	for i := range x.recs {
		r := &x.recs[i]
		at := r.offset - first.offset
		if end := at + r.storedLen(); end <= uint64(n) {
			x.data[i] = e.verified(buf[at:end:end], *r)
		}
	}
}

// verified returns the blob that is stored as b, or nil.
func (e *Engine) verified(b []byte, r blobRecord) []byte {
	if r.place == inCold && r.codec != codecRaw {
		if checksum(b) != r.sum {
			return nil
		}
		out, err := e.keeper.codecs.decompress(e, nil, b, r)
		if err != nil {
			return nil
		}
		b = out
	}
	if uint64(len(b)) != r.length || checksum(b) != r.crc {
		return nil
	}
	return b
}

// give calls f for each blob of an extent. What could not be read with the others,
// because collection moved it or because it is damaged, is read alone.
func (e *Engine) give(x *extent, f func(int, []byte, error) bool) (more bool, err error) {
	for i, id := range x.ids {
		b, err := x.data[i], error(nil)
		if b == nil {
			if gerr := e.gate.enter(); gerr != nil {
				return false, gerr
			}
			b, err = e.readBlob(nil, id)
			e.gate.leave()
		}
		if !f(x.first+i, b, err) {
			return false, nil
		}
	}
	return true, nil
}
