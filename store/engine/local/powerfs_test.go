package local

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A powerFS is a disk in memory that knows what is synced, so that the power can
// be cut. A MemFS by itself hangs when a Link and a CrashClone meet: Link takes
// the same read lock twice.
type powerFS struct {
	*vfs.MemFS
	linking sync.Mutex
}

func newPowerFS() *powerFS { return &powerFS{MemFS: vfs.NewCrashableMem()} }

// Link implements vfs.FS.
func (p *powerFS) Link(old, name string) error {
	p.linking.Lock()
	defer p.linking.Unlock()
	return p.MemFS.Link(old, name)
}

// CrashClone returns the disk as it is after the power was cut now.
func (p *powerFS) CrashClone(cfg vfs.CrashCloneCfg) *powerFS {
	p.linking.Lock()
	defer p.linking.Unlock()
	return &powerFS{MemFS: p.MemFS.CrashClone(cfg)}
}
