package mem

import (
	"bytes"
	"hash/fnv"

	"posthouse/store/engine"
)

// A node is the root of an immutable treap: a binary search tree by key that
// is a heap by prio. Every change copies the path to it and shares the rest,
// so that a snapshot is one pointer.
type node struct {
	key, val    []byte
	blob        engine.BlobID // the blob that this key owns, or 0
	prio        uint64
	left, right *node
}

// priority is a hash of the key: equal keys have equal priority, and the shape
// of a tree does not depend on the order of its changes.
func priority(key []byte) uint64 {
	h := fnv.New64a()
	h.Write(key)
	x := h.Sum64()
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

func (n *node) find(key []byte) *node {
	for n != nil {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n
		}
	}
	return nil
}

// set returns the tree with e, whose children are ignored, in the place of its key.
func (n *node) set(e node) *node {
	if n == nil {
		e.left, e.right = nil, nil
		return &e
	}
	c := bytes.Compare(e.key, n.key)
	if c == 0 {
		e.left, e.right = n.left, n.right
		return &e
	}
	if e.prio > n.prio { // so its key is nowhere below
		e.left, e.right = n.split(e.key)
		return &e
	}
	m := *n
	if c < 0 {
		m.left = n.left.set(e)
	} else {
		m.right = n.right.set(e)
	}
	return &m
}

// split returns the keys below key, and those from key on.
func (n *node) split(key []byte) (lo, hi *node) {
	if n == nil {
		return nil, nil
	}
	m := *n
	if bytes.Compare(n.key, key) < 0 {
		m.right, hi = n.right.split(key)
		return &m, hi
	}
	lo, m.left = n.left.split(key)
	return lo, &m
}

// join is the inverse of split: all keys of lo are below those of hi.
func join(lo, hi *node) *node {
	switch {
	case lo == nil:
		return hi
	case hi == nil:
		return lo
	case lo.prio >= hi.prio:
		m := *lo
		m.right = join(lo.right, hi)
		return &m
	default:
		m := *hi
		m.left = join(lo, hi.left)
		return &m
	}
}

// cut returns the tree without the keys lo <= k < hi, and those keys.
func (n *node) cut(lo, hi []byte) (rest, out *node) {
	if bytes.Compare(lo, hi) >= 0 {
		return n, nil
	}
	a, b := n.split(lo)
	out, c := b.split(hi)
	return join(a, c), out
}

// scan calls f with the nodes lo <= key < hi in order until it returns false.
func (n *node) scan(lo, hi []byte, f func(*node) bool) bool {
	if n == nil {
		return true
	}
	above := bytes.Compare(n.key, lo) >= 0
	below := hi == nil || bytes.Compare(n.key, hi) < 0
	if above && !n.left.scan(lo, hi, f) {
		return false
	}
	if above && below && !f(n) {
		return false
	}
	return !below || n.right.scan(lo, hi, f)
}
