package local

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/internal/s3"
)

// An objectFS is a file system made of the objects of an S3 bucket, as much of
// one as a backup directory and a standby need. Files are written once, from begin
// to end, and become objects when they are renamed to their last name; until then
// they lie in a temporary file here. Segments of the log are appended to as well:
// see [appendFile]. An object is whole and durable once it is put, and directories
// are but parts of names: there is nothing to sync.
type objectFS struct {
	vfs.FS // of paths only; what is not below fails
	ctx    context.Context
	c      *s3.Client
	epoch  atomic.Uint64 // of the claim of who writes here

	mu    sync.Mutex
	drops map[string]*objectDraft // files that have no object yet, by name
}

// S3 returns the bucket of c for functions that take the file system of a
// backup directory or of a standby. Its requests end with ctx.
func S3(ctx context.Context, c *s3.Client) vfs.FS {
	return &objectFS{FS: vfs.NewMem(), ctx: ctx, c: c, drops: map[string]*objectDraft{}}
}

// patient returns the same bucket for one who tries again by himself, until ctx ends.
func (o *objectFS) patient(ctx context.Context) *objectFS {
	c := *o.c
	c.Tries = 2
	return S3(ctx, &c).(*objectFS)
}

// remote returns the bucket behind a file system, or nil.
func remote(fsys vfs.FS) *objectFS {
	o, _ := fsys.(*objectFS)
	return o
}

func objectKey(name string) string { return strings.TrimPrefix(path.Clean(name), "/") }

// An objectDraft is a file that is being written.
type objectDraft struct {
	objectFile
	f *os.File
	n int64
}

func (o *objectFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := os.CreateTemp("", "posthouse-backup-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil { // it lives as long as it is open
		return nil, errors.Join(err, f.Close())
	}
	d := &objectDraft{f: f}
	o.mu.Lock()
	defer o.mu.Unlock()
	if old := o.drops[name]; old != nil {
		_ = old.f.Close()
	}
	o.drops[name] = d
	return d, nil
}

func (d *objectDraft) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	d.n += int64(n)
	return n, err
}

func (d *objectDraft) Close() error { return nil } // Rename or Remove ends it

// Rename puts the object.
func (o *objectFS) Rename(old, name string) error {
	o.mu.Lock()
	d := o.drops[old]
	delete(o.drops, old)
	o.mu.Unlock()
	if d == nil {
		return &os.PathError{Op: "rename", Path: old, Err: errNotExist}
	}
	return errors.Join(o.c.Upload(o.ctx, objectKey(name), d.f, d.n), d.f.Close())
}

// copyIn makes name an object with the first size bytes of a file, without a
// temporary one.
func (o *objectFS) copyIn(from vfs.FS, file, name string, size int64) error {
	f, err := from.Open(file, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	if size < 0 {
		st, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		size = st.Size()
	}
	return errors.Join(o.c.Upload(o.ctx, objectKey(name), f, size), f.Close())
}

func (o *objectFS) Remove(name string) error {
	o.mu.Lock()
	d := o.drops[name]
	delete(o.drops, name)
	o.mu.Unlock()
	if d != nil {
		return d.f.Close()
	}
	key := objectKey(name)
	if !appended(key) {
		return o.c.Delete(o.ctx, key)
	}
	list, err := o.extents(key)
	for _, x := range list {
		if err == nil {
			err = o.c.Delete(o.ctx, x.key)
		}
	}
	return err
}

// RemoveAll removes all objects below a directory, or one.
func (o *objectFS) RemoveAll(name string) error {
	key := objectKey(name)
	list, err := o.c.List(o.ctx, key+"/", false)
	for _, x := range list {
		if err == nil {
			err = o.c.Delete(o.ctx, key+"/"+x.Name)
		}
	}
	if err == nil {
		err = o.c.Delete(o.ctx, key)
	}
	return err
}

func (o *objectFS) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	return o.open(objectKey(name))
}

func (o *objectFS) open(key string) (*objectFile, error) {
	f := &objectFile{o: o, key: key}
	if appended(key) {
		list, err := o.extents(key)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, &os.PathError{Op: "open", Path: key, Err: errNotExist}
		}
		f.list, f.size = list, covered(list)
		for _, x := range list {
			if x.at.After(f.at) {
				f.at = x.at
			}
		}
		return f, nil
	}
	size, at, err := o.c.Stat(o.ctx, key)
	f.list, f.size, f.at = []objectExtent{{key: key, end: size}}, size, at
	return f, err
}

// List names what is directly in a directory, a segment that has several objects
// once.
func (o *objectFS) List(dir string) (names []string, err error) {
	prefix := objectKey(dir)
	if prefix != "" {
		prefix += "/"
	}
	list, err := o.c.List(o.ctx, prefix, true)
	seen := map[string]bool{}
	for _, x := range list {
		n := strings.TrimSuffix(strings.TrimSuffix(x.Name, "/"), extentsDir)
		if !seen[n] {
			names = append(names, n)
		}
		seen[n] = true
	}
	return names, err
}

