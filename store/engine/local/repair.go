package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// Repair: a damaged blob is read from a copy of the store, verified against the
// checksum that the index has of it, and written anew; the record then names the
// new place. Copies are the standby, whose files have the same bytes at the same
// places, and backups. A copy from before the blob was moved has it in its log,
// in the frame whose LSN is in the blob's id.

// repairPatience is how long a repair waits for files that others hold.
const repairPatience = time.Minute

// Repair implements engine.Repairer.
func (e *Engine) Repair(ctx context.Context, report func(string)) error {
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	err := e.verifyBase()
	if err != nil && !errors.Is(err, engine.ErrCorrupt) {
		return err
	}
	damaged, able, ierr := e.askRebuild(ctx)
	switch {
	case ierr != nil:
		return ierr
	case able:
		report("the index is damaged: the next start makes it anew from its copy and the log")
		return nil
	case damaged:
		report("the index is damaged and cannot be made anew: its copy and the begin of the log are not there; restore a backup")
		return nil
	}
	k := &keeping{e: e, ctx: ctx, rate: -1, mended: report}
	// Of a frame that is damaged, the index has the changes: its copy has them, too.
	c := &checker{e: e, ctx: ctx, deep: true, report: func(string) {}, sizes: map[uint32]int64{}, end: *e.end.Load()}
	if lerr := c.log(); lerr != nil {
		return lerr
	}
	if err != nil || len(c.bad) > 0 || e.keeper.rebase.Load() {
		if err := k.remakeBase(); err != nil {
			return err
		}
		report("the index's copy is made anew")
	}
	e.keeper.pass.Lock()
	e.keeper.scrub = scrub{known: true}
	e.keeper.bad.clear()
	e.keeper.pass.Unlock()
	if err := k.scrubAll(); err != nil {
		return err
	}
	return k.replaceSegments(c.bad)
}

// replaceSegments gives up segments with damaged frames. The index and its copy
// have what their commits changed; blobs that can be read move to a cold file. Those
// that cannot, and no copy has, keep the segment.
func (k *keeping) replaceSegments(bad map[uint32]struct{}) error {
	if len(bad) == 0 {
		return nil
	}
	if err := k.emptySegments(bad); err != nil {
		return err
	}
	if _, active := bad[k.e.end.Load().segment]; active {
		k.mended("the last segment of the log is damaged, but still written to: what it changed is safe; repair once more when it is full")
	}
	return k.awaitRemoval(bad)
}

// emptySegments moves the blobs of segments elsewhere. Those that remain, and are
// not the active one, are in bad.
func (k *keeping) emptySegments(bad map[uint32]struct{}) error {
	k.e.keeper.pass.Lock()
	defer k.e.keeper.pass.Unlock()
	if err := k.e.writeIndex(); err != nil { // so that the next start need not read them
		return err
	}
	victims, err := k.sealed(bad)
	for _, v := range victims {
		if err == nil && v.live > 0 {
			err = k.copyBlobs([]victim{v})
		}
	}
	return err
}

// sealed returns the segments of a set that are sealed.
func (k *keeping) sealed(set map[uint32]struct{}) (list []victim, err error) {
	err = k.e.eachFile(func(v victim) error {
		if _, ok := set[uint32(v.number)]; ok && v.place == inLog {
			list = append(list, v)
		}
		return nil
	})
	return list, err
}

