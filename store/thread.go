package store

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"posthouse/message"
	"posthouse/store/engine"
)

// A message joins the thread of the first of its parents that is known: the
// nearest first, In-Reply-To before References, and only while the base subject
// is the same, as RFC 8621 §3 advises. Threads never merge: what a client was
// told stays true.

// maxReferences bounds the parents that one message looks up and records.
const maxReferences = 16

// references returns the hashes by which m finds its thread, nearest parent
// first, itself last.
func references(m *message.Message) []uint64 {
	refs := m.References()
	var room [maxReferences + 1]string
	ids := append(room[:0], m.InReplyTo()...)
	ids = ids[:min(len(ids), maxReferences/2)]
	for i := len(refs) - 1; i >= 0 && len(ids) < maxReferences-1; i-- {
		ids = append(ids, refs[i])
	}
	if len(refs) > 0 {
		ids = append(ids, refs[0]) // the root of the thread
	}
	if id := m.MessageID(); id != "" {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil
	}
	subject := strings.ToLower(message.BaseSubject(m.Subject()))
	hashes := make([]uint64, 0, len(ids))
	for _, id := range ids {
		if h := referenceHash(id, subject); !slices.Contains(hashes, h) {
			hashes = append(hashes, h)
		}
	}
	return hashes
}

// referenceHash is FNV-1a over the id, a zero byte and the base subject. It is
// part of the format.
func referenceHash(id, subject string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	h *= 1099511628211
	for i := range len(subject) {
		h = (h ^ uint64(subject[i])) * 1099511628211
	}
	return h
}

// joinThread gives e its thread and records its references.
func (tx *Tx) joinThread(e *Email) error {
	var few [4]uint64
	missing := few[:0]
	for _, h := range e.references {
		t, err := tx.threadOf(h)
		if err != nil {
			return err
		}
		switch {
		case t == 0:
			missing = append(missing, h)
		case e.Thread == 0:
			e.Thread = t
		}
	}
	if e.Thread == 0 {
		e.Thread = ThreadID(e.ID)
	}
	for _, h := range missing {
		tx.refs.add(h, e.Thread)
		tx.set(tx.key(keyReference, h), binary.BigEndian.AppendUint64(tx.bytes(8), uint64(e.Thread)))
	}
	tx.set(binary.BigEndian.AppendUint64(appendKey64(tx.bytes(17), keyThread, uint64(e.Thread)), uint64(e.ID)), nil)
	return nil
}

// threadOf returns the thread of a reference, 0 if it is not known.
func (tx *Tx) threadOf(h uint64) (ThreadID, error) {
	if t := tx.refs.find(h); t != 0 {
		return t, nil
	}
	if t, ok := tx.acct.threads.pending[h]; ok {
		return t.thread, nil
	}
	c := &tx.acct.threads
	if t := c.remembered(h); t != 0 || c.filter.lacks(h) {
		return t, nil
	}
	n, err := c.filter.lookedUp(tx.reader(), tx.st.hdr.messages, c.pending)
	if err != nil {
		return 0, wrap("Append", err)
	}
	tx.acct.grow(n)
	v, err := tx.reader().Get(referenceKey(h))
	if errors.Is(err, engine.ErrNotFound) {
		return 0, nil
	}
	if err == nil && len(v) != 8 {
		err = corrupt("reference")
	}
	if err != nil {
		return 0, wrap("Append", err)
	}
	t := ThreadID(binary.BigEndian.Uint64(v))
	c.remember(h, t, tx.st.hdr.messages)
	return t, nil
}

// newRefs are references that a transaction writes, each once.
type newRefs struct {
	list  []knownRef
	index map[uint64]ThreadID // of many
	few   [2]knownRef         // room for those of one message
}

// manyRefs is how many are looked through before there is an index.
const manyRefs = 32

func (n *newRefs) add(h uint64, t ThreadID) {
	if n.list == nil {
		n.list = n.few[:0]
	}
	n.list = append(n.list, knownRef{h, t})
	switch {
	case len(n.list) == manyRefs:
		n.index = make(map[uint64]ThreadID, 2*manyRefs)
		for _, r := range n.list {
			n.index[r.hash] = r.thread
		}
	case len(n.list) > manyRefs:
		n.index[h] = t
	}
}

// find returns the thread of a reference, 0 if it is not there.
func (n *newRefs) find(h uint64) ThreadID {
	if n.index != nil {
		return n.index[h]
	}
	for i := range n.list {
		if n.list[i].hash == h {
			return n.list[i].thread
		}
	}
	return 0
}

// A threadCache holds the references whose commit is under way. It belongs to
// the writer of the account.
type threadCache struct {
	pending map[uint64]pendingThread
	queue   []pendingRef // by modseq
	filter  refFilter
	// known holds references that were found of late: a reply names many that its
	// parent named. They never change once they are durable.
	known []knownRef
}

type pendingThread struct {
	thread ThreadID
	modseq ModSeq
}

type pendingRef struct {
	hash   uint64
	modseq ModSeq
}

// knownRefs is how many are held, fewRefs in accounts with few messages.
const knownRefs, fewRefs = 64, 8

type knownRef struct {
	hash   uint64
	thread ThreadID
}

func (c *threadCache) remembered(h uint64) ThreadID {
	if n := uint64(len(c.known)); n > 0 {
		if k := c.known[h%n]; k.hash == h {
			return k.thread
		}
	}
	return 0
}

func (c *threadCache) remember(h uint64, t ThreadID, messages int64) {
	n := uint64(fewRefs)
	if messages > 1000 {
		n = knownRefs
	}
	if uint64(len(c.known)) < n {
		c.known = make([]knownRef, n)
	}
	n = uint64(len(c.known))
	c.known[h%n] = knownRef{h, t}
}

func (c *threadCache) reset() { c.pending, c.queue = nil, nil }

// add takes in what tx wrote, and drops what readers can see by now.
func (c *threadCache) add(tx *Tx) {
	if now := tx.acct.durable.Load(); now != nil {
		for len(c.queue) > 0 && c.queue[0].modseq <= now.hdr.modseq {
			if c.pending[c.queue[0].hash].modseq == c.queue[0].modseq {
				delete(c.pending, c.queue[0].hash)
			}
			c.queue = c.queue[1:]
		}
	}
	if len(tx.refs.list) > 0 && c.pending == nil {
		c.pending = make(map[uint64]pendingThread)
	}
	for _, r := range tx.refs.list {
		c.pending[r.hash] = pendingThread{r.thread, tx.modseq}
		c.queue = append(c.queue, pendingRef{r.hash, tx.modseq})
		c.filter.add(r.hash)
	}
}
