package inflate

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// decodeAll decodes src, given in pieces of in bytes, into pieces of out bytes.
func decodeAll(src []byte, in, out int) ([]byte, error) {
	var d Decoder
	var got []byte
	dst := make([]byte, out)
	for len(src) > 0 || !d.Idle() {
		piece := src[:min(in, len(src))]
		n, used, err := d.Decode(dst, piece)
		got = append(got, dst[:n]...)
		src = src[used:]
		if err != nil {
			return got, err
		}
		if n == 0 && used == 0 {
			break
		}
	}
	for {
		n, _, err := d.Decode(dst, nil)
		got = append(got, dst[:n]...)
		if n == 0 || err != nil {
			return got, err
		}
	}
}

func compressed(t testing.TB, text []byte, level int) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(text)
	w.Close()
	return b.Bytes()
}

// TestDecode: every kind of block, in pieces of any size.
func TestDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	texts := [][]byte{nil, []byte("a"), []byte("hello hello hello"), bytes.Repeat([]byte("abc def "), 20000), noise,
		append(bytes.Repeat([]byte{0}, 300000), noise...)}
	for _, text := range texts {
		for _, level := range []int{flate.NoCompression, flate.BestSpeed, flate.DefaultCompression, flate.HuffmanOnly} {
			z := compressed(t, text, level)
			for _, in := range []int{1, 7, 4096} {
				for _, out := range []int{1, 100, 65536} {
					got, err := decodeAll(z, in, out)
					if err != nil || !bytes.Equal(got, text) {
						t.Fatalf("level %d, %d bytes, pieces of %d and %d: %d bytes, %v", level, len(text), in, out, len(got), err)
					}
				}
			}
		}
	}
}

// TestPartialFlush: what was sent before an empty block of fixed codes, as zlib's
// Z_PARTIAL_FLUSH ends with, is given out at once though its last byte is not full.
func TestPartialFlush(t *testing.T) {
	var z bitWriter
	for i := range 3 {
		z.bits(0, 1) // not the last block
		z.bits(1, 2) // fixed codes
		for _, c := range []byte("a NOOP\r\n") {
			z.huffman(0x30+uint(c), 8)
		}
		z.huffman(0, 7) // end of block
		z.bits(0, 1)
		z.bits(1, 2)
		z.huffman(0, 7)
		var d Decoder
		dst := make([]byte, 100)
		n, _, err := d.Decode(dst, z.whole())
		if want := strings.Repeat("a NOOP\r\n", i+1); err != nil || string(dst[:n]) != want {
			t.Errorf("flush %d: %q, %v", i, dst[:n], err)
		}
	}
}

// A bitWriter writes bits, lowest first.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) bits(v, n uint) {
	for i := range n {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (w.n % 8)
		w.n++
	}
}

func (w *bitWriter) huffman(v, n uint) {
	for i := range n {
		w.bits(v>>(n-1-i), 1)
	}
}

func (w *bitWriter) whole() []byte { return w.b[:w.n/8] }

// FuzzDecode: agrees with the standard library on what is DEFLATE and what is not,
// however the bytes come.
func FuzzDecode(f *testing.F) {
	f.Add(compressed(f, []byte("hello hello hello"), flate.BestSpeed), 3)
	f.Add(compressed(f, []byte(strings.Repeat("a FETCH 1:* FLAGS\r\n", 100)), flate.DefaultCompression), 1)
	f.Add(compressed(f, []byte("stored"), flate.NoCompression), 2)
	f.Add([]byte{0x4b, 0x4c, 0x04, 0xa0}, 1)
	f.Fuzz(func(t *testing.T, z []byte, in int) {
		want, werr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(z)), 1<<20))
		got, err := decodeAll(z, max(1, in%100), 1000)
		if len(got) > 1<<20 {
			got = got[:1<<20]
		}
		if !bytes.HasPrefix(got, want) {
			t.Errorf("got %q, want %q (%v, %v)", got, want, err, werr)
		}
		if werr == nil && (err != nil || !bytes.Equal(got, want)) {
			t.Errorf("refused: %v", err)
		}
	})
}
