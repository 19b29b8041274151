package local

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"posthouse/store/engine"
)

// scrubKey is the key of the blob at which the scrub goes on after a restart.
// It is a hint: losing it costs time only.
var scrubKey = []byte{kindMark, 's'}

// A scrub reads all blobs again and again, to find damage while there still is
// a backup to mend it from. On its way it finds blobs whose owner was
// overwritten, which nobody notes when it happens.
type scrub struct {
	known bool
	from  engine.BlobID
}

// leastScrub is how many bytes at least are read at once.
const leastScrub = 64 << 10

// scrubBudget returns how many bytes to read each CollectEvery, so that all are
// read in ScrubEvery.
func (e *Engine) scrubBudget() uint64 {
	if e.opt.ScrubEvery < 0 {
		return 0
	}
	share := float64(e.opt.CollectEvery) / float64(e.opt.ScrubEvery)
	return leastScrub + uint64(share*1.1*float64(e.liveBytes.Load()))
}

// Scrub reads every blob now, at the rate of collection, and reports those that
// are damaged as Options.Damaged says.
func (e *Engine) Scrub(ctx context.Context) error {
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	k := &keeping{e: e, ctx: ctx, rate: e.opt.CollectRate}
	e.keeper.pass.Lock()
	e.keeper.scrub = scrub{known: true}
	e.keeper.pass.Unlock()
	return k.scrubAll()
}

// scrubAll reads all blobs from where the scrub is.
func (k *keeping) scrubAll() error {
	for {
		if err := k.scrub(coldGroup); err != nil {
			return err
		}
		k.e.keeper.pass.Lock()
		done := k.e.keeper.scrub.from == 0
		k.e.keeper.pass.Unlock()
		if done {
			return nil
		}
	}
}

// scrub reads blobs of so many bytes.
func (k *keeping) scrub(budget uint64) (err error) {
	e := k.e
	if budget == 0 {
		return nil
	}
	e.keeper.pass.Lock()
	defer e.keeper.pass.Unlock()
	s := &e.keeper.scrub
	if !s.known {
		err := e.get(e.db, scrubKey, func(b []byte) error {
			if len(b) == 8 {
				s.from = engine.BlobID(be.Uint64(b))
			}
			return nil
		})
		if err != nil && err != engine.ErrNotFound {
			return err
		}
		s.known = true
	}
	seen := e.applied.Load()
	snap := e.db.NewSnapshot()
	defer func() { err = errors.Join(err, snap.Close()) }()
	next, read := engine.BlobID(0), uint64(0)
	var items []upkeep
	err = e.scan(snap, appendBlobKey(nil, s.from), []byte{kindBlob + 1}, func(key, _ []byte) (bool, error) {
		id := engine.BlobID(be.Uint64(key[1:]))
		if read >= budget {
			next = id
			return false, nil
		}
		o, err := e.owners(snap, id)
		if err != nil {
			return false, err
		}
		if o.exists && !o.alive {
			items = append(items, upkeep{meta: appendSet(nil, appendDeadKey(nil, seen, id), nil)})
		}
		n := o.record.length + 512
		read += n
		k.scrubBlob(id)
		return true, k.pace(n)
	})
	if err == nil {
		err = k.commit(items, seen)
	}
	if err != nil {
		return err
	}
	if s.from = next; next == 0 {
		e.log.Debug("scrub: all blobs were read", "damaged", e.keeper.damaged.Load())
	}
	if err := e.db.Set(scrubKey, be.AppendUint64(nil, uint64(next)), pebble.NoSync); err != nil {
		return indexError(err)
	}
	return nil
}

// scrubBlob reads one blob.
func (k *keeping) scrubBlob(id engine.BlobID) {
	e := k.e
	r, err := e.blobRecord(id)
	if err == nil && r.place == inFile {
		err = k.scrubLarge(id, r)
	} else if err == nil {
		k.buf, err = e.readBlob(k.buf[:0], id)
	}
	switch {
	case errors.Is(err, engine.ErrNotFound): // reaped meanwhile
		return
	case errors.Is(err, engine.ErrCorrupt):
		if merr := k.mend(id, err); merr != nil {
			e.damagedBlob(id, fmt.Errorf("%w; not mended: %w", err, merr))
		}
	case err != nil:
		e.log.Error("scrub: a blob cannot be read", "err", err)
	}
	e.keeper.scrubbed.Add(1)
}

// scrubLarge reads a large blob without holding all of it.
func (k *keeping) scrubLarge(id engine.BlobID, r blobRecord) error {
	b, err := k.e.openLarge(id, r)
	if err != nil {
		return err
	}
	return errors.Join(k.readLarge(b), b.Close())
}

func (k *keeping) readLarge(b *largeReader) (err error) {
	if cap(k.buf) < largeBlock {
		k.buf = make([]byte, largeBlock)
	}
	for off := int64(0); off < b.Size() && err == nil; off += largeBlock {
		if _, err = b.ReadAt(k.buf[:largeBlock], off); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	return err
}
