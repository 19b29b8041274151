package local

import (
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A lateFS lets the index open on a disk without a free byte. All that it writes
// then is a note of its options, and later the end of a log that it does not keep:
// where there is no space, the note is held until somebody reads it, and the end of
// the log is left out.
type lateFS struct {
	vfs.FS
	room func() bool // there is space for another table
	mu   sync.Mutex
	held map[string][]byte // by path: what had no space
}

const (
	noteExt = ".dbtmp" // of the note, until it is renamed
	voidExt = ".log"   // of the log that has nothing
)

func (l *lateFS) Unwrap() vfs.FS { return l.FS }

// Create implements vfs.FS. A table waits for space before it is begun: when its
// manifest has to wait, readers wait too.
func (l *lateFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, ".sst") && !l.room() {
		return nil, syscall.ENOSPC
	}
	f, err := l.FS.Create(name, c)
	note := strings.HasSuffix(name, noteExt)
	if !note && !strings.HasSuffix(name, voidExt) || err != nil && !isNoSpace(err) {
		return f, err
	}
	lost := err != nil
	if lost { // a file like others to the index, without a name
		if f, err = vfs.NewMem().Create("held", c); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, name)
	if lost {
		l.held[name] = nil
	}
	return &lateFile{File: f, fs: l, name: name, note: note, lost: lost}, nil
}

// Rename implements vfs.FS.
func (l *lateFS) Rename(old, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	data, ok := l.held[old]
	if !ok {
		return l.FS.Rename(old, name)
	}
	delete(l.held, old)
	l.held[name] = data
	_ = l.FS.Remove(old) // what had space of it; the next opening removes it too
	return nil
}

// put writes the file that name is, if it was held.
func (l *lateFS) put(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	data, ok := l.held[name]
	if !ok {
		return nil
	}
	if err := writeFile(l.FS, l.PathDir(name), l.PathBase(name), data); err != nil {
		return err
	}
	delete(l.held, name)
	return nil
}

// Open implements vfs.FS.
func (l *lateFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := l.put(name); err != nil {
		return nil, err
	}
	return l.FS.Open(name, opts...)
}

// Link implements vfs.FS.
func (l *lateFS) Link(old, name string) error {
	if err := l.put(old); err != nil {
		return err
	}
	return l.FS.Link(old, name)
}

// Stat implements vfs.FS.
func (l *lateFS) Stat(name string) (vfs.FileInfo, error) {
	if err := l.put(name); err != nil {
		return nil, err
	}
	return l.FS.Stat(name)
}

// Remove implements vfs.FS.
func (l *lateFS) Remove(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.held[name]; ok {
		delete(l.held, name)
		return nil
	}
	return l.FS.Remove(name)
}

// A lateFile is a note, or a log with nothing in it.
type lateFile struct {
	vfs.File
	fs   *lateFS
	name string
	note bool
	lost bool   // there was no space
	data []byte // of a note
}

// without turns an error for want of space into none.
func (f *lateFile) without(err error) error {
	if !isNoSpace(err) {
		return err
	}
	f.lost = true
	return f.hold()
}

// hold keeps a note that had no space.
func (f *lateFile) hold() error {
	if f.note && f.lost {
		f.fs.mu.Lock()
		f.fs.held[f.name] = f.data
		f.fs.mu.Unlock()
	}
	return nil
}

// Write implements vfs.File.
func (f *lateFile) Write(p []byte) (int, error) {
	if f.note {
		f.data = append(f.data, p...)
	}
	if f.lost {
		return len(p), f.hold()
	}
	if n, err := f.File.Write(p); err != nil && f.without(err) != nil {
		return n, err
	}
	return len(p), nil
}

// Preallocate implements vfs.File. There is next to nothing to come.
func (f *lateFile) Preallocate(int64, int64) error { return nil }

// Sync implements vfs.File.
func (f *lateFile) Sync() error { return f.without(f.File.Sync()) }

// SyncData implements vfs.File.
func (f *lateFile) SyncData() error { return f.without(f.File.SyncData()) }

// SyncTo implements vfs.File.
func (f *lateFile) SyncTo(n int64) (bool, error) {
	full, err := f.File.SyncTo(n)
	return full, f.without(err)
}

// Close implements vfs.File.
func (f *lateFile) Close() error { return f.without(f.File.Close()) }
