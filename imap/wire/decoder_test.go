package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var testLimits = Limits{Line: 200, Flood: 1000, Literal: 50, Literals: 120, Depth: 5}

// decode begins a command from text; accepted counts the literals that were
// asked for.
func decode(t testing.TB, text string) (d *Decoder, rd *Reader, accepted *int) {
	t.Helper()
	n := 0
	rd = NewReader(strings.NewReader(text), nil)
	d = NewDecoder(rd, func(Literal) error { n++; return nil })
	if err := d.Begin(testLimits); err != nil {
		t.Fatalf("begin: %v", err)
	}
	return d, rd, &n
}

func TestStrings(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"atom\r\n", "atom"}, {"]x\r\n", "]x"}, {"\"a \\\" \\\\ b\"\r\n", `a " \ b`}, {"\"\"\r\n", ""},
		{"{3}\r\na\r\n\r\n", "a\r\n"}, {"{0+}\r\n\r\n", ""}, {"\"Zo\u00eb\"\r\n", "Zo\u00eb"}, {"Zo\u00eb\n", "Zo\u00eb"},
	} {
		d, _, _ := decode(t, c.in)
		got := d.Astring()
		if d.End(); d.Err() != nil || got != c.want {
			t.Errorf("%q: got %q, %v", c.in, got, d.Err())
		}
	}
	for _, in := range []string{"\r\n", "\"x\r\n", "\"a\\b\"\r\n", "(x\r\n", "{3}x\r\n", "{-1}\r\n", "{99999999999999999999}\r\n",
		"\"\xff\"\r\n", "\"\x00\"\r\n", "{1+}\r\n\x00\r\n", "{51+}\r\n" + strings.Repeat("x", 51) + "\r\n", "a b\r\n", "{3\r\n"} {
		d, _, _ := decode(t, in)
		_ = d.Astring()
		if d.End(); d.Err() == nil {
			t.Errorf("%q: no error", in)
		}
	}
}

// TestRest: after an error the next line is a command again.
func TestRest(t *testing.T) {
	for _, in := range []string{"x", "x {3}", "x {3+}\r\nabc", "x {3+}\r\nabc {2+}\r\nab y", "x ~{3+}\r\na\r\n",
		strings.Repeat("y", 300), strings.Repeat("y", 300) + "{3+}\r\nabc", "x {3+}\r\nabc" + strings.Repeat("y", 300) + " {1+}\r\nz"} {
		rd := NewReader(iotest.OneByteReader(strings.NewReader(in+"\r\nNEXT\r\n")), nil)
		d := NewDecoder(rd, func(Literal) error { return nil })
		if err := d.Begin(testLimits); err != nil && !errors.Is(err, ErrLineTooLong) {
			t.Fatal(err)
		}
		d.Bad("no such thing")
		if err := d.Rest(1000); err != nil {
			t.Errorf("%.30q: rest: %v", in, err)
			continue
		}
		if err := d.Begin(testLimits); err != nil || d.Atom() != "NEXT" {
			t.Errorf("%.30q: the next command is lost: %v", in, err)
		}
	}
}

func TestRestTooLarge(t *testing.T) {
	d, _, _ := decode(t, "x {1000000+}\r\nabc")
	d.Bad("no")
	if err := d.Rest(1000); !errors.Is(err, ErrTooLargeToSkip) {
		t.Fatalf("got %v", err)
	}
}

func TestFlood(t *testing.T) {
	rd := NewReader(strings.NewReader(strings.Repeat("x", 100000)), nil)
	if _, err := rd.Line(200, 1000); !errors.Is(err, ErrFlood) {
		t.Fatalf("got %v", err)
	}
	if rd.Bytes() > 1000+2*startSize {
		t.Errorf("read %d bytes before giving up", rd.Bytes())
	}
}

// TestLiteralTotal: many small literals are bounded too.
func TestLiteralTotal(t *testing.T) {
	d, _, asked := decode(t, strings.Repeat("{1+}\r\nx ", 20)+"\r\n")
	for d.Err() == nil && !d.AtEnd() {
		_ = d.Astring()
		d.SP()
	}
	var syn *SyntaxError
	if !errors.As(d.Err(), &syn) || !syn.TooBig || *asked > 8 {
		t.Fatalf("%v after %d literals", d.Err(), *asked)
	}
}

func TestNumbers(t *testing.T) {
	for in, want := range map[string]uint64{"0": 0, "4294967295": 4294967295, "4294967296": 0, "9223372036854775807": 0, "007": 7} {
		d, _, _ := decode(t, in+"\r\n")
		if got := d.Number(); uint64(got) != want {
			t.Errorf("Number %s: %d %v", in, got, d.Err())
		}
	}
	d, _, _ := decode(t, "9223372036854775807\r\n")
	if d.Number64() != 1<<63-1 || d.Err() != nil {
		t.Error(d.Err())
	}
	d, _, _ = decode(t, "9223372036854775808\r\n")
	if d.Number64() != 0 || d.Err() == nil {
		t.Error("64-bit overflow is taken")
	}
}

