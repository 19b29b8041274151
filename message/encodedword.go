package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// DecodeHeader decodes a header value to UTF-8: it is unfolded and its encoded
// words (RFC 2047) are decoded. White space between two encoded words is
// dropped; words of one charset are joined before their bytes are read, since
// many mailers cut them inside a character. Words that make no sense stay as
// they are, and 8-bit bytes outside of words are taken for UTF-8 (RFC 6532), or
// else for windows-1252.
func DecodeHeader(v []byte) string {
	if bytes.IndexByte(v, '=') < 0 || !bytes.Contains(v, []byte("=?")) {
		return plainText(v)
	}
	d := wordDecoder{}
	for len(v) > 0 {
		at := bytes.Index(v, []byte("=?"))
		if at < 0 {
			break
		}
		w, n, ok := cutWord(v[at:])
		if !ok {
			d.plain(v[:at+2])
			v = v[at+2:]
			continue
		}
		if at > 0 {
			d.plain(v[:at])
		}
		d.word(w)
		v = v[at+n:]
	}
	d.plain(v)
	d.flush()
	return d.out.String()
}

// plainText unfolds v and makes it valid UTF-8 without NUL.
func plainText(v []byte) string {
	s := unfold(v)
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	if !utf8.ValidString(s) {
		return guessText([]byte(s))
	}
	return s
}

// An encodedWord is =?charset?encoding?text?= cut into its parts.
type encodedWord struct {
	charset string
	text    []byte
	base64  bool
}

// cutWord splits the encoded word at the start of v, which begins with "=?".
func cutWord(v []byte) (w encodedWord, n int, ok bool) {
	b := v[2:]
	c := bytes.IndexByte(b, '?')
	if c < 1 || c > 64 || c+3 > len(b) || b[c+2] != '?' {
		return w, 0, false
	}
	switch lower(b[c+1]) {
	case 'b':
		w.base64 = true
	case 'q':
	default:
		return w, 0, false
	}
	w.charset = string(b[:c])
	if strings.ContainsAny(w.charset, " \t\r\n=") {
		return w, 0, false
	}
	text := b[c+3:]
	end := bytes.Index(text, []byte("?="))
	if end == 0 && len(text) > 2 && isHexPair(text[2:]) && !w.base64 {
		end = -1 // "?=3D": a question mark before an encoded byte is possible in bad words
	}
	if end < 0 {
		return w, 0, false
	}
	w.text = text[:end]
	if bytes.Contains(w.text, []byte("=?")) {
		return w, 0, false // the word was not closed, another begins
	}
	return w, 2 + c + 3 + end + 2, true
}

func isHexPair(b []byte) bool { return len(b) > 1 && unhex(b[0]) >= 0 && unhex(b[1]) >= 0 }

// A wordDecoder puts the decoded text together.
type wordDecoder struct {
	out     strings.Builder
	charset string
	pending []byte // decoded bytes of the words so far, in charset
	inWord  bool   // the last thing was an encoded word
}

func (d *wordDecoder) plain(b []byte) {
	if len(b) == 0 || d.inWord && len(trimSpace(b)) == 0 {
		return
	}
	d.flush()
	d.inWord = false
	d.out.WriteString(plainText(b))
}

func (d *wordDecoder) word(w encodedWord) {
	if d.inWord && !strings.EqualFold(w.charset, d.charset) {
		d.flush()
	}
	d.inWord, d.charset = true, w.charset
	if w.base64 {
		d.pending = appendBase64(d.pending, w.text)
	} else {
		d.pending = appendQ(d.pending, w.text)
	}
}

// flush decodes the pending bytes. Line ends and NULs that were hidden in an
// encoded word must not come out: the result is one line.
func (d *wordDecoder) flush() {
	if len(d.pending) == 0 {
		return
	}
	s := decodeString(d.charset, d.pending)
	d.pending = d.pending[:0]
	d.out.WriteString(strings.Map(func(r rune) rune {
		switch r {
		case '\r', '\n':
			return ' '
		case 0:
			return -1
		}
		return r
	}, s))
}

// appendQ decodes the Q encoding, RFC 2047 §4.2.
func appendQ(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '_':
			dst = append(dst, ' ')
		case c == '=' && isHexPair(b[i+1:]):
			dst = append(dst, byte(unhex(b[i+1])<<4|unhex(b[i+2])))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendBase64 decodes base64 and skips what is none; padding may be missing.
func appendBase64(dst, b []byte) []byte {
	var acc uint32
	bits := 0
	for _, c := range b {
		v := base64Value[c]
		if v > 63 {
			if c == '=' { // the words of some mailers are padded in the middle
				acc, bits = 0, 0
			}
			continue
		}
		acc = acc<<6 | uint32(v)
		if bits += 6; bits >= 8 {
			bits -= 8
			dst = append(dst, byte(acc>>bits))
		}
	}
	return dst
}

// base64Value holds the value of each base64 digit, 255 for other bytes.
var base64Value = base64Values()

func base64Values() *[256]byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	t := &[256]byte{}
	for i := range t {
		t[i] = 255
	}
	for i := range len(digits) {
		t[digits[i]] = byte(i)
	}
	return t
}
