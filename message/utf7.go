package message

import (
	"encoding/base64"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// utf7 decodes UTF-7, RFC 2152, which old mail still holds.
type utf7 struct{}

func (utf7) NewDecoder() *encoding.Decoder { return &encoding.Decoder{Transformer: utf7Decoder{}} }
func (utf7) NewEncoder() *encoding.Encoder {
	return encoding.ReplaceUnsupported(encoding.Nop.NewEncoder())
}

type utf7Decoder struct{ transform.NopResetter }

// maxUTF7Run bounds a run of base64 that is decoded at once; a longer one is
// taken literally.
const maxUTF7Run = 2048

// Transform implements transform.Transformer.
func (utf7Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if c := src[nSrc]; c != '+' {
			if nDst+utf8.UTFMax > len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			r := rune(c)
			if c >= utf8.RuneSelf {
				r = utf8.RuneError
			}
			nDst += utf8.EncodeRune(dst[nDst:], r)
			nSrc++
			continue
		}
		n := 1
		for nSrc+n < len(src) && isBase64(src[nSrc+n]) {
			n++
		}
		if nSrc+n == len(src) && !atEOF && n < maxUTF7Run {
			return nDst, nSrc, transform.ErrShortSrc
		}
		out := utf7Run(src[nSrc+1 : nSrc+n])
		if nSrc+n < len(src) && src[nSrc+n] == '-' {
			n++
		}
		if nDst+len(out) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += copy(dst[nDst:], out)
		nSrc += n
	}
	return nDst, nSrc, nil
}

func isBase64(c byte) bool { return base64Value[c] < 64 }

// utf7Run decodes the base64 between "+" and "-"; nothing there means "+".
func utf7Run(b []byte) []byte {
	if len(b) == 0 {
		return []byte{'+'}
	}
	if len(b) >= maxUTF7Run {
		b = b[:maxUTF7Run&^7]
	}
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(b)))
	n, _ := base64.RawStdEncoding.Decode(raw, b)
	var units []uint16
	for i := 0; i+1 < n; i += 2 {
		units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
	}
	var out []byte
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	return out
}
