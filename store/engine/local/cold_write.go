package local

import (
	"errors"
	"runtime"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

const (
	coldGroup = 1 << 20   // bytes of blobs that are read and compressed before they are written
	coldPart  = 128 << 10 // and of them by one goroutine, at least
)

// collectors is how many goroutines read and compress when the rate is not bounded.
var collectors = min(4, runtime.GOMAXPROCS(0))

// A coldWriter writes a cold file.
type coldWriter struct {
	k      *keeping
	f      vfs.File
	number uint64
	off    uint64
	parts  []coldBlobs
	items  []upkeep // that move the blobs, once the file is durable
}

// coldBlobs are blobs side by side as they will stand in a cold file. Another
// goroutine than the writer's may fill it.
type coldBlobs struct {
	buf, raw []byte
	entries  []coldEntry
}

// A coldEntry is one of them: its record, but for the offset, or what is wrong.
type coldEntry struct {
	begin int // of its header, in buf
	rec   blobRecord
	err   error
}

// write writes blobs in their order, some at a time.
func (c *coldWriter) write(blobs []moving) error {
	most, workers := uint64(coldGroup), 1
	if r := c.k.rate; r > 0 {
		most = min(most, uint64(r)/20)
	} else {
		workers = collectors
		most *= uint64(workers)
	}
	for len(blobs) > 0 {
		n, size := 0, uint64(0)
		for n < len(blobs) && (n == 0 || size < most) {
			size += blobs[n].rec.length
			n++
		}
		if err := c.group(blobs[:n], max(1, min(workers, int(size/coldPart)))); err != nil {
			return err
		}
		if err := c.k.pace(size); err != nil {
			return err
		}
		blobs = blobs[n:]
	}
	return nil
}

// group reads and compresses blobs with several goroutines, then writes them.
func (c *coldWriter) group(blobs []moving, workers int) error {
	for len(c.parts) < workers {
		c.parts = append(c.parts, coldBlobs{})
	}
	var wg sync.WaitGroup
	at := func(i int) int { return i * len(blobs) / workers }
	for i := 1; i < workers; i++ {
		wg.Go(func() { c.parts[i].fill(c, blobs[at(i):at(i+1)]) })
	}
	c.parts[0].fill(c, blobs[:at(1)])
	wg.Wait()
	for i := range workers {
		if err := c.take(&c.parts[i], blobs[at(i):at(i+1)]); err != nil {
			return err
		}
	}
	return nil
}

// fill prepares blobs up to the first that cannot be read for a reason other
// than damage.
func (p *coldBlobs) fill(c *coldWriter, blobs []moving) {
	p.buf, p.entries = p.buf[:0], p.entries[:0]
	for i := range blobs {
		x := coldEntry{begin: len(p.buf)}
		x.rec, x.err = p.add(c, &blobs[i])
		p.entries = append(p.entries, x)
		if x.err != nil {
			p.buf = p.buf[:x.begin]
		}
		if x.err != nil && !errors.Is(x.err, engine.ErrCorrupt) {
			return
		}
	}
}

// add appends a blob and its header.
func (p *coldBlobs) add(c *coldWriter, m *moving) (blobRecord, error) {
	e, old := c.k.e, m.rec
	r := blobRecord{place: inCold, where: c.number, length: old.length, crc: old.crc, account: old.account, key: old.key}
	entry := len(p.buf)
	p.buf = append(p.buf, zeros[:coldEntryLen]...)
	var err error
	if m.data != nil {
		p.buf, err = e.keeper.codecs.compress(e, p.buf, m.data, &r, e.keeper.dict)
	} else if old.place == inCold && old.codec != codecRaw { // as it is
		r.codec, r.dict, r.stored, r.sum = old.codec, old.dict, old.stored, old.sum
		p.buf, err = e.readStored(p.buf, m.id, old, int(old.stored))
		if err == nil && checksum(p.buf[entry+coldEntryLen:]) != old.sum {
			err = errBadBlob(m.id, old)
		}
	} else {
		p.raw, err = e.readSmall(p.raw[:0], m.id, old)
		if err == nil {
			p.buf, err = e.keeper.codecs.compress(e, p.buf, p.raw, &r, e.keeper.dict)
		}
	}
	if err != nil {
		return r, err
	}
	appendColdEntry(p.buf[:entry], e.store, m.id, &r)
	p.buf = appendPadding(p.buf)
	return r, nil
}

// take writes what was prepared. A blob that is damaged stays where it is.
func (c *coldWriter) take(p *coldBlobs, blobs []moving) error {
	e := c.k.e
	for i := range p.entries {
		x, m := &p.entries[i], &blobs[i]
		if errors.Is(x.err, engine.ErrCorrupt) {
			c.k.skip(fileKey{m.rec.place, m.rec.where})
			e.damagedBlob(m.id, x.err)
			continue
		}
		if x.err != nil {
			return x.err
		}
		x.rec.offset = c.off + uint64(x.begin) + coldEntryLen
		c.items = append(c.items, upkeep{meta: appendSet(nil, appendBlobKey(nil, m.id), x.rec.append(nil))})
		e.keeper.moved.Add(m.rec.occupied())
		e.keeper.movedTo.Add(x.rec.occupied())
	}
	n, err := c.f.Write(p.buf)
	c.off += uint64(n)
	e.written.Add(uint64(n))
	return err
}
