package imap

import (
	"sync"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

// A need says what of a message an item is made of; pages load no more.
type need uint8

const (
	needRow    need = iota // the mailbox row
	needRecord             // the stored record
	needBytes              // the message's bytes
)

// A fetchItem is one data item of FETCH, RFC 9051 §6.4.5. It writes itself, name
// and value, into the output.
type fetchItem struct {
	name string
	need need
	// read reads what stands behind the name and may change what b is; nil if
	// nothing does.
	read  func(c *conn, d *wire.Decoder, b *boundItem)
	write func(f *fetch, m *fetched, b *boundItem, dst []byte) []byte
}

// A boundItem is an item as one FETCH asks for it.
type boundItem struct {
	name    string // as the table has it
	need    need
	seen    bool // sets \Seen
	write   func(f *fetch, m *fetched, b *boundItem, dst []byte) []byte
	section section
}

// A fetchMod is a modifier of FETCH, RFC 4466 §2.4.
type fetchMod struct {
	name string
	read func(c *conn, d *wire.Decoder, f *fetch)
}

// A fetch is one FETCH or UID FETCH under way.
type fetch struct {
	c     *conn
	items []boundItem
	need  need
	seen  store.UIDSet // messages that it made \Seen
	flags bool         // FLAGS is among the items
	// since, if conditional, leaves out what did not change after it (RFC 7162
	// §3.1.4); vanished also tells what is gone.
	conditional, vanished bool
	since                 store.ModSeq

	missing    bool // a message was expunged by another session
	unknownCTE bool // a part could not be decoded, RFC 3516 §4.3
	page       []fetched
	rows       []store.Row
	raw        []byte // scratch: the bytes of a message
	part       []byte // scratch: a decoded or filtered part
	n          uint64 // responses
}

// fetches keeps the memory of finished FETCH commands: some clients fetch one
// message a command.
var fetches = sync.Pool{New: func() any { return new(fetch) }}

// release gives the memory back, but for what a large message needed.
func (f *fetch) release() {
	clear(f.items)
	clear(f.page[:cap(f.page)])
	kept := fetch{items: f.items[:0], page: f.page[:0], rows: f.rows[:0], raw: f.raw[:0], part: f.part[:0]}
	if cap(kept.part) > outputSize {
		kept.part = nil
	}
	*f = kept
	fetches.Put(f)
}

// A fetched is one message while its response is written.
type fetched struct {
	seq   uint32
	row   store.Row
	snap  *store.Snapshot
	email *store.Email
	msg   *message.Message
	raw   []byte
	body  store.Body
}

// macros of RFC 9051 §6.4.5; they stand alone.
var macros = map[string][]string{
	"ALL":  {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"},
	"FAST": {"FLAGS", "INTERNALDATE", "RFC822.SIZE"},
	"FULL": {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"},
}

// fetchCmd reads and runs FETCH and UID FETCH, RFC 9051 §6.4.5 and §6.4.9.
func (c *conn) fetchCmd(d *wire.Decoder) error {
	f := fetches.Get().(*fetch)
	f.c = c
	defer f.release()
	d.SP()
	set := d.NumSet()
	d.SP()
	f.readItems(d)
	if d.Try(' ') {
		d.List(func() {
			if m := c.srv.tables.fetchMods[string(d.Word())]; m != nil {
				m.read(c, d, f)
			} else {
				d.Bad("unknown FETCH modifier")
			}
		})
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	spans, err := c.numbers(set, c.cmd.byUID)
	if err != nil {
		return err
	}
	if c.cmd.byUID {
		f.addFirst("UID")
	}
	if f.conditional {
		f.add("MODSEQ")
	}
	if f.vanished {
		if err := c.sayVanishedEarlier(set, f.since); err != nil {
			return err
		}
	}
	if err := f.markSeen(spans); err != nil {
		return err
	}
	err = f.run(spans)
	c.srv.stats.fetched.Add(f.n)
	if err != nil {
		return err
	}
	if f.unknownCTE {
		return no("UNKNOWN-CTE", "a part has an unknown content-transfer-encoding")
	}
	if f.missing {
		c.okCode, c.okText = "EXPUNGEISSUED", "some of the messages are gone"
	}
	return nil
}

// readItems reads the items, or a macro.
func (f *fetch) readItems(d *wire.Decoder) {
	if d.Peek() == '(' {
		if d.List(func() { f.readItem(d, d.Word()) }); len(f.items) == 0 {
			d.Bad("FETCH wants an item")
		}
		return
	}
	word := d.Word()
	if names, ok := macros[string(word)]; ok {
		for _, n := range names {
			f.add(n)
		}
		return
	}
	f.readItem(d, word)
}

func (f *fetch) readItem(d *wire.Decoder, word []byte) {
	row := f.c.srv.tables.fetch[string(word)]
	if row == nil {
		d.Bad("unknown FETCH item")
		return
	}
	b := boundItem{name: row.name, need: row.need, write: row.write}
	if row.read != nil {
		row.read(f.c, d, &b)
	}
	if len(f.items) >= f.c.srv.opts.Limits.FetchItems {
		d.Bad("too many FETCH items")
		return
	}
	if row.read == nil && f.has(row.name) {
		return
	}
	f.items = append(f.items, b)
	f.need = max(f.need, b.need)
	f.flags = f.flags || row.name == "FLAGS"
}

func (f *fetch) has(name string) bool {
	for i := range f.items {
		if f.items[i].name == name {
			return true
		}
	}
	return false
}

// add adds an item without arguments if it is not there.
func (f *fetch) add(name string) {
	if row := f.c.srv.tables.fetch[name]; !f.has(name) {
		f.items = append(f.items, boundItem{name: name, need: row.need, write: row.write})
		f.need = max(f.need, row.need)
		f.flags = f.flags || name == "FLAGS"
	}
}

func (f *fetch) addFirst(name string) {
	if f.has(name) {
		return
	}
	f.add(name)
	last := len(f.items) - 1
	item := f.items[last]
	copy(f.items[1:], f.items[:last])
	f.items[0] = item
}

// markSeen sets \Seen on all messages whose bodies will be sent, in one update
// before the first of them leaves (RFC 9051 §6.4.5).
func (f *fetch) markSeen(spans []span) error {
	c := f.c
	marks := false
	for i := range f.items {
		marks = marks || f.items[i].seen
	}
	if !marks || c.sel.readOnly || len(spans) == 0 {
		return nil
	}
	cur, err := c.current()
	if err != nil {
		return err
	}
	var unseen store.UIDSet
	for _, row := range rowsOf(cur, c.uids(spans)) {
		if cur.System(row.Flags)&store.SeenBit == 0 {
			unseen = addUID(unseen, row.UID)
		}
	}
	if len(unseen) == 0 {
		return nil
	}
	err = c.acct.Update(c.ctx, func(tx *store.Tx) (err error) {
		f.seen, _, err = tx.SetFlags(c.sel.mailbox, unseen,
			store.FlagChange{Op: store.FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}})
		return err
	})
	switch mail.KindOf(err) {
	case mail.Unavailable, mail.OverQuota: // a full disk keeps nobody from reading
		if err != nil {
			f.seen = nil
			return nil
		}
	}
	c.echo = f.seen
	return c.gone(err)
}

// run writes the responses in pages: no View is held while a client is slow.
func (f *fetch) run(spans []span) error {
	c := f.c
	c.ready()
	for _, s := range spans {
		for at := s.lo; at < s.hi; {
			next, err := f.one(at, s.hi)
			if err != nil {
				return c.gone(err)
			}
			at = next
			if err := c.drain(); err != nil {
				return err
			}
		}
	}
	return c.werr
}

// pageRecords and pageBytes are how many messages one View serves: enough that
// its cost does not count, and few enough that nothing is held for long.
const (
	pageRecords = 256
	pageBytes   = 32
)

// one writes one page of the messages lo <= i < hi and returns where it ended.
func (f *fetch) one(lo, hi int) (next int, err error) {
	f.page = f.page[:0]
	err = f.c.acct.View(f.c.ctx, func(v *store.View) error {
		cur, err := v.Snapshot(f.c.sel.mailbox)
		if err != nil {
			return err
		}
		if f.flags {
			f.c.sayKeywords(cur)
		}
		switch f.need {
		case needRow:
			next = f.pageOfRows(cur, lo, hi)
		case needRecord:
			next, err = f.pageOfRecords(v, cur, lo, hi)
		default:
			next, err = f.pageOfBytes(v, cur, lo, hi)
		}
		return err
	})
	if err != nil || f.need != needBytes {
		return next, err
	}
	for i := range f.page {
		if err := f.message(&f.page[i]); err != nil {
			return next, err
		}
	}
	return next, nil
}

// each calls visit for each message lo <= i < hi of the selection that still
// exists and is wanted, with its present row, until visit returns false. It
// returns the place behind the last one visited.
func (f *fetch) each(cur *store.Snapshot, lo, hi int, visit func(i int, row store.Row) bool) int {
	sel := f.c.sel.snap
	if cur == sel {
		for i, row := range cur.Rows(lo, hi) {
			if f.conditional && row.ModSeq <= f.since {
				continue
			}
			if !visit(i, row) {
				return i + 1
			}
		}
		return hi
	}
	j, _ := cur.Search(sel.UID(lo))
	for i := lo; i < hi; i++ {
		uid := sel.UID(i)
		for j < cur.Len() && cur.UID(j) < uid {
			j++
		}
		var row store.Row
		switch {
		case j < cur.Len() && cur.UID(j) == uid:
			row = cur.Row(j)
		case f.need == needRow && !f.conditional:
			// Expunged, but the client may not be told yet. It may still learn the UID,
			// without which VANISHED would say nothing to it (RFC 2180 §4.1.2).
			row = sel.Row(i)
		default:
			f.missing = true
			continue
		}
		if f.conditional && row.ModSeq <= f.since {
			continue
		}
		if !visit(i, row) {
			return i + 1
		}
	}
	return hi
}

func (f *fetch) pageOfRows(cur *store.Snapshot, lo, hi int) int {
	m := fetched{snap: cur}
	return f.each(cur, lo, hi, func(i int, row store.Row) bool {
		m.seq, m.row = uint32(i+1), row
		f.respond(&m)
		return !f.c.full()
	})
}

func (f *fetch) pageOfRecords(v *store.View, cur *store.Snapshot, lo, hi int) (int, error) {
	f.rows = f.rows[:0]
	next := f.each(cur, lo, hi, func(i int, row store.Row) bool {
		f.rows = append(f.rows, row)
		f.page = append(f.page, fetched{seq: uint32(i + 1), row: row, snap: cur})
		return len(f.rows) < pageRecords
	})
	err := v.Emails(f.rows, func(i int, e *store.Email) bool {
		m := &f.page[i]
		m.email = e
		f.respond(m)
		m.email, m.msg = nil, nil
		if f.c.full() && i+1 < len(f.page) {
			next = int(f.page[i+1].seq) - 1
			return false
		}
		return true
	})
	return next, err
}

func (f *fetch) pageOfBytes(v *store.View, cur *store.Snapshot, lo, hi int) (int, error) {
	next := f.each(cur, lo, hi, func(i int, row store.Row) bool {
		f.page = append(f.page, fetched{seq: uint32(i + 1), row: row, snap: cur})
		return len(f.page) < pageBytes
	})
	for i := range f.page {
		e, err := v.Email(f.page[i].row.Email)
		if err != nil {
			return 0, err
		}
		f.page[i].email = e
	}
	return next, nil
}

// message writes the response for a message whose bytes are needed.
func (f *fetch) message(m *fetched) error {
	c := f.c
	defer func() {
		if m.body != nil {
			_ = m.body.Close()
		}
		*m = fetched{}
	}()
	var err error
	if m.email.Size <= int64(c.srv.opts.Limits.FetchWhole) {
		if f.raw, err = c.acct.Read(c.ctx, f.raw[:0], m.email); err != nil {
			return f.unreadable(err)
		}
		m.raw = f.raw
	} else if m.body, err = c.acct.Open(c.ctx, m.email); err != nil {
		return f.unreadable(err)
	}
	f.respond(m)
	return c.drain()
}

// section finds the bytes of BODY[path.spec]. The part table is decoded when it is
// first needed: BODY[] does without.
func (f *fetch) section(m *fetched, path []int, spec message.Spec) (message.Range, bool) {
	if len(path) == 0 && spec == message.SpecAll {
		return message.Range{End: m.email.Size}, true
	}
	if !f.table(m) {
		return message.Range{}, false
	}
	return m.msg.Section(path, spec)
}

// table decodes the part table of m.
func (f *fetch) table(m *fetched) bool {
	if m.msg == nil {
		msg, err := m.email.Message()
		if err != nil {
			f.c.broken(err)
			return false
		}
		m.msg = msg
	}
	return true
}

// unreadable: a message that another session expunged may be gone with its
// bytes; that is no fault.
func (f *fetch) unreadable(err error) error {
	if mail.KindOf(err) == mail.NotFound {
		f.missing = true
		return nil
	}
	return err
}

// respond writes one FETCH response.
func (f *fetch) respond(m *fetched) {
	dst := f.c.dia.beginFetch(f.c.out, m.seq, m.row.UID)
	for i := range f.items {
		if i > 0 {
			dst = append(dst, ' ')
		}
		b := &f.items[i]
		dst = b.write(f, m, b, dst)
	}
	if len(f.seen) > 0 && !f.flags && f.seen.Contains(m.row.UID) {
		dst = f.c.appendFlags(append(dst, ' '), m.snap, m.row)
		if f.c.dia.condstore && !f.has("MODSEQ") {
			dst = appendModSeq(append(dst, ' '), m.row.ModSeq)
		}
	}
	f.c.out = append(dst, ")\r\n"...)
	f.n++
}
