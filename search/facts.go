package search

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"posthouse/message"
	"posthouse/store"
)

// A fact is what SORT by date and subject and THREAD ask of a message. Strings are
// numbers that the account gives: equal ones are equal strings.
type fact struct {
	sent    int64 // the Date header in Unix seconds; unsent: none
	subject uint32
	id      uint32 // the Message-ID; 0: none
	refs    span   // the References, or In-Reply-To, oldest first
	known   bool   // false: the message is gone
	linked  bool   // id and refs are known too
	reply   bool   // the subject says so
}

const unsent = -1 << 63

// A span is a piece of a pool.
type span struct{ lo, hi uint32 }

// factsOf is what an account remembers (store.Memo): for each message that was asked
// for, for as long as it is in memory. Messages never change, so facts never do.
type factsOf struct {
	of            map[store.EmailID]fact
	subjects, ids names
	pool          []uint32 // references, as ids, one message after the other
	ranks         []uint32 // of subjects, in the order of strings; shorter: to be made anew
}

// names give strings numbers, from 1; 0 is the empty string.
type names struct {
	numbers map[string]uint32
	list    []string
}

// maxFacts is how many messages an account remembers; with more it begins again.
const maxFacts = 1 << 20

// factSize and nameSize estimate what a fact and a name take besides their strings.
const factSize, nameSize = 96, 64

func newNames() names { return names{numbers: map[string]uint32{"": 0}, list: []string{""}} }

func (n *names) number(s string, grown *int64) uint32 {
	k, known := n.numbers[s]
	if !known {
		k = uint32(len(n.list))
		s = strings.Clone(s)
		n.list = append(n.list, s)
		n.numbers[s] = k
		*grown += int64(len(s)) + nameSize
	}
	return k
}

// rank orders the subjects. It replaces the slice: who has one keeps it.
func (all *factsOf) rank() {
	list := all.subjects.list
	if len(all.ranks) == len(list) {
		return
	}
	order := make([]uint32, len(list))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(list[a], list[b]) })
	all.ranks = make([]uint32, len(order))
	for r, k := range order {
		all.ranks[k] = uint32(r)
	}
}

// A meaning is what the numbers of facts stand for, at one moment.
type meaning struct {
	ranks []uint32 // of subjects; 0: none
	pool  []uint32
	ids   int // greater than all ids
}

// facts returns what is known of rows, and what its numbers mean. What the account does
// not remember is read, and remembered. With linked, ids and references are known too.
func facts(ctx context.Context, acct *store.Account, rows []store.Row, linked bool, tick func(done int) error) ([]fact, meaning, error) {
	memo := acct.Memo()
	memo.Lock()
	all, ok := memo.Value.(*factsOf)
	if !ok || len(all.of) > maxFacts {
		all = &factsOf{of: map[store.EmailID]fact{}, subjects: newNames(), ids: newNames()}
		memo.Value = all
	}
	facts := make([]fact, len(rows))
	r := factReader{ctx: ctx, acct: acct, linked: linked}
	for i := range rows {
		facts[i] = all.of[rows[i].Email]
		if f := &facts[i]; !f.known || linked && !f.linked {
			r.rows, r.at = append(r.rows, rows[i]), append(r.at, i)
		}
	}
	memo.Unlock()
	if err := r.read(tick); err != nil {
		return nil, meaning{}, err
	}
	memo.Lock() // all may be forgotten by now: then it serves this once
	defer memo.Unlock()
	grown := int64(0)
	for i := range r.found {
		if r.found[i].known {
			facts[r.at[i]] = all.learn(rows[r.at[i]].Email, &r.found[i], &grown)
		}
	}
	all.rank()
	if memo.Value == any(all) {
		memo.Grew(grown)
	}
	return facts, meaning{all.ranks, all.pool, len(all.ids.list)}, nil
}

