package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// asideName is where an index is put that is to be made anew.
const asideName = "kv.damaged"

// openIndex opens the index. One that is damaged or gone is put aside, and
// recovery makes it anew from its copy and the log, or from the log alone if that
// reaches back to its begin.
func (e *Engine) openIndex() error {
	if _, err := e.fs.Stat(e.path(rebuildName)); err == nil {
		_, err := e.fs.Stat(e.path("kv"))
		if whole, lerr := e.canRebuild(); err == nil && lerr == nil && whole {
			e.log.Warn("the index is made anew from the log, as a repair has asked for", "kept", e.path(asideName))
			return e.putIndexAside()
		}
	}
	err := e.openPebble()
	if err == nil || !indexUnreadable(err) || e.opt.mutate.keepIndex {
		return err
	}
	if whole, lerr := e.canRebuild(); lerr != nil || !whole {
		return errors.Join(err, lerr)
	}
	e.log.Error("the index is damaged: making it anew from the log", "err", err, "kept", e.path(asideName))
	return e.putIndexAside()
}

// indexUnreadable tells of an error that it is for what the index's files say, or that
// some are missing. Pebble does not call all of that damage, so whatever the operating
// system did not report is. It takes nothing away: the log has everything, and the
// index is kept aside.
func indexUnreadable(err error) bool {
	var sys syscall.Errno
	return pebble.IsCorruptionError(err) || errors.Is(err, errNotExist) || !errors.As(err, &sys)
}

// dropIndex begins an index that lacks commits which are no longer in the log.
func (e *Engine) dropIndex() error {
	e.log.Warn("the index is older than the log", "index", e.mark.lsn)
	err := e.db.Close()
	if e.db = nil; err != nil {
		return indexError(err)
	}
	return e.putIndexAside()
}

func (e *Engine) putIndexAside() error {
	if err := e.fs.RemoveAll(e.path(asideName)); err != nil {
		return err
	}
	if err := e.fs.Rename(e.path("kv"), e.path(asideName)); err != nil {
		return err
	}
	if err := syncDir(e.fs, e.dir); err != nil {
		return err
	}
	return e.openPebble()
}

// memTables is how many MemTables of memory the index may hold before who changes
// it waits until they are written. On a full disk that would be for ever, and a
// start has to apply what the log got after an earlier one waited: it may hold more.
const (
	memTables     = 4
	memTablesFull = 16
)

// openPebble opens Pebble. Its log is off: ours is the redo log.
func (e *Engine) openPebble() error {
	// Pebble takes the memory of its MemTables out of the cache: without room for them,
	// of one as long as it is filled and of one that is written, nothing would be left.
	cache := pebble.NewCache(e.opt.IndexCache + 2*e.opt.MemTable)
	defer cache.Unref()
	o := &pebble.Options{
		FS:                          vfs.OnDiskFull(&lateFS{FS: e.fs, room: e.roomForIndex, held: map[string][]byte{}}, e.indexDiskFull),
		Cache:                       cache,
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                uint64(e.opt.MemTable),
		MemTableStopWritesThreshold: memTables,
		// Twice and four times what Pebble does by itself: where thousands of accounts
		// are written to, compaction is the most of all work, and this saves a third of
		// it. Gets, most of them of what is not there, look at a few more tables.
		L0CompactionThreshold: 8,
		LBaseMaxBytes:         256 << 20,
		MaxOpenFiles:          500,
		Logger:                indexLogger{e.log, e.opt.fatal},
	}
	if free, _, known := e.free(); known && free <= uint64(e.opt.MemTable) {
		o.MemTableStopWritesThreshold = memTablesFull
	}
	// Records are about 1 KB and mostly read in order: blocks of four times Pebble's size
	// make the index a quarter smaller and its reading a fifth cheaper, warm and cold.
	for i := range o.Levels {
		o.Levels[i].BlockSize = 16 << 10
	}
	o.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) {
			e.indexFaults.Add(1)
			e.log.Warn("index: background work failed, will try again", "err", err)
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) { e.indexIsDamaged(i.Details) },
	}
	if err := e.dropIndexLogs(); err != nil {
		return err
	}
	db, err := pebble.Open(e.path("kv"), o)
	if err != nil {
		return fmt.Errorf("local: opening the index %s: %w", e.path("kv"), err)
	}
	e.db = db
	return nil
}

// dropIndexLogs removes what a process that was killed left of Pebble's log, which
// has nothing. To take it for one, Pebble would begin a manifest: that needs space.
func (e *Engine) dropIndexLogs() error {
	names, err := e.fs.List(e.path("kv"))
	if errors.Is(err, errNotExist) {
		return nil
	}
	for _, name := range names {
		if err == nil && strings.HasSuffix(name, voidExt) {
			err = e.fs.Remove(e.path("kv", name))
		}
	}
	return err
}

// indexLogger passes Pebble's messages on.
type indexLogger struct {
	log   *slog.Logger
	fatal func(string)
}

func (l indexLogger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("index: " + fmt.Sprintf(format, args...))
	}
}

func (l indexLogger) Errorf(format string, args ...any) {
	l.log.Error("index: " + fmt.Sprintf(format, args...))
}

// Fatalf must not return: Pebble's state is undefined. The log has everything,
// so the process stops and its next start recovers.
func (l indexLogger) Fatalf(format string, args ...any) {
	msg := "index: " + fmt.Sprintf(format, args...)
	l.log.Error(msg)
	if l.fatal != nil {
		l.fatal(msg)
	}
	panic("local: " + msg)
}

// get looks a key of the index up and gives f its value, valid during the call.
func (e *Engine) get(r pebble.Reader, key []byte, f func(val []byte) error) error {
	val, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return engine.ErrNotFound
	}
	if err != nil {
		return indexError(err)
	}
	err = f(val)
	if cerr := closer.Close(); err == nil && cerr != nil {
		err = indexError(cerr)
	}
	return err
}

// indexError gives an error of the index its kind.
func indexError(err error) error {
	kind := engine.ErrUnavailable
	if pebble.IsCorruptionError(err) {
		kind = engine.ErrCorrupt
	}
	return fmt.Errorf("local: index: %w: %w", kind, err)
}

// scan calls f with the index's keys lo <= k < hi until it returns false or an error.
func (e *Engine) scan(r pebble.Reader, lo, hi []byte, f func(key, val []byte) (bool, error)) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return indexError(err)
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = indexError(cerr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		val, err := it.ValueAndErr()
		if err != nil {
			return indexError(err)
		}
		more, err := f(it.Key(), val)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// writeIndex writes the index's memory to disk. Pebble tries again without an end
// when that fails; who waits for it does not.
func (e *Engine) writeIndex() error {
	before := e.indexFaults.Load()
	done, err := e.db.AsyncFlush()
	if err != nil {
		return indexError(err)
	}
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-t.C:
			if e.indexFaults.Load() != before {
				return fmt.Errorf("local: the index cannot be written now: %w", engine.ErrUnavailable)
			}
		}
	}
}

// copyIndex makes dir a copy of the index as it is now; on the same disk its
// tables are hard links. Pebble panics when a directory cannot be synced, for it
// cannot know then what is on the disk: nobody uses this copy if that happens.
func (e *Engine) copyIndex(dir string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("local: copying the index: %v", p)
			if cause, ok := p.(error); ok {
				err = fmt.Errorf("local: copying the index: %w", cause)
			}
		}
	}()
	if err := e.writeIndex(); err != nil {
		return err
	}
	if err := e.db.Checkpoint(dir); err != nil {
		return indexError(err)
	}
	return nil
}
