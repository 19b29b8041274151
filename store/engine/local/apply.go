package local

import (
	"bytes"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// apply puts one frame's changes into the index, with the mark that says so.
// off is where the frame begins. Recovery uses it too.
func (e *Engine) apply(h header, meta []byte, off uint64) error {
	m := e.mark
	if h.segment != m.segment || m.firstLSN == 0 {
		m.segment, m.firstLSN, m.blobs = h.segment, h.lsn, 0
	}
	m.lsn = h.lsn
	m.offset = off + alignUp(h.frameLen)
	m.blobs += h.metaOff - headerLen
	b := e.db.NewBatchWithSize(len(meta) + len(meta)/4 + 128)
	err := e.fill(b, &m, meta, false)
	if errors.Is(err, errHasRange) {
		err = b.Close()
		b = e.db.NewIndexedBatchWithSize(len(meta) + len(meta)/4 + 128)
		if err == nil {
			err = e.fill(b, &m, meta, true)
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
	e.mark = m
	e.markMu.Unlock()
	e.applied.Store(h.lsn)
	if e.unflushed.Add(alignUp(h.frameLen)) > uint64(e.opt.FlushBytes) {
		return e.flushIndex()
	}
	return nil
}

// errHasRange: the changes need a batch that can be searched.
var errHasRange = errors.New("local: frame deletes a range")

// fill puts a frame's changes into b, and the mark m that follows from them.
func (e *Engine) fill(b *pebble.Batch, m *mark, meta []byte, indexed bool) error {
	old := e.mark
	m.files, m.fileLen = old.files, old.fileLen
	err := eachChange(meta, func(c change) error {
		switch c.kind {
		case metaSet:
			if c.key[0] == kindFile && len(c.val) == 16 {
				m.files++
				m.fileLen += be.Uint64(c.val[8:])
			}
			return b.Set(c.key, c.val, nil)
		case metaDelete:
			return b.Delete(c.key, nil)
		}
		if !indexed {
			return errHasRange
		}
		return e.fillRange(b, c.key, c.val)
	})
	if err != nil {
		return err
	}
	if m.segment != old.segment && old.firstLSN != 0 {
		r := segmentRecord{firstLSN: old.firstLSN, lastLSN: old.lsn, length: old.offset, blobs: old.blobs}
		if err := b.Set(appendSegmentKey(nil, old.segment), r.append(nil), nil); err != nil {
			return err
		}
	}
	var buf [markLen]byte
	return b.Set([]byte{kindMark}, m.append(buf[:0]), nil)
}

// fewKeys is up to how many keys of a range are deleted one by one. A range
// deletion slows down every reader that comes after the next write, until the
// memtable that holds it is flushed: a thousand of them cost 1 ms per read.
const fewKeys = 500

// fillRange deletes the keys lo <= k < hi that the index and b, which can be
// searched, have.
func (e *Engine) fillRange(b *pebble.Batch, lo, hi []byte) error {
	if bytes.Compare(lo, hi) >= 0 {
		return nil
	}
	var keys [][]byte
	err := e.scan(b, lo, hi, func(key, _ []byte) (bool, error) {
		keys = append(keys, bytes.Clone(key))
		return len(keys) <= fewKeys, nil
	})
	if err != nil {
		return err
	}
	if len(keys) > fewKeys {
		return b.DeleteRange(lo, hi, nil)
	}
	for _, k := range keys {
		if err := b.Delete(k, nil); err != nil {
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

// flusher flushes the index every FlushEvery if there is something to flush.
func (e *Engine) flusher() {
	defer e.wg.Done()
	t := time.NewTicker(e.opt.FlushEvery)
	defer t.Stop()
	for {
		select {
		case <-e.closing:
			return
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
