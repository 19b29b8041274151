// Package codec reads the records that the house writes: numbers as varints and
// strings with their lengths, one after the other. It is bounded by what there is:
// no length that a damaged record names makes it allocate or read more than that.
//
// Who owns a record writes it with encoding/binary and these helpers, and knows what
// its fields mean.
package codec

import "encoding/binary"

// A Decoder reads a record from front to back. After the first fault it yields zeros
// only, and Bad says so: callers check once, at the end. Of a string, what it returns
// are parts of it; of a slice too.
type Decoder[B string | []byte] struct {
	rest B
	bad  bool
}

// Decode starts to read b.
func Decode[B string | []byte](b B) Decoder[B] { return Decoder[B]{rest: b} }

// Fail makes the record a faulty one: what it says cannot be.
func (d *Decoder[B]) Fail() {
	var none B
	d.rest, d.bad = none, true
}

// Bad reports whether the record was faulty so far.
func (d *Decoder[B]) Bad() bool { return d.bad }

// Done reports whether the record was read to its end without a fault.
func (d *Decoder[B]) Done() bool { return !d.bad && len(d.rest) == 0 }

// Len is how many bytes are left.
func (d *Decoder[B]) Len() int { return len(d.rest) }

// Rest is what is left, not yet read.
func (d *Decoder[B]) Rest() B { return d.rest }

// Byte reads one byte.
func (d *Decoder[B]) Byte() byte {
	if len(d.rest) == 0 {
		d.Fail()
		return 0
	}
	c := d.rest[0]
	d.rest = d.rest[1:]
	return c
}

// Uvarint reads a number as binary.AppendUvarint writes it.
func (d *Decoder[B]) Uvarint() uint64 {
	if len(d.rest) > 0 && d.rest[0] < 0x80 {
		v := uint64(d.rest[0])
		d.rest = d.rest[1:]
		return v
	}
	return d.long()
}

// long is Uvarint of a number of more than one byte.
func (d *Decoder[B]) long() uint64 {
	if len(d.rest) > 1 && d.rest[1] < 0x80 { // most are: lengths and sizes
		v := uint64(d.rest[0]&0x7f) | uint64(d.rest[1])<<7
		d.rest = d.rest[2:]
		return v
	}
	var v uint64
	for i := range min(len(d.rest), binary.MaxVarintLen64) {
		c := d.rest[i]
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				break // more than 64 bits
			}
			d.rest = d.rest[i+1:]
			return v | uint64(c)<<(7*i)
		}
		v |= uint64(c&0x7f) << (7 * i)
	}
	d.Fail()
	return 0
}

// Varint reads a number as binary.AppendVarint writes it.
func (d *Decoder[B]) Varint() int64 {
	u := d.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// UpTo reads a number of at most most.
func (d *Decoder[B]) UpTo(most uint64) uint64 {
	v := d.Uvarint()
	if v > most {
		d.Fail()
		return 0
	}
	return v
}

// Uint32 reads a number of at most 32 bits.
func (d *Decoder[B]) Uint32() uint32 { return uint32(d.UpTo(1<<32 - 1)) }

// Count reads a number of elements that take at least size bytes each.
func (d *Decoder[B]) Count(size int) int {
	n := d.Uvarint()
	if n > uint64(len(d.rest)/size) {
		d.Fail()
		return 0
	}
	return int(n)
}

// Take reads n bytes.
func (d *Decoder[B]) Take(n uint64) B {
	if n > uint64(len(d.rest)) {
		d.Fail()
		return d.rest
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// Bytes reads what AppendBytes wrote.
func (d *Decoder[B]) Bytes() B { return d.Take(d.Uvarint()) }

// Fixed64 reads eight bytes, big-endian.
func (d *Decoder[B]) Fixed64() uint64 {
	b := d.Take(8)
	if len(b) < 8 {
		return 0
	}
	return uint64(b[7]) | uint64(b[6])<<8 | uint64(b[5])<<16 | uint64(b[4])<<24 |
		uint64(b[3])<<32 | uint64(b[2])<<40 | uint64(b[1])<<48 | uint64(b[0])<<56
}

// AppendBytes appends the length of b, and b.
func AppendBytes[B string | []byte](dst []byte, b B) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}
