package local

import (
	"fmt"
	"sync/atomic"
	"time"

	"posthouse/store/engine"
)

// since returns the time since the engine's begin.
func (s *space) since() time.Duration { return time.Since(s.begin) }

func errFull() error { return fmt.Errorf("local: %w", engine.ErrFull) }

// spaceEvery and spaceBytes: after so much time or log, the free space is looked at again.
const (
	spaceEvery = int64(time.Second)
	spaceBytes = 16 << 20
)

// space knows whether blobs may be taken. While they may not, it looks again
// for each that comes, so that the store recovers as soon as space is back.
type space struct {
	short   atomic.Bool
	at      atomic.Int64  // when the free space was looked at, in ns
	written atomic.Uint64 // what the log had been given then
	begin   time.Time
}

// full tells whether the free space is below the watermark.
func (s *space) full(e *Engine) bool {
	now := int64(time.Since(s.begin))
	if !s.short.Load() && now-s.at.Load() < spaceEvery && e.written.Load()-s.written.Load() < spaceBytes {
		return false
	}
	s.at.Store(now)
	s.written.Store(e.written.Load())
	need := uint64(e.opt.MinFree)
	if s.short.Load() {
		need += need / 8 // once short, a little more must come back: no flapping
	}
	if !e.ballast.there.Load() { // what the index was given for its own use is not for mail
		need += uint64(e.opt.Reserve)
	}
	free, ok := e.free()
	if ok && free < need && e.dropSpares() {
		free, ok = e.free()
	}
	short := ok && free < need
	s.set(e, short, free)
	return short
}

// exhausted notes that a write found no space.
func (s *space) exhausted(e *Engine) {
	free, _ := e.free()
	s.set(e, true, free)
}

func (s *space) set(e *Engine, short bool, free uint64) {
	if s.short.Swap(short) == short {
		return
	}
	if short {
		e.log.Error("disk is full: mail is refused until there is space", "dir", e.dir, "free", free, "min_free", e.opt.MinFree)
	} else {
		e.log.Info("disk has space again: mail is accepted", "dir", e.dir, "free", free)
	}
}

// free returns the free bytes of the file system, if it tells.
func (e *Engine) free() (uint64, bool) {
	u, err := e.fs.GetDiskUsage(e.dir)
	return u.AvailBytes, err == nil
}
