package local

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"posthouse/internal/codec"
	"posthouse/store/engine"
)

const (
	frameMagic = 0x31474f4c // "LOG1"
	headerLen  = 64
	frameAlign = 16      // frames and blobs begin at multiples of it
	maxFrame   = 1 << 30 // bytes; a larger commit is refused
	maxBlobs   = 1 << 16 // in a frame: a blob id has 16 bits for the index
	maxLSN     = 1<<48 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// alignUp rounds n up to where a frame or blob may begin.
func alignUp[T int | int64 | uint64](n T) T { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// A header begins a frame: header, blobs, meta.
type header struct {
	frameLen uint64 // header, blobs and meta; the next frame begins at the next multiple of 16
	lsn      uint64
	durable  uint64 // the highest LSN that was synced when this frame was written
	segment  uint32
	metaLen  uint32
	metaCRC  uint32
	blobCRC  uint32 // of everything between header and meta
	metaOff  uint64 // from the frame's begin
	store    uint64 // the store's id: no bytes of a message can pass for a frame
}

// encode writes h to the first headerLen bytes of b.
func (h *header) encode(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], frameMagic)
	le.PutUint64(b[8:], h.frameLen)
	le.PutUint64(b[16:], h.lsn)
	le.PutUint64(b[24:], h.durable)
	le.PutUint32(b[32:], h.segment)
	le.PutUint32(b[36:], h.metaLen)
	le.PutUint32(b[40:], h.metaCRC)
	le.PutUint32(b[44:], h.blobCRC)
	le.PutUint64(b[48:], h.metaOff)
	le.PutUint64(b[56:], h.store)
	le.PutUint32(b[4:], checksum(b[8:headerLen]))
}

// decodeHeader returns false if b does not begin with a sound header. Lengths
// of a sound one are consistent with each other.
func decodeHeader(b []byte) (h header, ok bool) {
	le := binary.LittleEndian
	if len(b) < headerLen || le.Uint32(b) != frameMagic || le.Uint32(b[4:]) != checksum(b[8:headerLen]) {
		return h, false
	}
	h = header{
		frameLen: le.Uint64(b[8:]),
		lsn:      le.Uint64(b[16:]),
		durable:  le.Uint64(b[24:]),
		segment:  le.Uint32(b[32:]),
		metaLen:  le.Uint32(b[36:]),
		metaCRC:  le.Uint32(b[40:]),
		blobCRC:  le.Uint32(b[44:]),
		metaOff:  le.Uint64(b[48:]),
		store:    le.Uint64(b[56:]),
	}
	ok = h.metaOff >= headerLen && h.metaOff <= maxFrame && h.metaOff%frameAlign == 0 &&
		h.frameLen == h.metaOff+uint64(h.metaLen) && h.frameLen <= 2*maxFrame && h.lsn > h.durable && h.lsn <= maxLSN
	return h, ok
}

// Meta is a list of changes to the index, each: kind u8, key length uvarint,
// key; and for metaSet and metaDeleteRange: length uvarint, value or end.
const (
	metaSet         = 1
	metaDelete      = 2
	metaDeleteRange = 3
)

// appendMetaKey begins a change: kind, and room for a key of n bytes, which the
// caller appends.
func appendMetaKey(b []byte, kind byte, n int) []byte {
	return binary.AppendUvarint(append(b, kind), uint64(n))
}

// A change is one of a meta's; its slices are parts of the meta.
type change struct {
	kind     byte
	key, val []byte // val is the end of a range
	at       int    // where the change begins in the meta
}

// eachChange calls f with each change in meta.
func eachChange(meta []byte, f func(c change) error) error {
	for d := codec.Decode(meta); d.Len() > 0; {
		c := change{at: len(meta) - d.Len()}
		c.kind, c.key = d.Byte(), slices.Clip(d.Bytes())
		if c.kind != metaDelete {
			c.val = slices.Clip(d.Bytes())
		}
		if d.Bad() || c.kind < metaSet || c.kind > metaDeleteRange || len(c.key) == 0 {
			return fmt.Errorf("local: frame meta at byte %d of %d: %w", c.at, len(meta), engine.ErrCorrupt)
		}
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}
