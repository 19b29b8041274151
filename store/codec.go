package store

import (
	"encoding/binary"
	"slices"

	"posthouse/internal/codec"
	"posthouse/mail"
)

// formatVersion is the first byte of every record.
const formatVersion = 1

// A decoder reads one of our records.
type decoder struct{ codec.Decoder[[]byte] }

// openRecord starts to decode a record and checks its version.
func openRecord(b []byte) decoder {
	d := decoder{codec.Decode(b)}
	if d.Byte() != formatVersion {
		d.Fail()
	}
	return d
}

// own is Bytes for what callers may keep, and append to.
func (d *decoder) own() []byte { return slices.Clip(d.Bytes()) }

// err returns Corrupt if the record was faulty or did not end here.
func (d *decoder) err(what string) error {
	if !d.Done() {
		return corrupt(what)
	}
	return nil
}

func corrupt(what string) error {
	return &mail.Error{Kind: mail.Corrupt, Op: "store", Text: "damaged " + what + " record"}
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
	n := d.Count(2)
	if n == 0 {
		return nil
	}
	s := make(UIDSet, n)
	next := uint64(0)
	for i := range s {
		gap, span := d.Uvarint(), d.Uvarint()
		if gap > 1<<32 || span > 1<<32 || i > 0 && gap == 0 || next+gap+span > 1<<32-1 {
			d.Fail()
			return nil
		}
		first := next + gap
		s[i] = UIDRange{UID(first), UID(first + span)}
		next = first + span + 1
	}
	return s
}
