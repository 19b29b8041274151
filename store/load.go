package store

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"posthouse/mail"
	"posthouse/store/engine"
)

// loadState reads the account of r without the messages of its mailboxes. An
// account that is not there is a state with exists false.
func loadState(a *account, r engine.Reader) (*state, error) {
	st := &state{flags: newFlagTable(), list: new(mailboxList)}
	st.hdr.modseq = ModSeq(r.Version())
	v, err := r.Get([]byte{keyAccount})
	if errors.Is(err, engine.ErrNotFound) {
		return st, nil
	}
	if err != nil {
		return nil, err
	}
	if st.hdr, err = decodeHeader(v); err != nil {
		return nil, err
	}
	if uint64(st.hdr.modseq) != r.Version() {
		return nil, &mail.Error{Kind: mail.Corrupt, Op: "store.load", Text: "account version differs from its record"}
	}
	st.exists = true
	if err := st.loadFlags(r); err != nil {
		return nil, err
	}
	if err := st.loadBoxes(a, r); err != nil {
		return nil, err
	}
	return st, st.loadTail(r)
}

// scan calls f with each record of a kind until it fails.
func scan(r engine.Reader, prefix []byte, f func(key, val []byte) error) error {
	var failed error
	err := r.Scan(prefix, after(prefix), func(k, v []byte) bool {
		failed = f(k[len(prefix):], v)
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

func (st *state) loadFlags(r engine.Reader) error {
	err := scan(r, []byte{keyFlags, 'k'}, func(k, v []byte) error {
		if len(k) != 2 || int(binary.BigEndian.Uint16(k)) < len(st.flags.keywords) || len(v) < 2 || v[0] != formatVersion {
			return corrupt("keyword")
		}
		for int(binary.BigEndian.Uint16(k)) > len(st.flags.keywords) { // freed
			st.flags.keywords = append(st.flags.keywords, "")
			st.flags.freeKeywords++
		}
		st.flags.keywords = append(st.flags.keywords, mail.Flag(v[1:]))
		return nil
	})
	if err != nil {
		return err
	}
	return scan(r, []byte{keyFlags, 's'}, func(k, v []byte) error {
		if len(k) != 4 || int(binary.BigEndian.Uint32(k)) < len(st.flags.sets) || binary.BigEndian.Uint32(k) > maxFlagSets {
			return corrupt("flag set")
		}
		free := 0
		for ; int(binary.BigEndian.Uint32(k)) > len(st.flags.sets); free++ { // freed
			st.flags.sets = append(st.flags.sets, flagSet{free: true})
		}
		s, err := decodeFlagSet(v, len(st.flags.keywords))
		if err != nil {
			return err
		}
		known := st.flags.freeSets
		st.flags.freeSets = 0 // it goes behind the others
		st.flags.add(s)
		st.flags.freeSets = known + free
		return nil
	})
}

func (st *state) loadBoxes(a *account, r engine.Reader) error {
	err := scan(r, []byte{keyMailbox}, func(k, v []byte) error {
		if len(k) != 8 {
			return corrupt("mailbox")
		}
		b, err := decodeMailbox(MailboxID(binary.BigEndian.Uint64(k)), v)
		if err != nil {
			return err
		}
		st.boxes = append(st.boxes, b)
		return nil
	})
	if err != nil {
		return err
	}
	err = scan(r, []byte{keyPath}, func(k, _ []byte) error {
		st.subs = append(st.subs, string(k))
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(st.subs, comparePaths)
	if err := st.loadACLs(r); err != nil {
		return err
	}
	for _, b := range st.boxes {
		b.seen = newSeenTable(a, b.mb.ID, false)
		b.lazy = &lazy{root: &root{acct: a, mailbox: b.mb.ID, after: st.hdr.checkpoint, upto: st.hdr.modseq, flags: st.flags}}
	}
	return st.linkBoxes()
}

func (st *state) loadACLs(r engine.Reader) error {
	return scan(r, []byte{keyACL}, func(k, v []byte) error {
		if len(k) != 8 {
			return corrupt("access control")
		}
		b := st.box(MailboxID(binary.BigEndian.Uint64(k)))
		if b == nil {
			return nil // Check reports it
		}
		var err error
		b.acl, err = decodeACL(v)
		return err
	})
}

// linkBoxes completes what records do not hold: whole paths and what follows
// from them.
func (st *state) linkBoxes() error {
	done := make(map[MailboxID]bool, len(st.boxes))
	var link func(b *box, depth int) error
	link = func(b *box, depth int) error {
		if done[b.mb.ID] {
			return nil
		}
		if b.mb.Parent != 0 {
			p := st.box(b.mb.Parent)
			if p == nil || depth > 1000 {
				return corrupt("mailbox parent")
			}
			if err := link(p, depth+1); err != nil {
				return err
			}
			b.mb.Path = p.mb.Path + "/" + b.mb.Path
			p.mb.HasChildren = true
		}
		done[b.mb.ID] = true
		b.mb.Subscribed = st.subscribed(b.mb.Path)
		return nil
	}
	for _, b := range st.boxes {
		if err := link(b, 0); err != nil {
			return err
		}
	}
	st.reorder()
	return nil
}

// loadTail measures the journal since the last checkpoint and marks the
// mailboxes that it touches.
func (st *state) loadTail(r engine.Reader) error {
	var failed error
	err := r.Scan(journalKey(st.hdr.checkpoint+1), []byte{keyJournal + 1}, func(k, v []byte) bool {
		st.tail.bytes += len(v)
		failed = decodeJournal(v, 0, len(st.flags.sets), func(e *event) bool {
			st.tail.actions++
			if b := st.box(e.mailbox); b != nil && (e.action <= actExpunge || e.action == actTouch) {
				b.dirty = true
			}
			return true
		})
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// A lazy is the messages of a mailbox at one moment, read from the engine when
// somebody needs them: appending to a mailbox that nobody looks at does not.
type lazy struct {
	done atomic.Pointer[content]
	mu   sync.Mutex
	root *root // until done
	rows []Row // appended since root, until done
}

// load returns the messages, reading them if they are not in memory.
func (l *lazy) load() (*content, error) {
	if c := l.done.Load(); c != nil {
		return c, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.done.Load(); c != nil {
		return c, nil
	}
	c, err := l.root.load()
	if err != nil {
		return nil, err
	}
	c = c.append(l.rows)
	l.root.acct.grow(int64(len(l.rows)) * rowBytes)
	l.done.Store(c)
	l.root, l.rows = nil, nil
	return c, nil
}

// with returns l with rows behind it, without loading.
func (l *lazy) with(rows ...Row) *lazy {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.done.Load(); c != nil {
		return loaded(c.append(rows))
	}
	return &lazy{root: l.root, rows: append(l.rows, rows...)}
}

func loaded(c *content) *lazy {
	l := new(lazy)
	l.done.Store(c)
	return l
}

// A root is where the messages of a mailbox are read from: its chunks, which
// hold all up to the checkpoint, and the journal behind. Nobody writes the
// chunks of a mailbox without having loaded it, so they stay what they were.
type root struct {
	acct    *account
	mailbox MailboxID
	after   ModSeq // checkpoint
	upto    ModSeq // state to load
	flags   flagTable

	mu sync.Mutex
	c  *content
}

func (rt *root) load() (*content, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.c != nil {
		return rt.c, nil
	}
	r := rt.acct.store.eng.Snapshot(rt.acct.id)
	defer r.Close()
	c, err := loadChunks(r, rt.mailbox, len(rt.flags.sets))
	if err != nil {
		return nil, err
	}
	if c, err = replay(r, c, rt.mailbox, rt.after, rt.upto, &rt.flags); err != nil {
		return nil, err
	}
	rt.c = c.clipped()
	rt.acct.grow(rt.c.memory())
	return rt.c, nil
}

// loadChunks reads what the last checkpoint wrote: what never changes of messages, and
// what does, at the same time, since either waits for the disk where nothing was read
// lately.
func loadChunks(r engine.Reader, m MailboxID, sets int) (*content, error) {
	read := make(chan markedChunks, 1)
	go func() { read <- loadMarks(r, m, sets) }()
	c, err := loadColumns(r, m)
	marks := <-read // also after an error: r is the caller's again
	if err == nil {
		err = marks.err
	}
	if err != nil {
		return nil, err
	}
	if len(marks.of) != len(c.dir) {
		return nil, corrupt("chunk flags")
	}
	for i, k := range marks.of {
		if c.dir[i].c.base != k.base || len(k.mark.flags) != len(c.dir[i].c.cols.uid) {
			return nil, corrupt("chunk flags")
		}
		c.dir[i].c.mark = k.mark
	}
	c.saved = c.chunks()
	return c, nil
}

func loadColumns(r engine.Reader, m MailboxID) (*content, error) {
	c, prev := &content{}, new(columns)
	return c, scan(r, key64(keyColumns, uint64(m)), func(k, v []byte) error {
		cols, err := decodeColumns(v, prev)
		if err != nil {
			return err
		}
		prev = cols
		if len(k) != 4 {
			return corrupt("chunk")
		}
		base := UID(binary.BigEndian.Uint32(k))
		if cols.uid[0] < base || len(c.dir) > 0 && cols.uid[0] <= c.dir[len(c.dir)-1].last {
			return corrupt("chunk")
		}
		c.push(&chunk{base: base, cols: cols})
		return nil
	})
}

// markedChunks are the marks of a mailbox's chunks, in their order.
type markedChunks struct {
	of  []chunk // without columns
	err error
}

func loadMarks(r engine.Reader, m MailboxID, sets int) (all markedChunks) {
	prev := new(marks)
	all.err = scan(r, key64(keyMarks, uint64(m)), func(k, v []byte) error {
		if len(k) != 4 {
			return corrupt("chunk flags")
		}
		mark, err := decodeMarks(v, sets, prev)
		if err != nil {
			return err
		}
		prev = mark
		all.of = append(all.of, chunk{base: UID(binary.BigEndian.Uint32(k)), mark: mark})
		return nil
	})
	return all
}

// push puts a chunk behind the others as it is.
func (c *content) push(k *chunk) {
	n := len(k.cols.uid)
	c.dir = append(c.dir, entry{k, c.n, k.cols.uid[n-1]})
	c.n += n
}

// chunks lists the chunks of c.
func (c *content) chunks() []*chunk {
	if len(c.dir) == 0 {
		return nil
	}
	all := make([]*chunk, len(c.dir))
	for i := range c.dir {
		all[i] = c.dir[i].c
	}
	return all
}

// replay applies to c what the journal says of mailbox m after < ModSeq <= upto.
func replay(r engine.Reader, c *content, m MailboxID, after, upto ModSeq, t *flagTable) (*content, error) {
	var failed error
	err := r.Scan(journalKey(after+1), journalKey(upto+1), func(k, v []byte) bool {
		if len(k) != 9 {
			failed = corrupt("journal")
			return false
		}
		modseq := ModSeq(binary.BigEndian.Uint64(k[1:]))
		err := decodeJournal(v, modseq, len(t.sets), func(e *event) bool {
			if e.mailbox == m {
				c, failed = c.apply(e, modseq, t)
			}
			return failed == nil
		})
		if failed == nil {
			failed = err
		}
		return failed == nil
	})
	if failed != nil {
		return nil, failed
	}
	return c, err
}

// apply does again what a journal event says.
func (c *content) apply(e *event, modseq ModSeq, t *flagTable) (*content, error) {
	switch e.action {
	case actAdd:
		if c.n > 0 && e.rows[0].UID <= c.dir[len(c.dir)-1].last {
			return nil, corrupt("journal")
		}
		return c.append(e.rows), nil
	case actFlags:
		if int(e.mask) >= len(t.sets) {
			return nil, corrupt("journal")
		}
		m := marking{table: t, modseq: modseq, change: func(old FlagSet) (FlagSet, error) {
			was := t.at(old)
			return t.find(combine(e.op, &was, &t.sets[e.mask]))
		}}
		return c.mark(e.uids, &m)
	case actTouch:
		return c.mark(e.uids, &marking{table: t, modseq: modseq, always: true, change: func(old FlagSet) (FlagSet, error) { return old, nil }})
	case actExpunge:
		return c.remove(e.uids, func(*chunk, int, int) {}), nil
	}
	return c, nil
}

// find returns the number of a set that must be in the table.
func (t *flagTable) find(s flagSet) (FlagSet, error) {
	for i := range t.sets {
		if t.sets[i].equal(&s) {
			return FlagSet(i), nil
		}
	}
	return 0, corrupt("journal")
}
