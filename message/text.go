package message

import (
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

// NewTextReader reads the body of a text part from r (the bytes of its section)
// and yields it as valid UTF-8: the content-transfer-encoding undone, the charset
// converted, and text/html reduced to the text that a reader sees. Text whose
// encoding is not known is taken as it is.
func NewTextReader(r io.Reader, p *Part) io.Reader {
	return newTextReader(r, p.Encoding, p.Charset(), p.Subtype == "html")
}

func newTextReader(r io.Reader, cte, charset string, html bool) io.Reader {
	if d, err := NewDecoder(r, cte); err == nil {
		r = d
	}
	r = NewCharsetReader(r, charset)
	if html {
		r = &htmlReader{r: r}
	}
	return r
}

// NewCharsetReader converts what it reads from r to valid UTF-8. The rules are
// those of DecodeText, except that the first byte over 127 decides between UTF-8
// and windows-1252.
func NewCharsetReader(r io.Reader, charset string) io.Reader {
	enc, ok := charsetEncoding(charset)
	if !ok || enc == nil || enc == charmap.Windows1252 && !isLatin1(charset) {
		return transform.NewReader(r, &guesser{})
	}
	return transform.NewReader(r, enc.NewDecoder())
}

// A guesser passes UTF-8 on. If the first bytes over 127 are none, everything is
// taken for windows-1252; later errors become U+FFFD.
type guesser struct {
	decided, latin bool
}

// Reset implements transform.Transformer.
func (g *guesser) Reset() { *g = guesser{} }

// Transform implements transform.Transformer.
func (g *guesser) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		c := src[nSrc]
		if c < utf8.RuneSelf {
			if nDst == len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			dst[nDst] = c
			nDst++
			nSrc++
			continue
		}
		if nDst+utf8.UTFMax > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		if !atEOF && !g.latin && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, n := utf8.DecodeRune(src[nSrc:])
		if !g.decided {
			g.decided, g.latin = true, r == utf8.RuneError && n == 1
		}
		if g.latin {
			r, n = charmap.Windows1252.DecodeByte(c), 1
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += n
	}
	return nDst, nSrc, nil
}
