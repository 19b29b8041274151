package store

// A Difference is what changed between two snapshots of one mailbox.
type Difference struct {
	Expunged UIDSet // in old, not in new
	Changed  UIDSet // in both, flags or ModSeq differ
	Added    UIDSet // in new, not in old
}

// Diff returns what leads from old to new. Its cost is that of what changed:
// chunks that both share are passed over.
func Diff(old, new *Snapshot) Difference {
	var d Difference
	if old.content == new.content {
		return d
	}
	a, b := cursor{dir: old.content.dir}, cursor{dir: new.content.dir}
	for a.more() && b.more() {
		x, y := a.chunk(), b.chunk()
		if a.at == 0 && b.at == 0 {
			if x == y {
				a.skip()
				b.skip()
				continue
			}
			if x.cols == y.cols {
				d.marks(x, y)
				a.skip()
				b.skip()
				continue
			}
		}
		d.merge(&a, &b)
	}
	for ; a.more(); a.skip() {
		for _, u := range a.chunk().cols.uid[a.at:] {
			d.Expunged.push(u)
		}
	}
	for ; b.more(); b.skip() {
		for _, u := range b.chunk().cols.uid[b.at:] {
			d.Added.push(u)
		}
	}
	return d
}

// A cursor walks over the messages of a content.
type cursor struct {
	dir []entry
	at  int // in dir[0]
}

func (c *cursor) more() bool    { return len(c.dir) > 0 }
func (c *cursor) chunk() *chunk { return c.dir[0].c }
func (c *cursor) skip()         { c.dir, c.at = c.dir[1:], 0 }

// marks compares two chunks of the same messages.
func (d *Difference) marks(x, y *chunk) {
	for j, u := range x.cols.uid {
		if x.mark.modseq.at(j) != y.mark.modseq.at(j) || x.mark.flags[j] != y.mark.flags[j] {
			d.Changed.push(u)
		}
	}
}

// merge compares two chunks by UID until one ends.
func (d *Difference) merge(a, b *cursor) {
	x, y := a.chunk(), b.chunk()
	i, j := a.at, b.at
	for i < len(x.cols.uid) && j < len(y.cols.uid) {
		u, v := x.cols.uid[i], y.cols.uid[j]
		switch {
		case u < v:
			d.Expunged.push(u)
			i++
		case u > v:
			d.Added.push(v)
			j++
		default:
			if x.mark.modseq.at(i) != y.mark.modseq.at(j) || x.mark.flags[i] != y.mark.flags[j] {
				d.Changed.push(u)
			}
			i++
			j++
		}
	}
	if a.at = i; i == len(x.cols.uid) {
		a.skip()
	}
	if b.at = j; j == len(y.cols.uid) {
		b.skip()
	}
}
