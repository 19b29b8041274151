package store

import (
	"iter"
	"slices"
	"sort"
	"strconv"
)

// A UIDRange is the UIDs First <= u <= Last.
type UIDRange struct{ First, Last UID }

// A UIDSet is a set of UIDs as ascending ranges that neither touch nor overlap.
// It is never expanded: its cost is its ranges, not its members.
type UIDSet []UIDRange

// UIDs returns the set of the given UIDs, in any order.
func UIDs(uids ...UID) UIDSet {
	var s UIDSet
	for _, u := range uids {
		s.Add(u)
	}
	return s
}

// Add adds one UID.
func (s *UIDSet) Add(u UID) { s.AddRange(u, u) }

// AddRange adds all UIDs between first and last, both included, in either order.
// Adding in ascending order is cheap.
func (s *UIDSet) AddRange(first, last UID) {
	if first > last {
		first, last = last, first
	}
	set := *s
	n := len(set)
	if n == 0 || uint64(first) > uint64(set[n-1].Last)+1 {
		*s = append(set, UIDRange{first, last})
		return
	}
	if first >= set[n-1].First {
		set[n-1].Last = max(set[n-1].Last, last)
		return
	}
	// lo: the first range that the new one touches; hi: the first that it does not.
	lo := sort.Search(n, func(i int) bool { return uint64(set[i].Last)+1 >= uint64(first) })
	hi := sort.Search(n, func(i int) bool { return uint64(set[i].First) > uint64(last)+1 })
	if lo < hi {
		first, last = min(first, set[lo].First), max(last, set[hi-1].Last)
	}
	*s = slices.Replace(set, lo, hi, UIDRange{first, last})
}

// Contains reports whether u is in the set.
func (s UIDSet) Contains(u UID) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].Last >= u })
	return i < len(s) && s[i].First <= u
}

// Len is the number of UIDs in the set.
func (s UIDSet) Len() int {
	n := 0
	for _, r := range s {
		n += int(r.Last-r.First) + 1
	}
	return n
}

// All yields every UID, ascending.
func (s UIDSet) All() iter.Seq[UID] {
	return func(yield func(UID) bool) {
		for _, r := range s {
			for u := r.First; ; u++ {
				if !yield(u) {
					return
				}
				if u == r.Last {
					break
				}
			}
		}
	}
}

// AppendTo appends the set in the form of an IMAP sequence-set, as "1:3,7" (RFC
// 9051 §9). The empty set appends nothing.
func (s UIDSet) AppendTo(dst []byte) []byte {
	for i, r := range s {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(r.First), 10)
		if r.Last > r.First {
			dst = append(dst, ':')
			dst = strconv.AppendUint(dst, uint64(r.Last), 10)
		}
	}
	return dst
}

func (s UIDSet) String() string { return string(s.AppendTo(nil)) }

// Intersect returns the UIDs that are in both sets.
func (s UIDSet) Intersect(o UIDSet) UIDSet {
	var out UIDSet
	for i, j := 0, 0; i < len(s) && j < len(o); {
		first, last := max(s[i].First, o[j].First), min(s[i].Last, o[j].Last)
		if first <= last {
			out = append(out, UIDRange{first, last})
		}
		if s[i].Last < o[j].Last {
			i++
		} else {
			j++
		}
	}
	return out
}

// Subtract returns the UIDs of s that are not in o.
func (s UIDSet) Subtract(o UIDSet) UIDSet {
	var out UIDSet
	j := 0
	for _, r := range s {
		first := uint64(r.First)
		for j < len(o) && o[j].Last < r.First {
			j++
		}
		for k := j; k < len(o) && o[k].First <= r.Last; k++ {
			if uint64(o[k].First) > first {
				out = append(out, UIDRange{UID(first), o[k].First - 1})
			}
			first = uint64(o[k].Last) + 1
		}
		if first <= uint64(r.Last) {
			out = append(out, UIDRange{UID(first), r.Last})
		}
	}
	return out
}

// Union returns the UIDs that are in either set.
func (s UIDSet) Union(o UIDSet) UIDSet {
	out := make(UIDSet, 0, len(s)+len(o))
	for i, j := 0, 0; i < len(s) || j < len(o); {
		if j == len(o) || i < len(s) && s[i].First <= o[j].First {
			out.AddRange(s[i].First, s[i].Last)
			i++
		} else {
			out.AddRange(o[j].First, o[j].Last)
			j++
		}
	}
	return out
}

// In returns the UIDs of s that snap holds.
func (s UIDSet) In(snap *Snapshot) UIDSet {
	var out UIDSet
	snap.content.eachRange(s, func(c *chunk, lo, hi int) {
		for _, u := range c.cols.uid[lo:hi] {
			out.push(u)
		}
	})
	return out
}

// push adds a UID that is higher than all in the set.
func (s *UIDSet) push(u UID) {
	set := *s
	if n := len(set); n > 0 && set[n-1].Last+1 == u {
		set[n-1].Last = u
		return
	}
	*s = append(set, UIDRange{u, u})
}