// sizeOf returns the bytes of all objects below a directory.
func (o *objectFS) sizeOf(dir string) (n int64, err error) {
	list, err := o.c.List(o.ctx, objectKey(dir)+"/", false)
	for _, x := range list {
		n += x.Size
	}
	return n, err
}

func (o *objectFS) Stat(name string) (vfs.FileInfo, error) {
	key := objectKey(name)
	if key == "" {
		return objectInfo{name: "/"}, nil
	}
	f, err := o.open(key)
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

func (o *objectFS) MkdirAll(string, os.FileMode) error { return nil }
func (o *objectFS) OpenDir(string) (vfs.File, error)   { return &objectFile{}, nil }
func (o *objectFS) Lock(string) (io.Closer, error)     { return &objectFile{}, nil }
func (o *objectFS) Unwrap() vfs.FS                     { return nil }
func (o *objectFS) Link(string, string) error          { return errors.ErrUnsupported }

func (o *objectFS) ReuseForWrite(string, string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, errors.ErrUnsupported
}

// An objectFile reads a file. The zero one is a directory, or a lock.
type objectFile struct {
	o    *objectFS
	key  string
	list []objectExtent
	size int64
	at   time.Time

	pos    int64  // of Read
	window []byte // what was read last, from off on
	off    int64
}

// readAhead is how much is asked for at once of what is read through, readLeast
// of what is not.
const (
	readAhead = 4 << 20
	readLeast = 64 << 10
)

func (f *objectFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p[:min(len(p), readLeast)], f.pos)
	f.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *objectFile) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		if at >= f.size {
			return n, io.EOF
		}
		if at < f.off || at >= f.off+int64(len(f.window)) {
			if err := f.fill(at, len(p)-n); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], f.window[at-f.off:])
	}
	return n, nil
}

// fill makes the window begin at off. Who appends to a segment puts its objects
// together meanwhile: then others have what this one had.
func (f *objectFile) fill(off int64, want int) error {
	err := f.fillFrom(off, want)
	for tries := 0; tries < 10 && errors.Is(err, errNotExist) && appended(f.key); tries++ {
		list, lerr := f.o.extents(f.key)
		if lerr != nil {
			return lerr
		}
		f.list = list
		if err = f.fillFrom(off, want); len(list) == 0 {
			return &os.PathError{Op: "read", Path: f.key, Err: errNotExist}
		}
	}
	return err
}

func (f *objectFile) fillFrom(off int64, want int) error {
	x, ok := covers(f.list, off)
	if !ok {
		return &os.PathError{Op: "read", Path: f.key, Err: errNotExist}
	}
	ahead := off - f.off - int64(len(f.window))
	want = max(want, readLeast)
	if f.window != nil && ahead >= 0 && ahead < readAhead || off == 0 && f.size <= readAhead {
		want = readAhead
	}
	n := min(int64(want), readAhead, x.end-off)
	if int64(cap(f.window)) < n {
		f.window = make([]byte, n)
	}
	got, err := f.o.c.Get(f.o.ctx, x.key, f.window[:n], off-x.begin)
	f.window, f.off = f.window[:got], off
	if err == nil && int64(got) < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (f *objectFile) Stat() (vfs.FileInfo, error) {
	return objectInfo{path.Base(f.key), f.size, f.at}, nil
}

func (f *objectFile) Close() error                       { return nil }
func (f *objectFile) Write([]byte) (int, error)          { return 0, errors.ErrUnsupported }
func (f *objectFile) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (f *objectFile) Preallocate(int64, int64) error     { return nil }
func (f *objectFile) Sync() error                        { return nil }
func (f *objectFile) SyncData() error                    { return nil }
func (f *objectFile) SyncTo(int64) (bool, error)         { return true, nil }
func (f *objectFile) Prefetch(int64, int64) error        { return nil }
func (f *objectFile) Fd() uintptr                        { return vfs.InvalidFd }

// An objectInfo is what is known of an object.
type objectInfo struct {
	name string
	size int64
	at   time.Time
}

func (i objectInfo) Name() string           { return i.name }
func (i objectInfo) Size() int64            { return i.size }
func (i objectInfo) Mode() os.FileMode      { return 0o600 }
func (i objectInfo) ModTime() time.Time     { return i.at }
func (i objectInfo) IsDir() bool            { return i.name == "/" }
func (i objectInfo) Sys() any               { return nil }
func (i objectInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

// FS is a file system.
type FS = vfs.FS

// IsBackups tells whether dir holds backups.
func IsBackups(fsys FS, dir string) bool {
	fsys = orDisk(fsys)
	_, err := fsys.Stat(fsys.PathJoin(dir, "FORMAT"))
	return err == nil
}
