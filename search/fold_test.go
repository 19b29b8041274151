package search

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
)

// RFC 5051 §2: case and form do not matter, the order of characters does.
func TestFold(t *testing.T) {
	for _, c := range []struct {
		text, needle string
		want         bool
	}{
		{"Hello, World", "WORLD", true},
		{"Straße", "STRASSE", false}, // title case is one character to one
		{"STRAßE", "straße", true},
		{"Ärger", "ärger", true},
		{"A\u0308rger", "ärger", true}, // decomposed and precomposed are one
		{"Привет, мир", "ПРИВЕТ", true},
		{"ﬁle", "file", true}, // compatibility decomposition
		{"日本語のメール", "メール", true},
		{"½", "1⁄2", true},
		{"abc", "abd", false},
		{"\xff\xfe", "x", false},
		{"", "a", false},
	} {
		var s []byte
		if got := newNeedle(c.needle).in([]byte(c.text), &s); got != c.want {
			t.Errorf("%q in %q = %v, want %v", c.needle, c.text, got, c.want)
		}
	}
}

// FuzzInReader: what a stream holds does not depend on how its bytes come, and is
// what the whole would hold.
func FuzzInReader(f *testing.F) {
	f.Add("hello world", "o w", 3)
	f.Add(strings.Repeat("ä", chunk), "äÄ", 1)
	f.Add(strings.Repeat("x", chunk-1)+"é"+"needle", "éN", 7)
	f.Add("abc\xff", "\xff", 2)
	f.Fuzz(func(t *testing.T, text, want string, at int) {
		n := newNeedle(want)
		if len(n) == 0 {
			t.Skip()
		}
		whole := bytes.Contains(fold(nil, []byte(text)), n)
		var s scratch
		got, err := n.inReader(strings.NewReader(text), &s)
		if err != nil || got != whole {
			t.Errorf("inReader = %v, %v; the whole says %v", got, err, whole)
		}
		got, err = n.inReader(iotest.OneByteReader(strings.NewReader(text)), &s)
		if err != nil || got != whole {
			t.Errorf("inReader byte by byte = %v, %v; the whole says %v", got, err, whole)
		}
	})
}

func BenchmarkFoldASCII(b *testing.B) {
	text := bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog. "), 200)
	b.SetBytes(int64(len(text)))
	var dst []byte
	for b.Loop() {
		dst = fold(dst[:0], text)
	}
}

// TestUpperASCII compares with the rule, at each place of a word of eight.
func TestUpperASCII(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			b := bytes.Repeat([]byte{'m'}, 20)
			b[at] = byte(c)
			want := bytes.Repeat([]byte{'M'}, 20)
			n := 20
			if want[at] = byte(c); c >= 0x80 {
				n = at
			} else {
				want[at] = bytes.ToUpper([]byte{byte(c)})[0]
			}
			if got := upperASCII(b); got != n || !bytes.Equal(b[:n], want[:n]) {
				t.Fatalf("%#x at %d: %d, %q; want %d, %q", c, at, got, b[:n], n, want[:n])
			}
		}
	}
}
