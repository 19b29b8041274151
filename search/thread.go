package search

import (
	"context"

	"posthouse/store"
)

// ThreadBy is a threading algorithm.
type ThreadBy uint8

// The algorithms: RFC 5256 §3, and REFS, which is References without the merging
// of equal subjects, its threads in the order of their newest messages.
const (
	OrderedSubject ThreadBy = iota
	References
	Refs
)

// Thread arranges messages in threads.
func Thread(ctx context.Context, acct *store.Account, rows []store.Row, by ThreadBy, tick func(done int) error) (*Forest, error) {
	facts, means, err := facts(ctx, acct, rows, by != OrderedSubject, tick)
	if err != nil {
		return nil, err
	}
	t := &threader{rows: rows, by: by, facts: facts, pool: means.pool}
	t.values = make([]threadValue, len(rows), 2*len(rows))
	for i := range rows {
		f, v := &facts[i], &t.values[i]
		*v = threadValue{date: rows[i].InternalDate, subject: means.ranks[f.subject], reply: f.reply, msg: int32(i)}
		if f.known && f.sent != unsent {
			v.date = f.sent
		}
	}
	if by == OrderedSubject {
		return t.orderedSubject(), nil
	}
	t.identify(means.ids)
	t.link()
	t.gather()
	if by == References {
		t.merge()
	}
	t.arrange()
	return &t.forest, nil
}

// A threadValue is a node: a message, or a place holder for one that is not there.
// The first len(rows) nodes are the messages.
type threadValue struct {
	date    int64
	subject uint32 // rank of the base subject; 0: none
	reply   bool   // the subject says so
	msg     int32  // -1: a dummy
}

// A threader holds the algorithm of RFC 5256 §3 (THREAD, REFERENCES) while it runs.
// Nodes are numbers; nothing recurses.
type threader struct {
	rows  []store.Row
	by    ThreadBy
	facts []fact
	pool  []uint32 // of references, as message ids

	values []threadValue
	refs   []int32 // pieces of pool as nodes, one message after the other
	spans  []span  // of refs, each message's
	parent []int32 // of each node, -1: none
	top    []int32 // the tree that a node is in: union-find
	forest Forest
}

// identify gives each message id its node: the first message that has it, or a dummy.
func (t *threader) identify(ids int) {
	node := make([]int32, ids) // from 1; 0: not seen
	for i := range t.facts {
		if id := t.facts[i].id; id != 0 && node[id] == 0 {
			node[id] = int32(i) + 1
		}
	}
	t.spans = make([]span, len(t.facts))
	for i := range t.facts {
		t.spans[i].lo = uint32(len(t.refs))
		for _, id := range t.pool[t.facts[i].refs.lo:t.facts[i].refs.hi] {
			if node[id] == 0 {
				t.values = append(t.values, threadValue{msg: -1})
				node[id] = int32(len(t.values))
			}
			t.refs = append(t.refs, node[id]-1)
		}
		t.spans[i].hi = uint32(len(t.refs))
	}
}

// link makes the parent links, step 1 of the algorithm. The parent of a message is
// its last reference, which overrides all others (1.B); then references are linked
// among each other where nothing is known better (1.A).
func (t *threader) link() {
	t.parent, t.top = make([]int32, len(t.values)), make([]int32, len(t.values))
	for n := range t.parent {
		t.parent[n], t.top[n] = -1, int32(n)
	}
	for i, s := range t.spans {
		if s.lo < s.hi {
			t.adopt(t.refs[s.hi-1], int32(i))
		}
	}
	for _, s := range t.spans {
		for k := s.lo + 1; k < s.hi; k++ {
			t.adopt(t.refs[k-1], t.refs[k])
		}
	}
}

// adopt makes p the parent of n if n has none and no loop comes of it: n is the top
// of its tree then, and p must be in another.
func (t *threader) adopt(p, n int32) {
	if t.parent[n] >= 0 || t.find(p) == n {
		return
	}
	t.parent[n] = p
	t.top[n] = t.find(p)
}

func (t *threader) find(n int32) int32 {
	for t.top[n] != n {
		t.top[n] = t.top[t.top[n]]
		n = t.top[n]
	}
	return n
}
