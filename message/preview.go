package message

import (
	"bytes"
	"io"
	"unicode"
	"unicode/utf8"
)

// maxPreview is the length of a preview in characters, RFC 8970 §3.
const maxPreview = 200

// previewText is how much decoded text is looked at for a preview.
const previewText = 4 << 10

// Preview returns the first words of the text of m, at most 200 characters (RFC
// 8970), without what it quotes and without its signature. It is "" in a Message
// that comes from ParseTable.
func (m *Message) Preview() string { return m.preview }

// makePreview makes the preview from the piece of text that was kept.
func (p *Parser) makePreview() string {
	if p.text < 0 || len(p.prefix) == 0 {
		return ""
	}
	part := &p.m.Parts[p.text]
	text := p.prefix
	charset := part.Charset()
	enc, known := charsetEncoding(charset)
	simple := enc == nil || !known || !isLatin1(charset)
	if part.Subtype == "html" || part.Encoding == "base64" || part.Encoding == "quoted-printable" ||
		!simple || !utf8.Valid(text) {
		r := NewTextReader(bytes.NewReader(text), part)
		if cap(p.scratch) < previewText {
			p.scratch = make([]byte, previewText)
		}
		n, _ := io.ReadFull(r, p.scratch[:previewText])
		text = p.scratch[:n]
	} else {
		text = text[:min(len(text), previewText)]
	}
	var buf [4 * maxPreview]byte
	out := appendPreview(buf[:0], text, true)
	if len(out) == 0 {
		out = appendPreview(buf[:0], text, false)
	}
	return string(out)
}

// appendPreview appends the first words of text. If own is set, quoted lines,
// the lines that introduce them, and what follows a signature mark are skipped.
func appendPreview(dst, text []byte, own bool) []byte {
	count := 0
	for len(text) > 0 && count < maxPreview {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		if own {
			if endsOwnText(line) {
				break
			}
			if isQuoted(line) || isAttribution(line, text) {
				continue
			}
		}
		dst, count = appendWords(dst, line, count)
	}
	return dst
}

// plainWord returns how many bytes of b are visible ASCII, up to the first that is not.
func plainWord(b []byte) int {
	for i, c := range b {
		if c <= ' ' || c >= 0x7f {
			return i
		}
	}
	return len(b)
}

// appendWords appends the words of a line, one space between them.
func appendWords(dst, line []byte, count int) ([]byte, int) {
	space := len(dst) > 0
	for len(line) > 0 && count < maxPreview {
		if n := plainWord(line[:min(len(line), maxPreview-count-1)]); n > 0 && !space {
			dst = append(dst, line[:n]...)
			line, count = line[n:], count+n
			continue
		}
		r, n := utf8.DecodeRune(line)
		line = line[n:]
		switch {
		case unicode.IsSpace(r), r == '\u200b', r == '\ufeff', r == '\u034f', r == '\u00ad':
			space = len(dst) > 0
			continue
		case r < ' ', r == 0x7f, r == utf8.RuneError && n <= 1:
			continue
		}
		if space {
			if count+2 > maxPreview {
				return dst, maxPreview
			}
			dst = append(dst, ' ')
			count++
			space = false
		}
		dst = utf8.AppendRune(dst, r)
		count++
	}
	return dst, count
}

func isQuoted(line []byte) bool { return len(line) > 0 && line[0] == '>' }

// endsOwnText reports whether a line begins a signature (RFC 3676 §4.3) or the
// copy of another message.
func endsOwnText(line []byte) bool {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	return string(line) == "-- " || string(line) == "--" && len(line) == 2 ||
		bytes.HasPrefix(line, []byte("-----Original Message-----"))
}

// isAttribution reports whether a line introduces a quotation: it ends with a
// colon, and a quoted line follows.
func isAttribution(line, rest []byte) bool {
	line = trimSpace(line)
	if len(line) == 0 || line[len(line)-1] != ':' {
		return false
	}
	for len(rest) > 0 && isSpace(rest[0]) {
		rest = rest[1:]
	}
	return isQuoted(rest)
}
