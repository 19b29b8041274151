package store

import (
	"encoding/binary"
	"slices"
)

// Chunks are stored as two records: S for the columns that never change, F for
// flags and ModSeqs. Each column is a frame of reference: the least value, a
// width of 0, 1, 2, 4 or 8 bytes, and the distance of each value from the least.
// 100,000 messages decode in under 2 ms.

type number interface {
	~uint32 | ~uint64 | ~int64
}

// appendColumn encodes v, which is not empty.
func appendColumn[T number](dst []byte, v []T) []byte {
	low, high := slices.Min(v), slices.Max(v)
	width := widthOf(uint64(high) - uint64(low))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(low))
	dst = append(dst, byte(width))
	for _, x := range v {
		d := uint64(x) - uint64(low)
		switch width {
		case 1:
			dst = append(dst, byte(d))
		case 2:
			dst = binary.LittleEndian.AppendUint16(dst, uint16(d))
		case 4:
			dst = binary.LittleEndian.AppendUint32(dst, uint32(d))
		case 8:
			dst = binary.LittleEndian.AppendUint64(dst, d)
		}
	}
	return dst
}

func widthOf(span uint64) int {
	switch {
	case span == 0:
		return 0
	case span < 1<<8:
		return 1
	case span < 1<<16:
		return 2
	case span < 1<<32:
		return 4
	}
	return 8
}

// column decodes n values, see spread.
func column[T number](d *decoder, n int, prev []T) []T {
	head := d.Take(9)
	if head == nil {
		return nil
	}
	return spread(d, n, T(binary.LittleEndian.Uint64(head)), int(head[8]), prev)
}

// spread decodes the distances of n values, each of width bytes, from the least. Where
// the values are those of prev, the column of the chunk before, it returns that one's:
// what it costs to open a mailbox is mostly memory that is touched for the first time.
// Nothing can be appended to it in place.
func spread[T number](d *decoder, n int, low T, width int, prev []T) []T {
	if width != 0 && width != 1 && width != 2 && width != 4 && width != 8 {
		d.Fail()
		return nil
	}
	b := d.Take(uint64(n * width))
	if d.Bad() {
		return nil
	}
	if n <= len(prev) && holds(prev[:n], b, low, width) {
		return prev[:n:n]
	}
	v := make([]T, n)
	switch width {
	case 0:
		for i := range v {
			v[i] = low
		}
	case 1:
		v := v[:len(b)]
		for i, x := range b {
			v[i] = low + T(x)
		}
	case 2:
		for i := range v {
			v[i] = low + T(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case 4:
		for i := range v {
			v[i] = low + T(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case 8:
		for i := range v {
			v[i] = low + T(binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
	return v
}

// holds reports whether v is what the distances of b say. One loop for each width: it
// looks at every message of a mailbox that is opened.
func holds[T number](v []T, b []byte, low T, width int) bool {
	switch width {
	case 0:
		for _, x := range v {
			if x != low {
				return false
			}
		}
	case 1:
		b := b[:len(v)]
		for i, x := range v {
			if x != low+T(b[i]) {
				return false
			}
		}
	case 2:
		for i, x := range v {
			if x != low+T(binary.LittleEndian.Uint16(b[2*i:])) {
				return false
			}
		}
	case 4:
		for i, x := range v {
			if x != low+T(binary.LittleEndian.Uint32(b[4*i:])) {
				return false
			}
		}
	case 8:
		for i, x := range v {
			if x != low+T(binary.LittleEndian.Uint64(b[8*i:])) {
				return false
			}
		}
	}
	return true
}

func appendColumns(dst []byte, c *columns) []byte {
	dst = append(dst, formatVersion)
	dst = binary.AppendUvarint(dst, uint64(len(c.uid)))
	dst = appendColumn(dst, c.uid)
	dst = appendColumn(dst, c.size)
	dst = appendColumn(dst, c.date.appendTo(make([]int64, 0, len(c.uid)), 0, len(c.uid)))
	dst = appendColumn(dst, c.save)
	return appendColumn(dst, c.email.appendTo(make([]EmailID, 0, len(c.uid)), 0, len(c.uid)))
}

// decodeColumns decodes the columns of the chunk behind the one of prev.
func decodeColumns(v []byte, prev *columns) (*columns, error) {
	d := openRecord(v)
	n := d.Uvarint()
	if n == 0 || n > chunkRows {
		return nil, corrupt("chunk")
	}
	k := int(n)
	c := &columns{uid: column[UID](&d, k, nil), size: column(&d, k, prev.size), date: packedColumn(&d, k, &prev.date),
		save: column(&d, k, prev.save), email: packedColumn(&d, k, &prev.email)}
	if err := d.err("chunk"); err != nil {
		return nil, err
	}
	last := c.uid[0]
	for _, u := range c.uid[1:] {
		if u <= last {
			return nil, corrupt("chunk")
		}
		last = u
	}
	return c, nil
}

func appendMarks(dst []byte, m *marks) []byte {
	dst = append(dst, formatVersion)
	dst = binary.AppendUvarint(dst, uint64(len(m.flags)))
	dst = appendColumn(dst, m.flags)
	return appendColumn(dst, m.modseq.appendTo(make([]ModSeq, 0, len(m.flags)), 0, len(m.flags)))
}

// decodeMarks decodes the marks of a chunk in an account with the given number of
// flag sets, behind the one of prev.
func decodeMarks(v []byte, sets int, prev *marks) (*marks, error) {
	d := openRecord(v)
	n := d.Uvarint()
	if n == 0 || n > chunkRows {
		return nil, corrupt("chunk flags")
	}
	m := &marks{flags: column(&d, int(n), prev.flags), modseq: packedColumn(&d, int(n), &prev.modseq)}
	if err := d.err("chunk flags"); err != nil {
		return nil, err
	}
	if int(slices.Max(m.flags)) >= sets {
		return nil, corrupt("chunk flags")
	}
	return m, nil
}
