package message

import (
	"bufio"
	"encoding/binary"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

// NewTextReader reads the body of a text part from r (the bytes of its section)
// and yields it as valid UTF-8: the content-transfer-encoding undone, the charset
// converted, and text/html reduced to the text that a reader sees. Text whose
// encoding is not known is taken as it is.
func NewTextReader(r io.Reader, p *Part) *TextReader {
	t := new(TextReader)
	t.Reset(r, p)
	return t
}

// A TextReader is what NewTextReader returns. Reset makes it read another part
// without new buffers: a search through many messages needs one only.
type TextReader struct {
	out   io.Reader
	b64   base64Reader
	qp    qpReader
	guess guessReader
	html  htmlReader
}

// Read implements io.Reader.
func (t *TextReader) Read(p []byte) (int, error) { return t.out.Read(p) }

// Reset makes t read the text of another part.
func (t *TextReader) Reset(r io.Reader, p *Part) {
	t.reset(r, p.Encoding, p.Charset(), p.Subtype == "html")
}

func (t *TextReader) reset(r io.Reader, cte, charset string, html bool) {
	switch decoding(cte) {
	case decodeBase64:
		t.b64 = base64Reader{r: r}
		r = &t.b64
	case decodeQP:
		if t.qp.r == nil {
			t.qp.r = bufio.NewReaderSize(r, qpBuffer)
		}
		t.qp.r.Reset(r)
		t.qp.out, t.qp.space = nil, t.qp.space[:0]
		r = &t.qp
	}
	enc, ok := charsetEncoding(charset)
	if !ok || enc == nil || enc == charmap.Windows1252 && !isLatin1(charset) {
		t.guess.reset(r)
		r = &t.guess
	} else {
		r = transform.NewReader(r, enc.NewDecoder())
	}
	if html {
		t.html.reset(r)
		r = &t.html
	}
	t.out = r
}

// NewCharsetReader converts what it reads from r to valid UTF-8. The rules are
// those of DecodeText, except that the first byte over 127 decides between UTF-8
// and windows-1252.
func NewCharsetReader(r io.Reader, charset string) io.Reader {
	t := new(TextReader)
	t.reset(r, "", charset, false)
	return t
}

// A guessReader passes UTF-8 on. If the first bytes over 127 are none, everything
// is taken for windows-1252; later errors become U+FFFD.
type guessReader struct {
	r              io.Reader
	err            error
	decided, latin bool
	start, end     int // what of in was not passed on yet
	waiting        []byte
	short          [utf8.UTFMax]byte
	in             [4096]byte
}

func (g *guessReader) reset(r io.Reader) {
	g.r, g.err, g.decided, g.latin, g.start, g.end, g.waiting = r, nil, false, false, 0, 0, nil
}

func (g *guessReader) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case len(g.waiting) == 0 && len(p) >= utf8.UTFMax:
		return g.fill(p)
	case len(g.waiting) == 0: // p may be too short for a character
		n, err := g.fill(g.short[:])
		if n == 0 {
			return 0, err
		}
		g.waiting = g.short[:n]
	}
	n := copy(p, g.waiting)
	g.waiting = g.waiting[n:]
	return n, nil
}

// fill reads at least one character into p.
func (g *guessReader) fill(p []byte) (int, error) {
	for {
		if n := g.convert(p); n > 0 {
			return n, nil
		}
		if g.err != nil {
			return 0, g.err
		}
		g.end = copy(g.in[:], g.in[g.start:g.end])
		g.start = 0
		var n int
		n, g.err = g.r.Read(g.in[g.end:])
		g.end += n
	}
}

// convert writes what can be written of the input to p.
func (g *guessReader) convert(p []byte) int {
	n := 0
	for g.start < g.end {
		src := g.in[g.start:g.end]
		if k := asciiRun(src[:min(len(src), len(p)-n)]); k > 0 {
			n += copy(p[n:], src[:k])
			g.start += k
			continue
		}
		if n+utf8.UTFMax > len(p) || g.err == nil && !g.latin && !utf8.FullRune(src) {
			return n
		}
		r, size := utf8.DecodeRune(src)
		if !g.decided {
			g.decided, g.latin = true, r == utf8.RuneError && size == 1
		}
		if g.latin {
			r, size = charmap.Windows1252.DecodeByte(src[0]), 1
		}
		n += utf8.EncodeRune(p[n:], r)
		g.start += size
	}
	return n
}

// asciiRun returns how many bytes at the start of b are ASCII.
func asciiRun(b []byte) int {
	n := 0
	for len(b)-n >= 8 && binary.LittleEndian.Uint64(b[n:])&0x8080808080808080 == 0 {
		n += 8
	}
	for n < len(b) && b[n] < utf8.RuneSelf {
		n++
	}
	return n
}
