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
	needFields             // the stored record, and of some messages the bytes
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
	notes   noteQuery // of ANNOTATION
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
	cut                   resultRange // PARTIAL

	missing    bool  // a message was expunged by another session
	unknownCTE bool  // a part could not be decoded, RFC 3516 §4.3
	corrupt    error // what was wrong with the first message that could not be read
	page       []fetched
	rows       []store.Row
	kept       []store.Email  // of page, where bytes are needed
	arena      []byte         // theirs
	wanted     []*store.Email // of those that are read together
	part       []byte         // scratch: a decoded or filtered part
	n          uint64         // responses
}

// fetches keeps the memory of finished FETCH commands: some clients fetch one
// message a command.
var fetches = sync.Pool{New: func() any { return new(fetch) }}

// release gives the memory back, but for what a large message needed.
func (f *fetch) release() {
	clear(f.items)
	clear(f.page[:cap(f.page)])
	clear(f.kept)
	clear(f.wanted[:cap(f.wanted)])
	kept := fetch{items: f.items[:0], page: f.page[:0], rows: f.rows[:0], kept: f.kept[:0], arena: f.arena[:0], wanted: f.wanted[:0], part: f.part[:0]}
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
	known bool // its record has all header fields that are asked for
	short bool // it has not, and the bytes were not there
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
			if m := c.tab.fetchMods[string(d.Word())]; m != nil {
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
	if f.cut != (resultRange{}) {
		if err := c.tooMany(int(max(f.cut.first, f.cut.last)-min(f.cut.first, f.cut.last)) + 1); err != nil {
			return err
		}
		spans = f.cut.of(spans)
	}
	spans = c.newest(spans)
	if c.cmd.byUID && !c.dia.uidonly {
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
	if f.corrupt != nil {
		return f.corrupt
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
	row := f.c.tab.fetch[string(word)]
	if row == nil {
		d.Bad("unknown FETCH item")
		return
	}
	b := boundItem{name: row.name, need: row.need, write: row.write}
	if row.read != nil {
		row.read(f.c, d, &b)
	}
	if len(f.items) >= f.c.lim.FetchItems {
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
	if row := f.c.tab.fetch[name]; !f.has(name) {
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
	err = c.sel.acct.Update(c.ctx, func(tx *store.Tx) (err error) {
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
