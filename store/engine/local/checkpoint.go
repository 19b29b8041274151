package local

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
)

// Checkpoint implements engine.Engine: dir becomes a store of its own. On the
// same file system, sealed segments, large blobs and the index are hard links,
// so it takes little time and space.
func (e *Engine) Checkpoint(ctx context.Context, dir string) (err error) {
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	e.keeper.files.RLock()
	defer e.keeper.files.RUnlock()
	if names, err := e.fs.List(dir); err == nil && len(names) > 0 {
		return &mail.Error{Kind: mail.Exists, Op: "local.Checkpoint", Text: dir + " is not empty: name a new directory"}
	}
	if err := e.checkpoint(ctx, dir); err != nil {
		return errors.Join(fmt.Errorf("local: checkpoint: %w", err), e.fs.RemoveAll(dir))
	}
	return nil
}

func (e *Engine) checkpoint(ctx context.Context, dir string) error {
	for _, d := range []string{dir, e.fs.PathJoin(dir, "log"), e.fs.PathJoin(dir, "big"), e.fs.PathJoin(dir, "cold")} {
		if err := makeDir(e.fs, d); err != nil {
			return err
		}
	}
	// The index first: what the log has more, opening the copy replays.
	if err := e.copyIndex(e.fs.PathJoin(dir, "kv")); err != nil {
		return err
	}
	// The index's copy before the end of the log: it must not be ahead of the copy's log.
	if err := vfs.LinkOrCopy(e.fs, e.path(baseName), e.fs.PathJoin(dir, baseName)); err != nil && !errors.Is(err, errNotExist) {
		return err
	}
	end := *e.end.Load()
	if err := e.copyLog(ctx, e.fs.PathJoin(dir, "log"), end); err != nil {
		return err
	}
	// A cold file is whole before the log names it.
	if err := e.linkCold(ctx, e.fs.PathJoin(dir, "cold")); err != nil {
		return err
	}
	// Once this is through, the index names all large blobs that the log up to end names.
	if _, err := e.Commit(ctx).Wait(); err != nil {
		return err
	}
	if err := e.linkLarge(ctx, dir); err != nil {
		return err
	}
	// FORMAT comes last: without it, the copy is none.
	format, err := readFile(e.fs, e.path("FORMAT"))
	if err != nil {
		return err
	}
	return writeFile(e.fs, dir, "FORMAT", format)
}

// copyLog copies the log up to end. The last segment is always a real copy:
// both stores go on writing in theirs.
func (e *Engine) copyLog(ctx context.Context, dir string, end position) error {
	segs, err := e.segments()
	if err != nil {
		return err
	}
	for _, n := range segs {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := e.segmentName(n)
		to := e.fs.PathJoin(dir, e.fs.PathBase(name))
		switch {
		case n < end.segment:
			err = vfs.LinkOrCopy(e.fs, name, to)
		case n == end.segment:
			err = copyFile(e.fs, name, to, int64(end.off))
		}
		if err != nil {
			return err
		}
	}
	return syncDir(e.fs, dir)
}

// linkCold links all cold files. Opening the copy removes those that its log
// does not name.
func (e *Engine) linkCold(ctx context.Context, dir string) error {
	names, err := e.fs.List(e.path("cold"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := vfs.LinkOrCopy(e.fs, e.path("cold", name), e.fs.PathJoin(dir, name))
		if err != nil && !errors.Is(err, errNotExist) { // one that was being written, and could not
			return err
		}
	}
	return syncDir(e.fs, dir)
}

// copyFile copies the first n bytes of a file, durably.
func copyFile(fsys vfs.FS, from, to string, n int64) (err error) {
	src, err := fsys.Open(from, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	dst, err := fsys.Create(to, vfs.WriteCategoryUnspecified)
	if err == nil {
		if _, err = io.CopyN(dst, src, n); err == nil {
			err = dst.Sync()
		}
		err = errors.Join(err, dst.Close())
	}
	return errors.Join(err, src.Close())
}

// linkLarge links all large-blob files that the index names.
func (e *Engine) linkLarge(ctx context.Context, dir string) error {
	snap := e.db.NewSnapshot()
	made := ""
	err := e.eachLarge(snap, func(number uint64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		sub := e.fs.PathJoin(dir, "big", e.fs.PathBase(e.largeDir(number)))
		if sub != made {
			if err := e.syncMade(made); err != nil {
				return err
			}
			if err := makeDir(e.fs, sub); err != nil {
				return err
			}
			made = sub
		}
		name := e.largeName(number)
		return vfs.LinkOrCopy(e.fs, name, e.fs.PathJoin(sub, e.fs.PathBase(name)))
	})
	if err == nil {
		err = e.syncMade(made)
	}
	return errors.Join(err, snap.Close())
}

func (e *Engine) syncMade(dir string) error {
	if dir == "" {
		return nil
	}
	return syncDir(e.fs, dir)
}
