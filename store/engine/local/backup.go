package local

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
)

// backupIndex and shipIndex are where the index's checkpoint lies (hard links)
// while a backup, or the first copy for a standby, copies it.
const (
	backupIndex = "kv.backup"
	shipIndex   = "kv.ship"
)

// Backup adds a backup of this moment to the backup directory dir, which is made
// if it is empty or not there, while the store goes on working. All that was
// acknowledged before Backup was called is in it, and nothing after it is there
// in part. What earlier backups hold already is not copied again.
//
// Files are copied, never linked: a backup that shares its blocks with the
// original would die with it. The index is part of the backup: collection takes
// frames out of the log, so that the log alone may not tell everything; it is
// hundredths of the mail, most of its tables are shared between backups, and a
// restore need not wait until it was made anew.
func (e *Engine) Backup(ctx context.Context, dir string, at time.Time) (BackupInfo, error) {
	return e.BackupTo(ctx, e.fs, dir, at)
}

// BackupTo is Backup to a directory in another file system, as that of [S3].
func (e *Engine) BackupTo(ctx context.Context, fsys vfs.FS, dir string, at time.Time) (BackupInfo, error) {
	if err := e.gate.enter(); err != nil {
		return BackupInfo{}, err
	}
	defer e.gate.leave()
	if !e.backups.TryLock() {
		return BackupInfo{}, backupError(mail.Unavailable, "another backup of this store is under way")
	}
	defer e.backups.Unlock()
	set, err := makeSet(orDisk(fsys), dir)
	if err != nil {
		return BackupInfo{}, backupFailed(err)
	}
	e.keeper.files.RLock() // nothing is removed or punched
	defer e.keeper.files.RUnlock()
	b := &backup{e: e, set: set, copier: copier{ctx: ctx, from: e.fs, to: set.fs}, known: map[string]backupFile{}, dirs: map[string]bool{}}
	b.m.info.At, b.m.info.Store = at.UTC(), fmt.Sprintf("%016x", e.store)
	err = b.run()
	err = errors.Join(err, e.fs.RemoveAll(e.path(backupIndex)), set.close())
	return b.m.info, backupFailed(err)
}

func backupFailed(err error) error {
	var me *mail.Error
	switch {
	case err == nil || errors.As(err, &me):
		return err
	case isNoSpace(err):
		return &mail.Error{Kind: mail.Unavailable, Op: "backup", Text: "there is no space left for the backup", Err: err}
	}
	return fmt.Errorf("local: backup: %w", err)
}

// A backup under way.
type backup struct {
	e     *Engine
	set   *backupSet
	m     manifest
	known map[string]backupFile // of earlier backups of this store, by path
	dirs  map[string]bool       // directories in files/ with new entries
	copier
}

func (b *backup) run() error {
	if err := b.begin(); err != nil {
		return err
	}
	e := b.e
	end, err := e.eachStored(b.ctx, backupIndex, b.add)
	if err != nil {
		return err
	}
	b.m.info.Position, b.m.info.Until = end.lsn, e.opt.Now().UTC()
	for d := range b.dirs {
		if err := syncDir(b.to, d); err != nil {
			return err
		}
	}
	if err := syncDir(b.to, b.set.path("files")); err != nil {
		return err
	}
	return b.set.save(&b.m)
}

// eachStored calls add with every file of a copy of the store as it is now: its
// path in the copy, its name, and how much of it; -1: all. The index's checkpoint
// is made in index, and left there. FORMAT comes last. It
// returns the end of the copy's log. keeper.files is held by the caller.
func (e *Engine) eachStored(ctx context.Context, index string, add func(path, name string, size int64) error) (end position, err error) {
	// The index first: what the log has more, opening the copy replays.
	if err := e.fs.RemoveAll(e.path(index)); err != nil {
		return end, err
	}
	if err := e.copyIndex(e.path(index)); err != nil {
		return end, err
	}
	// The index's copy before the end of the log: it must not be ahead of the log.
	if err := add(baseName, e.path(baseName), -1); err != nil && !errors.Is(err, errNotExist) {
		return end, err
	}
	end = *e.end.Load()
	if err := e.eachIndexFile(index, add); err != nil {
		return end, err
	}
	if err := e.eachSegment(end, add); err != nil {
		return end, err
	}
	// Once this is through, the index names all large blobs that the log up to end names.
	if _, err := e.Commit(ctx).Wait(); err != nil {
		return end, err
	}
	if err := e.eachBeside(add); err != nil {
		return end, err
	}
	return end, add("FORMAT", e.path("FORMAT"), -1)
}

// begin gives the backup its name and learns what earlier ones hold.
func (b *backup) begin() error {
	names, err := b.set.names()
	if err != nil {
		return err
	}
	b.m.info.Name = b.m.info.At.Format(backupTime)
	for _, n := range names {
		if n >= b.m.info.Name { // names are in the order of time, also if the clock went back
			b.m.info.Name = n + "+"
		}
		m, err := b.set.manifest(n)
		if err != nil {
			b.e.log.Warn("backup: an earlier backup is of no use", "backup", n, "err", err)
			continue
		}
		if m.info.Store != b.m.info.Store {
			return backupError(mail.Invalid, "%s holds backups of another store (%s): name another directory", b.set.dir, m.info.Store)
		}
		for _, f := range m.files {
			b.known[f.path] = f
		}
	}
	return nil
}

func (e *Engine) eachIndexFile(index string, add func(path, name string, size int64) error) error {
	names, err := e.fs.List(e.path(index))
	for _, n := range names {
		if err == nil {
			err = add("kv/"+n, e.path(index, n), -1)
		}
	}
	return err
}

