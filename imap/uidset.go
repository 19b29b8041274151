package imap

import (
	"iter"
	"slices"
	"strconv"

	"posthouse/store"
)

func appendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }

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