func TestNumSet(t *testing.T) {
	d, _, _ := decode(t, "1,3:5,9:*,*:2\r\n")
	s := d.NumSet()
	if d.End(); d.Err() != nil || len(s.Ranges) != 4 || s.Ranges[2] != (Range{9, Star}) || s.Ranges[3] != (Range{Star, 2}) {
		t.Fatalf("%v %v", s, d.Err())
	}
	for _, in := range []string{"0", "1,", ",1", "1:", ":1", "a", "1:2:3", "$,1", "**"} {
		d, _, _ := decode(t, in+"\r\n")
		_ = d.NumSet()
		if d.End(); d.Err() == nil {
			t.Errorf("%s: no error", in)
		}
	}
}

func TestDepth(t *testing.T) {
	var f func(d *Decoder)
	f = func(d *Decoder) {
		if d.Peek() == '(' {
			d.List(func() { f(d) })
			return
		}
		_ = d.Atom()
	}
	for n, ok := range map[int]bool{5: true, 6: false, 100: false} {
		d, _, _ := decode(t, strings.Repeat("(", n)+"x"+strings.Repeat(")", min(n, 90))+"\r\n")
		f(d)
		if d.End(); (d.Err() == nil) != ok {
			t.Errorf("depth %d: %v", n, d.Err())
		}
	}
}

func TestDates(t *testing.T) {
	for in, want := range map[string]string{
		`"17-Jul-1996 02:44:25 -0700"`: "1996-07-17T09:44:25Z", `" 7-Jul-1996 02:44:25 +0000"`: "1996-07-07T02:44:25Z",
		`"7-Jul-1996 02:44:25 +0000"`: "1996-07-07T02:44:25Z",
	} {
		d, _, _ := decode(t, in+"\r\n")
		if got := d.DateTime().UTC().Format(time.RFC3339); d.Err() != nil || got != want {
			t.Errorf("%s: %s %v", in, got, d.Err())
		}
	}
	for _, in := range []string{`""`, `"32-Jan-2020 00:00:00 +0000"`, `"1-Jan-2020"`, `x`} {
		d, _, _ := decode(t, in+"\r\n")
		if _ = d.DateTime(); d.Err() == nil {
			t.Errorf("%s: no error", in)
		}
	}
}

// TestAppendDateTime compares with the standard library over many days.
func TestAppendDateTime(t *testing.T) {
	for unix := int64(-62135596800); unix < 253402300799; unix += 86400*11 + 3607 {
		want := time.Unix(unix, 0).UTC().Format(`"_2-Jan-2006 15:04:05 -0700"`)
		if got := string(AppendDateTime(nil, unix)); got != want {
			t.Fatalf("%d: %s, want %s", unix, got, want)
		}
	}
	if got := AppendDateTime(nil, 1<<62); len(got) != 28 {
		t.Errorf("an absurd date breaks the grammar: %s", got)
	}
}

func TestUTF7(t *testing.T) {
	for plain, coded := range map[string]string{"": "", "INBOX": "INBOX", "R&D": "R&-D", "Entw\u00fcrfe": "Entw&APw-rfe",
		"\u53f0\u5317/\u65e5\u672c\u8a9e": "&U,BTFw-/&ZeVnLIqe-", "\U0001f600": "&2D3eAA-", "a\u00e9&b": "a&AOk-&-b"} {
		if got := EncodeUTF7(plain); got != coded {
			t.Errorf("encode %q: %q, want %q", plain, got, coded)
		}
		if got, ok := DecodeUTF7(coded); !ok || got != plain {
			t.Errorf("decode %q: %q %v", coded, got, ok)
		}
	}
	for _, in := range []string{"&", "&x", "&AGE-", "&AOk-&AOk-", "&AOkA-", "&2D0-", "&!-", "&AOk=-", "\xff"} {
		if got, ok := DecodeUTF7(in); ok {
			t.Errorf("%q is taken as %q", in, got)
		}
	}
}

func TestAppendStrings(t *testing.T) {
	for in, want := range map[string]string{"": `""`, "x": `"x"`, `a"b\`: `"a\"b\\"`, "a\nb": "{3}\r\na\nb", "\u00eb": "{2}\r\n\u00eb"} {
		if got := string(AppendString(nil, in, false)); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	for in, want := range map[string]string{"": `""`, "x": "x", "NIL": `"NIL"`, "a b": `"a b"`, "x%": `"x%"`, "a]": "a]"} {
		if got := string(AppendAstring(nil, in, true)); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// TestReaderReleases: no buffer is kept when nothing is buffered.
func TestReaderReleases(t *testing.T) {
	rd := NewReader(strings.NewReader("a\r\nb\r\n"), nil)
	if _, err := rd.Line(10, 100); err != nil {
		t.Fatal(err)
	}
	if rd.Release(); rd.buf == nil {
		t.Fatal("released bytes that were not read")
	}
	if _, err := rd.Line(10, 100); err != nil {
		t.Fatal(err)
	}
	if rd.Release(); rd.buf != nil {
		t.Fatal("an empty buffer is kept")
	}
	if _, err := rd.Line(10, 100); err != io.EOF {
		t.Fatal(err)
	}
}
