package inflate

// The extra bits and bases of lengths and distances, RFC 1951 §3.2.5.
var (
	lengthBase = [29]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
		163, 195, 227, 258}
	lengthExtra  = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distanceBase = [30]int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
		3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distanceExtra = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	// lengthOrder is the order of code lengths, RFC 1951 §3.2.7.
	lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// A code is a canonical Huffman code, RFC 1951 §3.2.2: how many symbols have each
// length, and the symbols by length.
type code struct {
	counts  [16]uint16
	symbols [288]uint16
}

// build makes the code of lengths. It fails if they promise more codes than there
// are; a code that uses fewer is found out when a missing one is met.
func (c *code) build(lengths []uint8) bool {
	c.counts = [16]uint16{}
	for _, n := range lengths {
		c.counts[n]++
	}
	room := 1
	for n := 1; n < 16; n++ {
		if room = room<<1 - int(c.counts[n]); room < 0 {
			return false
		}
	}
	var at [16]uint16
	for n := 1; n < 15; n++ {
		at[n+1] = at[n] + c.counts[n]
	}
	for s, n := range lengths {
		if n > 0 {
			c.symbols[at[n]] = uint16(s)
			at[n]++
		}
	}
	return true
}

// decode reads one symbol. It uses no bits unless it has them all.
func (d *Decoder) decode(c *code) (int, outcome) {
	word, first, index := 0, 0, 0
	bits := d.bits
	for n := uint(1); n < 16; n++ {
		if n > d.have {
			return 0, stuck
		}
		word |= int(bits & 1)
		bits >>= 1
		count := int(c.counts[n])
		if word-first < count {
			d.drop(n)
			return int(c.symbols[index+word-first]), moved
		}
		index += count
		first = (first + count) << 1
		word <<= 1
	}
	return 0, broken
}

// fixed takes the codes of RFC 1951 §3.2.6, made once: what a client says in a few
// bytes is mostly in blocks of its own.
func (d *Decoder) fixed() { d.lit, d.dst = fixedLiterals, fixedDistances }

var fixedLiterals, fixedDistances = fixedCodes()

func fixedCodes() (lit, dst code) {
	var l [288]uint8
	for s := range l {
		switch {
		case s < 144:
			l[s] = 8
		case s < 256:
			l[s] = 9
		case s < 280:
			l[s] = 7
		default:
			l[s] = 8
		}
	}
	lit.build(l[:])
	for s := range 30 {
		l[s] = 5
	}
	dst.build(l[:30])
	return lit, dst
}

// counts reads how many code lengths follow, RFC 1951 §3.2.7.
func (d *Decoder) counts() outcome {
	n, ok := d.take(14)
	if !ok {
		return stuck
	}
	d.literals, d.distances, d.count = n&31+257, n>>5&31+1, n>>10+4
	if d.literals > 286 || d.distances > 30 {
		return broken
	}
	d.at = 0
	d.lengths = [320]uint8{}
	d.step = dynamicCodeLengths
	return moved
}

// codeLengths reads the code in which the code lengths come.
func (d *Decoder) codeLengths() outcome {
	for ; d.at < d.count; d.at++ {
		n, ok := d.take(3)
		if !ok {
			return stuck
		}
		d.lengths[lengthOrder[d.at]] = uint8(n)
	}
	if !d.lit.build(d.lengths[:19]) {
		return broken
	}
	d.at = 0
	d.lengths = [320]uint8{}
	d.step = dynamicLengths
	return moved
}

// codes reads the code lengths and makes the codes.
func (d *Decoder) codes() outcome {
	all := d.literals + d.distances
	for d.at < all {
		bits, have := d.bits, d.have
		s, o := d.decode(&d.lit)
		if o != moved {
			return o
		}
		if s < 16 {
			d.lengths[d.at] = uint8(s)
			d.at++
			continue
		}
		extra, base := [3]uint{2, 3, 7}[s-16], [3]int{3, 3, 11}[s-16]
		n, ok := d.take(extra)
		if !ok {
			d.bits, d.have = bits, have
			return stuck
		}
		var value uint8
		if s == 16 {
			if d.at == 0 {
				return broken
			}
			value = d.lengths[d.at-1]
		}
		if n += base; d.at+n > all {
			return broken
		}
		for range n {
			d.lengths[d.at] = value
			d.at++
		}
	}
	if d.lengths[256] == 0 || !d.lit.build(d.lengths[:d.literals]) || !d.dst.build(d.lengths[d.literals:all]) {
		return broken
	}
	d.step = symbols
	return moved
}
