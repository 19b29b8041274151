package store

import (
	"encoding/binary"

	"posthouse/store/engine"
)

// A refFilter knows which references an account certainly does not have: most
// mail starts a conversation, and to look up its message id in the engine would
// cost as much as the rest of its delivery. It is a Bloom filter of 12 bits and
// 6 probes a reference (0.3 % wrong guesses, which cost a lookup).
//
// It is made when the lookups since the account was loaded have cost as much as
// reading all references, and belongs to the writer of the account.
type refFilter struct {
	bits    []uint64
	n, room int
	lookups int
}

const (
	filterBits   = 12
	filterProbes = 6
	// minLookups comes first, so that an account that gets one letter a day never
	// reads its references; a lookup costs as much as reading 50 of them.
	minLookups = 32
	scanRatio  = 50
)

// probes calls f with the bits of a reference until it returns false.
func (rf *refFilter) probes(h uint64, f func(word int, bit uint64) bool) bool {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd // the finaliser of MurmurHash3: FNV alone is not even
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	step := h>>32 | 1
	n := uint64(len(rf.bits) * 64)
	for range filterProbes {
		at := h % n
		if !f(int(at/64), 1<<(at%64)) {
			return false
		}
		h += step
	}
	return true
}

// lacks reports whether h is certainly not there.
func (rf *refFilter) lacks(h uint64) bool {
	return rf.bits != nil && !rf.probes(h, func(w int, bit uint64) bool { return rf.bits[w]&bit != 0 })
}

// add notes that h is there. An overfull filter is given up.
func (rf *refFilter) add(h uint64) {
	if rf.bits == nil {
		return
	}
	if rf.n++; rf.n > rf.room {
		*rf = refFilter{}
		return
	}
	rf.probes(h, func(w int, bit uint64) bool {
		rf.bits[w] |= bit
		return true
	})
}

// lookedUp counts a lookup and makes the filter when it is time. pending are the
// references that r may not show yet. It returns the memory that it took.
func (rf *refFilter) lookedUp(r engine.Reader, messages int64, pending map[uint64]pendingThread) (int64, error) {
	if rf.lookups++; rf.bits != nil || rf.lookups < minLookups || int64(rf.lookups) < messages/scanRatio {
		return 0, nil
	}
	var all []uint64
	err := scan(r, []byte{keyReference}, func(k, _ []byte) error {
		if len(k) != 8 {
			return corrupt("reference")
		}
		all = append(all, binary.BigEndian.Uint64(k))
		return nil
	})
	if err != nil {
		return 0, err
	}
	room := 2*(len(all)+len(pending)) + 1000
	*rf = refFilter{bits: make([]uint64, room*filterBits/64+1), room: room}
	for _, h := range all {
		rf.add(h)
	}
	for h := range pending {
		rf.add(h)
	}
	return int64(len(rf.bits) * 8), nil
}
