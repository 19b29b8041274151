package wire

// Star stands for "*" in a Range: the largest number in use.
const Star = 0

// A Range is the numbers from First to Last in either order, RFC 9051 §9
// seq-range; each may be Star.
type Range struct{ First, Last uint32 }

// A NumSet is a sequence-set: message numbers or UIDs as the peer wrote them,
// never expanded.
type NumSet struct {
	Ranges []Range
	Saved  bool // "$", the result of the last SEARCH (RFC 5182 §2)
}

// NumSet reads a sequence-set, or "$".
func (d *Decoder) NumSet() NumSet {
	if d.Try('$') {
		return NumSet{Saved: true}
	}
	var s NumSet
	for {
		first := d.setNumber()
		last := first
		if d.Try(':') {
			last = d.setNumber()
		}
		if d.err != nil {
			return NumSet{}
		}
		s.Ranges = append(s.Ranges, Range{first, last})
		if !d.Try(',') {
			return s
		}
	}
}

func (d *Decoder) setNumber() uint32 {
	if d.Try('*') {
		return Star
	}
	return d.NzNumber()
}

// IsNumSet reports whether a sequence-set may be next.
func (d *Decoder) IsNumSet() bool {
	c := d.Peek()
	return isDigit(c) || c == '*' || c == '$'
}
