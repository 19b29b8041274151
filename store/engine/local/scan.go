package local

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// A scanner walks the frames of one segment.
type scanner struct {
	f       vfs.File
	segment uint32
	store   uint64
	size    int64
	buf     []byte // the file's bytes from bufOff on
	bufOff  int64
	chunk   []byte
	old     bool // a mutation: frames of older segments count
}

// scanChunk is how much is read at once of what is read through, scanAhead of
// what is hopped over.
const (
	scanChunk = 256 << 10
	scanAhead = 16 << 10
)

func newScanner(f vfs.File, segment uint32, store uint64) (*scanner, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &scanner{f: f, segment: segment, store: store, size: st.Size(), chunk: make([]byte, scanChunk)}, nil
}

// read returns the n bytes at off, valid until the next call. They must be
// inside of the file. A read error is not the end of the log: it is returned.
func (s *scanner) read(off int64, n int) ([]byte, error) {
	if d := off - s.bufOff; d >= 0 && d+int64(n) <= int64(len(s.buf)) {
		return s.buf[d : d+int64(n)], nil
	}
	if n > len(s.chunk) {
		s.chunk = make([]byte, n)
	}
	m := min(int64(max(n, scanAhead)), s.size-off)
	got, err := s.f.ReadAt(s.chunk[:m], off)
	if err != nil && !(errors.Is(err, io.EOF) && int64(got) == m) {
		return nil, fmt.Errorf("local: reading segment %d at %d: %w", s.segment, off, err)
	}
	s.buf, s.bufOff = s.chunk[:m], off
	return s.buf[:n], nil
}

// header returns the header at off; false if there is no sound one of this
// segment whose frame the file holds as a whole.
func (s *scanner) header(off int64) (h header, ok bool, err error) {
	if off+headerLen > s.size {
		return h, false, nil
	}
	b, err := s.read(off, headerLen)
	if err != nil {
		return h, false, err
	}
	h, ok = decodeHeader(b)
	if s.old && h.segment < s.segment {
		h.segment = s.segment
	}
	return h, ok && h.segment == s.segment && h.store == s.store && int64(h.frameLen) <= s.size-off, nil
}

// meta returns the frame's meta, valid until the next read; false if its
// checksum is wrong.
func (s *scanner) meta(h header, off int64) ([]byte, bool, error) {
	b, err := s.read(off+int64(h.metaOff), int(h.metaLen))
	if err != nil {
		return nil, false, err
	}
	return b, checksum(b) == h.metaCRC, nil
}

// blobs verifies the frame's blob checksum.
func (s *scanner) blobs(h header, off int64) (bool, error) {
	crc := uint32(0)
	for at, end := off+headerLen, off+int64(h.metaOff); at < end; {
		n := min(end-at, scanChunk)
		b, err := s.read(at, int(n))
		if err != nil {
			return false, err
		}
		crc = crc32.Update(crc, castagnoli, b)
		at += n
	}
	return crc == h.blobCRC, nil
}

// sound verifies the checksums of a frame whose header is good. Only the last
// frame can be torn: if another follows, this one was synced before, and its
// blobs, which are verified whenever they are read, are passed over.
func (s *scanner) sound(h header, off int64) (bool, error) {
	_, ok, err := s.meta(h, off)
	if err != nil || !ok {
		return false, err
	}
	if after := off + int64(alignUp(h.frameLen)); after < s.size {
		n, ok, err := s.header(after)
		if err != nil || ok && n.durable >= h.lsn {
			return err == nil, err
		}
	}
	return s.blobs(h, off)
}

// tailAhead is how far the search for frames goes on behind the log's end after
// it has met an old one.
const tailAhead = 4 << 20

// A tail is what follows the last good frame.
type tail struct {
	torn  bool // there begins one whose header is sound
	other bool // or one begins elsewhere, which no crash leaves
}

// tail looks at what follows the last good frame, which ends at off; next would
// be the LSN of the frame there. It fails if frame next was synced once: then
// the log did not end here, it is damaged. What an older segment left in the file
// was not overwritten, so nothing of this segment is behind the first sound header
// of that one, unless the disk lost blocks besides: so the search goes on a little.
func (s *scanner) tail(off int64, next uint64) (t tail, err error) {
	old := false
	for at := off; at < s.size && (!old || at < off+tailAhead); {
		n := min(s.size-at, scanChunk)
		b, err := s.read(at, int(n))
		if err != nil {
			return t, err
		}
		if allZero(b) {
			at += n
			continue
		}
		for i := 0; i+headerLen <= len(b); i += frameAlign {
			h, ok := decodeHeader(b[i:])
			switch {
			case !ok || h.store != s.store:
			case h.segment < s.segment:
				old = true
			case h.segment > s.segment:
			case h.durable >= next:
				return t, fmt.Errorf("local: segment %d at %d: frame %d is damaged, but frame %d says it was durable: %w",
					s.segment, off, next, h.lsn, engine.ErrCorrupt)
			case at+int64(i) == off:
				t.torn = true
			default:
				t.other = true
			}
		}
		if at += n; n == scanChunk {
			at -= headerLen - frameAlign // a header may lie across
		}
	}
	return t, nil
}

func allZero(b []byte) bool {
	for len(b) > len(zeros) {
		if string(b[:len(zeros)]) != string(zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return string(b) == string(zeros[:len(b)])
}
