package local

import (
	"encoding/binary"
	"fmt"

	"posthouse/store/engine"
)

// The first byte of an index key says what it is. Numbers are big-endian.
const (
	kindBlob    = 'B' // blob id u64 -> blobRecord
	kindCold    = 'C' // cold file u64 -> coldRecord
	kindDead    = 'D' // LSN u64, blob id u64 -> nothing: an owner went with that frame
	kindFile    = 'F' // large-blob file number u64 -> blob id u64, length u64
	kindKey     = 'K' // account u64, key -> value
	kindMark    = 'L' // -> mark: how far the index has followed the log
	kindRemove  = 'R' // place u8, number u64 -> nothing: a file that nothing needs, to be removed
	kindOwner   = 'O' // blob id u64, account u64, key -> nothing: an owner beyond the first
	kindTime    = 'T' // -> ns since 1970, u64: when the frame was made that sets it
	kindSegment = 'S' // segment u32 -> segmentRecord, of each sealed one
	kindVersion = 'V' // account u64 -> version u64
	kindDict    = 'Z' // number u32 -> dictionary
)

var be = binary.BigEndian

func appendKey(b []byte, a engine.Account, key []byte) []byte {
	return append(be.AppendUint64(append(b, kindKey), uint64(a)), key...)
}

func appendVersionKey(b []byte, a engine.Account) []byte {
	return be.AppendUint64(append(b, kindVersion), uint64(a))
}

func appendBlobKey(b []byte, id engine.BlobID) []byte {
	return be.AppendUint64(append(b, kindBlob), uint64(id))
}

func appendFileKey(b []byte, n uint64) []byte { return be.AppendUint64(append(b, kindFile), n) }

func appendOwnerKey(b []byte, id engine.BlobID, a engine.Account, key []byte) []byte {
	b = be.AppendUint64(append(b, kindOwner), uint64(id))
	return append(be.AppendUint64(b, uint64(a)), key...)
}

func appendSegmentKey(b []byte, n uint32) []byte { return be.AppendUint32(append(b, kindSegment), n) }

func appendColdKey(b []byte, n uint64) []byte { return be.AppendUint64(append(b, kindCold), n) }

func appendDeadKey(b []byte, lsn uint64, id engine.BlobID) []byte {
	return be.AppendUint64(be.AppendUint64(append(b, kindDead), lsn), uint64(id))
}

func appendRemoveKey(b []byte, p place, n uint64) []byte {
	return be.AppendUint64(append(b, kindRemove, byte(p)), n)
}

func appendDictKey(b []byte, n uint32) []byte { return be.AppendUint32(append(b, kindDict), n) }

// afterAccount returns the end of an account's keys.
func afterAccount(a engine.Account) []byte {
	if a == ^engine.Account(0) {
		return []byte{kindKey + 1}
	}
	return appendKey(nil, a+1, nil)
}

// A place says where a blob's bytes are.
type place uint8

const (
	inLog  place = 1 // where is a segment, offset counts from its begin
	inFile place = 2 // where is the number of a large-blob file, offset is 0
	inCold place = 3 // where is the number of a cold file, offset counts from its begin
)

// A coding says what the stored bytes of a blob are.
type coding uint8

const (
	codecRaw  coding = 0 // the blob
	codecZstd coding = 1 // a zstd frame, made with dictionary dict unless that is 0
)

// A blobRecord tells where a blob is, and one key that owns it. The blob is
// alive while that key, or one of its kindOwner keys, exists and its value
// still ends with the blob's id.
type blobRecord struct {
	place   place
	codec   coding
	where   uint64
	offset  uint64
	length  uint64
	crc     uint32 // of the blob; for a large one, of the checksum table of its file
	stored  uint32 // bytes in a cold file; elsewhere as length
	sum     uint32 // crc32c of those
	dict    uint32
	account engine.Account
	key     []byte
}

const (
	blobRecordLen = 1 + 1 + 8 + 8 + 8 + 4 + 8 // without the key
	coldExtra     = 4 + 4 + 4                 // more in the record of a blob in a cold file
)

func (r *blobRecord) append(b []byte) []byte {
	b = append(b, byte(r.place), byte(r.codec))
	b = be.AppendUint64(b, r.where)
	b = be.AppendUint64(b, r.offset)
	b = be.AppendUint64(b, r.length)
	b = be.AppendUint32(b, r.crc)
	if r.place == inCold {
		b = be.AppendUint32(b, r.stored)
		b = be.AppendUint32(b, r.sum)
		b = be.AppendUint32(b, r.dict)
	}
	b = be.AppendUint64(b, uint64(r.account))
	return append(b, r.key...)
}

// occupied returns how many bytes of a segment or a cold file are the blob's.
func (r *blobRecord) occupied() uint64 {
	if r.place == inCold {
		return coldEntryLen + alignUp(uint64(r.stored))
	}
	return alignUp(r.length)
}

