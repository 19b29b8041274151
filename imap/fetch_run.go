package imap

import (
	"slices"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

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

// pageRecords is how many messages one View serves: enough that its cost does not
// count, and few enough that nothing is held for long.
const pageRecords = 256

// one writes one page of the messages lo <= i < hi and returns where it ended.
func (f *fetch) one(lo, hi int) (next int, err error) {
	f.page = f.page[:0]
	rest := false // of the page, needs bytes
	err = f.c.sel.acct.View(f.c.ctx, func(v *store.View) error {
		cur, err := v.Snapshot(f.c.sel.mailbox)
		if err != nil {
			return err
		}
		if f.conditional && cur.Mailbox().HighestModSeq <= f.since {
			next = hi // nothing has changed since
			return nil
		}
		if f.flags {
			f.c.sayKeywords(cur)
		}
		switch f.need {
		case needRow:
			next = f.pageOfRows(cur, lo, hi)
		case needRecord:
			next, err = f.pageOfRecords(v, cur, lo, hi)
		case needFields:
			next, rest, err = f.pageOfFields(v, cur, lo, hi)
		default:
			next, err = f.pageOfBytes(v, cur, lo, hi)
			rest = true
		}
		return err
	})
	if err != nil || !rest {
		return next, err
	}
	return next, f.messages()
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
			// Its flags are those of some time ago, and later ones may have been told: so that
			// its ModSeq does not go back it is the mailbox's, with which it went.
			row = sel.Row(i)
			row.ModSeq = cur.Mailbox().HighestModSeq
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

// nextPage takes the rows of a page.
func (f *fetch) nextPage(cur *store.Snapshot, lo, hi int) (next int) {
	f.rows = f.rows[:0]
	return f.each(cur, lo, hi, func(i int, row store.Row) bool {
		f.rows = append(f.rows, row)
		f.page = append(f.page, fetched{seq: uint32(i + 1), row: row, snap: cur})
		return len(f.rows) < pageRecords
	})
}

func (f *fetch) pageOfRecords(v *store.View, cur *store.Snapshot, lo, hi int) (int, error) {
	next := f.nextPage(cur, lo, hi)
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

// pageOfFields is pageOfRecords, but from the first message on whose record does not
// have the fields, or cannot be read, the page waits for bytes: rest.
func (f *fetch) pageOfFields(v *store.View, cur *store.Snapshot, lo, hi int) (next int, rest bool, err error) {
	next = f.nextPage(cur, lo, hi)
	done := 0
	err = v.Emails(f.rows, func(i int, e *store.Email) bool {
		m := &f.page[i]
		m.email = e
		f.respond(m)
		m.email = nil
		if rest = m.short; rest {
			return false
		}
		m.msg, done = nil, i+1
		if f.c.full() && i+1 < len(f.page) {
			next = int(f.page[i+1].seq) - 1
			return false
		}
		return true
	})
	rest = rest || err != nil && mail.KindOf(err) == mail.Corrupt
	if !rest {
		return next, false, err
	}
	f.rows, f.page = f.rows[done:], f.page[done:]
	return next, true, f.keepRecords(v)
}

func (f *fetch) pageOfBytes(v *store.View, cur *store.Snapshot, lo, hi int) (int, error) {
	next := f.nextPage(cur, lo, hi)
	return next, f.keepRecords(v)
}

// keepRecords reads the records of the page, for later.
func (f *fetch) keepRecords(v *store.View) error {
	f.arena = f.arena[:0]
	f.kept = slices.Grow(f.kept[:0], len(f.page))[:len(f.page)]
	read := 0
	err := v.Emails(f.rows, func(i int, e *store.Email) bool {
		f.kept[i] = *e
		f.arena = f.kept[i].Keep(f.arena)
		f.page[i].email = &f.kept[i]
		read++
		return true
	})
	if mail.KindOf(err) == mail.Corrupt && err != nil {
		return f.oneByOne(v)
	}
	if read < len(f.page) {
		f.missing = true
	}
	return err
}

// oneByOne reads the records of a page of which one is damaged.
func (f *fetch) oneByOne(v *store.View) (err error) {
	for i := range f.page {
		if f.page[i].email, err = v.Email(f.page[i].row.Email); err != nil {
			if err = f.unreadable(err); err != nil {
				return err
			}
			f.page[i].email = nil
		}
	}
	return nil
}

// messages writes the responses of a page for which the messages' bytes are
// needed: the small ones are read together, each of the large ones as it is sent.
func (f *fetch) messages() error {
	f.wanted = f.wanted[:0]
	for i := range f.page {
		m := &f.page[i]
		m.short, m.known = false, f.need == needFields && f.knows(m.email)
		if e := m.email; e == nil || m.known || e.Size > int64(f.c.lim.FetchWhole) {
			f.wanted = append(f.wanted, nil)
		} else {
			f.wanted = append(f.wanted, e)
		}
	}
	done := 0
	var failed error
	err := f.c.sel.acct.ReadAll(f.c.ctx, f.wanted, func(i int, raw []byte, err error) bool {
		if failed = f.large(done, i); failed == nil {
			done = i + 1
			if err != nil {
				failed = f.unreadable(err)
			} else {
				f.page[i].raw = raw
				failed = f.message(&f.page[i])
			}
		}
		return failed == nil
	})
	if failed == nil {
		failed = err
	}
	if failed == nil {
		failed = f.large(done, len(f.page))
	}
	return failed
}

// knows reports whether a record has all header fields that are asked for.
func (f *fetch) knows(e *store.Email) bool {
	if e == nil {
		return false
	}
	for i := range f.items {
		if s := &f.items[i].section; s.kept {
			var ok bool
			if f.part, ok = e.AppendFields(f.part[:0], &s.fields); !ok {
				return false
			}
		}
	}
	return true
}

// large writes the responses for the messages lo <= i < hi, which are large or gone, or
// whose records have all that is asked for.
func (f *fetch) large(lo, hi int) (err error) {
	for i := lo; i < hi && err == nil; i++ {
		m := &f.page[i]
		if m.email == nil {
			continue
		}
		if m.known {
			err = f.message(m)
			continue
		}
		if m.body, err = f.c.sel.acct.Open(f.c.ctx, m.email); err != nil {
			err = f.unreadable(err)
			continue
		}
		err = f.message(m)
		_ = m.body.Close()
	}
	return err
}

// message writes the response for a message whose bytes are needed.
func (f *fetch) message(m *fetched) error {
	f.respond(m)
	m.msg, m.raw = nil, nil
	return f.c.drain()
}

// section finds the bytes of BODY[path.spec]. The part table is decoded when it is
// first needed: the message's own header and text do without.
func (f *fetch) section(m *fetched, path []int, spec message.Spec) (message.Range, bool) {
	if len(path) == 0 {
		header, body, err := m.email.Top()
		switch {
		case spec == message.SpecAll:
			return message.Range{End: m.email.Size}, true
		case err == nil && spec == message.SpecHeader:
			return header, true
		case err == nil && spec == message.SpecText:
			return body, true
		}
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

// unreadable lets the others be read when one message cannot be. If another
// session expunged it, its bytes may be gone too; that is no fault.
func (f *fetch) unreadable(err error) error {
	switch mail.KindOf(err) {
	case mail.NotFound:
		f.missing = true
	case mail.Corrupt:
		if f.corrupt == nil {
			f.corrupt = err
		}
	default:
		return err
	}
	return nil
}

// respond writes one FETCH response; none if m turns out to be short.
func (f *fetch) respond(m *fetched) {
	dst := f.c.dia.beginFetch(f.c.out, m.seq, m.row.UID)
	for i := range f.items {
		if i > 0 {
			dst = append(dst, ' ')
		}
		b := &f.items[i]
		dst = b.write(f, m, b, dst)
	}
	if m.short {
		return
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
