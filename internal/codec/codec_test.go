package codec

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
)

func TestDecode(t *testing.T) {
	b := []byte{7}
	for _, n := range []uint64{0, 127, 128, 1<<32 - 1, math.MaxUint64} {
		b = binary.AppendUvarint(b, n)
	}
	for _, n := range []int64{0, -1, math.MinInt64, math.MaxInt64} {
		b = binary.AppendVarint(b, n)
	}
	b = binary.BigEndian.AppendUint64(AppendBytes(AppendBytes(b, "ada"), []byte{}), 1<<63+5)
	b = append(binary.AppendUvarint(b, 2), 1, 2)
	d := Decode(b)
	if v := d.Byte(); v != 7 {
		t.Error(v)
	}
	for _, want := range []uint64{0, 127, 128, 1<<32 - 1, math.MaxUint64} {
		if v := d.Uvarint(); v != want {
			t.Errorf("%d, want %d", v, want)
		}
	}
	for _, want := range []int64{0, -1, math.MinInt64, math.MaxInt64} {
		if v := d.Varint(); v != want {
			t.Errorf("%d, want %d", v, want)
		}
	}
	if s := d.Bytes(); string(s) != "ada" {
		t.Errorf("%q", s)
	}
	if s := d.Bytes(); len(s) != 0 {
		t.Errorf("%q", s)
	}
	if v := d.Fixed64(); v != 1<<63+5 {
		t.Error(v)
	}
	if n := d.Count(1); n != 2 || d.Len() != 2 || !bytes.Equal(d.Rest(), []byte{1, 2}) || d.Done() {
		t.Error(n, d)
	}
	if d.Take(2); !d.Done() || d.Bad() {
		t.Error("not at the end")
	}
	if d.Byte(); !d.Bad() || d.Done() {
		t.Error("read behind the end")
	}
}

// Numbers that do not fit, or are more than there is, are faults, and a Decoder with a
// fault yields nothing any more.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		b    string
		read func(d *Decoder[string]) bool // whether it was zero
	}{
		"nothing":        {"", func(d *Decoder[string]) bool { return d.Byte() == 0 }},
		"no number":      {"", func(d *Decoder[string]) bool { return d.Uvarint() == 0 }},
		"cut number":     {"\x80", func(d *Decoder[string]) bool { return d.Uvarint() == 0 }},
		"65 bits":        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02 more", func(d *Decoder[string]) bool { return d.Uvarint() == 0 }},
		"eleven bytes":   {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", func(d *Decoder[string]) bool { return d.Varint() == 0 }},
		"33 bits":        {"\x80\x80\x80\x80\x10", func(d *Decoder[string]) bool { return d.Uint32() == 0 }},
		"long text":      {"\x05four", func(d *Decoder[string]) bool { return d.Bytes() == "" }},
		"endless text":   {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", func(d *Decoder[string]) bool { return d.Bytes() == "" }},
		"many":           {"\x03abcde", func(d *Decoder[string]) bool { return d.Count(2) == 0 }},
		"seven of eight": {"1234567", func(d *Decoder[string]) bool { return d.Fixed64() == 0 }},
		"more than most": {"\x09", func(d *Decoder[string]) bool { return d.UpTo(8) == 0 }},
	} {
		d := Decode(c.b)
		if !c.read(&d) || !d.Bad() || d.Done() || d.Len() != 0 || d.Uvarint() != 0 || d.Bytes() != "" || d.Count(1) != 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// FuzzDecode: numbers are those of encoding/binary, a string and a slice are read
// alike, and nothing that is read is longer than the record.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x01\x80\x01\x03ada"), []byte{0, 1, 4})
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\xff"), []byte{1, 2, 3, 5, 6})
	f.Add([]byte("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), []byte{1, 1})
	f.Fuzz(func(t *testing.T, b, calls []byte) {
		s, d := Decode(string(b)), Decode(b)
		for _, call := range calls {
			want, n := binary.Uvarint(d.Rest())
			before := d.Len()
			var x, y uint64
			switch call % 7 {
			case 0:
				x, y = uint64(s.Byte()), uint64(d.Byte())
			case 1:
				if x, y = s.Uvarint(), d.Uvarint(); n > 0 && (x != want || before-d.Len() != n) || n <= 0 && !d.Bad() {
					t.Fatalf("%d, want %d of %d bytes", x, want, n)
				}
			case 2:
				x, y = uint64(s.Varint()), uint64(d.Varint())
			case 3:
				if x, y = uint64(s.Count(2)), uint64(d.Count(2)); 2*x > uint64(before) {
					t.Fatal("counted", x, "in", before)
				}
			case 4:
				if p, q := s.Bytes(), d.Bytes(); p != string(q) {
					t.Fatalf("%q, %q", p, q)
				}
			case 5:
				x, y = s.Fixed64(), d.Fixed64()
			case 6:
				x, y = uint64(s.Uint32()), uint64(d.Uint32())
			}
			if x != y || s.Bad() != d.Bad() || s.Rest() != string(d.Rest()) || d.Bad() && d.Len() > 0 || d.Len() > before {
				t.Fatalf("call %d: %d, %d, left %q, %q", call, x, y, s.Rest(), d.Rest())
			}
		}
	})
}