// decodeBlobRecord returns a record whose key is a part of b.
func decodeBlobRecord(b []byte) (r blobRecord, err error) {
	if len(b) < blobRecordLen || place(b[0]) < inLog || place(b[0]) > inCold {
		return r, errBlobRecord()
	}
	r = blobRecord{
		place:  place(b[0]),
		codec:  coding(b[1]),
		where:  be.Uint64(b[2:]),
		offset: be.Uint64(b[10:]),
		length: be.Uint64(b[18:]),
		crc:    be.Uint32(b[26:]),
	}
	b = b[30:]
	if r.place == inCold {
		if len(b) < coldExtra+8 {
			return r, errBlobRecord()
		}
		r.stored, r.sum, r.dict = be.Uint32(b), be.Uint32(b[4:]), be.Uint32(b[8:])
		b = b[coldExtra:]
	}
	r.account, r.key = engine.Account(be.Uint64(b)), b[8:]
	switch {
	case r.length > 1<<47 || r.offset > 1<<47,
		r.place != inFile && r.length > maxFrame,
		r.place == inLog && r.where > 1<<32-1,
		r.place == inCold && uint64(r.stored) > r.length,
		r.codec != codecRaw && (r.place != inCold || r.codec != codecZstd),
		r.place == inCold && r.codec == codecRaw && uint64(r.stored) != r.length:
		return r, errBlobRecord()
	}
	return r, nil
}

func errBlobRecord() error { return fmt.Errorf("local: blob record: %w", engine.ErrCorrupt) }

// A mark is what the index knows of the log. It is written with each frame's
// changes, in one batch.
type mark struct {
	lsn      uint64 // last frame applied
	segment  uint32 // where the frame after it begins, unless in a later segment
	offset   uint64
	firstLSN uint64 // of segment; 0: it has no frame yet
	blobs    uint64 // bytes of blobs in segment
	files    uint64 // large-blob files in use
	fileLen  uint64 // and their bytes of blobs
	dead     uint64 // bytes of dead blobs in segment
}

const (
	markLen    = 4 + 7*8
	oldMarkLen = markLen - 8 // as stores had it before blobs died
)

func (m *mark) append(b []byte) []byte {
	b = be.AppendUint64(b, m.lsn)
	b = be.AppendUint32(b, m.segment)
	b = be.AppendUint64(b, m.offset)
	b = be.AppendUint64(b, m.firstLSN)
	b = be.AppendUint64(b, m.blobs)
	b = be.AppendUint64(b, m.files)
	b = be.AppendUint64(b, m.fileLen)
	return be.AppendUint64(b, m.dead)
}

func decodeMark(b []byte) (m mark, err error) {
	if len(b) == oldMarkLen {
		b = be.AppendUint64(b[:oldMarkLen:oldMarkLen], 0)
	}
	if len(b) != markLen {
		return m, fmt.Errorf("local: the index's mark has %d bytes: %w", len(b), engine.ErrCorrupt)
	}
	return mark{be.Uint64(b), be.Uint32(b[8:]), be.Uint64(b[12:]), be.Uint64(b[20:]), be.Uint64(b[28:]), be.Uint64(b[36:]), be.Uint64(b[44:]), be.Uint64(b[52:])}, nil
}

// A segmentRecord is what collection needs to know of a sealed segment.
type segmentRecord struct {
	firstLSN, lastLSN uint64
	length            uint64 // bytes of frames
	blobs             uint64 // bytes of blobs, live or dead
	dead              uint64 // of them dead, or moved
}

const (
	segmentRecordLen    = 5 * 8
	oldSegmentRecordLen = segmentRecordLen - 8
)

func (s *segmentRecord) append(b []byte) []byte {
	b = be.AppendUint64(b, s.firstLSN)
	b = be.AppendUint64(b, s.lastLSN)
	b = be.AppendUint64(b, s.length)
	b = be.AppendUint64(b, s.blobs)
	return be.AppendUint64(b, s.dead)
}

func decodeSegmentRecord(b []byte) (s segmentRecord, err error) {
	if len(b) == oldSegmentRecordLen {
		b = be.AppendUint64(b[:oldSegmentRecordLen:oldSegmentRecordLen], 0)
	}
	if len(b) != segmentRecordLen {
		return s, fmt.Errorf("local: segment record of %d bytes: %w", len(b), engine.ErrCorrupt)
	}
	s = segmentRecord{be.Uint64(b), be.Uint64(b[8:]), be.Uint64(b[16:]), be.Uint64(b[24:]), be.Uint64(b[32:])}
	return s, nil
}

// live returns the bytes of blobs that are alive.
func (s *segmentRecord) live() uint64 { return s.blobs - min(s.dead, s.blobs) }

// A coldRecord is the same of a cold file. Blobs that were written to the file,
// but whose move a crash prevented, count neither as live nor as dead.
type coldRecord struct {
	length uint64 // bytes of the file
	blobs  uint64 // bytes of blobs that were moved to it, with their headers
	dead   uint64 // of them dead, or moved on
}

const coldRecordLen = 3 * 8

func (c *coldRecord) append(b []byte) []byte {
	b = be.AppendUint64(b, c.length)
	b = be.AppendUint64(b, c.blobs)
	return be.AppendUint64(b, c.dead)
}

func decodeColdRecord(b []byte) (c coldRecord, err error) {
	if len(b) != coldRecordLen {
		return c, fmt.Errorf("local: cold file record of %d bytes: %w", len(b), engine.ErrCorrupt)
	}
	return coldRecord{be.Uint64(b), be.Uint64(b[8:]), be.Uint64(b[16:])}, nil
}

func (c *coldRecord) live() uint64 { return c.blobs - min(c.dead, c.blobs) }
