package store

import (
	"encoding/binary"

	"posthouse/mail"
)

// formatVersion is the first byte of every record.
const formatVersion = 1

// A decoder reads a record from front to back. After the first fault it yields
// zeros only, and err says so: callers check once, at the end.
type decoder struct {
	b   []byte
	bad bool
}

// openRecord starts to decode a record and checks its version.
func openRecord(b []byte) decoder {
	d := decoder{b: b}
	if d.byte() != formatVersion {
		d.fail()
	}
	return d
}

func (d *decoder) fail() { d.b, d.bad = nil, true }

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		v := uint64(d.b[0])
		d.b = d.b[1:]
		return v
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) uint32() uint32 {
	v := d.uvarint()
	if v > 1<<32-1 {
		d.fail()
		return 0
	}
	return uint32(v)
}

// count reads a number of elements that take at least size bytes each.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *decoder) fixed64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// err returns Corrupt if the record was faulty or did not end here.
func (d *decoder) err(what string) error {
	if d.bad || len(d.b) > 0 {
		return corrupt(what)
	}
	return nil
}

func corrupt(what string) error {
	return &mail.Error{Kind: mail.Corrupt, Op: "store", Text: "damaged " + what + " record"}
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendUIDSet(dst []byte, s UIDSet) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	next := uint64(0)
	for _, r := range s {
		dst = binary.AppendUvarint(dst, uint64(r.First)-next)
		dst = binary.AppendUvarint(dst, uint64(r.Last-r.First))
		next = uint64(r.Last) + 1
	}
	return dst
}

func (d *decoder) uidSet() UIDSet {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	s := make(UIDSet, n)
	next := uint64(0)
	for i := range s {
		gap, span := d.uvarint(), d.uvarint()
		if gap > 1<<32 || span > 1<<32 || i > 0 && gap == 0 || next+gap+span > 1<<32-1 {
			d.fail()
			return nil
		}
		first := next + gap
		s[i] = UIDRange{UID(first), UID(first + span)}
		next = first + span + 1
	}
	return s
}
