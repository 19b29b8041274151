package local

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Two files set space aside for the day when the disk is full: the spare
// segment for commits without blobs, the ballast for the index, which would
// not survive a full disk without.
const (
	ballastName = "ballast"
	tmpExt      = ".tmp" // of one that is being made
)

// ballast is the index's reserve.
type ballast struct {
	there  atomic.Bool
	log    atomic.Bool     // the log's reserve is there
	opened atomic.Bool     // the index is open
	giveUp <-chan struct{} // before: who opens the store does not wait any more
}

// keepReserves makes the reserves that are not there, once there is space.
func (c *committer) keepReserves() {
	e := c.e
	if e.opt.Reserve == 0 || e.ballast.log.Load() && e.ballast.there.Load() || e.space.full(e) || !c.due() {
		return
	}
	var err error
	if !e.ballast.there.Load() { // first: without it a server could not start on a full disk
		err = e.setAside(e.dir, ballastName)
		e.ballast.there.Store(err == nil)
	}
	if err == nil && !e.ballast.log.Load() {
		err = e.setAside(e.path("log"), spareName)
		e.ballast.log.Store(err == nil)
	}
	if err != nil && !isNoSpace(err) {
		e.log.Warn("cannot set space aside for a full disk", "err", err)
	}
}

// askReserves wakes the committer if a reserve is not there and the disk has space:
// the next time that it is full may come before the next commit.
func (e *Engine) askReserves() {
	if e.opt.Reserve == 0 || e.ballast.log.Load() && e.ballast.there.Load() || e.space.full(e) {
		return
	}
	e.mu.Lock()
	e.remake = true
	e.mu.Unlock()
	e.wake.Signal()
}

// due tells whether it is time to try, after a failure, to make a reserve.
func (c *committer) due() bool {
	now := time.Since(c.e.space.begin)
	if now < c.retry {
		return false
	}
	c.retry = now + time.Duration(spaceEvery)
	return true
}

// setAside makes a file that occupies Reserve bytes and writes nothing. One with
// the name has them all.
func (e *Engine) setAside(dir, name string) error {
	path := e.fs.PathJoin(dir, name+tmpExt)
	f, err := e.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err = f.Preallocate(0, e.opt.Reserve); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = e.fs.Rename(path, e.fs.PathJoin(dir, name))
	}
	if err != nil {
		_ = e.fs.Remove(path)
		return err
	}
	return syncDir(e.fs, dir)
}

// findReserves looks for reserves that are there, and removes what a crash left of
// one that was being made.
func (e *Engine) findReserves() error {
	for _, name := range []string{e.path(ballastName), e.path("log", spareName)} {
		if err := e.fs.Remove(name + tmpExt); err != nil && !errors.Is(err, errNotExist) {
			return err
		}
	}
	_, err := e.fs.Stat(e.path(ballastName))
	e.ballast.there.Store(err == nil)
	return nil
}

// roomForIndex tells whether the index's memory can be written to disk.
func (e *Engine) roomForIndex() bool {
	free, _, known := e.free()
	return !known || free > uint64(e.opt.MemTable) || e.ballast.there.Load()
}

// indexDiskFull is called when the index found no space, before it tries again
// once. It frees the spare segments, or else the ballast. If that is gone, it waits for space: the index
// could not go on, while readers can and the log has what it does not.
func (e *Engine) indexDiskFull() {
	if e.dropSpares() {
		return
	}
	e.space.exhausted(e)
	if e.ballast.there.Swap(false) {
		if err := e.fs.Remove(e.path(ballastName)); err != nil {
			e.log.Error("cannot free the ballast", "err", err)
		}
		return
	}
	var giveUp <-chan struct{}
	if !e.ballast.opened.Load() { // without the index nothing goes, without the log's reserve all but changes
		giveUp = e.ballast.giveUp
		err := e.fs.Remove(e.path("log", spareName))
		if err == nil {
			return
		}
		if !errors.Is(err, errNotExist) {
			e.log.Error("cannot free the log's reserve", "err", err)
		}
	}
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-e.closing:
			return
		case <-giveUp:
			return
		case <-t.C:
			if e.roomForIndex() {
				return
			}
		}
	}
}
