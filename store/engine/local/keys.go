package local

import (
	"encoding/binary"
	"fmt"

	"posthouse/store/engine"
)

// The first byte of an index key says what it is. Numbers are big-endian.
const (
	kindBlob    = 'B' // blob id u64 -> blobRecord
	kindFile    = 'F' // large-blob file number u64 -> blob id u64, length u64
	kindKey     = 'K' // account u64, key -> value
	kindMark    = 'L' // -> mark: how far the index has followed the log
	kindOwner   = 'O' // blob id u64, account u64, key -> nothing: an owner beyond the first
	kindSegment = 'S' // segment u32 -> segmentRecord, of each sealed one
	kindVersion = 'V' // account u64 -> version u64
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
)

// codecRaw: the stored bytes are the blob. Collection may bring others.
const codecRaw = 0

// A blobRecord tells where a blob is, and one key that owns it. The blob is
// alive while that key, or one of its kindOwner keys, exists and its value
// still ends with the blob's id.
type blobRecord struct {
	place   place
	codec   uint8
	where   uint64
	offset  uint64
	length  uint64
	crc     uint32 // of the bytes in the log; of the checksum table of a file
	account engine.Account
	key     []byte
}

const blobRecordLen = 1 + 1 + 8 + 8 + 8 + 4 + 8 // without the key

func (r *blobRecord) append(b []byte) []byte {
	b = append(b, byte(r.place), r.codec)
	b = be.AppendUint64(b, r.where)
	b = be.AppendUint64(b, r.offset)
	b = be.AppendUint64(b, r.length)
	b = be.AppendUint32(b, r.crc)
	b = be.AppendUint64(b, uint64(r.account))
	return append(b, r.key...)
}

// decodeBlobRecord returns a record whose key is a part of b.
func decodeBlobRecord(b []byte) (blobRecord, error) {
	if len(b) < blobRecordLen || b[1] != codecRaw || place(b[0]) != inLog && place(b[0]) != inFile {
		return blobRecord{}, fmt.Errorf("local: blob record: %w", engine.ErrCorrupt)
	}
	r := blobRecord{
		place:   place(b[0]),
		codec:   b[1],
		where:   be.Uint64(b[2:]),
		offset:  be.Uint64(b[10:]),
		length:  be.Uint64(b[18:]),
		crc:     be.Uint32(b[26:]),
		account: engine.Account(be.Uint64(b[30:])),
		key:     b[blobRecordLen:],
	}
	if r.length > 1<<47 || r.offset > 1<<47 || r.place == inLog && (r.length > maxFrame || r.where > 1<<32-1) {
		return blobRecord{}, fmt.Errorf("local: blob record: %w", engine.ErrCorrupt)
	}
	return r, nil
}

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
}

const markLen = 4 + 6*8

func (m *mark) append(b []byte) []byte {
	b = be.AppendUint64(b, m.lsn)
	b = be.AppendUint32(b, m.segment)
	b = be.AppendUint64(b, m.offset)
	b = be.AppendUint64(b, m.firstLSN)
	b = be.AppendUint64(b, m.blobs)
	b = be.AppendUint64(b, m.files)
	return be.AppendUint64(b, m.fileLen)
}

func decodeMark(b []byte) (m mark, err error) {
	if len(b) != markLen {
		return m, fmt.Errorf("local: the index's mark has %d bytes: %w", len(b), engine.ErrCorrupt)
	}
	return mark{be.Uint64(b), be.Uint32(b[8:]), be.Uint64(b[12:]), be.Uint64(b[20:]), be.Uint64(b[28:]), be.Uint64(b[36:]), be.Uint64(b[44:])}, nil
}

// A segmentRecord is what collection needs to know of a sealed segment.
type segmentRecord struct {
	firstLSN, lastLSN uint64
	length            uint64 // bytes of frames
	blobs             uint64 // bytes of blobs, live or dead
}

func (s *segmentRecord) append(b []byte) []byte {
	b = be.AppendUint64(b, s.firstLSN)
	b = be.AppendUint64(b, s.lastLSN)
	b = be.AppendUint64(b, s.length)
	return be.AppendUint64(b, s.blobs)
}
