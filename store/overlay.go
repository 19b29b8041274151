package store

import (
	"slices"
	"sync"
)

// laid is the last content that was laid out for a user of a shared mailbox, so that
// the next one costs what changed since.
type laid struct {
	mu     sync.Mutex
	base   *content
	over   *overlay
	swept  ModSeq // numbers of flags mean what they meant then
	out    *content
	unseen []uint32 // of each chunk
}

// layOver returns base as a user sees it who has seen what o says, and how many of
// its messages are unseen. Chunks that look the same are shared with base; those that
// did not change since the last call are shared with its result.
func (c *laid) layOver(base *content, o *overlay, st *state) (out *content, unseen uint32, built int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &st.flags
	if c.swept != st.hdr.swept {
		c.base, c.swept = nil, st.hdr.swept
	}
	if c.base != base || c.over != o {
		l := layer{table: t, memo: map[FlagSet]FlagSet{}}
		n := laid{base: base, over: o, out: &content{dir: slices.Clone(base.dir), n: base.n}, unseen: make([]uint32, len(base.dir))}
		for i, at := 0, 0; i < len(base.dir); i++ {
			k, last := base.dir[i].c, base.dir[i].last
			spans := o.between(k.cols.uid[0], last)
			for c.base != nil && at < len(c.base.dir) && c.base.dir[at].c.base < k.base {
				at++
			}
			if c.base != nil && at < len(c.base.dir) && c.base.dir[at].c == k && c.base.dir[at].last == last &&
				slices.Equal(spans, c.over.between(k.cols.uid[0], last)) {
				n.out.dir[i].c, n.unseen[i] = c.out.dir[at].c, c.unseen[at]
				continue
			}
			n.out.dir[i].c, n.unseen[i] = l.chunk(k, spans)
			if n.out.dir[i].c != k {
				built += int64(len(k.cols.uid)) * markBytes
			}
		}
		c.base, c.over, c.out, c.unseen = n.base, n.over, n.out, n.unseen
	}
	for _, u := range c.unseen {
		unseen += u
	}
	return c.out, unseen, built
}

// markBytes is the memory of what a user's own content has for each message.
const markBytes = 12

// A layer lays what a user has seen over chunks.
type layer struct {
	table *flagTable
	memo  map[FlagSet]FlagSet // sets with \Seen the other way
}

func (l *layer) chunk(k *chunk, spans []*seenRuns) (*chunk, uint32) {
	var m *marks
	unseen := uint32(0)
	var runs []seenRun
	for j, u := range k.cols.uid {
		for len(runs) == 0 && len(spans) > 0 || len(runs) > 0 && runs[0].last < u {
			if len(runs) > 0 {
				runs = runs[1:]
			} else {
				runs, spans = spans[0].runs, spans[1:]
			}
		}
		var s seenState
		if len(runs) > 0 && runs[0].first <= u {
			s = seenState{runs[0].modseq, runs[0].seen}
		}
		if !s.seen {
			unseen++
		}
		old, was := k.mark.flags[j], k.mark.modseq.at(j)
		flags, modseq := l.flags(old, s.seen), max(was, s.modseq)
		if flags == old && modseq == was {
			continue
		}
		if m == nil {
			m = k.mark.clone()
		}
		m.flags[j] = flags
		m.modseq.set(j, modseq)
	}
	if m == nil {
		return k, unseen
	}
	return &chunk{k.base, k.cols, m}, unseen
}

func (l *layer) flags(n FlagSet, seen bool) FlagSet {
	if (l.table.system(n)&SeenBit != 0) == seen {
		return n
	}
	o, known := l.memo[n]
	if !known {
		o = l.table.flip(n)
		l.memo[n] = o
	}
	return o
}

// content returns the messages of a mailbox as the reader sees them.
func (v *View) content(b *box) (*content, error) {
	c, _, _, err := v.lay(b)
	return c, err
}

// lay is content with what the reader's own record of the mailbox differs in.
func (v *View) lay(b *box) (c *content, unseen uint32, highest ModSeq, err error) {
	c, err = b.lazy.load()
	if err != nil || v.who == nil {
		return c, b.mb.Unseen, b.mb.HighestModSeq, err
	}
	u, over, err := b.seen.user(v.who.Account)
	if err != nil {
		return nil, 0, 0, err
	}
	if len(over.spans) == 0 && b.mb.Unseen == b.mb.Messages {
		return c, b.mb.Unseen, b.mb.HighestModSeq, nil
	}
	out, unseen, built := u.cache.layOver(c, over, v.st)
	v.acct.grow(built)
	return out, unseen, max(b.mb.HighestModSeq, over.highest), nil
}
