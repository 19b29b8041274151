package wire

import (
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzDecoder runs every method of the grammar over what comes. Nothing may panic
// or take memory beyond the limits, and the decoder gives the same answers however
// the bytes are cut.
func FuzzDecoder(f *testing.F) {
	for _, s := range []string{
		"a LOGIN {3+}\r\nada \"x\"\r\n", "b FETCH 1:*,$ (UID BODY[HEADER.FIELDS (A B)]<0.9>)\r\n",
		"c STORE 1 +FLAGS.SILENT (\\Seen $x)\r\n", "d APPEND x (\\Seen) \" 1-Jan-2020 00:00:00 +0000\" ~{3}\r\nabc\r\n",
		"e SEARCH OR NOT (((SEEN))) SINCE 1-Jan-2020\r\n", "{5+}\r\nhello{1}\r\nx\r\n", strings.Repeat("(", 300) + "\r\n",
		"f LIST (X) \"\" (a% *b) RETURN (STATUS (X))\r\n", "&AOk- &- &x-\r\n", "~{3+}\r\na\x00b\r\n",
	} {
		f.Add([]byte(s), uint16(0x1234))
	}
	f.Fuzz(func(t *testing.T, data []byte, script uint16) {
		one := walk(data, script, false)
		if two := walk(data, script, true); one != two {
			t.Fatalf("whole and byte by byte differ:\n%s\n%s", one, two)
		}
	})
}

func walk(data []byte, script uint16, bytewise bool) string {
	var log strings.Builder
	rd := NewReader(strings.NewReader(string(data)), nil)
	if bytewise {
		rd = NewReader(iotest.OneByteReader(strings.NewReader(string(data))), nil)
	}
	d := NewDecoder(rd, func(Literal) error { return nil })
	for range 50 {
		err := d.Begin(testLimits)
		if err != nil && err != ErrLineTooLong {
			log.WriteString(err.Error())
			return log.String()
		}
		d.Fail(err)
		for step := 0; !d.AtEnd() && step < 200; step++ {
			log.WriteString(call(d, (int(script)>>(step%13)+step)%16))
			if step%3 == 2 {
				d.Try(' ')
			}
		}
		d.End()
		if d.Err() != nil {
			log.WriteString(d.Err().Error())
			if err := d.Rest(100); err != nil {
				return log.String()
			}
		}
	}
	return log.String()
}

func call(d *Decoder, which int) string {
	switch which {
	case 0:
		return d.Tag()
	case 1:
		return d.Atom()
	case 2:
		return d.Astring()
	case 3:
		return d.String()
	case 4:
		s, _ := d.Nstring()
		return s
	case 5:
		return d.ListMailbox()
	case 6:
		return string(AppendUint(nil, d.Number64()))
	case 7:
		s := d.NumSet()
		return string(AppendUint(nil, uint64(len(s.Ranges))))
	case 8:
		return d.DateTime().String()
	case 9:
		return d.Date().String()
	case 10:
		fs := d.Flags()
		return string(AppendUint(nil, uint64(len(fs))))
	case 11:
		var s string
		d.List(func() { s += d.Atom() })
		return s
	case 12:
		d.Nest(func() { d.SP() })
		return ""
	case 13:
		return string(d.Word())
	case 14:
		d.SP()
		return string(d.Token())
	}
	return string(AppendUint(nil, uint64(d.NzNumber())))
}

// FuzzUTF7: what decodes encodes to the same, so no name has two spellings.
func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"INBOX", "&AOk-", "&-", "&2D3eAA-", "a&x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		plain, ok := DecodeUTF7(s)
		if ok && strings.Contains(s, "&") && EncodeUTF7(plain) != s {
			t.Fatalf("%q is an alias", s)
		}
		if back, ok := DecodeUTF7(EncodeUTF7(s)); strings.ToValidUTF8(s, "\ufffd") == s && (!ok || back != s) {
			t.Fatalf("%q does not come back: %q", s, back)
		}
	})
}

// FuzzAppendString: what the encoder writes the decoder reads.
func FuzzAppendString(f *testing.F) {
	f.Add("x", true)
	f.Add("a\"b\\\r\n", false)
	f.Fuzz(func(t *testing.T, s string, utf8ok bool) {
		if strings.IndexByte(s, 0) >= 0 {
			return
		}
		lim := Limits{Line: 1 << 20, Flood: 1 << 21, Literal: 1 << 20, Literals: 1 << 21, Depth: 5}
		for _, line := range [][]byte{AppendString(nil, s, utf8ok), AppendAstring(nil, s, utf8ok)} {
			d := NewDecoder(NewReader(strings.NewReader(string(line)+"\r\n"), nil), func(Literal) error { return nil })
			if err := d.Begin(lim); err != nil {
				t.Fatal(err)
			}
			got := d.Astring()
			if d.End(); d.Err() != nil || got != s {
				t.Fatalf("%q came back as %q: %v", line, got, d.Err())
			}
		}
	})
}
