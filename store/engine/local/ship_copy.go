package local

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func (s *shipper) buffer() []byte {
	if s.buf == nil {
		s.buf = make([]byte, copyChunk)
	}
	return s.buf
}

// target is where a file of the store lies at the follower.
func (s *shipper) target(name string) string { return s.dir + name[len(s.e.dir):] }

// beside copies a file, durably. One that is gone lost its blobs since, as a
// later frame says.
func (s *shipper) beside(name string) error {
	to := s.target(name)
	st, err := s.e.fs.Stat(name)
	if errors.Is(err, errNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if have, err := s.fs.Stat(to); err == nil && have.Size() == st.Size() {
		return s.named(s.fs.PathDir(to))
	}
	return s.copy(name, to, -1)
}

func (s *shipper) copy(name, to string, size int64) error {
	fsys := s.fs
	if o := remote(fsys); o != nil {
		return o.copyIn(s.e.fs, name, to, size)
	}
	f := backupFile{size: size}
	if size < 0 {
		f.mtime = 1 // all of it
	}
	dir := fsys.PathDir(to)
	if err := makeDir(fsys, dir); err != nil {
		return err
	}
	cp := copier{context.Background(), s.e.fs, fsys, s.buffer()}
	if err := cp.copySum(name, to+".tmp", &f); err != nil {
		return err
	}
	if err := fsys.Rename(to+".tmp", to); err != nil {
		return err
	}
	return syncDir(fsys, dir)
}

// openSegment opens the follower's segment at.segment, and makes it if need be.
func (s *shipper) openSegment() error {
	if s.f != nil {
		return nil
	}
	fsys, name := s.fs, s.target(s.e.segmentName(s.at.segment))
	if remote(fsys) != nil { // it is there once it has something
	} else if _, err := fsys.Stat(name); errors.Is(err, errNotExist) {
		f, err := fsys.Create(name, vfs.WriteCategoryUnspecified)
		if err == nil {
			err = f.Close()
		}
		if err == nil {
			err = syncDir(fsys, fsys.PathDir(name))
		}
		if err != nil {
			return err
		}
	}
	f, err := fsys.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	s.f = f
	return nil
}

// named makes sure that the names in a directory are durable: a pass that failed,
// or a server that was killed, may not have done it. Once is enough, since who
// copies a file does it.
func (s *shipper) named(dir string) error {
	if s.synced[dir] {
		return nil
	}
	if err := makeDir(s.fs, dir); err != nil {
		return err
	}
	if err := syncDir(s.fs, dir); err != nil {
		return err
	}
	if s.synced == nil {
		s.synced = map[string]bool{}
	}
	s.synced[dir] = true
	return nil
}