// awaitRemoval removes emptied segments. Those of which a backup, or a standby that
// catches up, still needs the files, it waits for: a check would find them damaged.
// After a while it leaves them to the keeper.
func (k *keeping) awaitRemoval(bad map[uint32]struct{}) error {
	e := k.e
	gone, err := k.sealed(bad)
	if err != nil {
		return err
	}
	gone = slices.DeleteFunc(gone, func(v victim) bool { return v.live > 0 })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for begin, told := e.space.since(), false; len(gone) > 0; told = true {
		if err := k.removeEmpty(); err != nil {
			return err
		}
		gone = slices.DeleteFunc(gone, func(v victim) bool {
			_, err := e.fs.Stat(e.fileName(v.fileKey))
			if !errors.Is(err, errNotExist) {
				return false
			}
			k.mended(fmt.Sprintf("segment %d is replaced: all that it had is elsewhere", v.number))
			return true
		})
		if len(gone) == 0 || e.space.since()-begin > repairPatience {
			break
		}
		if !told {
			for _, v := range gone {
				k.mended(fmt.Sprintf("all that segment %d had is elsewhere; its file goes when no backup runs and the standby has all", v.number))
			}
		}
		select {
		case <-k.ctx.Done():
			return k.ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// removeEmpty removes files in which nothing lives, if nobody holds them.
func (k *keeping) removeEmpty() error {
	k.e.keeper.pass.Lock()
	defer k.e.keeper.pass.Unlock()
	return errors.Join(k.drop(), k.remove())
}

// remakeBase makes the index's copy anew.
func (k *keeping) remakeBase() error {
	k.e.keeper.pass.Lock()
	defer k.e.keeper.pass.Unlock()
	if err := k.writeBase(); err != nil {
		return err
	}
	k.e.keeper.rebase.Store(false)
	return nil
}

// mend replaces a damaged blob by what a copy has. found is what is wrong with it.
func (k *keeping) mend(id engine.BlobID, found error) error {
	e := k.e
	r, err := e.wholeRecord(id)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range e.copies() {
		if err = k.mendFrom(c, id, r); err == nil {
			e.keeper.mended.Add(1)
			e.keeper.bad.remove(id)
			e.log.Warn("a damaged blob is mended", "blob", fmt.Sprintf("%x", uint64(id)), "from", c.name(), "found", found)
			if k.mended != nil {
				k.mended(fmt.Sprintf("blob %x is mended from %s", uint64(id), c.name()))
			}
			return nil
		}
		if k.ctx.Err() != nil || e.failed() != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("%s: %w", c.name(), err))
	}
	if len(errs) == 0 {
		return errors.New("there is no standby and no backup to mend it from")
	}
	return errors.Join(errs...)
}

func (k *keeping) mendFrom(c storeCopy, id engine.BlobID, r blobRecord) error {
	if r.place == inFile {
		return k.mendLarge(c, r)
	}
	b, err := c.blob(k.e, id, r)
	if err != nil {
		return err
	}
	w, err := k.writeCold([]moving{{id, r, b}})
	if err != nil {
		return err
	}
	k.e.keeper.coldBytes.Add(w.off)
	return k.commit(w.items, k.e.applied.Load())
}

// mendLarge puts the copy of a large-blob file in its place.
func (k *keeping) mendLarge(c storeCopy, r blobRecord) (err error) {
	e := k.e
	name := e.largeName(r.where)
	from, err := c.file(name[len(e.dir)+1:])
	if err != nil {
		return err
	}
	tmp := name + ".tmp"
	f, cp := backupFile{mtime: 1}, copier{ctx: k.ctx, from: c.fs, to: e.fs}
	if err := cp.copySum(from, tmp, &f); err != nil {
		return err
	}
	if err := k.verifyLarge(tmp, r); err != nil {
		return errors.Join(err, e.fs.Remove(tmp))
	}
	if err := e.fs.Rename(tmp, name); err != nil {
		return err
	}
	return syncDir(e.fs, e.fs.PathDir(name))
}

// verifyLarge reads a large-blob file that is not yet in its place.
func (k *keeping) verifyLarge(name string, r blobRecord) error {
	b, err := k.e.openLargeFile(name, 0, r)
	if err != nil {
		return err
	}
	return errors.Join(k.readLarge(b), b.Close())
}

// A storeCopy has the files of a store: a standby, or a backup.
type storeCopy struct {
	fs     vfs.FS
	dir    string
	set    *backupSet // of a backup
	backup *manifest
}

func (c storeCopy) name() string {
	if c.set != nil {
		return path.Join(c.dir, c.backup.info.Name)
	}
	return c.dir
}

// copies returns the standby, then the backups, the newest first.
func (e *Engine) copies() (list []storeCopy) {
	if e.opt.Ship != "" {
		list = append(list, storeCopy{fs: e.opt.ShipFS, dir: e.opt.Ship})
	}
	for _, p := range e.opt.Repair {
		fsys := p.FS
		if fsys == nil {
			fsys = e.fs
		}
		set, err := openSet(fsys, p.Dir, false)
		if err != nil {
			e.log.Warn("no backups to mend from", "dir", p.Dir, "err", err)
			continue
		}
		names, err := set.names()
		for i := len(names) - 1; err == nil && i >= 0; i-- {
			if m, merr := set.manifest(names[i]); merr == nil && m.info.Store == fmt.Sprintf("%016x", e.store) {
				list = append(list, storeCopy{fsys, p.Dir, set, m})
			}
		}
	}
	return list
}

// file returns the name under which the copy has a file of the store.
func (c storeCopy) file(p string) (string, error) {
	if c.set == nil {
		return path.Join(c.dir, p), nil
	}
	for _, f := range c.backup.files {
		if f.path == p {
			return c.set.object(f.sum), nil
		}
	}
	return "", errNotExist
}

// blob returns the bytes of a small blob.
func (c storeCopy) blob(e *Engine, id engine.BlobID, r blobRecord) ([]byte, error) {
	b, err := c.sameBlob(e, id, r)
	if err == nil {
		return b, nil
	}
	old, oerr := c.loggedBlob(e, id)
	if oerr != nil {
		return nil, errors.Join(err, oerr)
	}
	b, oerr = c.sameBlob(e, id, old)
	if oerr == nil && (uint64(len(b)) != r.length || checksum(b) != r.crc) {
		oerr = errBadBlob(id, old)
	}
	return b, oerr
}

// sameBlob reads a blob at the place that a record says.
func (c storeCopy) sameBlob(e *Engine, id engine.BlobID, r blobRecord) ([]byte, error) {
	name, err := c.file(e.fileName(fileKey{r.place, r.where})[len(e.dir)+1:])
	if err != nil {
		return nil, err
	}
	f, err := c.fs.Open(name)
	if err != nil {
		return nil, err
	}
	n := r.length
	if r.place == inCold {
		n = uint64(r.stored)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(io.NewSectionReader(f, int64(r.offset), int64(n)), b)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if r.codec != codecRaw {
		if checksum(b) != r.sum {
			return nil, errBadBlob(id, r)
		}
		if b, err = e.keeper.codecs.decompress(e, nil, b, r); err != nil {
			return nil, err
		}
	}
	if uint64(len(b)) != r.length || checksum(b) != r.crc {
		return nil, errBadBlob(id, r)
	}
	return b, nil
}

// loggedBlob finds in the copy's log where a blob was at first.
func (c storeCopy) loggedBlob(e *Engine, id engine.BlobID) (r blobRecord, err error) {
	lsn := uint64(id) >> 16
	segs, err := c.segments(e)
	for i := len(segs) - 1; err == nil && i >= 0; i-- {
		var name string
		if name, err = c.file(e.segmentName(segs[i])[len(e.dir)+1:]); err != nil {
			break
		}
		var found, older bool
		if r, found, older, err = e.findBlob(c.fs, name, segs[i], lsn, id); found || older {
			if err == nil && !found {
				err = errNoBlob(id)
			}
			return r, err
		}
	}
	if err == nil {
		err = errNoBlob(id)
	}
	return r, err
}

func (c storeCopy) segments(e *Engine) (segs []uint32, err error) {
	if c.set == nil {
		return (&Engine{fs: c.fs, dir: c.dir}).segments()
	}
	for _, f := range c.backup.files {
		if dir, name := path.Split(f.path); dir == "log/" {
			if n := segmentNumber(name); n > 0 {
				segs = append(segs, n)
			}
		}
	}
	return segs, nil
}

// findBlob looks for the record of a blob in the frame lsn of a segment. older:
// the segment begins before that frame.
func (e *Engine) findBlob(fsys vfs.FS, name string, n uint32, lsn uint64, id engine.BlobID) (r blobRecord, found, older bool, err error) {
	f, err := fsys.Open(name, vfs.RandomReadsOption)
	if err != nil {
		return r, false, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sc, err := newScanner(f, n, e.store)
	if err != nil {
		return r, false, false, err
	}
	want := appendBlobKey(nil, id)
	for off := int64(0); ; {
		h, ok, err := sc.header(off)
		if err != nil || !ok || h.lsn > lsn {
			return r, false, older, err
		}
		older = true
		if h.lsn == lsn {
			meta, ok, err := sc.meta(h, off)
			if err != nil || !ok {
				return r, false, true, err
			}
			err = eachChange(meta, func(c change) (err error) {
				if c.kind == metaSet && bytes.Equal(c.key, want) {
					r, err = decodeBlobRecord(bytes.Clone(c.val))
					found = err == nil
				}
				return err
			})
			return r, found, true, err
		}
		off += int64(alignUp(h.frameLen))
	}
}
