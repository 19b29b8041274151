package store

import (
	"context"
	"slices"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A Tx changes an account. It is a View that sees its own changes; it is valid
// only inside the function that got it, in one goroutine. A method that fails
// has changed nothing.
type Tx struct {
	View
	group   *group
	modseq  ModSeq // of this transaction
	skip    uint64 // transactions passed over before it
	now     int64  // Unix seconds
	changed bool

	ops     []engine.Op
	arena   []byte // of their keys and values
	journal []byte // record under way
	actions int
	sets    int // flag sets and keywords that the base state has
	words   int
	boxed   bool                     // boxes is our own slice
	dirty   []MailboxID              // mailboxes to write
	emails  []*Email                 // appended by us, by id
	refs    newRefs                  // references written by us
	dead    []deads                  // expunged by us
	came    map[EmailID][]Membership // made by the first cameTo of ops
	cameTo  int

	counts     map[emailBlock]*counting // blocks with messages whose number of memberships changes
	lastBlock  emailBlock
	lastCounts *counts // of lastBlock
	recounted  bool    // what is not in counts is 0

	notes   map[string][]byte // annotations written by us; nil: removed
	objects map[string][]byte // objects written by us, by key; nil: removed

	global []engine.Op // for what belongs to no one account

	reserved int64 // bytes of the domain's quota, see ledger
	domain   string
	was, is  holding // before the transaction and after it
	posted   bool    // in the domain's record

	// Room for what most transactions need, so that it is one piece of memory.
	inline struct {
		ops    [8]engine.Op // those of one delivery
		batch  engine.Batch
		email  Email
		emails [1]*Email
	}
}

// A group is one Store.Update: the bytes of a message that goes to several of
// its accounts are stored once.
type group struct {
	ctx    context.Context
	large  []*Staged                      // messages that the engine called large
	linked map[engine.BlobID]*engine.Blob // stored already
}

func (g *group) blob(s *Staged) *engine.Blob {
	if s.group == g {
		return s.next
	}
	s.group = g
	if s.large != nil {
		g.large = append(g.large, s)
	}
	return s.Blob()
}

// stored notes what the engine called large messages.
func (g *group) stored() {
	for _, s := range g.large {
		s.stored = s.next.ID
	}
}

// beginLocked starts a transaction on the account's newest state.
func (a *account) beginLocked(g *group, who *Principal) *Tx {
	own := &struct {
		state
		list mailboxList
	}{state: *a.pending}
	st := &own.state
	st.list = &own.list
	st.flags.reusedSets, st.flags.reusedKeywords = nil, nil
	tx := &Tx{View: View{acct: a, st: st, who: who}, group: g, modseq: st.hdr.modseq + 1, now: min(max(a.store.opts.Now().Unix(), 1), 1<<32-1),
		sets: len(st.flags.sets), words: len(st.flags.keywords)}
	tx.tx = tx
	tx.was = st.holding()
	return tx
}

// Now is the time of the transaction.
func (tx *Tx) Now() time.Time { return time.Unix(tx.now, 0) }

// ActAs runs f while the transaction has the rights of p, see [Account.As].
func (tx *Tx) ActAs(p Principal, f func() error) error {
	was := tx.who
	if tx.who = nil; p.Account != tx.acct.id {
		tx.who = &p
	}
	defer func() { tx.who = was }()
	return f()
}

// LogAfter is the log position after the transaction as far as it has come: LogEnd
// while it has changed nothing.
func (tx *Tx) LogAfter() LogPos {
	if !tx.changed {
		return tx.LogEnd()
	}
	return LogPos(tx.modseq)
}

// existing returns NotFound unless the account is there.
func (tx *Tx) existing(op string) error {
	if !tx.st.exists {
		return fail(mail.NotFound, op, "no such account")
	}
	return nil
}

func (tx *Tx) set(key, val []byte) { tx.put(engine.Op{Kind: engine.Set, Key: key, Val: val}) }

func (tx *Tx) put(op engine.Op) {
	if tx.ops == nil {
		tx.ops = tx.inline.ops[:0]
	}
	tx.ops = append(tx.ops, op)
}

func (tx *Tx) remove(key []byte) {
	tx.ops = append(tx.ops, engine.Op{Kind: engine.Delete, Key: key})
}

func (tx *Tx) removeRange(prefix []byte) {
	tx.ops = append(tx.ops, engine.Op{Kind: engine.DeleteRange, Key: prefix, End: after(prefix)})
}

// bytes returns n bytes of room, none of them used, for a key or value that the
// transaction writes: most come from one piece of memory.
func (tx *Tx) bytes(n int) []byte {
	tx.ready(n)
	at := len(tx.arena)
	tx.arena = tx.arena[:at+n]
	return tx.arena[at : at : at+n]
}

// ready makes one piece of memory for n bytes and for what a delivery writes beside
// the record of its message.
func (tx *Tx) ready(n int) {
	if cap(tx.arena)-len(tx.arena) < n {
		tx.arena = make([]byte, 0, n+min(max(320, cap(tx.arena)), 4096))
	}
}

// key returns a key of a kind and a number.
func (tx *Tx) key(kind byte, n uint64) []byte { return appendKey64(tx.bytes(9), kind, n) }

// log notes that f appends one event to the journal record.
func (tx *Tx) log(f func(dst []byte) []byte) {
	if tx.journal == nil {
		tx.journal = append(tx.bytes(64), formatVersion)
	}
	tx.journal = f(tx.journal)
	tx.actions++
	tx.changed = true
}

func (tx *Tx) logBox(a action, id MailboxID) {
	tx.log(func(dst []byte) []byte { return appendBoxEvent(dst, a, id) })
}

// own returns the mailbox i of boxes in a form that this transaction may change.
func (tx *Tx) own(i int) *box {
	b := tx.st.boxes[i]
	if b.born == tx.modseq {
		return b
	}
	if !tx.boxed {
		tx.st.boxes, tx.boxed = slices.Clone(tx.st.boxes), true
	}
	c := *b
	c.born, c.write = tx.modseq, false
	tx.st.boxes[i] = &c
	return &c
}

// edit is own of a mailbox whose record will be written.
func (tx *Tx) edit(id MailboxID) *box {
	i, ok := tx.st.index(id)
	if !ok {
		return nil
	}
	b := tx.own(i)
	if !b.write {
		b.write = true
		tx.dirty = append(tx.dirty, id)
	}
	tx.changed = true
	return b
}

// messages is edit of a mailbox whose messages change.
func (tx *Tx) messages(id MailboxID, t *tally) *box {
	b := tx.edit(id)
	b.dirty = true
	b.mb.HighestModSeq = tx.modseq
	t.apply(&b.mb)
	return b
}

// enterable returns a mailbox that can hold messages and that the reader has the
// rights on.
func (tx *Tx) enterable(op string, id MailboxID, need Rights) (*box, error) {
	if err := tx.existing(op); err != nil {
		return nil, err
	}
	return tx.allowed(op, id, need)
}

// batch returns what the transaction writes, or nil if it changed nothing.
func (tx *Tx) batch() *engine.Batch {
	if !tx.changed {
		return nil
	}
	st := tx.st
	base := uint64(st.hdr.modseq)
	st.hdr.modseq = tx.modseq
	b := &tx.inline.batch
	*b = engine.Batch{Account: tx.acct.id, Expect: base, Skip: tx.skip}
	if !st.exists {
		b.Ops = []engine.Op{{Kind: engine.DeleteRange, Key: []byte{0}, End: []byte{keyEnd}}}
		return b
	}
	tx.writeFlags()
	for _, id := range tx.dirty {
		if mb := st.box(id); mb != nil {
			mb.recent = tx.acct.claimed(mb)
			tx.set(tx.key(keyMailbox, uint64(id)), appendMailbox(tx.bytes(96), mb))
		}
	}
	tx.writeCounts()
	tx.writeDead()
	if tx.journal != nil {
		tx.set(tx.key(keyJournal, uint64(tx.modseq)), tx.journal)
		st.tail.actions += tx.actions
		st.tail.bytes += len(tx.journal)
	}
	if err := tx.trim(); err != nil {
		tx.acct.warnCheckpoint(tx.group.ctx, err) // the log is longer than it need be: try again tomorrow
	}
	if st.tail.full(tx.acct.store.maxTail) {
		ops, err := st.checkpoint()
		if err != nil {
			// A damaged mailbox must not stop the others: try again later.
			tx.acct.warnCheckpoint(tx.group.ctx, err)
			st.tail = tail{}
		}
		tx.ops = append(tx.ops, ops...)
	}
	tx.set(append(tx.bytes(1), keyAccount), appendHeader(tx.bytes(64), &st.hdr))
	b.Ops = tx.ops
	return b
}

// writeFlags writes the keywords and flag sets that are new.
func (tx *Tx) writeFlags() {
	t := &tx.st.flags
	for i := tx.words; i < len(t.keywords); i++ {
		tx.set(keywordKey(i), append([]byte{formatVersion}, t.keywords[i]...))
	}
	for i := max(tx.sets, 1); i < len(t.sets); i++ {
		tx.set(flagSetKey(FlagSet(i)), appendFlagSet(nil, &t.sets[i]))
	}
	for _, i := range t.reusedKeywords {
		tx.set(keywordKey(int(i)), append([]byte{formatVersion}, t.keywords[i]...))
	}
	for _, i := range t.reusedSets {
		tx.set(flagSetKey(i), appendFlagSet(nil, &t.sets[i]))
	}
}

// deads are messages that left a mailbox.
type deads struct {
	mailbox MailboxID
	uids    UIDSet
	emails  []EmailID
	flags   []FlagSet // as they were; nil in records of the first version
	dates   []int64   // internal dates
}

// writeDead tells the reaper what was expunged.
func (tx *Tx) writeDead() {
	if len(tx.dead) == 0 {
		return
	}
	tx.noteExpunged()
	n := 0
	for _, d := range tx.dead {
		for len(d.emails) > 0 {
			var part deads
			part, d = d.cut(reapBatch)
			tx.set(deadKey(tx.now, tx.modseq, n), appendDead([]byte{formatVersion}, &part))
			n++
		}
	}
}

// cut splits off the first n messages.
func (d deads) cut(n int) (head, rest deads) {
	if len(d.emails) <= n {
		return d, deads{}
	}
	head = deads{d.mailbox, nil, d.emails[:n], d.flags[:n], d.dates[:n]}
	rest = deads{d.mailbox, nil, d.emails[n:], d.flags[n:], d.dates[n:]}
	i := 0
	for ; n > int(d.uids[i].Last-d.uids[i].First); i++ {
		head.uids = append(head.uids, d.uids[i])
		n -= int(d.uids[i].Last-d.uids[i].First) + 1
	}
	rest.uids = slices.Clone(d.uids[i:])
	if n > 0 {
		first := d.uids[i].First
		head.uids = append(head.uids, UIDRange{first, first + UID(n-1)})
		rest.uids[0].First = first + UID(n)
	}
	return head, rest
}
