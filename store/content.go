package store

import (
	"slices"
	"sort"
)

// chunkRows is the most messages of one chunk: large enough that a mailbox of
// 100,000 has a directory of 100 entries, small enough to copy one in 2 µs.
const chunkRows = 1024

// A content is the messages of a mailbox at one moment. It is immutable: each
// change makes a new one that shares all chunks it did not touch. The only thing
// written in place are the free slots behind the last message, which no reader
// looks at; one writer at a time extends one content.
type content struct {
	dir []entry
	n   int
	// saved is what the S and F records hold, in order of base: a chunk of dir
	// that is not there, by pointer, must be written at the next checkpoint.
	saved []*chunk
}

// An entry finds a chunk by position and by UID.
type entry struct {
	c     *chunk
	start int // position of its first message
	last  UID
}

// A chunk is up to chunkRows messages by ascending UID, never none.
type chunk struct {
	base UID // names its records; at or below its first UID, never changed
	cols *columns
	mark *marks
}

// columns hold what never changes of a message.
type columns struct {
	uid   []UID
	size  []uint32
	date  packed[int64]
	save  []uint32
	email packed[EmailID]
}

// marks hold what does.
type marks struct {
	flags  []FlagSet
	modseq packed[ModSeq]
}

var noContent = &content{}

// rowBytes is the memory of one message.
const rowBytes = 28

func (c *content) memory() int64 { return 100 + int64(len(c.dir))*280 + int64(c.n)*rowBytes }

func (k *chunk) row(j int) Row {
	return Row{
		UID: k.cols.uid[j], Flags: k.mark.flags[j], Size: k.cols.size[j], InternalDate: k.cols.date.at(j),
		SaveDate: int64(k.cols.save[j]), ModSeq: k.mark.modseq.at(j), Email: k.cols.email.at(j),
	}
}

func (k *chunk) push(r *Row) {
	c, m := k.cols, k.mark
	c.uid = append(c.uid, r.UID)
	c.size = append(c.size, r.Size)
	c.date.push(r.InternalDate)
	c.save = append(c.save, uint32(r.SaveDate))
	c.email.push(r.Email)
	m.flags = append(m.flags, r.Flags)
	m.modseq.push(r.ModSeq)
}

// clone returns marks that may be changed.
func (m *marks) clone() *marks { return &marks{slices.Clone(m.flags), m.modseq.clone()} }

// newChunk returns an empty chunk with room for n messages.
func newChunk(base UID, n int) *chunk {
	return &chunk{base: base,
		cols: &columns{make([]UID, 0, n), make([]uint32, 0, n), makePacked[int64](n), make([]uint32, 0, n), makePacked[EmailID](n)},
		mark: &marks{make([]FlagSet, 0, n), makePacked[ModSeq](n)},
	}
}

// extend returns a chunk that shares k's slots and may push behind its end.
func (k *chunk) extend() *chunk {
	c := &struct { // one allocation for each message that is stored, not three
		chunk
		columns
		marks
	}{chunk{base: k.base}, *k.cols, *k.mark}
	c.cols, c.mark = &c.columns, &c.marks
	return &c.chunk
}

// clip returns a chunk whose next push copies instead of using free slots.
func (k *chunk) clip() *chunk {
	c, m := k.cols, k.mark
	return &chunk{k.base,
		&columns{slices.Clip(c.uid), slices.Clip(c.size), c.date.clip(), slices.Clip(c.save), c.email.clip()},
		&marks{slices.Clip(m.flags), m.modseq.clip()},
	}
}

// clipped returns c with a last chunk that can be extended more than once.
func (c *content) clipped() *content {
	n := len(c.dir)
	if n == 0 {
		return c
	}
	last := c.dir[n-1]
	k := last.c.clip()
	if n == len(c.saved) && c.saved[n-1] == last.c {
		saved := slices.Clone(c.saved)
		saved[n-1] = k
		return &content{append(slices.Clone(c.dir[:n-1]), entry{k, last.start, last.last}), c.n, saved}
	}
	return &content{append(slices.Clone(c.dir[:n-1]), entry{k, last.start, last.last}), c.n, c.saved}
}

// append returns c with rows behind it; their UIDs are higher than all in c.
func (c *content) append(rows []Row) *content {
	if len(rows) == 0 {
		return c
	}
	n := &content{dir: make([]entry, len(c.dir), len(c.dir)+1+len(rows)/chunkRows), n: c.n, saved: c.saved}
	copy(n.dir, c.dir)
	for len(rows) > 0 {
		var k *chunk
		if t := len(n.dir) - 1; t >= 0 && len(n.dir[t].c.cols.uid) < chunkRows {
			k = n.dir[t].c.extend()
			n.dir[t].c = k
		} else {
			k = newChunk(rows[0].UID, min(len(rows), chunkRows))
			n.dir = append(n.dir, entry{c: k, start: n.n})
		}
		m := min(len(rows), chunkRows-len(k.cols.uid))
		for i := range rows[:m] {
			k.push(&rows[i])
		}
		n.dir[len(n.dir)-1].last = rows[m-1].UID
		n.n += m
		rows = rows[m:]
	}
	return n
}

// locate returns the chunk and the place in it of position i.
func (c *content) locate(i int) (*chunk, int) {
	d := sort.Search(len(c.dir), func(d int) bool { return c.dir[d].start > i }) - 1
	return c.dir[d].c, i - c.dir[d].start
}

// search returns the position of the first message with at least the given UID.
func (c *content) search(uid UID) (int, bool) {
	d := c.searchDir(uid)
	if d == len(c.dir) {
		return c.n, false
	}
	j, found := slices.BinarySearch(c.dir[d].c.cols.uid, uid)
	return c.dir[d].start + j, found
}

// searchDir returns the first chunk whose last UID is at least uid.
func (c *content) searchDir(uid UID) int {
	return sort.Search(len(c.dir), func(d int) bool { return c.dir[d].last >= uid })
}

// eachRange calls f with each run of messages, lo <= j < hi in a chunk, whose
// UIDs are in set.
func (c *content) eachRange(set UIDSet, f func(k *chunk, lo, hi int)) {
	c.eachRangeDir(set, func(d, lo, hi int) { f(c.dir[d].c, lo, hi) })
}

func (c *content) eachRangeDir(set UIDSet, f func(d, lo, hi int)) {
	d := 0
	for _, r := range set {
		if d < len(c.dir) && c.dir[d].last < r.First {
			d += sort.Search(len(c.dir)-d, func(i int) bool { return c.dir[d+i].last >= r.First })
		}
		for d < len(c.dir) {
			uids := c.dir[d].c.cols.uid
			if uids[0] > r.Last {
				break
			}
			lo, _ := slices.BinarySearch(uids, r.First)
			hi := len(uids)
			if c.dir[d].last > r.Last {
				var found bool
				if hi, found = slices.BinarySearch(uids, r.Last); found {
					hi++
				}
			}
			if lo < hi {
				f(d, lo, hi)
			}
			if c.dir[d].last > r.Last {
				break // the next range may begin in this chunk
			}
			d++
		}
	}
}

// rows returns the messages whose UIDs are in set.
func (c *content) rows(set UIDSet) []Row {
	var out []Row
	c.eachRange(set, func(k *chunk, lo, hi int) {
		out = slices.Grow(out, hi-lo)
		for j := lo; j < hi; j++ {
			out = append(out, k.row(j))
		}
	})
	return out
}
