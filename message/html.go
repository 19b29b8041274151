package message

import (
	"html"
	"io"
)

// An htmlReader reduces UTF-8 HTML to the text that a reader sees.
type htmlReader struct {
	r    io.Reader
	text htmlText
	out  []byte
	buf  []byte
	in   [4096]byte
}

func (h *htmlReader) reset(r io.Reader) {
	h.r, h.text, h.out = r, htmlText{buf: h.text.buf[:0]}, nil
}

func (h *htmlReader) Read(p []byte) (int, error) {
	for len(h.out) == 0 && len(p) > 0 {
		n, err := h.r.Read(h.in[:])
		h.buf = h.text.append(h.buf[:0], h.in[:n])
		if err != nil {
			h.buf = h.text.flush(h.buf)
		}
		if h.out = h.buf; len(h.out) == 0 && err != nil {
			return 0, err
		}
	}
	n := copy(p, h.out)
	h.out = h.out[n:]
	return n, nil
}

type htmlState uint8

const (
	htmlData    htmlState = iota
	htmlEntity            // behind "&"
	htmlTagOpen           // behind "<"
	htmlTagName
	htmlAttrs   // in a tag, behind its name
	htmlQuoted  // in a quoted attribute value
	htmlComment // in <!-- -->
	htmlRaw     // in the content of an element that is not shown
)

// maxEntity bounds a character reference, maxTag a tag name.
const (
	maxEntity = 32
	maxTag    = 16
)

// An htmlText is a small tokenizer that works byte by byte on pieces of any size
// and keeps a few bytes of state: tags and comments go, the content of style,
// script and their like goes, block elements become line ends, runs of white
// space one space.
type htmlText struct {
	state  htmlState
	quote  byte
	closed bool   // the tag began with "</"
	slash  bool   // the tag ended with "/"
	buf    []byte // the entity or tag name so far
	raw    string // the element whose content is skipped
	dashes int    // "-" in a row, in a comment
	space  bool   // white space is due before the next text
	breaks int    // line ends are due before the next text
	text   bool   // some text came out
	pre    int    // depth of <pre>
}

// breakTags are the elements around which a line ends; the number says how many
// line ends.
var breakTags = map[string]int{"p": 2, "div": 1, "br": 1, "li": 1, "tr": 1, "table": 1, "ul": 1, "ol": 1,
	"h1": 2, "h2": 2, "h3": 2, "h4": 2, "h5": 2, "h6": 2, "blockquote": 1, "hr": 1, "pre": 1, "dl": 1,
	"dt": 1, "dd": 1, "section": 1, "article": 1, "header": 1, "footer": 1, "body": 1, "form": 1, "center": 1}

// spaceTags are the elements that set text apart on one line.
var spaceTags = map[string]bool{"td": true, "th": true, "option": true, "img": true, "button": true}

// rawTags are the elements whose content is not shown.
var rawTags = map[string]bool{"script": true, "style": true, "title": true, "noscript": false, "template": true,
	"textarea": false, "xml": true, "svg": true, "object": true, "iframe": true}

func (h *htmlText) append(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if h.state == htmlData { // words at once
			n := i
			for n < len(src) && !notWord[src[n]] {
				n++
			}
			if n > i {
				dst = append(h.due(dst), src[i:n]...)
				i = n
				continue
			}
		}
		dst = h.byte(dst, src[i])
		i++
	}
	return dst
}

// notWord ends a run of bytes that are text as they stand.
var notWord = byteClass("<&\f")

// flush ends the text: an entity without its ";" comes out.
func (h *htmlText) flush(dst []byte) []byte {
	if h.state == htmlEntity {
		dst = h.endEntity(dst)
	}
	h.state = htmlData
	return dst
}

func (h *htmlText) byte(dst []byte, c byte) []byte {
	switch h.state {
	case htmlData:
		switch c {
		case '<':
			h.state, h.closed, h.slash, h.buf = htmlTagOpen, false, false, h.buf[:0]
		case '&':
			h.state, h.buf = htmlEntity, append(h.buf[:0], '&')
		default:
			dst = h.out(dst, c)
		}
	case htmlEntity:
		dst = h.entity(dst, c)
	case htmlTagOpen:
		dst = h.tagOpen(dst, c)
	case htmlTagName:
		dst = h.tagName(dst, c)
	case htmlAttrs:
		h.attrs(c)
	case htmlQuoted:
		if c == h.quote {
			h.state = htmlAttrs
		}
	case htmlComment:
		switch {
		case c == '>' && h.dashes >= 2:
			h.state = htmlData
		case c == '-':
			h.dashes++
		default:
			h.dashes = 0
		}
	case htmlRaw:
		h.rawByte(c)
	}
	return dst
}

