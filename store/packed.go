package store

import (
	"encoding/binary"
	"slices"
)

// A packed is a column of 64-bit numbers that lie close together, as dates, ids and
// ModSeqs of one chunk do: 4 bytes each, and 8 only where they do not. It is extended in place as
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
	p.widen()
	p.wide = append(p.wide, v)
}

// set changes number j of a column that is nobody else's.
func (p *packed[T]) set(j int, v T) {
	if p.wide == nil {
		if d := uint64(v) - p.base; d < 1<<32 {
			p.narrow[j] = uint32(d)
			return
		}
		p.widen()
	}
	p.wide[j] = v
}

func (p *packed[T]) widen() {
	p.wide = p.appendTo(make([]T, 0, max(cap(p.narrow), len(p.narrow)+1)), 0, len(p.narrow))
	p.narrow = nil
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

// clone returns p in memory of its own.
func (p *packed[T]) clone() packed[T] {
	return packed[T]{p.base, slices.Clone(p.narrow), slices.Clone(p.wide)}
}

// clip returns p in a form whose next push copies instead of using free slots.
func (p *packed[T]) clip() packed[T] {
	return packed[T]{p.base, slices.Clip(p.narrow), slices.Clip(p.wide)}
}

// packedColumn decodes n numbers, see spread.
func packedColumn[T number](d *decoder, n int, prev *packed[T]) packed[T] {
	if d.Len() < 9 || d.Rest()[8] == 8 {
		return packed[T]{wide: column(d, n, prev.wide)}
	}
	head := d.Take(9)
	return packed[T]{base: binary.LittleEndian.Uint64(head), narrow: spread(d, n, uint32(0), int(head[8]), prev.narrow)}
}
