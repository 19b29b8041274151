package imap

import (
	"iter"
	"slices"
	"strconv"
	"unicode/utf8"

	"posthouse/store"
)

func appendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }

func validUTF8(s string) bool { return utf8.ValidString(s) }

// appendUIDs appends set as a sequence-set.
func appendUIDs(dst []byte, set store.UIDSet) []byte {
	for i, r := range set {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendRange(dst, uint64(r.First), uint64(r.Last))
	}
	return dst
}

func appendRange(dst []byte, first, last uint64) []byte {
	dst = appendUint(dst, first)
	if last != first {
		dst = appendUint(append(dst, ':'), last)
	}
	return dst
}

// bounds returns the places lo <= i < hi of the messages of r in snap.
func bounds(snap *store.Snapshot, r store.UIDRange) (lo, hi int) {
	lo, _ = snap.Search(r.First)
	hi, found := snap.Search(r.Last)
	if found {
		hi++
	}
	return lo, max(lo, hi)
}

// rowsOf yields place and row of each message of set that snap holds.
func rowsOf(snap *store.Snapshot, set store.UIDSet) iter.Seq2[int, store.Row] {
	return func(yield func(int, store.Row) bool) {
		for _, r := range set {
			lo, hi := bounds(snap, r)
			for i, row := range snap.Rows(lo, hi) {
				if !yield(i, row) {
					return
				}
			}
		}
	}
}

// contains reports whether uid is in set.
func contains(set []store.UIDRange, uid store.UID) bool {
	i, _ := slices.BinarySearchFunc(set, uid, func(r store.UIDRange, u store.UID) int {
		if r.Last < u {
			return -1
		}
		return 1
	})
	return i < len(set) && set[i].First <= uid
}

// subtract returns what is in a and not in b.
func subtract(a, b store.UIDSet) store.UIDSet {
	if len(b) == 0 || len(a) == 0 {
		return a
	}
	var out store.UIDSet
	for _, r := range a {
		for len(b) > 0 && b[0].Last < r.First {
			b = b[1:]
		}
		first, gone := r.First, false
		for _, cut := range b {
			if cut.First > r.Last {
				break
			}
			if cut.First > first {
				out = append(out, store.UIDRange{First: first, Last: cut.First - 1})
			}
			if cut.Last >= r.Last {
				gone = true
				break
			}
			first = max(first, cut.Last+1)
		}
		if !gone {
			out = append(out, store.UIDRange{First: first, Last: r.Last})
		}
	}
	return out
}

// addUID appends uid, which is larger than all in set.
func addUID(set store.UIDSet, uid store.UID) store.UIDSet {
	if n := len(set); n > 0 && set[n-1].Last+1 == uid {
		set[n-1].Last = uid
		return set
	}
	return append(set, store.UIDRange{First: uid, Last: uid})
}

// normal sorts and joins ranges.
func normal(set store.UIDSet) store.UIDSet {
	sorted := true
	for i := 1; i < len(set); i++ {
		if set[i].First <= set[i-1].Last || set[i].First == set[i-1].Last+1 {
			sorted = false
			break
		}
	}
	if sorted {
		return set
	}
	slices.SortFunc(set, func(a, b store.UIDRange) int {
		switch {
		case a.First < b.First:
			return -1
		case a.First > b.First:
			return 1
		}
		return 0
	})
	out := set[:1]
	for _, r := range set[1:] {
		last := &out[len(out)-1]
		if r.First <= last.Last || r.First == last.Last+1 {
			last.Last = max(last.Last, r.Last)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// count is the number of UIDs in set.
func count(set store.UIDSet) (n uint64) {
	for _, r := range set {
		n += uint64(r.Last-r.First) + 1
	}
	return n
}

// intersect returns what is in both.
func intersect(a, b store.UIDSet) store.UIDSet {
	var out store.UIDSet
	for len(a) > 0 && len(b) > 0 {
		first, last := max(a[0].First, b[0].First), min(a[0].Last, b[0].Last)
		if first <= last {
			out = append(out, store.UIDRange{First: first, Last: last})
		}
		if a[0].Last < b[0].Last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}
