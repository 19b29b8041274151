package message

import (
	"bytes"
	"slices"
	"sync"
)

// A Parser builds a Message from bytes as they arrive. It keeps no more of them
// than the headers that it may still need and a piece of the first text. It is
// not safe for concurrent use; after Reset it can be used again.
type Parser struct {
	lim Limits
	m   *Message

	off   int64 // bytes seen
	lines int64 // line ends seen

	inHeader bool
	hdrLine  int // where in hdr the current line begins

	lineLen int  // bytes of the current line in earlier chunks
	plain   bool // the current line of a body is known to be no delimiter
	eol     int  // length of the line end before the current line
	last    byte // the last byte seen

	memory int // bytes of strings kept in m.Parts

	text int32 // the part that prefix comes from, -1 before one was found
	room int   // how much more of it prefix takes
	mark int   // length of prefix where the current line began

	*buffers
}

// buffers are what a Parser needs only while it works.
type buffers struct {
	hdr     []byte // header section of the current part, up to the limit
	fields  []field
	line    []byte     // first bytes of the current line, where it was cut between two chunks
	open    []openPart // the parts that we are in, outermost first
	bounds  []boundary
	prefix  []byte // the start of the text that the preview is made of
	scratch []byte // an envelope being written, decoded text
}

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

// maxPooled is how much of a buffer's memory is kept for the next message.
const maxPooled = 256 << 10

func (b *buffers) release() {
	if cap(b.hdr)+cap(b.prefix)+cap(b.scratch)+cap(b.line)+cap(b.fields)*16 > maxPooled {
		return
	}
	clear(b.bounds[:cap(b.bounds)])
	*b = buffers{b.hdr[:0], b.fields[:0], b.line[:0], b.open[:0], b.bounds[:0], b.prefix[:0], b.scratch[:0]}
	bufferPool.Put(b)
}

// An openPart is a part whose end was not seen yet.
type openPart struct {
	index     int32
	lastChild int32
	lines     int64 // Parser.lines where its body began
}

// A boundary is the delimiter of an open multipart.
type boundary struct {
	delimiter string // "--" and the boundary
	level     int    // index in Parser.open of the multipart
}

// How much of the first text the preview may look at: HTML mail begins with
// kilobytes of styles.
const (
	plainPrefix = 8 << 10
	htmlPrefix  = 48 << 10
)

// NewParser returns a Parser for one message.
func NewParser(l Limits) *Parser {
	p := new(Parser)
	p.Begin(l)
	return p
}

// Begin makes p, which may be the zero Parser, ready for a message, as [NewParser] does.
func (p *Parser) Begin(l Limits) {
	p.lim = l.withDefaults()
	p.Reset()
}

// Reset prepares p for another message, under the same limits.
func (p *Parser) Reset() {
	if p.buffers != nil {
		p.release()
	}
	*p = Parser{lim: p.lim, buffers: bufferPool.Get().(*buffers), text: -1}
	first := &struct { // most messages have one part: one piece of memory
		Message
		part [1]Part
	}{}
	p.m = &first.Message
	p.m.limits, p.m.Parts = p.lim, first.part[:0]
	p.startPart(0)
}

// Parse parses a whole message under the default limits.
func Parse(b []byte) *Message {
	p := NewParser(Limits{})
	p.Write(b)
	return p.Close()
}

// Write takes the next bytes of the message. It never fails.
func (p *Parser) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		switch {
		case p.inHeader:
			b = p.headerBytes(b)
		case len(p.bounds) == 0:
			p.content(b)
			b = nil
		default:
			b = p.bodyBytes(b)
		}
	}
	return n, nil
}

// Close ends the message and returns it. The Parser is done until Reset.
func (p *Parser) Close() *Message {
	if p.lineLen > 0 && !p.plain && p.line[0] == '-' { // a last line without a line end
		p.delimiter(p.line, 0)
	}
	p.dropLast()
	p.endHeaders(p.off, p.lines)
	p.closeParts(0, p.off, p.lines)
	p.m.Size = p.off
	p.m.Parts = slices.Clip(p.m.Parts)
	p.m.preview = p.makePreview()
	m := p.m
	p.m = nil
	p.release()
	p.buffers = nil
	return m
}

