package dkim

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// spanSlow is span, a byte at a time.
func spanSlow(p []byte) int {
	for i := 1; i < len(p); i++ {
		switch c := p[i]; {
		case c > ' ':
		case c == ' ':
			if i+1 >= len(p) || p[i+1] <= ' ' {
				return i
			}
		case c == '\r':
			if i+2 >= len(p) || p[i+1] != '\n' || p[i+2] <= ' ' {
				return i
			}
			i++
		case c == '\t':
			return i
		}
	}
	return len(p)
}

// TestSpan: eight bytes at a time end where one at a time do.
func TestSpan(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	parts := []string{" ", "  ", "\t", "\r\n", "\r", "\n", "\r\n ", "\x00", "!", "\x7f", "\x80\xff", "\xa0", "abc", "abcdefgh", "x", "words and words "}
	for range 200_000 {
		p := []byte{'x'}
		for range rnd.IntN(12) {
			k := len(parts)
			if rnd.IntN(2) == 0 {
				p = append(p, parts[11+rnd.IntN(k-11)]...)
			} else {
				p = append(p, parts[rnd.IntN(k)]...)
			}
		}
		if got, want := span(p), spanSlow(p); got != want {
			t.Fatalf("span(%q) = %d, want %d", p, got, want)
		}
	}
	if long := bytes.Repeat([]byte("a b "), 1000); span(long) != len(long)-1 {
		t.Error("of a long line")
	}
}

func BenchmarkSpan(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var p []byte
	for col := 0; len(p) < 8192; col++ {
		switch {
		case col > 60 && rnd.IntN(6) == 0:
			p, col = append(p, "\r\n"...), 0
		case col > 0 && rnd.IntN(6) == 0 && p[len(p)-1] != ' ':
			p = append(p, ' ')
		default:
			p = append(p, 'e')
		}
	}
	for _, f := range []struct {
		name string
		span func([]byte) int
	}{{"slow", spanSlow}, {"fast", span}} {
		b.Run(f.name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				for at := 0; at < len(p); {
					at += max(1, f.span(p[at:]))
				}
			}
		})
	}
}

// The relaxed form of a field is made of runs of text: it is what taking one byte after the
// other gives.
func TestRelaxedRuns(t *testing.T) {
	slow := func(f Field) []byte {
		dst := append(bytes.ToLower(f.Name()), ':')
		start, space, v := len(dst), false, f.Value()
		for i, c := range v {
			switch {
			case c == ' ' || c == '\t':
				space = true
			case c == '\n' || c == '\r' && i+1 < len(v) && v[i+1] == '\n':
			default:
				if space && len(dst) > start {
					dst = append(dst, ' ')
				}
				space, dst = false, append(dst, c)
			}
		}
		return dst
	}
	const alphabet = "a b\t\r\n\x00\x7f\xc3;"
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		raw := []byte("SubJect : ")
		for range rnd.IntN(12) {
			raw = append(raw, alphabet[rnd.IntN(len(alphabet))])
		}
		f := Field{append(raw, '\r', '\n'), 7, 8}
		if got, want := AppendRelaxed(nil, f), slow(f); !bytes.Equal(got, want) {
			t.Fatalf("%q: %q, want %q", f.raw, got, want)
		}
	}
}