// learn gives the strings of a fact their numbers and remembers it.
func (all *factsOf) learn(id store.EmailID, f *finding, grown *int64) fact {
	f.fact.subject = all.subjects.number(f.subject, grown)
	if f.linked {
		f.fact.id = all.ids.number(f.id, grown)
		f.refs.lo = uint32(len(all.pool))
		for _, ref := range f.references {
			all.pool = append(all.pool, all.ids.number(ref, grown))
		}
		f.refs.hi = uint32(len(all.pool))
	}
	all.of[id] = f.fact
	*grown += factSize + int64(4*len(f.references))
	return f.fact
}

// A finding is a fact before its strings have numbers.
type finding struct {
	fact
	subject, id string
	references  []string
}

// A factReader reads facts from the records of messages.
type factReader struct {
	ctx    context.Context
	acct   *store.Account
	rows   []store.Row
	at     []int // where they stand among all
	linked bool
	found  []finding
	fold   []byte

	// of the page under way: messages whose References are to be read, and their places
	replies []store.Email
	place   []int
	arena   []byte
	head    []byte
}

// read fills in found. It stays unknown what a message that is gone was about.
func (r *factReader) read(tick func(done int) error) error {
	r.found = make([]finding, len(r.rows))
	return eachRecord(r.ctx, r.acct, r.rows, func(done int) error {
		if err := r.readReferences(); err != nil {
			return err
		}
		return tick(done)
	}, r.record)
}

func (r *factReader) record(i int, e *store.Email) error {
	env := parseEnvelope(e.Envelope)
	f := &r.found[i]
	f.known, f.sent = true, unsent
	if !e.Sent.IsZero() {
		f.sent = e.Sent.Unix()
	}
	subject := message.DecodeHeader(env.subject)
	r.fold = fold(r.fold[:0], []byte(message.BaseSubject(subject)))
	f.subject, f.reply = string(r.fold), message.IsReplySubject(subject)
	if !r.linked {
		return nil
	}
	f.linked = true
	related := e.Related()
	if ids := message.AppendMessageIDs(nil, env.id, 1); len(ids) > 0 {
		f.id = ids[0]
		related-- // it counts itself
	}
	if related > 0 {
		r.replies = append(r.replies, *e)
		r.arena = r.replies[len(r.replies)-1].Keep(r.arena)
		r.place = append(r.place, i)
	}
	return nil
}

// readReferences reads the References of the page's replies, all at once.
func (r *factReader) readReferences() error {
	emails := make([]*store.Email, len(r.replies))
	for i := range r.replies {
		emails[i] = &r.replies[i]
	}
	bodies := &run{ctx: r.ctx, acct: r.acct}
	err := bodies.read(emails, func(i int, raw []byte) error {
		refs, err := r.references(&r.replies[i], raw)
		if len(refs) == 0 {
			refs = message.AppendMessageIDs(nil, parseEnvelope(r.replies[i].Envelope).inReplyTo, 1)
		}
		r.found[r.place[i]].references = refs
		return err
	})
	r.replies, r.place, r.arena = r.replies[:0], r.place[:0], r.arena[:0]
	return err
}

// references reads the References field from the header of a message, bounded as
// any header is.
func (r *factReader) references(e *store.Email, raw []byte) ([]string, error) {
	top, _, err := e.Top()
	if err != nil {
		return nil, err
	}
	n := int(min(top.Len(), maxHeader))
	head := raw
	if raw == nil { // a large message
		if head, err = r.open(e, n); err != nil {
			return nil, err
		}
	}
	field := message.AppendHeaderFields(r.head[:0], head[:min(n, len(head))], referencesOnly, false)
	r.head = field[:0]
	m := message.Message{Header: message.ParseHeader(field, message.Limits{})}
	return m.References(), nil
}

var referencesOnly = []string{"References"}

// open reads the first n bytes of a message.
func (r *factReader) open(e *store.Email, n int) ([]byte, error) {
	body, err := r.acct.Open(r.ctx, e)
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
