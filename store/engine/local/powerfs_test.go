package local

import (
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A powerFS is a disk in memory that knows what is synced, so that the power can
// be cut. A MemFS by itself hangs when one of the calls below and a CrashClone
// meet: they take the same read lock twice, and the one who wants to write waits
// in between.
//
// It tells of each file whether it was linked ever: after a crash, names that were
// removed may be back.
type powerFS struct {
	*vfs.MemFS
	twice  sync.Mutex
	linked *sync.Map // of names; those that a file got by a rename, too
}

func newPowerFS() *powerFS {
	return &powerFS{MemFS: vfs.NewCrashableMem(), linked: new(sync.Map)}
}

// A powerInfo tells what a disk's file system does besides.
type powerInfo struct {
	vfs.FileInfo
	names int
}

func (i powerInfo) Sys() any {
	st := &syscall.Stat_t{Blocks: 1 << 40, Nlink: 1}
	if i.names > 1 {
		st.Nlink = 2
	}
	return st
}

// Stat implements vfs.FS.
func (p *powerFS) Stat(name string) (vfs.FileInfo, error) {
	st, err := p.MemFS.Stat(name)
	if err != nil {
		return nil, err
	}
	i := powerInfo{st, 1}
	if _, ok := p.linked.Load(name); ok {
		i.names = 2
	}
	return i, nil
}

// Rename implements vfs.FS.
func (p *powerFS) Rename(old, name string) error {
	if _, ok := p.linked.Load(old); ok {
		p.linked.Store(name, true)
	}
	return p.MemFS.Rename(old, name)
}

// Link implements vfs.FS.
func (p *powerFS) Link(old, name string) error {
	p.twice.Lock()
	defer p.twice.Unlock()
	p.linked.Store(old, true)
	p.linked.Store(name, true)
	return p.MemFS.Link(old, name)
}

// Lock implements vfs.FS.
func (p *powerFS) Lock(name string) (io.Closer, error) {
	p.twice.Lock()
	defer p.twice.Unlock()
	return p.MemFS.Lock(name)
}

// ReuseForWrite implements vfs.FS.
func (p *powerFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	p.twice.Lock()
	defer p.twice.Unlock()
	return p.MemFS.ReuseForWrite(old, name, c)
}

// CrashClone returns the disk as it is after the power was cut now.
func (p *powerFS) CrashClone(cfg vfs.CrashCloneCfg) *powerFS {
	p.twice.Lock()
	defer p.twice.Unlock()
	linked := new(sync.Map)
	p.linked.Range(func(name, _ any) bool { linked.Store(name, true); return true })
	return &powerFS{MemFS: p.MemFS.CrashClone(cfg), linked: linked}
}

// TestPowerFS cuts the power again and again while files are linked, locked and
// renamed: nobody may wait for ever.
func TestPowerFS(t *testing.T) {
	fs := newPowerFS()
	if err := fs.MkdirAll("/d", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(fs, "/d", "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					fs.CrashClone(vfs.CrashCloneCfg{})
				}
			}
		})
	}
	go func() {
		err := reuse(fs)
		close(stop)
		wg.Wait()
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("a call on the disk never ends")
	}
}

// reuse calls all that a MemFS does with the same lock taken twice.
func reuse(fs *powerFS) error {
	for range 2000 {
		l, err := fs.Lock("/d/LOCK")
		if err == nil {
			err = l.Close()
		}
		if err == nil {
			err = fs.Link("/d/a", "/d/b")
		}
		var f vfs.File
		if err == nil {
			f, err = fs.ReuseForWrite("/d/b", "/d/c", vfs.WriteCategoryUnspecified)
		}
		if err == nil {
			err = f.Close()
		}
		if err == nil {
			err = fs.Remove("/d/c")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
