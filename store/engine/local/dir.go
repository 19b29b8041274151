package local

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
	"posthouse/store/engine"
)

var errNotExist = fs.ErrNotExist

const (
	formatVersion = 1
	formatFirst   = "posthouse store "
	formatID      = "id "
)

// path returns the path of a file of the store.
func (e *Engine) path(elem ...string) string {
	return e.fs.PathJoin(append([]string{e.dir}, elem...)...)
}

// isNoSpace tells whether a write failed for want of space.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// syncDir makes the entries of a directory durable.
func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// makeDir makes a directory whose entry in its parent is durable.
func makeDir(fsys vfs.FS, dir string) error {
	if remote(fsys) != nil {
		return nil // a part of names
	}
	parent := fsys.PathDir(dir)
	if _, err := fsys.Stat(parent); errors.Is(err, errNotExist) && parent != dir {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fsys, parent)
}

// writeFile writes a small file as a whole or not at all, durably.
func writeFile(fsys vfs.FS, dir, name string, data []byte) error {
	tmp := fsys.PathJoin(dir, name+".tmp")
	f, err := fsys.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(append([]byte(nil), data...)) // vfs may change what it is given
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(tmp, fsys.PathJoin(dir, name))
	}
	if err != nil {
		return err
	}
	return syncDir(fsys, dir)
}

func readFile(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return data, err
}

// openDir makes the store's directories if need be, locks them, and learns or
// gives the store's id.
func (e *Engine) openDir() error {
	if err := makeDir(e.fs, e.dir); err != nil {
		return fmt.Errorf("local: making the store's directory: %w", err)
	}
	lock, err := e.fs.Lock(e.path("LOCK"))
	if err != nil {
		return &mail.Error{Kind: mail.Unavailable, Op: "local.Open", Err: fmt.Errorf("%w: locking %s: %w", engine.ErrUnavailable, e.path("LOCK"), err),
			Text: "the store " + e.dir + " is in use: a server runs on it. Stop that server, or talk to it instead of opening its store"}
	}
	e.lock = lock
	format, err := readFile(e.fs, e.path("FORMAT"))
	if errors.Is(err, errNotExist) {
		return e.createStore()
	}
	if err != nil {
		return fmt.Errorf("local: reading FORMAT: %w", err)
	}
	return e.parseFormat(string(format))
}

// createStore makes an empty store. FORMAT comes last: without it, what is
// there was never used, unless its files were lost.
func (e *Engine) createStore() error {
	names, err := e.fs.List(e.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n != "LOCK" && n != "FORMAT.tmp" && n != "log" && n != "big" {
			return e.foreign(n)
		}
	}
	for _, d := range []string{"log", "big"} {
		if err := makeDir(e.fs, e.path(d)); err != nil {
			return fmt.Errorf("local: making the store: %w", err)
		}
		inside, err := e.fs.List(e.path(d))
		if err != nil {
			return err
		}
		if len(inside) > 0 {
			return e.foreign(d + "/" + inside[0])
		}
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	e.store = binary.BigEndian.Uint64(id[:])
	if err := writeFile(e.fs, e.dir, "FORMAT", []byte(formatText(formatVersion, e.store))); err != nil {
		return fmt.Errorf("local: making the store: %w", err)
	}
	return nil
}

func (e *Engine) foreign(name string) error {
	return &mail.Error{Kind: mail.Invalid, Op: "local.Open", Text: fmt.Sprintf(
		"%s is no store: it has %s but no file FORMAT. Name an empty directory, or restore FORMAT from a backup", e.dir, name)}
}

func (e *Engine) parseFormat(text string) error {
	var version int
	n, _ := fmt.Sscanf(text, formatFirst+"%d\n"+formatID+"%x\n", &version, &e.store)
	if n > 0 && version > formatVersion && strings.HasPrefix(text, fmt.Sprintf("%s%d\n", formatFirst, version)) {
		return &mail.Error{Kind: mail.Invalid, Op: "local.Open", Text: fmt.Sprintf(
			"the store %s has format %d, this program knows format %d: use the version of the program that wrote it", e.dir, version, formatVersion)}
	}
	if n != 2 || text != formatText(version, e.store) || version != formatVersion {
		return e.badFormat(engine.ErrCorrupt)
	}
	return nil
}

func formatText(version int, store uint64) string {
	return fmt.Sprintf("%s%d\n%s%016x\n", formatFirst, version, formatID, store)
}

func (e *Engine) badFormat(err error) error {
	return &mail.Error{Kind: mail.Corrupt, Op: "local.Open", Err: err, Text: e.path("FORMAT") + " is damaged: restore it from a backup"}
}

// wantOwn refuses a log whose frames have another id than FORMAT says: one digit of
// FORMAT that is another would else make all of them count as nothing. In front of a
// segment stands a frame of it, or what an older one of this store left there.
func (e *Engine) wantOwn(segs []uint32) error {
	for i, n := range segs {
		if i > 0 && i < len(segs)-1 {
			continue // the first and the last are enough
		}
		f, err := e.fs.Open(e.segmentName(n))
		if err != nil {
			return err
		}
		var b [headerLen]byte
		read, err := f.ReadAt(b[:], 0)
		if cerr := f.Close(); err == nil || errors.Is(err, io.EOF) {
			err = cerr
		}
		if err != nil {
			return err
		}
		if h, ok := decodeHeader(b[:read]); ok && h.store != e.store {
			return e.badFormat(fmt.Errorf("%w: segment %d is of the store %016x, not of %016x", engine.ErrCorrupt, n, h.store, e.store))
		}
	}
	return nil
}