// dropLast takes back a part of which there is no byte: the message was cut off
// behind a delimiter.
func (p *Parser) dropLast() {
	parts, last := p.m.Parts, len(p.m.Parts)-1
	if !p.inHeader || last == 0 || parts[last].HeaderStart < p.off || !parts[parts[last].Parent].IsMultipart() {
		return
	}
	up := int(parts[last].Parent)
	for c := range p.m.ChildrenOf(up) {
		if parts[c].Next == int32(last) {
			parts[c].Next = 0
			break
		}
	}
	parts[up].Children--
	p.m.Parts = parts[:last]
	p.open = p.open[:len(p.open)-1]
	p.inHeader = false
}

// advance counts bytes that were dealt with.
func (p *Parser) advance(b []byte) {
	p.off += int64(len(b))
	p.last = b[len(b)-1]
}

// content takes bytes of a body that need only counting.
func (p *Parser) content(b []byte) {
	p.capture(b)
	p.lines += int64(bytes.Count(b, newline))
	p.advance(b)
}

var (
	newline       = []byte{'\n'}
	newlineDashes = []byte("\n--")
)

// prefixLen is how much of a line is looked at: a delimiter, the two dashes that
// close it, and its line end.
func (p *Parser) prefixLen() int { return min(p.lim.Boundary, noLimit-16) + 8 }

// headerBytes takes bytes up to the end of a line of a header section.
func (p *Parser) headerBytes(b []byte) []byte {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		p.keepHeader(b)
		p.hold(b)
		return nil
	}
	piece, rest := b[:i+1], b[i+1:]
	line := p.wholeLine(piece)
	if line[0] == '-' && p.delimiter(line, len(piece)) {
		p.endLine(piece)
		return rest
	}
	empty := line[0] == '\n' || len(line) == 2 && line[0] == '\r'
	p.keepHeader(piece)
	p.endLine(piece)
	p.hdrLine = len(p.hdr)
	if empty {
		p.finishHeader(p.off, p.lines)
	}
	return rest
}

// keepHeader adds b to the header section, as far as the limit allows.
func (p *Parser) keepHeader(b []byte) {
	if room := p.lim.HeaderBytes - len(p.hdr); len(b) > room {
		b = b[:max(room, 0)]
	}
	p.hdr = append(p.hdr, b...)
}

// hold takes a piece of a line whose end is not in this chunk.
func (p *Parser) hold(piece []byte) {
	p.holdPrefix(piece)
	p.lineLen += len(piece)
	p.advance(piece)
}

func (p *Parser) holdPrefix(piece []byte) {
	if room := p.prefixLen() - len(p.line); room > 0 {
		p.line = append(p.line, piece[:min(room, len(piece))]...)
	}
}

// wholeLine returns the line that ends with piece, as much of it as can be a
// delimiter.
func (p *Parser) wholeLine(piece []byte) []byte {
	if p.lineLen == 0 {
		return piece[:min(len(piece), p.prefixLen())]
	}
	p.holdPrefix(piece)
	return p.line
}

// endLine counts the last piece of a line.
func (p *Parser) endLine(piece []byte) {
	p.eol = p.lineEnd(piece, len(piece)-1)
	p.lines++
	p.line, p.lineLen, p.plain = p.line[:0], 0, false
	p.advance(piece)
}

// lineEnd returns the length of the line end whose LF is b[i].
func (p *Parser) lineEnd(b []byte, i int) int {
	if i > 0 && b[i-1] == '\r' || i == 0 && p.last == '\r' {
		return 2
	}
	return 1
}

// bodyBytes takes bytes of a body in which a delimiter may stand.
func (p *Parser) bodyBytes(b []byte) []byte {
	if p.plain || p.lineLen == 0 && b[0] != '-' {
		return p.skipLines(b)
	}
	if p.lineLen == 0 {
		p.mark = len(p.prefix)
	}
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		p.capture(b)
		p.hold(b)
		return nil
	}
	piece, rest := b[:i+1], b[i+1:]
	if !p.delimiter(p.wholeLine(piece), len(piece)) {
		p.capture(piece)
	}
	p.endLine(piece)
	return rest
}

// capture adds body bytes to the piece of text that is kept.
func (p *Parser) capture(b []byte) {
	if n := min(p.room, len(b)); n > 0 {
		p.prefix = append(p.prefix, b[:n]...)
		p.room -= n
	}
}

