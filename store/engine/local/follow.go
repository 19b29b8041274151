package local

import (
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
)

// A Follower keeps the index of a shipped directory up to date, so that opening
// it after [Promote] has little left to do.
type Follower struct{ e *Engine }

// Follow opens the directory opt.Dir to which a store is shipped.
func Follow(opt Options) (*Follower, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{opt: opt, fs: opt.FS, dir: opt.Dir, log: opt.Logger, closing: make(chan struct{}),
		readers: readers{open: map[*reader]struct{}{}}, space: space{begin: time.Now()}}
	e.segs = segmentFiles{fs: e.fs, name: e.fileName, max: opt.OpenSegments, open: map[fileKey]*segmentFile{}}
	for _, name := range []string{shippedName, "FORMAT"} {
		if _, err := e.fs.Stat(e.path(name)); errors.Is(err, errNotExist) {
			return nil, &mail.Error{Kind: mail.NotFound, Op: "local.Follow", Text: opt.Dir + " has no complete copy of a store yet"}
		} else if err != nil {
			return nil, err
		}
	}
	if err = e.openDir(); err == nil {
		err = e.openIndex()
	}
	if err == nil {
		err = e.readMark()
	}
	if err != nil {
		return nil, errors.Join(err, e.closeFiles())
	}
	return &Follower{e}, nil
}

// Advance puts what was shipped since into the index, and returns the last
// commit in it. A frame that is just being written may look damaged: that error
// counts only if it stays. Then close the Follower and Follow again: the directory
// may have been copied anew, or have lost old segments.
func (f *Follower) Advance(ctx context.Context) (lsn uint64, err error) {
	e := f.e
	if _, err := e.fs.Stat(e.path("FORMAT")); err != nil {
		return e.mark.lsn, &mail.Error{Kind: mail.NotFound, Op: "local.Follow", Text: e.dir + " is being copied anew", Err: err}
	}
	segs, err := e.segments()
	if err != nil {
		return e.mark.lsn, err
	}
	r := &recovery{e: e, segs: segs, following: true, next: e.mark.lsn + 1, from: e.mark,
		out: make(chan replayGroup, pipeline), free: make(chan []byte, pipeline), fail: make(chan error, 1)}
	go r.apply()
	for _, n := range segs {
		if err = ctx.Err(); err != nil {
			break
		}
		if n >= r.from.segment {
			if err = r.segment(n); err != nil {
				break
			}
		}
	}
	close(r.out)
	err = errors.Join(err, <-r.fail)
	return e.mark.lsn, err
}

// Promoted tells whether the directory is no longer to be followed.
func (f *Follower) Promoted() bool {
	_, err := f.e.fs.Stat(f.e.path(promotedName))
	return err == nil
}

// Close writes the index to disk.
func (f *Follower) Close() error { return f.e.closeFiles() }

// Promote makes a shipped directory a store that may be opened. Nothing that is
// shipped later counts, and a store that still ships there acknowledges nothing
// more if it waits for its follower. whole tells that it does: then no
// acknowledged commit is missing.
func Promote(fsys vfs.FS, dir string) (whole bool, err error) {
	fsys = orDisk(fsys)
	if _, err := fsys.Stat(fsys.PathJoin(dir, shippedName)); errors.Is(err, errNotExist) {
		return false, &mail.Error{Kind: mail.NotFound, Op: "local.Promote", Text: dir + " is no standby"}
	} else if err != nil {
		return false, err
	}
	if _, err := fsys.Stat(fsys.PathJoin(dir, "FORMAT")); err != nil {
		return false, &mail.Error{Kind: mail.Invalid, Op: "local.Promote", Text: dir + " has no complete copy of a store", Err: err}
	}
	lock, err := fence(fsys, dir)
	if err != nil {
		return false, err
	}
	mode, err := readFile(fsys, fsys.PathJoin(dir, shippedName))
	if err == nil {
		err = writeFile(fsys, dir, promotedName, nil)
	}
	return string(mode) == modeSync, errors.Join(err, lock.Close())
}