// out writes a byte of text with the white space that is due before it.
func (h *htmlText) out(dst []byte, c byte) []byte {
	if c == 0 {
		return dst
	}
	if isSpace(c) || c == '\f' {
		switch {
		case h.pre == 0:
			h.space = true
		case c == '\n':
			h.breaks++
		case c != '\r':
			dst = h.due(dst)
			dst = append(dst, c)
		}
		return dst
	}
	return append(h.due(dst), c)
}

// due writes the white space before text.
func (h *htmlText) due(dst []byte) []byte {
	switch {
	case !h.text:
	case h.breaks > 0:
		for range min(h.breaks, 2) {
			dst = append(dst, '\n')
		}
	case h.space:
		dst = append(dst, ' ')
	}
	h.text, h.space, h.breaks = true, false, 0
	return dst
}

func (h *htmlText) entity(dst []byte, c byte) []byte {
	switch {
	case isLetter(c), isDigit(c), c == '#' && len(h.buf) == 1:
		if h.buf = append(h.buf, c); len(h.buf) < maxEntity {
			return dst
		}
		return h.endEntity(dst)
	case c == ';':
		h.buf = append(h.buf, c)
		return h.endEntity(dst)
	}
	return h.byte(h.endEntity(dst), c)
}

// endEntity writes the character that a reference stands for.
func (h *htmlText) endEntity(dst []byte) []byte {
	h.state = htmlData
	s := html.UnescapeString(string(h.buf))
	if s == "\u00a0" || s == "\u200c" || s == "\u00ad" || s == "\u034f" || s == "\u200b" || s == "\ufeff" {
		h.space = h.space || s == "\u00a0" // fillers of newsletters
		return dst
	}
	for i := range len(s) {
		dst = h.out(dst, s[i])
	}
	return dst
}

func (h *htmlText) tagOpen(dst []byte, c byte) []byte {
	switch {
	case c == '/' && !h.closed:
		h.closed = true
		return dst
	case isLetter(c):
		h.state, h.buf = htmlTagName, append(h.buf[:0], lower(c))
		return dst
	case c == '!' || c == '?':
		h.state, h.buf = htmlTagName, append(h.buf[:0], c)
		return dst
	case h.closed: // "</3"
		h.state = htmlAttrs
		h.attrs(c)
		return dst
	}
	h.state = htmlData // a "<" that opens nothing
	return h.byte(h.out(dst, '<'), c)
}

func (h *htmlText) tagName(dst []byte, c byte) []byte {
	if h.buf[0] == '!' && c == '-' {
		if h.buf = append(h.buf, c); len(h.buf) == 3 {
			h.state, h.dashes = htmlComment, 2
		}
		return dst
	}
	switch {
	case c == '>':
		h.endTag()
	case isSpace(c) || c == '/' || c == '\f':
		h.state, h.slash = htmlAttrs, c == '/'
	case len(h.buf) < maxTag:
		h.buf = append(h.buf, lower(c))
	}
	return dst
}

func (h *htmlText) attrs(c byte) {
	switch {
	case c == '>':
		h.endTag()
	case c == '"' || c == '\'':
		h.state, h.quote = htmlQuoted, c
	default:
		h.slash = c == '/'
	}
}

// endTag acts on a tag that is complete.
func (h *htmlText) endTag() {
	h.state = htmlData
	if n := breakTags[string(h.buf)]; n > 0 {
		if h.breaks = max(h.breaks, n); string(h.buf) == "pre" {
			h.pre = max(0, h.pre+1-2*b2i(h.closed))
		}
		return
	}
	if spaceTags[string(h.buf)] {
		h.space = true
		return
	}
	if rawTags[string(h.buf)] && !h.closed && !h.slash {
		h.state, h.raw, h.buf = htmlRaw, string(h.buf), h.buf[:0]
	}
}

// rawByte looks for the end tag of an element that is not shown.
func (h *htmlText) rawByte(c byte) {
	switch {
	case c == '<':
		h.buf = append(h.buf[:0], '<')
	case len(h.buf) == 0:
	case len(h.buf) == 1 && c == '/':
		h.buf = append(h.buf, c)
	case len(h.buf) >= 2 && len(h.buf)-2 < len(h.raw) && lower(c) == h.raw[len(h.buf)-2]:
		h.buf = append(h.buf, lower(c))
	case len(h.buf)-2 == len(h.raw) && (c == '>' || isSpace(c) || c == '/'):
		h.state, h.closed, h.buf = htmlAttrs, true, append(h.buf[:0], h.raw...)
		h.attrs(c)
	default:
		h.buf = h.buf[:0]
	}
}
