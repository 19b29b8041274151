package local

import (
	"os"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A hookFS asks hook before each call that changes the disk or reads from a
// file. An error from hook is the call's result; for a write of n bytes,
// errShort writes the half and then says that there is no space. errLie makes a
// sync return without doing anything.
type hookFS struct {
	vfs.FS
	hook func(op, path string) error
}

type hookError string

func (e hookError) Error() string { return string(e) }

const (
	errShort = hookError("short write")
	errLie   = hookError("sync that does nothing")
)

func (f hookFS) Unwrap() vfs.FS { return f.FS }

func (f hookFS) file(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return hookFile{file, f, name}, nil
}

func (f hookFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.hook("create", name); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return f.file(name, file, err)
}

func (f hookFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.hook("open", name); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name)
	return f.file(name, file, err)
}

func (f hookFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.hook("open", name); err != nil {
		return nil, err
	}
	file, err := f.FS.OpenReadWrite(name, c)
	return f.file(name, file, err)
}

func (f hookFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.file(name+"/", file, err)
}

func (f hookFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.hook("reuse", name); err != nil {
		return nil, err
	}
	file, err := f.FS.ReuseForWrite(old, name, c)
	return f.file(name, file, err)
}

func (f hookFS) Link(old, name string) error {
	if err := f.hook("link", name); err != nil {
		return err
	}
	return f.FS.Link(old, name)
}

func (f hookFS) Remove(name string) error {
	if err := f.hook("remove", name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f hookFS) Rename(old, name string) error {
	if err := f.hook("rename", name); err != nil {
		return err
	}
	return f.FS.Rename(old, name)
}

func (f hookFS) MkdirAll(name string, perm os.FileMode) error {
	if err := f.hook("mkdir", name); err != nil {
		return err
	}
	return f.FS.MkdirAll(name, perm)
}

type hookFile struct {
	vfs.File
	fs   hookFS
	name string
}

func (f hookFile) write(p []byte, do func([]byte) (int, error)) (int, error) {
	switch err := f.fs.hook("write", f.name); err {
	case nil:
		return do(p)
	case errShort:
		n, err := do(p[:len(p)/2])
		if err == nil {
			err = syscall.ENOSPC
		}
		return n, err
	default:
		return 0, err
	}
}

func (f hookFile) Write(p []byte) (int, error) { return f.write(p, f.File.Write) }

func (f hookFile) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f hookFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.hook("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f hookFile) sync(do func() error) error {
	switch err := f.fs.hook("sync", f.name); err {
	case nil:
		return do()
	case errLie:
		return nil
	default:
		return err
	}
}

func (f hookFile) Sync() error     { return f.sync(f.File.Sync) }
func (f hookFile) SyncData() error { return f.sync(f.File.SyncData) }

// changes tells whether an op of a hook changes the disk.
func changes(op string) bool { return op != "read" && op != "open" }

// ours tells whether a path is written by this package, not by Pebble.
func ours(path string) bool {
	return !strings.Contains(path, "/kv/") && !strings.HasSuffix(path, "/LOCK")
}
