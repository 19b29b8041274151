package local

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

const (
	collectAtOnce = 128 << 20 // bytes of live blobs in one cold file, about
	smallCold     = 8         // cold files smaller than an 8th of a segment are collected along with others
)

// A victim is a file that is to be collected.
type victim struct {
	fileKey
	first, last uint64 // LSNs of a segment's frames
	length      uint64
	live        uint64
}

// A moving is a blob on its way.
type moving struct {
	id   engine.BlobID
	rec  blobRecord
	data []byte // of a blob that is damaged where it is
}

// collect copies the live blobs of files that are less than half alive to cold
// files, by owner, so that the blobs of a mailbox come to lie side by side.
func (k *keeping) collect() error {
	k.tried = map[fileKey]struct{}{}
	for {
		v, err := k.victims()
		if err != nil || len(v) == 0 {
			return err
		}
		for i := range v {
			k.tried[v[i].fileKey] = struct{}{}
		}
		if err := k.copyBlobs(v); err != nil {
			return err
		}
	}
}

// victims chooses what to collect next, the deadest first.
func (k *keeping) victims() ([]victim, error) {
	if !k.e.keeper.files.TryLock() {
		return nil, nil
	}
	k.e.keeper.files.Unlock()
	var dead, small []victim
	err := k.e.eachFile(func(v victim) error {
		_, skip := k.e.keeper.skip[v.fileKey]
		_, tried := k.tried[v.fileKey]
		switch {
		case skip || tried || v.live == 0:
		case v.live*2 < v.length:
			dead = append(dead, v)
		case v.place == inCold && v.length < uint64(k.e.opt.SegmentSize)/smallCold:
			small = append(small, v)
		}
		return nil
	})
	if err != nil || len(dead) == 0 {
		return nil, err
	}
	slices.SortFunc(dead, func(a, b victim) int {
		return cmp.Or(cmp.Compare(a.live*b.length, b.live*a.length), cmp.Compare(a.number, b.number))
	})
	sum := uint64(0)
	for i, v := range append(dead, small...) {
		if sum += v.live; i > 0 && sum > collectAtOnce {
			return append(dead, small...)[:i], nil
		}
	}
	return append(dead, small...), nil
}

// eachFile calls f with each sealed segment and each cold file.
func (e *Engine) eachFile(f func(v victim) error) error {
	err := e.scan(e.db, []byte{kindSegment}, []byte{kindSegment + 1}, func(key, val []byte) (bool, error) {
		r, err := decodeSegmentRecord(val)
		if err == nil {
			err = f(victim{fileKey{inLog, uint64(be.Uint32(key[1:]))}, r.firstLSN, r.lastLSN, r.length, r.live()})
		}
		return true, err
	})
	if err != nil {
		return err
	}
	return e.scan(e.db, []byte{kindCold}, []byte{kindCold + 1}, func(key, val []byte) (bool, error) {
		r, err := decodeColdRecord(val)
		if err == nil {
			err = f(victim{fileKey{inCold, be.Uint64(key[1:])}, 0, 0, r.length, r.live()})
		}
		return true, err
	})
}

// copyBlobs copies the live blobs of victims into a new cold file.
func (k *keeping) copyBlobs(vs []victim) error {
	e := k.e
	var blobs []moving
	var need uint64
	for _, v := range vs {
		var err error
		if v.place == inLog {
			blobs, err = k.inSegment(blobs, v)
		} else {
			blobs, err = k.inColdFile(blobs, v)
		}
		if err != nil {
			return err
		}
		need += v.live
	}
	free, _, known := e.free()
	if known && free < need+uint64(e.opt.Reserve) && e.dropSpares() {
		free, _, known = e.free()
	}
	if known && free < need+uint64(e.opt.Reserve) {
		return fmt.Errorf("local: collection needs %d bytes: %w", need, engine.ErrFull)
	}
	slices.SortFunc(blobs, func(a, b moving) int {
		return cmp.Or(cmp.Compare(a.rec.account, b.rec.account), bytes.Compare(a.rec.key, b.rec.key), cmp.Compare(a.id, b.id))
	})
	if err := k.dictionary(blobs); err != nil {
		return err
	}
	c, err := k.writeCold(blobs)
	if err != nil {
		return fmt.Errorf("local: collection: %w", err)
	}
	e.keeper.coldBytes.Add(c.off)
	return k.commit(c.items, e.applied.Load())
}

