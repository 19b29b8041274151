package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
)

// A bodyDigest digests a body in one canonicalisation, RFC 6376 §3.4.3 and §3.4.4.
// Signatures with l= want the digest of a beginning: it is taken when the pass
// comes by, so that one hash serves all.
type bodyDigest struct {
	relaxed bool
	hash    hash.Hash
	marks   []int64             // ascending lengths of which a digest is wanted
	sums    [][sha256.Size]byte // of the marks passed
	n       int64               // canonical bytes so far
	room    [1024]byte          // gathers small pieces for the hash
	held    int                 // bytes of room
	total   [sha256.Size]byte   // of the whole, after finish

	lines int64 // line ends held back: they count only if something follows
	space bool  // white space held back (relaxed)
	cr    bool  // a CR held back: the next byte may be its LF
}

func newBodyDigest(relaxed bool) *bodyDigest {
	return &bodyDigest{relaxed: relaxed, hash: sha256.New()}
}

// want asks for the digest of the first l canonical bytes.
func (d *bodyDigest) want(l int64) {
	if at, there := slices.BinarySearch(d.marks, l); !there {
		d.marks = slices.Insert(d.marks, at, l)
	}
}

// sum is the digest of the first l bytes, of all if l is negative. There is none if
// the body is shorter.
func (d *bodyDigest) sum(l int64) ([]byte, bool) {
	if l < 0 {
		return d.total[:], true
	}
	at, there := slices.BinarySearch(d.marks, l)
	if !there || at >= len(d.sums) {
		return nil, false
	}
	return d.sums[at][:], true
}

func (d *bodyDigest) write(p []byte) {
	if d.relaxed {
		d.writeRelaxed(p)
	} else {
		d.writeSimple(p)
	}
}

func (d *bodyDigest) writeSimple(p []byte) {
	if d.cr && len(p) > 0 {
		d.cr = false
		if p[0] == '\n' {
			d.lines++
			p = p[1:]
		} else {
			d.release()
			d.emit(crlf[:1])
		}
	}
	if n := len(p); n > 0 && p[n-1] == '\r' {
		d.cr = true
		p = p[:n-1]
	}
	var ends int64
	for bytes.HasSuffix(p, crlf) {
		ends++
		p = p[:len(p)-2]
	}
	if len(p) > 0 {
		d.release()
		d.emit(p)
	}
	d.lines += ends
}

var (
	crlf     = []byte("\r\n")
	oneSpace = []byte{' '}
)

func (d *bodyDigest) writeRelaxed(p []byte) {
	for i := 0; i < len(p); {
		c := p[i]
		if d.cr {
			d.cr = false
			if c == '\n' {
				d.space = false
				d.lines++
				i++
				continue
			}
			d.release()
			d.emit(crlf[:1])
		}
		switch c {
		case ' ', '\t':
			d.space = true
			i++
		case '\r':
			d.cr = true
			i++
		default:
			n := span(p[i:])
			d.release()
			d.emit(p[i : i+n])
			i += n
		}
	}
}

// span is the length of the beginning of p that stays as it is: text, single spaces
// between text, and line ends between lines of text. p[0] is text.
func span(p []byte) int {
next:
	for i := 1; i < len(p); {
		i += plain(p[i:])
		for end := min(i+8, len(p)); i < end; i++ { // there is something in the next eight
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
				i += 2
				continue next
			case c == '\t':
				return i
			}
		}
	}
	return len(p)
}

// plain is the length of a beginning of p that is text with single spaces in it: eight bytes
// at a time, so it may be less than there is. A space that ends it is not counted, for what
// follows is not known.
func plain(p []byte) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	n, space := 0, uint64(0) // space: the last byte was one
	for ; n+8 <= len(p); n += 8 {
		x := binary.LittleEndian.Uint64(p[n:])
		if (x-ones*' ')&^x&high != 0 { // one is below a space
			break
		}
		y := x ^ ones*' '
		spaces := ^((y&^high + ^uint64(high)) | y | ^uint64(high)) // 0x80 where y is 0
		if spaces&(spaces<<8|space) != 0 {
			break
		}
		space = spaces >> 56
	}
	if space != 0 {
		n--
	}
	return n
}

// release emits what was held back, because text follows.
func (d *bodyDigest) release() {
	for d.lines > 0 {
		n := min(d.lines, int64(len(manyLines)/2))
		d.emit(manyLines[:2*n])
		d.lines -= n
	}
	if d.space {
		d.space = false
		d.emit(oneSpace)
	}
}

var manyLines = bytes.Repeat(crlf, 512)

// emit takes canonical bytes, and digests at the marks among them.
func (d *bodyDigest) emit(p []byte) {
	for next := len(d.sums); next < len(d.marks) && d.marks[next]-d.n <= int64(len(p)); next++ {
		k := d.marks[next] - d.n
		d.feed(p[:k])
		p = p[k:]
		d.n += k
		d.drain()
		var s [sha256.Size]byte
		d.hash.Sum(s[:0])
		d.sums = append(d.sums, s)
	}
	d.feed(p)
	d.n += int64(len(p))
}

// feed gives bytes to the hash, small pieces together: each call of it costs as much as
// digesting some dozens of bytes.
func (d *bodyDigest) feed(p []byte) {
	if len(p) > len(d.room)-d.held {
		d.drain()
	}
	if len(p) > len(d.room)/2 {
		d.drain()
		d.hash.Write(p)
		return
	}
	d.held += copy(d.room[d.held:], p)
}

// drain gives the hash what feed has gathered.
func (d *bodyDigest) drain() {
	if d.held > 0 {
		d.hash.Write(d.room[:d.held])
		d.held = 0
	}
}

// finish ends the body: line ends at its end are one, and an empty body is one line
// end in the simple form, nothing in the relaxed.
func (d *bodyDigest) finish() {
	if d.cr {
		d.cr = false
		d.release()
		d.emit(crlf[:1])
	}
	if !d.relaxed || d.n > 0 {
		d.emit(crlf)
	} else {
		d.emit(nil)
	}
	d.drain()
	d.hash.Sum(d.total[:0])
}

// AppendRelaxed appends f in the relaxed canonicalisation of RFC 6376 §3.4.2,
// without the line end.
func AppendRelaxed(dst []byte, f Field) []byte {
	for _, c := range f.Name() {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	dst = append(dst, ':')
	space := false
	v := f.Value()
	start := len(dst)
	for i := 0; i < len(v); {
		switch c := v[i]; {
		case c == ' ' || c == '\t':
			space = true
			i++
		case c == '\n' || c == '\r' && i+1 < len(v) && v[i+1] == '\n':
			i++
		default:
			if space && len(dst) > start {
				dst = append(dst, ' ')
			}
			space = false
			end := i + 1
			for end < len(v) && v[end] > ' ' {
				end++
			}
			dst = append(dst, v[i:end]...)
			i = end
		}
	}
	return dst
}

// appendField appends f canonically, without the line end.
func appendField(dst []byte, f Field, relaxed bool) []byte {
	if relaxed {
		return AppendRelaxed(dst, f)
	}
	return append(dst, bytes.TrimSuffix(bytes.TrimSuffix(f.raw, []byte{'\n'}), []byte{'\r'})...)
}