func (e *Engine) eachSegment(end position, add func(path, name string, size int64) error) error {
	segs, err := e.segments()
	if err != nil {
		return err
	}
	for _, n := range segs {
		if n > end.segment {
			break
		}
		size := int64(-1)
		if n == end.segment {
			size = int64(end.off)
		}
		name := e.segmentName(n)
		if err := add("log/"+e.fs.PathBase(name), name, size); err != nil {
			return err
		}
	}
	return nil
}

// eachBeside adds all cold and large-blob files that the index names or has given
// up since the log's end was read.
func (e *Engine) eachBeside(add func(path, name string, size int64) error) error {
	snap := e.db.NewSnapshot()
	err := e.eachLarge(snap, func(number uint64) error {
		name := e.largeName(number)
		return add("big/"+e.fs.PathBase(e.fs.PathDir(name))+"/"+e.fs.PathBase(name), name, -1)
	})
	if err == nil {
		err = e.scan(snap, []byte{kindCold}, []byte{kindCold + 1}, func(key, _ []byte) (bool, error) {
			name := e.coldName(be.Uint64(key[1:]))
			return true, add("cold/"+e.fs.PathBase(name), name, -1)
		})
	}
	return errors.Join(err, snap.Close())
}

// eachLarge calls f with the large-blob files that the index names, and those
// that were given up but not yet removed: while keeper.files is held, all that
// the index has named since are among them.
func (e *Engine) eachLarge(r pebble.Reader, f func(number uint64) error) error {
	err := e.scan(r, []byte{kindFile}, []byte{kindFile + 1}, func(key, _ []byte) (bool, error) {
		return true, f(be.Uint64(key[1:]))
	})
	if err != nil {
		return err
	}
	return e.scan(r, []byte{kindRemove, byte(inFile)}, []byte{kindRemove, byte(inFile) + 1}, func(key, _ []byte) (bool, error) {
		err := f(be.Uint64(key[2:]))
		if errors.Is(err, errNotExist) { // removed before, and the note not yet
			err = nil
		}
		return true, err
	})
}

// add adds the file name as path: its first size bytes of one that still
// grows, all of it if size is negative. A whole file never changes but by holes
// where dead blobs were, which changes its time: so one that a backup has under
// the same path with size and time is there already.
func (b *backup) add(path, name string, size int64) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	st, err := b.e.fs.Stat(name)
	if err != nil {
		return err
	}
	f := backupFile{path: path, size: size}
	if size < 0 {
		f.size, f.mtime = st.Size(), st.ModTime().UnixNano()
	}
	if old, ok := b.known[path]; ok && f.mtime != 0 && old.size == f.size && old.mtime == f.mtime && b.set.has(old) {
		b.record(old)
		return nil
	}
	fresh, err := b.store(&f, name)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if fresh {
		b.m.info.NewFiles++
		b.m.info.NewBytes += f.size
	}
	b.record(f)
	return nil
}

func (b *backup) record(f backupFile) {
	b.m.files = append(b.m.files, f)
	b.m.info.Files++
	b.m.info.Bytes += f.size
}

// has tells whether the content of f is there as a whole.
func (s *backupSet) has(f backupFile) bool {
	st, err := s.fs.Stat(s.object(f.sum))
	return err == nil && st.Size() == f.size
}

// store copies f.size bytes of the file name into the set and notes their sum.
// fresh tells that no backup had them.
func (b *backup) store(f *backupFile, name string) (fresh bool, err error) {
	tmp := b.set.path("files", "new.tmp")
	if err = b.copySum(name, tmp, f); err != nil {
		return false, errors.Join(err, b.remove(tmp))
	}
	to := b.set.object(f.sum)
	dir := b.to.PathDir(to)
	if b.set.has(*f) { // perhaps from a backup that was cut off, its name not synced
		b.dirs[dir] = true
		return false, b.to.Remove(tmp)
	}
	if !b.dirs[dir] {
		if err := b.to.MkdirAll(dir, 0o700); err != nil { // its own entry is synced with files/
			return false, err
		}
		b.dirs[dir] = true
	}
	return true, b.to.Rename(tmp, to)
}

func (b *backup) remove(name string) error {
	if err := b.to.Remove(name); !errors.Is(err, errNotExist) {
		return err
	}
	return nil
}

const copyChunk = 1 << 20

// A copier copies files, perhaps from one file system to another.
type copier struct {
	ctx      context.Context
	from, to vfs.FS
	buf      []byte
}

// copySum copies the first f.size bytes of a file, durably, and notes their
// SHA-256. Of a file with f.mtime it copies all, as it is when it is opened: one
// that is replaced by another name is either.
func (c *copier) copySum(from, to string, f *backupFile) error {
	src, err := c.from.Open(from, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	if f.mtime != 0 {
		st, err := src.Stat()
		if err != nil {
			return errors.Join(err, src.Close())
		}
		f.size, f.mtime = st.Size(), st.ModTime().UnixNano()
	}
	if c.buf == nil {
		c.buf = make([]byte, copyChunk)
	}
	dst, err := c.to.Create(to, vfs.WriteCategoryUnspecified)
	if err == nil {
		f.sum, err = copyBytes(c.ctx, src, dst, f.size, c.buf)
		if err == nil {
			err = dst.Sync()
		}
		err = errors.Join(err, dst.Close())
	}
	return errors.Join(err, src.Close())
}

func copyBytes(ctx context.Context, src io.Reader, dst io.Writer, n int64, buf []byte) (sum [32]byte, err error) {
	h := sha256.New()
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		part := buf[:min(n, int64(len(buf)))]
		if _, err := io.ReadFull(src, part); err != nil {
			return sum, err
		}
		h.Write(part)
		n -= int64(len(part))
		if _, err := dst.Write(part); err != nil {
			return sum, err
		}
	}
	h.Sum(sum[:0])
	return sum, nil
}
