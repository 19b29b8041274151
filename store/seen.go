package store

import (
	"encoding/binary"
	"slices"
	"sync"

	"posthouse/mail"
	"posthouse/store/engine"
)

// On a mailbox of somebody else \Seen is one's own: it lies over what the owner sees.
// A message that it says nothing of is unseen. It has ModSeqs of its own, from the
// owner's account: for its user a message has the higher one of both, so that
// CONDSTORE and QRESYNC stay right, and for all others nothing has changed.

// seenSpan is how many UIDs a record of seen messages covers.
const seenSpan = 1024

// An overlay is what one user has seen of one mailbox. Immutable.
type overlay struct {
	spans   []*seenRuns // by ascending base, never empty
	highest ModSeq
}

// seenRuns are the messages base <= UID < base+seenSpan that \Seen was set on or
// removed from. Immutable.
type seenRuns struct {
	base UID
	runs []seenRun
}

// A seenRun is messages whose \Seen became what it is with one transaction.
type seenRun struct {
	first, last UID
	modseq      ModSeq
	seen        bool
}

var noOverlay = &overlay{}

func seenBase(u UID) UID { return u &^ (seenSpan - 1) }

// search returns the first span whose base is at least base.
func (o *overlay) search(base UID) (int, bool) {
	return slices.BinarySearchFunc(o.spans, base, func(s *seenRuns, b UID) int {
		switch {
		case s.base < b:
			return -1
		case s.base > b:
			return 1
		}
		return 0
	})
}

// between returns the spans that may say something of first <= UID <= last.
func (o *overlay) between(first, last UID) []*seenRuns {
	lo, _ := o.search(seenBase(first))
	hi := lo
	for hi < len(o.spans) && o.spans[hi].base <= last {
		hi++
	}
	return o.spans[lo:hi]
}

// with returns o with one span replaced; nil runs remove it.
func (o *overlay) with(base UID, runs []seenRun) *overlay {
	n := &overlay{highest: o.highest}
	i, found := o.search(base)
	n.spans = append(n.spans, o.spans[:i]...)
	if len(runs) > 0 {
		n.spans = append(n.spans, &seenRuns{base, runs})
	}
	if found {
		i++
	}
	n.spans = append(n.spans, o.spans[i:]...)
	for _, r := range runs {
		n.highest = max(n.highest, r.modseq)
	}
	return n
}