// inSegment appends the live blobs of a segment: their ids are those of its frames.
func (k *keeping) inSegment(blobs []moving, v victim) ([]moving, error) {
	err := k.e.scan(k.e.db, appendBlobKey(nil, engine.BlobID(v.first<<16)), appendBlobKey(nil, engine.BlobID((v.last+1)<<16)), func(key, val []byte) (bool, error) {
		r, err := decodeBlobRecord(val)
		if err == nil && r.place == inLog && r.where == v.number {
			r.key = bytes.Clone(r.key)
			blobs = append(blobs, moving{engine.BlobID(be.Uint64(key[1:])), r, nil})
		}
		return true, err
	})
	return blobs, err
}

// inColdFile appends the live blobs of a cold file, by their headers in it.
func (k *keeping) inColdFile(blobs []moving, v victim) ([]moving, error) {
	e := k.e
	f, err := e.segs.acquireFile(v.fileKey)
	if err != nil {
		return blobs, err
	}
	defer e.segs.release(f)
	var head [coldEntryLen]byte
	for off := uint64(0); off < v.length; {
		if _, err := f.ReadAt(head[:], int64(off)); err != nil {
			return blobs, fmt.Errorf("local: cold file %d at %d: %w", v.number, off, err)
		}
		id, r, ok := decodeColdEntry(head[:], e.store)
		if !ok {
			e.log.Error("a cold file is damaged", "file", e.coldName(v.number), "offset", off)
			k.skip(v.fileKey)
			return blobs, nil
		}
		off += coldEntryLen
		rec, err := e.wholeRecord(id)
		if err == nil && rec.place == inCold && rec.where == v.number && rec.offset == off {
			blobs = append(blobs, moving{id, rec, nil})
		}
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return blobs, err
		}
		off += alignUp(uint64(r.stored))
	}
	return blobs, nil
}

// wholeRecord is blobRecord with the key.
func (e *Engine) wholeRecord(id engine.BlobID) (r blobRecord, err error) {
	err = e.get(e.db, appendBlobKey(nil, id), func(b []byte) (err error) {
		r, err = decodeBlobRecord(bytes.Clone(b))
		return err
	})
	return r, err
}

// skip leaves a damaged file alone until the next Open.
func (k *keeping) skip(f fileKey) {
	if k.e.keeper.skip == nil {
		k.e.keeper.skip = map[fileKey]struct{}{}
	}
	k.e.keeper.skip[f] = struct{}{}
}

// writeCold writes blobs to a cold file and makes it durable.
func (k *keeping) writeCold(blobs []moving) (c *coldWriter, err error) {
	e := k.e
	c = &coldWriter{k: k, number: e.end.Load().lsn}
	name := e.coldName(c.number)
	if c.f, err = e.fs.Create(name, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	c.items = append(c.items, upkeep{})
	err = c.write(blobs)
	if err == nil && !e.opt.mutate.moveUnsynced {
		err = c.f.Sync()
	}
	err = errors.Join(err, c.f.Close())
	if err == nil {
		err = syncDir(e.fs, e.path("cold"))
	}
	if err != nil || len(c.items) == 1 {
		_ = e.fs.Remove(name)
		c.items, c.off = nil, 0
		return c, err
	}
	rec := coldRecord{length: c.off}
	c.items[0].meta = appendSet(nil, appendColdKey(nil, c.number), rec.append(nil))
	e.syncs.Add(2)
	return c, nil
}

// dictionary makes sure that there is one to compress with, as soon as there
// are blobs enough to make one of.
func (k *keeping) dictionary(blobs []moving) error {
	e := k.e
	if !e.keeper.asked {
		err := e.scan(e.db, []byte{kindDict}, []byte{kindDict + 1}, func(key, _ []byte) (bool, error) {
			e.keeper.dict = be.Uint32(key[1:])
			return true, nil
		})
		if err != nil {
			return err
		}
		e.keeper.asked = true
	}
	if e.keeper.dict != 0 {
		return nil
	}
	samples, sum := [][]byte(nil), 0
	step := max(1, len(blobs)/2000)
	for i := 0; i < len(blobs) && sum < dictSamples; i += step {
		if blobs[i].rec.place == inCold || blobs[i].rec.length < 512 {
			continue
		}
		b, err := e.readSmall(nil, blobs[i].id, blobs[i].rec)
		if err != nil {
			continue // found again when it is copied
		}
		b = b[:min(len(b), dictSample)]
		samples = append(samples, b)
		sum += len(b)
	}
	if len(samples) < dictMinSamples {
		return nil
	}
	d, err := buildDict(samples, firstDict)
	if err != nil {
		e.log.Debug("no dictionary", "err", err)
		return nil
	}
	if err := k.commit([]upkeep{{meta: appendSet(nil, appendDictKey(nil, firstDict), d)}}, e.applied.Load()); err != nil {
		return err
	}
	e.keeper.dict = firstDict
	return nil
}
