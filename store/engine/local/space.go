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
	free, total, ok := e.free()
	least := e.minFree(total)
	need := least
	if s.short.Load() {
		need += need / 8 // once short, a little more must come back: no flapping
	}
	if !e.ballast.there.Load() { // what the index was given for its own use is not for mail
		need += uint64(e.opt.Reserve)
	}
	if ok && free < need && e.dropSpares() {
		free, _, ok = e.free()
	}
	short := ok && free < need
	s.set(e, short, free, least)
	return short
}

// exhausted notes that a write found no space.
func (s *space) exhausted(e *Engine) {
	free, total, _ := e.free()
	s.set(e, true, free, e.minFree(total))
}

func (s *space) set(e *Engine, short bool, free, least uint64) {
	if s.short.Swap(short) == short {
		return
	}
	if short {
		e.log.Error("disk is full: mail is refused until there is space", "dir", e.dir, "free", free, "min_free", least)
	} else {
		e.log.Info("disk has space again: mail is accepted", "dir", e.dir, "free", free)
	}
}

// minFree is the watermark on a file system of so many bytes.
func (e *Engine) minFree(total uint64) uint64 {
	return max(uint64(e.opt.MinFree), total/100*uint64(e.opt.MinFreePercent))
}

// free returns the free bytes of the file system and all that it has, if it tells.
func (e *Engine) free() (free, total uint64, ok bool) {
	u, err := e.fs.GetDiskUsage(e.dir)
	return u.AvailBytes, u.TotalBytes, err == nil
}
