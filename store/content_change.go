package store

import "slices"

// tally is what a change does to the counts of a mailbox.
type tally struct {
	messages, unseen, deleted int64
	bytes, deletedBytes       int64
}

// count adds one message with the given system flags, or takes it away (n = -1).
func (t *tally) count(system uint8, size uint32, n int64) {
	t.messages += n
	t.bytes += n * int64(size)
	if system&SeenBit == 0 {
		t.unseen += n
	}
	if system&DeletedBit != 0 {
		t.deleted += n
		t.deletedBytes += n * int64(size)
	}
}

func (t *tally) apply(m *Mailbox) {
	m.Messages = uint32(int64(m.Messages) + t.messages)
	m.Unseen = uint32(int64(m.Unseen) + t.unseen)
	m.Deleted = uint32(int64(m.Deleted) + t.deleted)
	m.Bytes += t.bytes
	m.DeletedBytes += t.deletedBytes
}

// A marking changes flags of many messages.
type marking struct {
	table  *flagTable
	modseq ModSeq
	// change returns what becomes of a set; it is asked once per run of equal sets.
	change func(old FlagSet) (FlagSet, error)
	always bool // also messages whose flags stay get the ModSeq
	// unchangedSince, if conditional, spares messages with a higher ModSeq.
	conditional    bool
	unchangedSince ModSeq

	tally    tally
	changed  UIDSet // whose flags differ now
	modified UIDSet // spared
}

// mark returns c with m applied to the messages of set.
func (c *content) mark(set UIDSet, m *marking) (*content, error) {
	n := &content{dir: slices.Clone(c.dir), n: c.n, saved: c.saved}
	var err error
	copied := -1
	oldSet, newSet := FlagSet(0), FlagSet(0)
	known := false
	c.eachRangeDir(set, func(d, lo, hi int) {
		k := n.dir[d].c
		for j := lo; j < hi && err == nil; j++ {
			if m.conditional && k.mark.modseq.at(j) > m.unchangedSince {
				m.modified.push(k.cols.uid[j])
				continue
			}
			old := k.mark.flags[j]
			if !known || old != oldSet {
				oldSet, known = old, true
				if newSet, err = m.change(old); err != nil {
					return
				}
			}
			if newSet == old && !m.always {
				continue
			}
			if copied != d {
				k = &chunk{k.base, k.cols, k.mark.clone()}
				n.dir[d].c, copied = k, d
			}
			k.mark.flags[j] = newSet
			k.mark.modseq.set(j, m.modseq)
			m.changed.push(k.cols.uid[j])
			m.tally.remark(m.table.system(old), m.table.system(newSet), k.cols.size[j])
		}
	})
	if err != nil || len(m.changed) == 0 {
		return c, err
	}
	return n, nil
}

func (t *tally) remark(before, now uint8, size uint32) {
	if (before^now)&(SeenBit|DeletedBit) != 0 {
		t.count(before, size, -1)
		t.count(now, size, 1)
	}
}

// mergeBelow: a chunk that expunging left smaller joins its neighbour.
const mergeBelow = chunkRows / 4

// remove returns c without the messages of set. gone is called with each run of
// messages that goes, in order.
func (c *content) remove(set UIDSet, gone func(k *chunk, lo, hi int)) *content {
	n := &content{dir: make([]entry, 0, len(c.dir)), saved: c.saved}
	var cut []int // pairs lo, hi of the chunk under way
	at := 0       // first chunk of c not yet in n
	flush := func(d int) {
		for ; at < d; at++ {
			n.add(c.dir[at].c)
		}
		if len(cut) > 0 {
			n.add(c.dir[d].c.without(cut))
			cut, at = cut[:0], d+1
		}
	}
	last := -1
	c.eachRangeDir(set, func(d, lo, hi int) {
		if d != last && last >= 0 {
			flush(last)
		}
		last = d
		gone(c.dir[d].c, lo, hi)
		cut = append(cut, lo, hi)
	})
	if last < 0 {
		return c
	}
	flush(last)
	flush(len(c.dir))
	return n
}

// add puts a chunk behind the others, joining small neighbours.
func (c *content) add(k *chunk) {
	if k == nil {
		return
	}
	rows := len(k.cols.uid)
	if t := len(c.dir) - 1; t >= 0 {
		p := c.dir[t].c
		if have := len(p.cols.uid); min(have, rows) < mergeBelow && have+rows <= chunkRows {
			k = p.join(k)
			c.dir = c.dir[:t]
			c.n -= have
			rows += have
		}
	}
	c.dir = append(c.dir, entry{k, c.n, k.cols.uid[rows-1]})
	c.n += rows
}

// without returns a copy of k that lacks the runs of cut, or nil if nothing is left.
func (k *chunk) without(cut []int) *chunk {
	keep := len(k.cols.uid)
	for i := 0; i < len(cut); i += 2 {
		keep -= cut[i+1] - cut[i]
	}
	if keep == 0 {
		return nil
	}
	n := newChunk(k.base, keep)
	from := 0
	for i := 0; i < len(cut); i += 2 {
		n.take(k, from, cut[i])
		from = cut[i+1]
	}
	n.take(k, from, len(k.cols.uid))
	return n
}

// take appends the messages lo <= j < hi of o.
func (k *chunk) take(o *chunk, lo, hi int) {
	c, m := k.cols, k.mark
	c.uid = append(c.uid, o.cols.uid[lo:hi]...)
	c.size = append(c.size, o.cols.size[lo:hi]...)
	c.date.take(&o.cols.date, lo, hi)
	c.save = append(c.save, o.cols.save[lo:hi]...)
	c.email.take(&o.cols.email, lo, hi)
	m.flags = append(m.flags, o.mark.flags[lo:hi]...)
	m.modseq.take(&o.mark.modseq, lo, hi)
}

func (k *chunk) join(o *chunk) *chunk {
	a, b := len(k.cols.uid), len(o.cols.uid)
	n := newChunk(k.base, a+b)
	n.take(k, 0, a)
	n.take(o, 0, b)
	return n
}
