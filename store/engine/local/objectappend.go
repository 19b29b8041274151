package local

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/internal/s3"
)

// An objectExtent is an object with a part of a segment: NAME.at/BEGIN-END-EPOCH, in
// hex, or NAME, which has the begin.
type objectExtent struct {
	begin, end int64
	epoch      uint64
	key        string
	at         time.Time
}

const extentsDir = ".at"

// appended tells whether a file may have several objects: segments.
func appended(key string) bool {
	return path.Base(path.Dir(key)) == "log" && strings.HasSuffix(key, ".seg")
}

func extentKey(key string, begin, end int64, epoch uint64) string {
	return fmt.Sprintf("%s%s/%012x-%012x-%08x", key, extentsDir, begin, end, epoch)
}

// extents returns the objects of a segment.
func (o *objectFS) extents(key string) (list []objectExtent, err error) {
	objects, err := o.c.List(o.ctx, key, false)
	if err != nil {
		return nil, err
	}
	for _, x := range objects {
		e := objectExtent{key: key + x.Name, at: x.At, end: x.Size}
		if x.Name != "" {
			n, err := fmt.Sscanf(x.Name, extentsDir+"/%x-%x-%x", &e.begin, &e.end, &e.epoch)
			if err != nil || n != 3 || e.end-e.begin != x.Size || e.key != extentKey(key, e.begin, e.end, e.epoch) {
				continue // not ours
			}
		}
		list = append(list, e)
	}
	return list, nil
}

// covers returns the object to read the byte at off from: of those that have it,
// that of the last claim, and of these the one that goes farthest. What one claim
// wrote twice is the same.
func covers(list []objectExtent, off int64) (best objectExtent, ok bool) {
	for _, x := range list {
		if x.begin <= off && off < x.end && (!ok || cmp.Or(cmp.Compare(x.epoch, best.epoch), cmp.Compare(x.end, best.end)) > 0) {
			best, ok = x, true
		}
	}
	return best, ok
}

// covered returns how many bytes there are without a gap.
func covered(list []objectExtent) (n int64) {
	for {
		x, ok := covers(list, n)
		if !ok {
			return n
		}
		n = x.end
	}
}

// last returns where the last object begins: there a frame begins, too.
func (f *objectFile) last() (begin int64) {
	for at := int64(0); ; {
		x, ok := covers(f.list, at)
		if !ok {
			return begin
		}
		begin, at = at, x.end
	}
}

// An appendFile appends to a segment. Each sync puts what was written since as
// one object. Many small ones would be slow to read, so they are put once more
// together, and then removed: each mergeCount of about the same size, and all at
// once when they are chunkSize.
type appendFile struct {
	objectFile
	pending []byte // not yet put; from end on
	begin   int64  // of the parts
	end     int64
	tail    []byte // their bytes
	parts   []part
}

type part struct {
	objectExtent
	level int
}

const (
	chunkSize  = 8 << 20
	mergeCount = 32
)

func (o *objectFS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	key := objectKey(name)
	if !appended(key) {
		return nil, errors.ErrUnsupported
	}
	return &appendFile{objectFile: objectFile{o: o, key: key}}, nil
}

// WriteAt takes what comes next. After a sync it may begin anywhere.
func (f *appendFile) WriteAt(p []byte, off int64) (int, error) {
	if len(f.pending) == 0 && off != f.end {
		f.begin, f.end, f.tail, f.parts = off, off, f.tail[:0], nil
	}
	if off != f.end+int64(len(f.pending)) {
		return 0, errors.ErrUnsupported
	}
	f.pending = append(f.pending, p...)
	return len(p), nil
}

// SyncData puts what was written.
func (f *appendFile) SyncData() error {
	if len(f.pending) == 0 {
		return nil
	}
	end := f.end + int64(len(f.pending))
	if len(f.tail)+len(f.pending) >= chunkSize {
		if err := f.merge(0, append(f.tail, f.pending...), end); err != nil {
			return err
		}
		f.begin, f.parts, f.tail = end, nil, f.tail[:0]
	} else {
		x, err := f.put(f.end, end, f.pending)
		if err != nil {
			return err
		}
		f.parts = append(f.parts, part{x, 0})
		f.tail = append(f.tail, f.pending...)
	}
	f.end, f.pending = end, f.pending[:0]
	return nil
}

func (f *appendFile) put(begin, end int64, b []byte) (objectExtent, error) {
	x := objectExtent{begin: begin, end: end, epoch: f.o.epoch.Load()}
	x.key = extentKey(f.key, begin, end, x.epoch)
	return x, f.o.c.Put(f.o.ctx, x.key, b, s3.Condition{})
}

// merge puts the parts from number n on as one, up to end; b are the bytes of all
// parts, and what follows.
func (f *appendFile) merge(n int, b []byte, end int64) error {
	begin, level := f.begin, 0
	if n < len(f.parts) {
		begin, level = f.parts[n].begin, f.parts[n].level
	}
	x, err := f.put(begin, end, b[begin-f.begin:])
	if err != nil {
		return err
	}
	for _, p := range f.parts[n:] {
		if p.key != x.key {
			_ = f.o.c.Delete(f.o.ctx, p.key) // one that stays costs space only
		}
	}
	f.parts = append(f.parts[:n], part{x, level + 1})
	return nil
}

// tidy puts small parts together, when nobody waits; all of them if the segment
// is sealed.
func (f *appendFile) tidy(sealed bool) error {
	for len(f.parts) > 1 {
		n, level := len(f.parts)-1, f.parts[len(f.parts)-1].level
		for n > 0 && (sealed || f.parts[n-1].level == level) {
			n--
		}
		if !sealed && len(f.parts)-n < mergeCount {
			return nil
		}
		if err := f.merge(n, f.tail, f.end); err != nil {
			return err
		}
	}
	return nil
}

// swap makes an object's content b, if it was old; nil: if there is none.
func (o *objectFS) swap(name string, old, b []byte) error {
	key := objectKey(name)
	have, etag, err := o.c.Read(o.ctx, key, 1<<16)
	switch {
	case errors.Is(err, errNotExist) && old == nil:
		err = o.c.Put(o.ctx, key, b, s3.Condition{Absent: true})
	case errors.Is(err, errNotExist):
		return errSwapped
	case err != nil:
		return err
	case old == nil || !bytes.Equal(have, old):
		return errSwapped
	default:
		err = o.c.Put(o.ctx, key, b, s3.Condition{ETag: etag})
	}
	if s3.IsUnsupported(err) { // the last one wins, and the others see it at their next look
		err = o.c.Put(o.ctx, key, b, s3.Condition{})
	}
	if err != nil && !s3.IsConflict(err) {
		return err
	}
	have, _, err = o.c.Read(o.ctx, key, 1<<16) // the answer to our own put may have been lost
	if err == nil && !bytes.Equal(have, b) {
		err = errSwapped
	}
	return err
}
