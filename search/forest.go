package search

import (
	"cmp"
	"slices"
)

// A Forest is messages in threads. Nodes are numbers; Roots and Children are in the
// order in which they are told.
type Forest struct {
	Roots []int32
	kids  [][]int32
	msgs  []int32
}

// Message is the place of a node's message in the rows that were threaded, -1 if it
// only holds messages together whose parent is missing.
func (f *Forest) Message(n int32) int32 { return f.msgs[n] }

// Children are the replies to a node.
func (f *Forest) Children(n int32) []int32 { return f.kids[n] }

// gather puts messages under the nearest ancestor that is a message, and what has
// none under a dummy if that holds several of them, steps 2 and 3.
func (t *threader) gather() {
	t.grow()
	above := make([]int32, len(t.values)) // of dummies: where their children go; 0: not known yet
	var path []int32
	holder := func(n int32) int32 { // the first message above n, or the highest dummy, or -1
		path = path[:0]
		p := t.parent[n]
		for p >= 0 && int(p) >= len(t.rows) && above[p] == 0 && t.parent[p] >= 0 {
			path = append(path, p)
			p = t.parent[p]
		}
		if p >= 0 && int(p) >= len(t.rows) && above[p] != 0 {
			p = above[p] - 1
		}
		for _, d := range path {
			above[d] = p + 1
		}
		return p
	}
	for i := range t.rows {
		if p := holder(int32(i)); p >= 0 {
			t.forest.kids[p] = append(t.forest.kids[p], int32(i))
		} else {
			t.forest.Roots = append(t.forest.Roots, int32(i))
		}
	}
	for n := len(t.rows); n < len(t.values); n++ {
		switch kids := t.forest.kids[n]; len(kids) {
		case 0:
		case 1:
			t.forest.Roots = append(t.forest.Roots, kids[0])
		default:
			t.forest.Roots = append(t.forest.Roots, int32(n))
		}
	}
}

// grow gives every node its place in the forest.
func (t *threader) grow() {
	for n := len(t.forest.msgs); n < len(t.values); n++ {
		m := int32(n)
		if n >= len(t.rows) {
			m = -1
		}
		t.forest.msgs = append(t.forest.msgs, m)
		t.forest.kids = append(t.forest.kids, nil)
	}
}

// byDate orders siblings, RFC 5256 §2.2; equal ones as they stand in the mailbox.
func (t *threader) byDate(a, b int32) int {
	if n := cmp.Compare(t.values[a].date, t.values[b].date); n != 0 {
		return n
	}
	return cmp.Compare(a, b)
}

// settle orders the children of a dummy, which then has date and subject of the
// first.
func (t *threader) settle(n int32) {
	if kids := t.forest.kids[n]; t.forest.msgs[n] < 0 && len(kids) > 0 {
		slices.SortFunc(kids, t.byDate)
		v := t.values[kids[0]]
		v.msg = -1
		t.values[n] = v
	}
}

// merge joins threads that have one subject, steps 4 and 5.
func (t *threader) merge() {
	roots := t.forest.Roots
	for _, n := range roots {
		t.settle(n)
	}
	slices.SortFunc(roots, t.byDate)
	table := make(map[uint32]int32, len(roots))
	for _, n := range roots {
		v := &t.values[n]
		if v.subject == 0 {
			continue
		}
		old, known := table[v.subject]
		if !known || !t.dummy(old) && (t.dummy(n) || t.values[old].reply && !v.reply) {
			table[v.subject] = n
		}
	}
	gone := map[int32]bool{} // no longer roots
	kids := func(n int32) *[]int32 { return &t.forest.kids[n] }
	for _, n := range roots {
		v := t.values[n]
		old := table[v.subject]
		if v.subject == 0 || old == n || gone[n] {
			continue
		}
		gone[n] = true
		switch {
		case t.dummy(n) && t.dummy(old):
			*kids(old) = append(*kids(old), *kids(n)...)
			*kids(n) = nil
		case t.dummy(old), v.reply && !t.values[old].reply:
			*kids(old) = append(*kids(old), n)
		default:
			d := int32(len(t.values))
			t.values = append(t.values, threadValue{date: t.values[old].date, subject: v.subject, msg: -1})
			t.grow()
			*kids(d) = []int32{old, n}
			gone[old] = true
			table[v.subject] = d
			t.forest.Roots = append(t.forest.Roots, d)
		}
	}
	t.forest.Roots = slices.DeleteFunc(t.forest.Roots, func(n int32) bool { return gone[n] })
}

func (t *threader) dummy(n int32) bool { return t.forest.msgs[n] < 0 }

// arrange orders all siblings, step 6. For REFS a thread has the date of its
// newest message.
func (t *threader) arrange() {
	for n := range t.forest.kids {
		slices.SortFunc(t.forest.kids[n], t.byDate)
	}
	for _, n := range t.forest.Roots {
		t.settle(n)
	}
	if t.by == Refs {
		t.newest()
	}
	slices.SortFunc(t.forest.Roots, t.byDate)
}

// newest gives each root the date of the newest message of its tree.
func (t *threader) newest() {
	dates := make(map[int32]int64, len(t.forest.Roots))
	for i := range t.rows {
		top := t.find(int32(i))
		if d, known := dates[top]; !known || t.values[i].date > d {
			dates[top] = t.values[i].date
		}
	}
	for _, n := range t.forest.Roots {
		t.values[n].date = dates[t.find(n)]
	}
}

// orderedSubject is ORDEREDSUBJECT of RFC 5256 §3: equal subjects, by date, are a
// thread of one parent and its children.
func (t *threader) orderedSubject() *Forest {
	t.grow()
	order := make([]int32, len(t.rows))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		if n := cmp.Compare(t.values[a].subject, t.values[b].subject); n != 0 {
			return n
		}
		return t.byDate(a, b)
	})
	f := &t.forest
	for k, n := range order {
		if k > 0 && t.values[n].subject == t.values[order[k-1]].subject {
			root := f.Roots[len(f.Roots)-1]
			f.kids[root] = append(f.kids[root], n)
			continue
		}
		f.Roots = append(f.Roots, n)
	}
	slices.SortFunc(f.Roots, t.byDate)
	return f
}
