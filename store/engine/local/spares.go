package local

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// spareExt ends the name of a segment's file in which nothing lives, kept to
// become a later segment: frames that overwrite bytes which a file has already
// are synced without a commit of the file system's own journal. The rest of the
// name is the number that the segment had.
const spareExt = ".old"

// maxSpares is how many such files there are at most. They do not outlive the
// process: Open removes them.
const maxSpares = 2

// spareRoom is how many times a spare's size must be free on the disk.
const spareRoom = 8

// spares are the files kept.
type spares struct {
	mu    sync.Mutex // taken before segmentFiles.mu
	files []spareFile
	bytes atomic.Int64 // of all of them
	used  atomic.Uint64
}

type spareFile struct {
	name string
	size int64
}

// keepSpare keeps the file of a segment that is to be removed, if it may be
// overwritten: it has one name and no holes, nobody reads it, neither do
// standbys, and the disk has room. False: it is to be removed.
func (e *Engine) keepSpare(f fileKey, st vfs.FileInfo) (bool, error) {
	size := st.Size()
	if f.place != inLog || e.opt.NoRecycling || e.ship != nil || size < e.opt.SegmentSize/2 || size > 2*e.opt.SegmentSize+groupBytes ||
		!wholeFile(st) || !ownFile(st) && !e.opt.mutate.recycleLinked || !e.roomForSpare(size) {
		return false, nil
	}
	s := &e.spares
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) >= maxSpares {
		return false, nil
	}
	name := e.fileName(f)
	spare := strings.TrimSuffix(name, segmentExt) + spareExt
	if ok, err := e.segs.rename(f, spare); !ok || err != nil {
		return false, err
	}
	s.files = append(s.files, spareFile{spare, size})
	s.bytes.Add(size)
	return true, nil
}

// roomForSpare tells whether the disk has so much space that a file need not go.
func (e *Engine) roomForSpare(size int64) bool {
	if e.space.short.Load() {
		return false
	}
	free, total, known := e.free()
	return !known || free > e.minFree(total)+uint64(spareRoom*size)
}

// takeSpare gives a spare the name of segment n, which then has frames of
// another segment. The caller syncs the directory. False: there is none.
func (e *Engine) takeSpare(n uint32) (bool, error) {
	s := &e.spares
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) == 0 {
		return false, nil
	}
	f := s.files[0]
	s.files = s.files[1:]
	s.bytes.Add(-f.size)
	if err := e.fs.Rename(f.name, e.segmentName(n)); err != nil {
		return false, fmt.Errorf("local: using a segment again: %w", err)
	}
	s.used.Add(1)
	return true, nil
}

// dropSpares removes the spares, for space; false if there were none.
func (e *Engine) dropSpares() bool {
	s := &e.spares
	s.mu.Lock()
	defer s.mu.Unlock()
	freed := false
	for _, f := range s.files {
		if err := e.fs.Remove(f.name); err != nil {
			e.log.Error("cannot remove a spare segment", "file", f.name, "err", err) // the next Open does
			continue
		}
		freed = true
	}
	s.files = nil
	s.bytes.Store(0)
	return freed
}

// sweepSpares removes the spares of an earlier run.
func (e *Engine) sweepSpares() error {
	names, err := e.fs.List(e.path("log"))
	if err != nil {
		return err
	}
	for _, n := range names {
		if !strings.HasSuffix(n, spareExt) {
			continue
		}
		if err := e.fs.Remove(e.path("log", n)); err != nil && !errors.Is(err, errNotExist) {
			return err
		}
	}
	return nil
}
