package local

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// A cold file holds blobs that collection moved out of the log. Each has a
// header, so that the file can be read without the index. All little-endian:
// magic u32, crc32c u32 of the header's rest, blob id u64, store's id u64,
// bytes stored u32, crc32c of those u32, length of the blob u32, crc32c of it
// u32, dictionary u32, codec u8, 3 zeros. Header and blob begin at multiples of 16.
const (
	coldMagic    = 0x31444c43 // "CLD1"
	coldEntryLen = 48
)

func (e *Engine) coldName(number uint64) string {
	return e.path("cold", fmt.Sprintf("%016x%s", number, segmentExt))
}

// appendColdEntry appends a blob's header; r says what follows.
func appendColdEntry(b []byte, store uint64, id engine.BlobID, r *blobRecord) []byte {
	le := binary.LittleEndian
	begin := len(b)
	b = le.AppendUint32(b, coldMagic)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, uint64(id))
	b = le.AppendUint64(b, store)
	b = le.AppendUint32(b, r.stored)
	b = le.AppendUint32(b, r.sum)
	b = le.AppendUint32(b, uint32(r.length))
	b = le.AppendUint32(b, r.crc)
	b = le.AppendUint32(b, r.dict)
	b = append(b, byte(r.codec), 0, 0, 0)
	le.PutUint32(b[begin+4:], checksum(b[begin+8:]))
	return b
}

// decodeColdEntry returns what a header says; false if it is none of this store.
func decodeColdEntry(b []byte, store uint64) (id engine.BlobID, r blobRecord, ok bool) {
	le := binary.LittleEndian
	if len(b) < coldEntryLen || le.Uint32(b) != coldMagic || le.Uint32(b[4:]) != checksum(b[8:coldEntryLen]) || le.Uint64(b[16:]) != store {
		return 0, r, false
	}
	r = blobRecord{
		place: inCold, stored: le.Uint32(b[24:]), sum: le.Uint32(b[28:]), length: uint64(le.Uint32(b[32:])),
		crc: le.Uint32(b[36:]), dict: le.Uint32(b[40:]), codec: coding(b[44]),
	}
	return engine.BlobID(le.Uint64(b[8:])), r, r.length <= maxFrame && uint64(r.stored) <= r.length
}

// readCold appends a blob of a cold file to dst.
func (e *Engine) readCold(dst []byte, id engine.BlobID, r blobRecord) ([]byte, error) {
	if r.codec == codecRaw {
		return e.readLog(dst, id, r)
	}
	buf := e.keeper.codecs.buffer(int(r.stored))
	defer e.keeper.codecs.done(buf)
	b, err := e.readStored((*buf)[:0], id, r, int(r.stored))
	if err != nil {
		return dst, err
	}
	*buf = b
	if checksum(b) != r.sum {
		return dst, errBadBlob(id, r)
	}
	old := len(dst)
	out, err := e.keeper.codecs.decompress(e, dst, b, r)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", errBadBlob(id, r), err)
	}
	if uint64(len(out)-old) != r.length || checksum(out[old:]) != r.crc {
		return dst, errBadBlob(id, r)
	}
	return out, nil
}

// coldNumber returns the number of the cold file with this name, or 0.
func coldNumber(name string) uint64 {
	hex, ok := strings.CutSuffix(name, segmentExt)
	n, err := strconv.ParseUint(hex, 16, 64)
	if !ok || err != nil || len(hex) != 16 {
		return 0
	}
	return n
}

// sweepCold makes the directory of cold files, and removes those to which a
// crash prevented that any blob was moved.
func (e *Engine) sweepCold() error {
	if _, err := e.fs.Stat(e.path("cold")); err != nil {
		return makeDir(e.fs, e.path("cold"))
	}
	names, err := e.fs.List(e.path("cold"))
	if err != nil {
		return err
	}
	for _, name := range names {
		n := coldNumber(name)
		if n == 0 {
			continue
		}
		err := e.get(e.db, appendColdKey(nil, n), func([]byte) error { return nil })
		if err == engine.ErrNotFound {
			err = e.fs.Remove(e.path("cold", name))
		} else if err == nil {
			var st vfs.FileInfo
			if st, err = e.fs.Stat(e.path("cold", name)); err == nil {
				e.keeper.coldBytes.Add(uint64(st.Size()))
			}
		}
		if err != nil {
			return fmt.Errorf("local: sweeping cold files: %w", err)
		}
	}
	return nil
}
