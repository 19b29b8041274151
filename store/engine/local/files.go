package local

import (
	"container/list"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// segmentFiles keeps the segments that were read last open. A store may have
// tens of thousands.
type segmentFiles struct {
	fs   vfs.FS
	name func(uint32) string
	max  int
	mu   sync.Mutex
	open map[uint32]*segmentFile
	lru  list.List // of *segmentFile nobody uses, the longest unused first
}

type segmentFile struct {
	vfs.File
	number uint32
	uses   int
	idle   *list.Element
}

// acquire returns segment n open for reading, until release.
func (c *segmentFiles) acquire(n uint32) (*segmentFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.open[n]
	if s == nil {
		f, err := c.fs.Open(c.name(n), vfs.RandomReadsOption)
		if err != nil {
			if errors.Is(err, errNotExist) {
				err = engine.ErrCorrupt
			}
			return nil, fmt.Errorf("local: segment %d: %w", n, err)
		}
		s = &segmentFile{File: f, number: n}
		c.open[n] = s
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
	s.idle = c.lru.PushBack(s)
	for len(c.open) > c.max && c.lru.Len() > 0 {
		c.closeLocked(c.lru.Front().Value.(*segmentFile))
	}
}

// closeLocked drops a file that nobody uses. It was only read: an error of its
// close tells nothing.
func (c *segmentFiles) closeLocked(s *segmentFile) {
	c.lru.Remove(s.idle)
	delete(c.open, s.number)
	_ = s.Close()
}

// closeAll closes all files; none may be in use.
func (c *segmentFiles) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.lru.Len() > 0 {
		c.closeLocked(c.lru.Front().Value.(*segmentFile))
	}
}