func appendSeen(dst []byte, s *seenRuns) []byte {
	dst = append(dst, formatVersion)
	dst = binary.AppendUvarint(dst, uint64(len(s.runs)))
	next := s.base
	for _, r := range s.runs {
		dst = binary.AppendUvarint(dst, uint64(r.first-next))
		dst = binary.AppendUvarint(dst, uint64(r.last-r.first))
		dst = binary.AppendUvarint(dst, uint64(r.modseq)<<1|uint64(bit(r.seen)))
		next = r.last + 1
	}
	return dst
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func decodeSeen(base UID, v []byte) (*seenRuns, error) {
	d := openRecord(v)
	s := &seenRuns{base: base, runs: make([]seenRun, d.Count(3))}
	if len(s.runs) == 0 || seenBase(base) != base {
		d.Fail()
	}
	next, end := uint64(base), uint64(base)+seenSpan
	for i := range s.runs {
		gap, span, m := d.Uvarint(), d.Uvarint(), d.Uvarint()
		if gap >= seenSpan || span >= seenSpan || next+gap+span >= end || m>>1 == 0 {
			d.Fail()
			break
		}
		first := next + gap
		s.runs[i] = seenRun{UID(first), UID(first + span), ModSeq(m >> 1), m&1 != 0}
		next = first + span + 1
	}
	return s, d.err("seen")
}

// A seenTable finds what users have seen of one mailbox. Each transaction that
// changes it makes a new one.
type seenTable struct {
	root    *seenRoot
	changed map[mail.AccountID]*overlay // since the account was loaded
}

// A seenRoot reads what users had seen when the account was loaded. Nobody writes
// it without having read it here, so it stays what it was.
type seenRoot struct {
	acct    *account
	mailbox MailboxID
	empty   bool // the mailbox was made, or made anew, since

	mu    sync.Mutex
	users map[mail.AccountID]*seenUser
}

// A seenUser is one user of a seenRoot.
type seenUser struct {
	over  *overlay
	cache laid
}

func newSeenTable(a *account, id MailboxID, empty bool) *seenTable {
	return &seenTable{root: &seenRoot{acct: a, mailbox: id, empty: empty}}
}

func (t *seenTable) user(id mail.AccountID) (*seenUser, *overlay, error) {
	t.root.mu.Lock()
	defer t.root.mu.Unlock()
	u := t.root.users[id]
	if u == nil {
		o, err := t.root.read(id)
		if err != nil {
			return nil, nil, err
		}
		u = &seenUser{over: o}
		if t.root.users == nil {
			t.root.users = map[mail.AccountID]*seenUser{}
		}
		t.root.users[id] = u
	}
	if o := t.changed[id]; o != nil {
		return u, o, nil
	}
	return u, u.over, nil
}

func (r *seenRoot) read(id mail.AccountID) (*overlay, error) {
	if r.empty {
		return noOverlay, nil
	}
	snap := r.acct.store.eng.Snapshot(r.acct.id)
	defer snap.Close()
	o, err := loadSeen(snap, r.mailbox, id)
	if err == nil {
		r.acct.grow(o.memory())
	}
	return o, err
}

func (o *overlay) memory() int64 {
	n := int64(100 + 48*len(o.spans))
	for _, s := range o.spans {
		n += int64(len(s.runs)) * 24
	}
	return n
}

func loadSeen(r engine.Reader, m MailboxID, user mail.AccountID) (*overlay, error) {
	o := &overlay{}
	err := scan(r, seenKey(m, user), func(k, v []byte) error {
		if len(k) != 4 {
			return corrupt("seen")
		}
		s, err := decodeSeen(UID(binary.BigEndian.Uint32(k)), v)
		if err != nil {
			return err
		}
		o.spans = append(o.spans, s)
		for _, x := range s.runs {
			o.highest = max(o.highest, x.modseq)
		}
		return nil
	})
	return o, err
}

// setSeen makes the messages of set seen by a user, or unseen. It returns those
// for which that is a change. have is the mailbox's content.
func (tx *Tx) setSeen(b *box, have *content, user mail.AccountID, set UIDSet, seen bool) (UIDSet, error) {
	_, over, err := b.seen.user(user)
	if err != nil {
		return nil, wrap("SetFlags", err)
	}
	var changed UIDSet
	now := over
	for lo := 0; lo < len(set); {
		base := seenBase(set[lo].First)
		end := base + (seenSpan - 1)
		var w seenWindow
		w.load(base, over)
		part := set[lo:].within(base, end)
		any := false
		have.eachRange(part, func(k *chunk, i, j int) {
			for _, u := range k.cols.uid[i:j] {
				if s := &w.state[u-base]; s.seen != seen {
					*s = seenState{tx.modseq, seen}
					changed.push(u)
					any = true
				}
			}
		})
		if any {
			now = now.with(base, w.runs(base, have))
			tx.saveSeen(b.mb.ID, user, now, base)
		}
		for lo < len(set) && set[lo].Last <= end {
			lo++
		}
		if lo < len(set) && set[lo].First <= end {
			set = slices.Clone(set[lo:])
			set[0].First, lo = end+1, 0
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	i, _ := tx.st.index(b.mb.ID)
	own := tx.own(i)
	own.seen = own.seen.with(user, now)
	tx.log(func(dst []byte) []byte { return appendSeenEvent(dst, b.mb.ID, user, seen, changed) })
	return changed, nil
}

// saveSeen writes the span of base as it is in o.
func (tx *Tx) saveSeen(id MailboxID, user mail.AccountID, o *overlay, base UID) {
	key := binary.BigEndian.AppendUint32(seenKey(id, user), uint32(base))
	if i, found := o.search(base); found {
		tx.set(key, appendSeen(nil, o.spans[i]))
	} else {
		tx.remove(key)
	}
}

func (t *seenTable) with(user mail.AccountID, o *overlay) *seenTable {
	n := &seenTable{root: t.root, changed: make(map[mail.AccountID]*overlay, len(t.changed)+1)}
	for id, x := range t.changed {
		n.changed[id] = x
	}
	n.changed[user] = o
	return n
}

// seenState is what a user's \Seen is on one message; ModSeq 0: never changed.
type seenState struct {
	modseq ModSeq
	seen   bool
}

// A seenWindow is a span spread out.
type seenWindow struct{ state [seenSpan]seenState }

func (w *seenWindow) load(base UID, o *overlay) {
	i, found := o.search(base)
	if !found {
		return
	}
	for _, r := range o.spans[i].runs {
		for u := r.first; ; u++ {
			w.state[u-base] = seenState{r.modseq, r.seen}
			if u == r.last {
				break
			}
		}
	}
}

// runs gathers the window again, without messages that are gone.
func (w *seenWindow) runs(base UID, have *content) []seenRun {
	var out []seenRun
	have.eachRange(UIDSet{{max(base, 1), base + (seenSpan - 1)}}, func(k *chunk, lo, hi int) {
		for _, u := range k.cols.uid[lo:hi] {
			s := w.state[u-base]
			if s.modseq == 0 {
				continue
			}
			if n := len(out) - 1; n >= 0 && out[n].last+1 == u && out[n].modseq == s.modseq && out[n].seen == s.seen {
				out[n].last = u
				continue
			}
			out = append(out, seenRun{u, u, s.modseq, s.seen})
		}
	})
	return out
}

// within returns the part of an ascending set between two UIDs.
func (s UIDSet) within(first, last UID) UIDSet { return s.Intersect(UIDSet{{first, last}}) }
