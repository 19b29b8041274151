package store

import (
	"encoding/binary"
	"slices"
)

// A packed is a column of 64-bit numbers that lie close together, as dates and ids of
// one chunk do: 4 bytes each, and 8 only where they do not. It is extended in place as
// other columns are, see content.
type packed[T number] struct {
	base   uint64 // of narrow
	narrow []uint32
	wide   []T // instead, if not nil
}

func makePacked[T number](room int) packed[T] { return packed[T]{narrow: make([]uint32, 0, room)} }

func (p *packed[T]) at(j int) T {
	if p.wide != nil {
		return p.wide[j]
	}
	return T(p.base + uint64(p.narrow[j]))
}

func (p *packed[T]) push(v T) {
	if p.wide != nil {
		p.wide = append(p.wide, v)
		return
	}
	if len(p.narrow) == 0 {
		p.base = uint64(v) - 1<<31
	}
	if d := uint64(v) - p.base; d < 1<<32 {
		p.narrow = append(p.narrow, uint32(d))
		return
	}
	p.wide = p.appendTo(make([]T, 0, max(cap(p.narrow), len(p.narrow)+1)), 0, len(p.narrow))
	p.narrow = nil
	p.wide = append(p.wide, v)
}

// appendTo appends the numbers lo <= j < hi to dst.
func (p *packed[T]) appendTo(dst []T, lo, hi int) []T {
	if p.wide != nil {
		return append(dst, p.wide[lo:hi]...)
	}
	dst = slices.Grow(dst, hi-lo)
	for _, d := range p.narrow[lo:hi] {
		dst = append(dst, T(p.base+uint64(d)))
	}
	return dst
}

// take appends the numbers lo <= j < hi of o.
func (p *packed[T]) take(o *packed[T], lo, hi int) {
	if len(p.narrow) == 0 && p.wide == nil && o.wide == nil {
		p.base = o.base
	}
	if p.wide == nil && o.wide == nil && p.base == o.base {
		p.narrow = append(p.narrow, o.narrow[lo:hi]...)
		return
	}
	for j := lo; j < hi; j++ {
		p.push(o.at(j))
	}
}

// clip returns p in a form whose next push copies instead of using free slots.
func (p *packed[T]) clip() packed[T] {
	return packed[T]{p.base, slices.Clip(p.narrow), slices.Clip(p.wide)}
}

// packedColumn decodes n numbers, see column.
func packedColumn[T number](d *decoder, n int) packed[T] {
	if d.Len() < 9 || d.Rest()[8] == 8 {
		return packed[T]{wide: column[T](d, n)}
	}
	low := binary.LittleEndian.Uint64(d.Rest())
	return packed[T]{base: low, narrow: distances(d, n)}
}

// distances decodes the distances of a column whose width is at most 4.
func distances(d *decoder, n int) []uint32 {
	head := d.Take(9)
	width := int(head[8])
	if width != 0 && width != 1 && width != 2 && width != 4 {
		d.Fail()
		return nil
	}
	b := d.Take(uint64(n * width))
	if d.Bad() {
		return nil
	}
	v := make([]uint32, n)
	switch width {
	case 1:
		for i, x := range b {
			v[i] = uint32(x)
		}
	case 2:
		for i := range v {
			v[i] = uint32(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case 4:
		for i := range v {
			v[i] = binary.LittleEndian.Uint32(b[4*i:])
		}
	}
	return v
}
