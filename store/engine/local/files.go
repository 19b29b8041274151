package local

import (
	"container/list"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// A fileKey names a segment (place inLog) or a cold file.
type fileKey struct {
	place  place
	number uint64
}

func (e *Engine) fileName(k fileKey) string {
	if k.place == inCold {
		return e.coldName(k.number)
	}
	return e.segmentName(uint32(k.number))
}

// segmentFiles keeps the segments and cold files that were read last open. A store may have
// tens of thousands.
type segmentFiles struct {
	fs   vfs.FS
	name func(fileKey) string
	max  int
	mu   sync.Mutex
	open map[fileKey]*segmentFile
	lru  list.List // of *segmentFile nobody uses, the longest unused first
}

type segmentFile struct {
	vfs.File
	key  fileKey
	gone bool // closed once nobody uses it
	uses int
	idle *list.Element
}

// acquire returns segment n open for reading, until release.
func (c *segmentFiles) acquire(n uint32) (*segmentFile, error) {
	return c.acquireFile(fileKey{inLog, uint64(n)})
}

func (c *segmentFiles) acquireFile(k fileKey) (*segmentFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.open[k]
	if s == nil {
		f, err := c.fs.Open(c.name(k), vfs.RandomReadsOption)
		if err != nil {
			if errors.Is(err, errNotExist) {
				err = engine.ErrCorrupt
			}
			return nil, fmt.Errorf("local: %v %d: %w", k.place, k.number, err)
		}
		s = &segmentFile{File: f, key: k}
		c.open[k] = s
	}
	if s.idle != nil {
		c.lru.Remove(s.idle)
		s.idle = nil
	}
	s.uses++
	return s, nil
}

func (c *segmentFiles) release(s *segmentFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.uses--; s.uses > 0 {
		return
	}
	if s.gone {
		_ = s.Close()
		return
	}
	s.idle = c.lru.PushBack(s)
	for len(c.open) > c.max && c.lru.Len() > 0 {
		c.closeLocked(c.lru.Front().Value.(*segmentFile))
	}
}

// closeLocked drops a file that nobody uses. It was only read: an error of its
// close tells nothing.
func (c *segmentFiles) closeLocked(s *segmentFile) {
	c.lru.Remove(s.idle)
	delete(c.open, s.key)
	_ = s.Close()
}

// forget drops a file that is removed: at once, or when its last user is done.
func (c *segmentFiles) forget(k fileKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.open[k]
	switch {
	case s == nil:
	case s.idle != nil:
		c.closeLocked(s)
	default:
		s.gone = true
		delete(c.open, k)
	}
}

// rename renames a file that nobody uses, and whoever is to read it by its old
// name does not find it. False: somebody uses it.
func (c *segmentFiles) rename(k fileKey, to string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.open[k]; s != nil {
		if s.idle == nil {
			return false, nil
		}
		c.closeLocked(s)
	}
	return true, c.fs.Rename(c.name(k), to)
}

// closeAll closes all files; none may be in use.
func (c *segmentFiles) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.lru.Len() > 0 {
		c.closeLocked(c.lru.Front().Value.(*segmentFile))
	}
}