// skipLines takes bytes up to the next line that may be a delimiter.
func (p *Parser) skipLines(b []byte) []byte {
	i := bytes.Index(b, newlineDashes)
	if i < 0 {
		i = bytes.LastIndexByte(b, '\n')
		if tail := b[i+1:]; i < 0 || len(tail) > 1 || len(tail) == 1 && tail[0] != '-' {
			if i >= 0 {
				p.eol = p.lineEnd(b, i)
			}
			p.plain = true
			p.content(b)
			return nil
		}
	}
	p.eol = p.lineEnd(b, i)
	p.plain = false
	p.content(b[:i+1])
	return b[i+1:]
}

// delimiter deals with a line that begins with a dash and ends n bytes from
// here. It is false if the line is no delimiter of an open multipart.
func (p *Parser) delimiter(line []byte, n int) bool {
	j, closing := p.findBoundary(line)
	if j < 0 {
		return false
	}
	next := p.off + int64(n)
	end := p.off - int64(p.lineLen) - int64(p.eol) // the line end before it is part of the delimiter
	if p.inHeader {
		p.hdr = p.hdr[:min(p.hdrLine, len(p.hdr))]
		at, lines := end, p.lines-1
		if first := p.m.Parts[p.open[len(p.open)-1].index].HeaderStart; first > end { // it has no header either
			at, lines = first, p.lines
		}
		p.endHeaders(at, lines)
	} else {
		p.prefix = p.prefix[:min(p.mark, len(p.prefix))] // the line was no text
	}
	level := p.bounds[j].level
	p.closeParts(level+1, end, p.lines-1)
	switch {
	case closing:
		p.bounds = p.bounds[:j]
	case len(p.m.Parts) >= p.lim.Parts:
		p.bounds = p.bounds[:0] // what follows is opaque
	default:
		p.bounds = p.bounds[:j+1]
		p.startPart(next)
	}
	return true
}

// findBoundary finds the open multipart whose delimiter line is, as RFC 2046
// §5.1.1 wants: the line needs only begin with it. Of several the longest
// counts, of equal ones the innermost. It returns -1 if there is none.
func (p *Parser) findBoundary(line []byte) (j int, closing bool) {
	for len(line) > 0 && isSpace(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	j = -1
	for i := len(p.bounds) - 1; i >= 0; i-- {
		d := p.bounds[i].delimiter
		if len(line) < len(d) || string(line[:len(d)]) != d {
			continue
		}
		rest := line[len(d):]
		dashes := len(rest) >= 2 && rest[0] == '-' && rest[1] == '-'
		if len(rest) == 0 || len(rest) == 2 && dashes {
			return i, dashes
		}
		if j < 0 || len(d) > len(p.bounds[j].delimiter) {
			j, closing = i, dashes
		}
	}
	return j, closing
}

// endHeaders ends the header that we are in, at offset end, when lines line ends
// lay before it: the part has no body.
func (p *Parser) endHeaders(end, lines int64) {
	for p.inHeader { // twice where the part is a message/rfc822
		p.finishHeader(end, lines)
	}
}

// closeParts ends the open parts from level on, at offset end, when lines line
// ends lay before it. Where a part begins right at the delimiter, with the line
// end that should be the delimiter's, it and those around it end there.
func (p *Parser) closeParts(level int, end, lines int64) {
	for i := len(p.open) - 1; i >= level; i-- {
		o := &p.open[i]
		part := &p.m.Parts[o.index]
		if part.BodyStart > end {
			end, lines = part.BodyStart, o.lines
		}
		part.BodyEnd = end
		part.Lines = lines - o.lines
		if o.index == p.text {
			p.room = 0
			if len(trimSpace(p.prefix)) == 0 { // an empty text: look at the next
				p.text, p.prefix = -1, p.prefix[:0]
			}
		}
	}
	p.open = p.open[:level]
}

// startPart begins a part inside the innermost open one; its header section
// begins at offset start.
func (p *Parser) startPart(start int64) {
	i := int32(len(p.m.Parts))
	parent := int32(-1)
	if n := len(p.open); n > 0 {
		up := &p.open[n-1]
		parent = up.index
		if up.lastChild > 0 {
			p.m.Parts[up.lastChild].Next = i
		}
		up.lastChild = i
		p.m.Parts[parent].Children++
	}
	p.m.Parts = append(p.m.Parts, Part{Parent: parent, HeaderStart: start})
	p.open = append(p.open, openPart{index: i})
	p.inHeader = true
	p.hdr, p.hdrLine = p.hdr[:0], 0
}
