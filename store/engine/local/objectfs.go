package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/internal/s3"
)

// An objectFS is a file system made of the objects of an S3 bucket, as much of
// one as a backup directory needs: files are written once, from begin to end, and
// become objects when they are renamed to their last name. Until then they lie in
// a temporary file here. An object is whole and durable once it is put, and
// directories are but parts of names: there is nothing to sync.
type objectFS struct {
	vfs.FS // of paths only; what is not below fails
	ctx    context.Context
	c      *s3.Client

	mu    sync.Mutex
	drops map[string]*objectDraft // files that have no object yet, by name
}

// S3 returns the bucket of c for functions that take the file system of a
// backup directory. Its requests end with ctx.
func S3(ctx context.Context, c *s3.Client) vfs.FS {
	return &objectFS{FS: vfs.NewMem(), ctx: ctx, c: c, drops: map[string]*objectDraft{}}
}

func objectKey(name string) string { return strings.TrimPrefix(path.Clean(name), "/") }

// An objectDraft is a file that is being written.
type objectDraft struct {
	objectFile
	f   *os.File
	sum hash.Hash
	n   int64
}

func (o *objectFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := os.CreateTemp("", "posthouse-backup-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil { // it lives as long as it is open
		return nil, errors.Join(err, f.Close())
	}
	d := &objectDraft{f: f, sum: sha256.New()}
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
	d.sum.Write(p[:n])
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
	err := o.c.Put(o.ctx, objectKey(name), d.f, d.n, hex.EncodeToString(d.sum.Sum(nil)))
	return errors.Join(err, d.f.Close())
}

func (o *objectFS) Remove(name string) error {
	o.mu.Lock()
	d := o.drops[name]
	delete(o.drops, name)
	o.mu.Unlock()
	if d != nil {
		return d.f.Close()
	}
	return o.c.Delete(o.ctx, objectKey(name))
}

func (o *objectFS) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	f := &objectFile{o: o, key: objectKey(name)}
	var err error
	f.body, err = o.c.Get(o.ctx, f.key, 0, -1)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (o *objectFS) List(dir string) ([]string, error) {
	prefix := objectKey(dir)
	if prefix != "" {
		prefix += "/"
	}
	names, err := o.c.List(o.ctx, prefix)
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], "/")
	}
	return names, err
}

func (o *objectFS) Stat(name string) (vfs.FileInfo, error) {
	key := objectKey(name)
	if key == "" {
		return objectInfo{name: "/"}, nil
	}
	size, at, err := o.c.Stat(o.ctx, key)
	if err != nil {
		return nil, err
	}
	return objectInfo{path.Base(key), size, at}, nil
}

func (o *objectFS) MkdirAll(string, os.FileMode) error { return nil }
func (o *objectFS) OpenDir(string) (vfs.File, error)   { return &objectFile{}, nil }
func (o *objectFS) Lock(string) (io.Closer, error)     { return &objectFile{}, nil }
func (o *objectFS) Unwrap() vfs.FS                     { return nil }
func (o *objectFS) Link(string, string) error          { return errors.ErrUnsupported }
func (o *objectFS) RemoveAll(string) error             { return errors.ErrUnsupported }

func (o *objectFS) OpenReadWrite(string, vfs.DiskWriteCategory, ...vfs.OpenOption) (vfs.File, error) {
	return nil, errors.ErrUnsupported
}

func (o *objectFS) ReuseForWrite(string, string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, errors.ErrUnsupported
}

// An objectFile reads an object. The zero one is a directory, or a lock.
type objectFile struct {
	o    *objectFS
	key  string
	body io.ReadCloser
}

func (f *objectFile) Read(p []byte) (int, error) { return f.body.Read(p) }

func (f *objectFile) ReadAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	body, err := f.o.c.Get(f.o.ctx, f.key, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(body, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, errors.Join(err, body.Close())
}

func (f *objectFile) Close() error {
	if f.body == nil {
		return nil
	}
	return f.body.Close()
}

func (f *objectFile) Stat() (vfs.FileInfo, error) { return f.o.Stat(f.key) }

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
