package search

import (
	"bytes"
	"encoding/binary"
	"io"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"posthouse/message"
)

// fold appends s in the form in which strings compare, after RFC 5051 §2: fully
// decomposed, each character in title case. ASCII, nearly all of mail, takes
// no more than a table look-up.
func fold(dst, s []byte) []byte {
	for len(s) > 0 {
		n := len(dst)
		dst = append(dst, s...)
		i := upperASCII(dst[n:])
		dst, s = dst[:n+i], s[i:]
		i = 0
		for i < len(s) && s[i] >= utf8.RuneSelf {
			i++
		}
		if i > 0 {
			dst = foldUnicode(dst, s[:i])
			s = s[i:]
		}
	}
	return dst
}

// upperASCII puts the ASCII characters at the beginning of b in upper case and
// returns their number; eight at a time.
func upperASCII(b []byte) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if w&high != 0 {
			break
		}
		// The high bit of each byte that is at least 'a', and not over 'z'.
		small := (w + (0x80-'a')*ones) &^ (w + (0x7f-'z')*ones) & high
		binary.LittleEndian.PutUint64(b[i:], w-small>>2)
	}
	for ; i < len(b) && b[i] < utf8.RuneSelf; i++ {
		if c := b[i]; c-'a' < 26 {
			b[i] = c - 32
		}
	}
	return i
}

// foldUnicode folds a run of characters beyond ASCII. It decomposes before it
// changes case, not after as the RFC has it, so that "file" finds its ligature.
// Marks stay in their given order: both sides of a comparison do the same.
func foldUnicode(dst, s []byte) []byte {
	for len(s) > 0 {
		_, n := utf8.DecodeRune(s)
		d := norm.NFKD.Properties(s[:n]).Decomposition()
		if d == nil {
			d = s[:n]
		}
		for len(d) > 0 {
			r, k := utf8.DecodeRune(d)
			dst = utf8.AppendRune(dst, unicode.ToTitle(r))
			d = d[k:]
		}
		s = s[n:]
	}
	return dst
}

// A needle is a folded search string.
type needle []byte

func newNeedle(s string) needle { return fold(nil, []byte(s)) }

// in reports whether the folded needle stands in b, which is folded here.
func (n needle) in(b []byte, scratch *[]byte) bool {
	*scratch = fold((*scratch)[:0], b)
	return bytes.Contains(*scratch, n)
}

// chunk is how much decoded text is folded and searched at once.
const chunk = 32 << 10

// inReader reports whether the needle stands in r, whose whole is never held in
// memory: each chunk is searched together with the tail of the one before it.
func (n needle) inReader(r io.Reader, s *scratch) (bool, error) {
	if cap(s.raw) < chunk {
		s.raw = make([]byte, chunk)
	}
	raw := s.raw[:chunk]
	folded, held := s.folded[:0], 0
	defer func() { s.folded = folded[:0] }()
	for {
		k, err := io.ReadFull(r, raw[held:])
		whole := held + k
		cut := whole
		if err == nil { // more follows: keep back a character that is not whole
			cut = wholeRunes(raw[:whole])
		}
		folded = fold(folded, raw[:cut])
		if bytes.Contains(folded, n) {
			return true, nil
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		held = copy(raw, raw[cut:whole])
		if keep := len(n) - 1; len(folded) > keep {
			folded = folded[:copy(folded, folded[len(folded)-keep:])]
		}
	}
}

// wholeRunes returns the length of b without an incomplete character at its end.
func wholeRunes(b []byte) int {
	for i := 1; i <= utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return len(b) - i
			}
			break
		}
	}
	return len(b)
}

// scratch is the memory that one search reuses for each message.
type scratch struct {
	raw, folded []byte
	head, inner []byte // header sections, of the message and of a part inside
	part        []byte // a field's text
	source      bytes.Reader
	text        message.TextReader
}
