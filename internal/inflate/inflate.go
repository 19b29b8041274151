// Package inflate decodes DEFLATE (RFC 1951) from a peer that flushes as it likes.
//
// The decoder gives out every byte as soon as its bits are there, so that a
// conversation never waits for the flush after next: also behind a partial flush
// of zlib, which ends in the middle of a byte. It keeps its state between calls in
// about a kilobyte and the history that the peer may refer to, at most 32 KiB;
// its work is proportional to what it reads and writes. It does no I/O and never
// fails but for broken input.
package inflate

import "errors"

// ErrCorrupt says that the input is not DEFLATE. There is no way to go on.
var ErrCorrupt = errors.New("inflate: corrupt input")

// windowSize is how far back a match may reach, RFC 1951 §2.
const windowSize = 32 << 10

// The steps of a block. Each needs few enough bits to hold them in a word.
type step uint8

const (
	blockHeader step = iota
	storedLength
	storedBytes
	dynamicCounts
	dynamicCodeLengths
	dynamicLengths
	symbols
	copying
	ended
)

// A Decoder decodes one stream. Its zero value is ready.
type Decoder struct {
	bits uint64 // read and not used, lowest first
	have uint

	step  step
	final bool
	left  int // bytes to be copied, or stored
	dist  int

	literals, distances int // codes of a dynamic block
	count, at           int // code lengths that are announced, and read
	lengths             [320]uint8
	lit, dst            code
	hist                []byte // the last bytes that were given out
}

// Idle reports that every byte that the input so far stands for was given out: more
// comes of more input only.
func (d *Decoder) Idle() bool { return d.step != copying && d.step != storedBytes }

// Compact gives memory back that history does not need.
func (d *Decoder) Compact() {
	if n := len(d.hist); n > windowSize {
		d.hist = d.hist[n-windowSize:]
	}
	if cap(d.hist) > len(d.hist)+len(d.hist)/2+1024 {
		d.hist = append(make([]byte, 0, len(d.hist)), d.hist...)
	}
}

// Decode writes to dst what src stands for, until dst is full or src is used up. It
// returns the bytes written and the bytes used. Behind the end of the stream it
// uses nothing.
func (d *Decoder) Decode(dst, src []byte) (n, used int, err error) {
	for d.step != ended {
		for d.have <= 56 && used < len(src) {
			d.bits |= uint64(src[used]) << d.have
			d.have += 8
			used++
		}
		k, ok := d.advance(dst[n:])
		n += k
		if ok == broken {
			return n, used, ErrCorrupt
		}
		if ok == stuck && (used == len(src) || n == len(dst) && !d.Idle()) {
			return n, used, nil
		}
		if ok == stuck && d.have > 56 { // all bits are there, and there is no room
			return n, used, nil
		}
	}
	return n, used, nil
}

type outcome uint8

const (
	moved outcome = iota
	stuck         // for want of bits or of room
	broken
)

// take uses n bits if they are there.
func (d *Decoder) take(n uint) (v int, ok bool) {
	if d.have < n {
		return 0, false
	}
	v = int(d.bits & (1<<n - 1))
	d.drop(n)
	return v, true
}

func (d *Decoder) drop(n uint) {
	d.bits >>= n
	d.have -= n
}

// advance does one step.
func (d *Decoder) advance(dst []byte) (n int, o outcome) {
	switch d.step {
	case blockHeader:
		return 0, d.header()
	case storedLength:
		return 0, d.stored()
	case storedBytes:
		return d.storedByte(dst)
	case dynamicCounts:
		return 0, d.counts()
	case dynamicCodeLengths:
		return 0, d.codeLengths()
	case dynamicLengths:
		return 0, d.codes()
	case symbols:
		return d.symbol(dst)
	case copying:
		return d.copyMatch(dst)
	}
	return 0, stuck
}

func (d *Decoder) header() outcome {
	h, ok := d.take(3)
	if !ok {
		return stuck
	}
	d.final = h&1 != 0
	switch h >> 1 {
	case 0:
		d.step = storedLength
	case 1:
		d.fixed()
		d.step = symbols
	case 2:
		d.step = dynamicCounts
	default:
		return broken
	}
	return moved
}

// endBlock goes on to the next block, or to the end.
func (d *Decoder) endBlock() {
	if d.step = blockHeader; d.final {
		d.step = ended
	}
}

// stored reads the length of a stored block, RFC 1951 §3.2.4.
func (d *Decoder) stored() outcome {
	pad := d.have % 8
	if d.have < 32+pad {
		return stuck
	}
	d.drop(pad)
	n, _ := d.take(16)
	not, _ := d.take(16)
	if n != ^not&0xffff {
		return broken
	}
	d.left = n
	if d.step = storedBytes; n == 0 {
		d.endBlock()
	}
	return moved
}

func (d *Decoder) storedByte(dst []byte) (int, outcome) {
	if len(dst) == 0 {
		return 0, stuck
	}
	b, ok := d.take(8)
	if !ok {
		return 0, stuck
	}
	d.emit(dst, byte(b))
	if d.left--; d.left == 0 {
		d.endBlock()
	}
	return 1, moved
}

// emit gives out a byte and remembers it.
func (d *Decoder) emit(dst []byte, b byte) {
	dst[0] = b
	if len(d.hist) >= 2*windowSize {
		d.hist = d.hist[:copy(d.hist, d.hist[len(d.hist)-windowSize:])]
	}
	d.hist = append(d.hist, b)
}

// symbol decodes a literal or a match, RFC 1951 §3.2.5. Nothing is used until all
// bits of it are there.
func (d *Decoder) symbol(dst []byte) (int, outcome) {
	bits, have := d.bits, d.have
	s, o := d.decode(&d.lit)
	if o != moved {
		return 0, o
	}
	switch {
	case s == 256:
		d.endBlock()
		return 0, moved
	case s < 256:
		if len(dst) == 0 {
			d.bits, d.have = bits, have
			return 0, stuck
		}
		d.emit(dst, byte(s))
		return 1, moved
	case s > 285:
		return 0, broken
	}
	extra, ok := d.take(uint(lengthExtra[s-257]))
	if ok {
		var t int
		if t, o = d.decode(&d.dst); o == broken || o == moved && t > 29 {
			return 0, broken
		}
		if ok = o == moved; ok {
			d.left = lengthBase[s-257] + extra
			if extra, ok = d.take(uint(distanceExtra[t])); ok {
				d.dist = distanceBase[t] + extra
			}
		}
	}
	if !ok {
		d.bits, d.have = bits, have
		return 0, stuck
	}
	if d.dist > len(d.hist) || d.dist > windowSize {
		return 0, broken
	}
	d.step = copying
	return 0, moved
}

// copyMatch repeats what was given out before.
func (d *Decoder) copyMatch(dst []byte) (n int, o outcome) {
	for n < len(dst) && d.left > 0 {
		d.emit(dst[n:], d.hist[len(d.hist)-d.dist])
		n++
		d.left--
	}
	if d.left > 0 {
		return n, stuck
	}
	d.step = symbols
	return n, moved
}
