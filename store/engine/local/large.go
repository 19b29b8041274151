package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// A large-blob file is: the blob; for each of its blocks a crc32c, u32; a
// footer: magic u32, block size u32, blob length u64, crc32c u32 of the table
// and the footer before it. All little-endian. So any part can be verified
// without reading the rest.
const (
	largeMagic  = 0x31474942 // "BIG1"
	largeBlock  = 64 << 10
	largeFooter = 20
	largePerDir = 12 // bits of a file number within its directory
)

// largeFiles gives numbers to large-blob files and knows which directories are there.
type largeFiles struct {
	last atomic.Uint64 // number given last
	mu   sync.Mutex
	dir  uint64 // the directory that was made last
	made bool

	blocks sync.Pool // of *[largeBlock]byte, to read parts of blocks
}

func (l *largeFiles) block() *[largeBlock]byte {
	if b, ok := l.blocks.Get().(*[largeBlock]byte); ok {
		return b
	}
	return new([largeBlock]byte)
}

func (e *Engine) largeDir(number uint64) string {
	return e.path("big", fmt.Sprintf("%013x", number>>largePerDir))
}

func (e *Engine) largeName(number uint64) string {
	return e.fs.PathJoin(e.largeDir(number), fmt.Sprintf("%016x", number))
}

// createLarge makes the file for a new large blob.
func (e *Engine) createLarge() (f vfs.File, number uint64, err error) {
	number = e.files.last.Add(1)
	e.files.mu.Lock()
	defer e.files.mu.Unlock()
	if dir := number >> largePerDir; !e.files.made || e.files.dir != dir {
		if err := makeDir(e.fs, e.largeDir(number)); err != nil {
			return nil, 0, err
		}
		e.files.made, e.files.dir = true, dir
	}
	name := e.largeName(number)
	f, err = e.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, 0, err
	}
	if err := f.Close(); err != nil {
		return nil, 0, err
	}
	f, err = e.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	return f, number, err
}

// appendTrailer appends a file's table and footer, and returns the checksum in it.
func appendTrailer(b []byte, crcs []uint32, length int64) ([]byte, uint32) {
	for _, c := range crcs {
		b = binary.LittleEndian.AppendUint32(b, c)
	}
	b = binary.LittleEndian.AppendUint32(b, largeMagic)
	b = binary.LittleEndian.AppendUint32(b, largeBlock)
	b = binary.LittleEndian.AppendUint64(b, uint64(length))
	sum := checksum(b)
	return binary.LittleEndian.AppendUint32(b, sum), sum
}

// decodeTrailer returns the table of a file with a blob of length bytes.
func decodeTrailer(b []byte, length uint64, sum uint32) ([]uint32, bool) {
	n := int((length + largeBlock - 1) / largeBlock)
	if len(b) != 4*n+largeFooter {
		return nil, false
	}
	le := binary.LittleEndian
	foot := b[4*n:]
	if le.Uint32(foot) != largeMagic || le.Uint32(foot[4:]) != largeBlock || le.Uint64(foot[8:]) != length ||
		le.Uint32(foot[16:]) != sum || checksum(b[:len(b)-4]) != sum {
		return nil, false
	}
	crcs := make([]uint32, n)
	for i := range crcs {
		crcs[i] = le.Uint32(b[4*i:])
	}
	return crcs, true
}

// A largeReader reads a large blob block by block, each verified.
type largeReader struct {
	e    *Engine
	id   engine.BlobID
	rec  blobRecord
	f    vfs.File
	crcs []uint32
	once sync.Once
}

func (e *Engine) openLarge(id engine.BlobID, r blobRecord) (*largeReader, error) {
	return e.openLargeFile(e.largeName(r.where), id, r)
}

func (e *Engine) openLargeFile(name string, id engine.BlobID, r blobRecord) (*largeReader, error) {
	f, err := e.fs.Open(name)
	if err != nil {
		if errors.Is(err, errNotExist) {
			err = engine.ErrCorrupt
		}
		return nil, fmt.Errorf("local: blob %x: large-blob file %x: %w", uint64(id), r.where, err)
	}
	blocks := (r.length + largeBlock - 1) / largeBlock
	trailer := make([]byte, 4*blocks+largeFooter)
	n, err := f.ReadAt(trailer, int64(r.length))
	crcs, ok := decodeTrailer(trailer[:n], r.length, r.crc)
	if !ok {
		_ = f.Close()
		if err == nil || errors.Is(err, io.EOF) {
			err = engine.ErrCorrupt
		}
		return nil, fmt.Errorf("local: blob %x: large-blob file %x: checksum table: %w", uint64(id), r.where, err)
	}
	return &largeReader{e: e, id: id, rec: r, f: f, crcs: crcs}, nil
}

func (b *largeReader) Size() int64 { return int64(b.rec.length) }

func (b *largeReader) Close() (err error) {
	b.once.Do(func() { err = b.f.Close() })
	return err
}

func (b *largeReader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("local: ReadAt(%d): negative offset", off)
	}
	var part *[largeBlock]byte
	defer func() {
		if part != nil {
			b.e.files.blocks.Put(part)
		}
	}()
	for n < len(p) {
		if off >= b.Size() {
			return n, io.EOF
		}
		i := off / largeBlock
		begin := i * largeBlock
		size := int(min(largeBlock, b.Size()-begin))
		var block []byte
		whole := off == begin && len(p)-n >= size
		switch {
		case whole:
			block = p[n : n+size]
		case part == nil:
			part = b.e.files.block()
			fallthrough
		default:
			block = part[:size]
		}
		if m, err := b.f.ReadAt(block, begin); m < len(block) {
			if errors.Is(err, io.EOF) {
				err = engine.ErrCorrupt
			}
			return n, fmt.Errorf("local: blob %x: large-blob file %x at %d: %w", uint64(b.id), b.rec.where, begin, err)
		}
		if crc32.Checksum(block, castagnoli) != b.crcs[i] {
			r := b.rec
			r.offset = uint64(begin)
			return n, errBadBlob(b.id, r)
		}
		m := len(block)
		if !whole {
			m = copy(p[n:], block[off-begin:])
		}
		n += m
		off += int64(m)
	}
	return n, nil
}
