package search

import (
	"context"
	"errors"
	"io"

	"posthouse/message"
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
	t := &threader{rows: rows, by: by, acct: acct, ctx: ctx, ids: map[string]int32{}}
	t.values = make([]threadValue, len(rows), 2*len(rows))
	t.refs = make([][]int32, len(rows))
	for i := range rows {
		t.values[i] = threadValue{date: rows[i].InternalDate, msg: int32(i)}
	}
	err := eachRecord(ctx, acct, rows, func(done int) error {
		if err := t.readReferences(); err != nil {
			return err
		}
		return tick(done)
	}, t.record)
	if err != nil {
		return nil, err
	}
	if by == OrderedSubject {
		return t.orderedSubject(), nil
	}
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
	subject string // base subject, folded
	reply   bool   // the subject says so
	msg     int32  // -1: a dummy
}

// A threader holds the algorithm of RFC 5256 §3 (THREAD, REFERENCES) while it runs.
// Nodes are numbers; nothing recurses.
type threader struct {
	ctx  context.Context
	acct *store.Account
	rows []store.Row
	by   ThreadBy

	values []threadValue
	ids    map[string]int32 // node of a message id
	refs   [][]int32        // of each message: its references, as nodes
	parent []int32          // of each node, -1: none
	top    []int32          // the tree that a node is in: union-find
	forest Forest
	fold   []byte

	// of the page under way: messages whose References are to be read, and their places
	replies []store.Email
	at      []int
	arena   []byte
	head    []byte
}

// record takes in one message: what it is called, and what it refers to.
func (t *threader) record(i int, e *store.Email) error {
	env := parseEnvelope(e.Envelope)
	v := &t.values[i]
	if !e.Sent.IsZero() {
		v.date = e.Sent.Unix()
	}
	if t.by != Refs {
		subject := message.DecodeHeader(env.subject)
		t.fold = fold(t.fold[:0], []byte(message.BaseSubject(subject)))
		v.subject, v.reply = string(t.fold), message.IsReplySubject(subject)
	}
	if t.by == OrderedSubject {
		return nil
	}
	related := e.Related()
	if ids := message.AppendMessageIDs(nil, env.id, 1); len(ids) > 0 {
		t.claim(ids[0], int32(i))
		related-- // it counts itself
	}
	if related > 0 {
		t.replies = append(t.replies, *e)
		t.arena = t.replies[len(t.replies)-1].Keep(t.arena)
		t.at = append(t.at, i)
	}
	return nil
}

// readReferences reads the References of the page's replies, all at once.
func (t *threader) readReferences() error {
	emails := make([]*store.Email, len(t.replies))
	for i := range t.replies {
		emails[i] = &t.replies[i]
	}
	r := &run{ctx: t.ctx, acct: t.acct}
	err := r.read(emails, func(i int, raw []byte) error {
		refs, err := t.references(&t.replies[i], raw)
		if len(refs) == 0 {
			refs = message.AppendMessageIDs(nil, parseEnvelope(t.replies[i].Envelope).inReplyTo, 1)
		}
		for _, id := range refs {
			t.refs[t.at[i]] = append(t.refs[t.at[i]], t.node(id))
		}
		return err
	})
	t.replies, t.at, t.arena = t.replies[:0], t.at[:0], t.arena[:0]
	return err
}

// claim gives a message its id, unless one before it has it.
func (t *threader) claim(id string, i int32) {
	old, known := t.ids[id]
	switch {
	case !known:
		t.ids[id] = i
	case int(old) >= len(t.rows) && t.values[old].msg < 0: // a dummy was made for it
		t.values[old].msg = i
	}
}

// node is the node of a message id; messages and dummies are told apart in resolve.
func (t *threader) node(id string) int32 {
	if n, ok := t.ids[id]; ok {
		return n
	}
	n := int32(len(t.values))
	t.values = append(t.values, threadValue{msg: -1})
	t.ids[id] = n
	return n
}

// resolve turns the dummy of a message that came later into that message.
func (t *threader) resolve(n int32) int32 {
	if m := t.values[n].msg; m >= 0 {
		return m
	}
	return n
}

// references reads the References field from the header of a message, bounded as
// any header is.
func (t *threader) references(e *store.Email, raw []byte) ([]string, error) {
	top, _, err := e.Top()
	if err != nil {
		return nil, err
	}
	n := int(min(top.Len(), maxHeader))
	head := raw
	if raw == nil { // a large message
		if head, err = t.open(e, n); err != nil {
			return nil, err
		}
	}
	field := message.AppendHeaderFields(t.head[:0], head[:min(n, len(head))], referencesOnly, false)
	t.head = field[:0]
	m := message.Message{Header: message.ParseHeader(field, message.Limits{})}
	return m.References(), nil
}

var referencesOnly = []string{"References"}

// open reads the first n bytes of a message.
func (t *threader) open(e *store.Email, n int) ([]byte, error) {
	body, err := t.acct.Open(t.ctx, e)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	head := make([]byte, n)
	got, err := body.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head[:got], nil
}

// link makes the parent links, step 1 of the algorithm. The parent of a message is
// its last reference, which overrides all others (1.B); then references are linked
// among each other where nothing is known better (1.A).
func (t *threader) link() {
	t.parent, t.top = make([]int32, len(t.values)), make([]int32, len(t.values))
	for n := range t.parent {
		t.parent[n], t.top[n] = -1, int32(n)
	}
	for i, refs := range t.refs {
		if len(refs) > 0 {
			t.adopt(t.resolve(refs[len(refs)-1]), int32(i))
		}
	}
	for _, refs := range t.refs {
		for k := 1; k < len(refs); k++ {
			t.adopt(t.resolve(refs[k-1]), t.resolve(refs[k]))
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
