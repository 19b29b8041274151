package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"posthouse/mail"
	"posthouse/store/engine"
)

// Check verifies every line of docs/guarantees.md that the store answers for and
// reports each fault. deep also reads every message's bytes. It runs on a live
// store.
func (s *Store) Check(ctx context.Context, deep bool, report func(id mail.AccountID, problem string)) error {
	var ids []mail.AccountID
	if err := s.Accounts(ctx, func(id mail.AccountID) bool {
		ids = append(ids, id)
		return true
	}); err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.checkAccount(ctx, id, deep, report); err != nil {
			return wrap("Check", err)
		}
	}
	if err := s.checkDomains(ctx, report); err != nil {
		return wrap("Check", err)
	}
	return wrap("Check", s.checkIndex(report))
}

// A checker verifies one account against one view of the engine.
type checker struct {
	id     mail.AccountID
	ctx    context.Context
	store  *Store
	r      engine.Reader
	st     *state
	deep   bool
	faulty func(problem string)

	content map[MailboxID]*content
	live    map[member]bool     // memberships by the mailboxes
	dead    map[member]bool     // memberships that wait for the reaper
	gone    map[Membership]bool // the same, without the message
	emails  map[EmailID]*Email
	owned   map[EmailID]int // memberships by the R records
}

type member struct {
	email   EmailID
	mailbox MailboxID
	uid     UID
}

func (s *Store) checkAccount(ctx context.Context, id mail.AccountID, deep bool, report func(mail.AccountID, string)) error {
	r := s.eng.Snapshot(id)
	defer r.Close()
	c := &checker{id: id, ctx: ctx, store: s, r: r, deep: deep, faulty: func(p string) { report(id, p) },
		content: map[MailboxID]*content{}, live: map[member]bool{}, dead: map[member]bool{}, gone: map[Membership]bool{},
		emails: map[EmailID]*Email{}, owned: map[EmailID]int{}}
	a := s.handle(id)
	st, err := loadState(a, r)
	if mail.KindOf(err) == mail.Corrupt {
		c.faulty(err.Error())
		return nil
	}
	if err != nil || !st.exists {
		return err
	}
	c.st = st
	for _, step := range []func() error{c.mailboxes, c.names, c.journal, c.marks, c.dying, c.annotations, c.objects, c.sharing, c.seen, c.records, c.members, c.threads, c.strays} {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := step()
		if mail.KindOf(err) == mail.Corrupt || errors.Is(err, engine.ErrCorrupt) {
			c.faulty(err.Error())
		} else if err != nil {
			return err
		}
	}
	c.memory(a)
	return nil
}

func (c *checker) faultf(format string, args ...any) { c.faulty(fmt.Sprintf(format, args...)) }

// mailboxes: counts equal the messages, UIDs ascend below UIDNext, no ModSeq is
// above its mailbox's, nor that above the account's.
func (c *checker) mailboxes() error {
	for _, b := range c.st.boxes {
		m := &b.mb
		have, err := loadChunks(c.r, m.ID, len(c.st.flags.sets))
		if err == nil {
			have, err = replay(c.r, have, m.ID, c.st.hdr.checkpoint, c.st.hdr.modseq, &c.st.flags)
		}
		if err != nil {
			c.faultf("mailbox %d: %v", m.ID, err)
			have = noContent
		}
		c.content[m.ID] = have
		t := c.messages(m, have)
		if want := (tally{int64(m.Messages), int64(m.Unseen), int64(m.Deleted), m.Bytes, m.DeletedBytes}); t != want {
			c.faultf("mailbox %d: counts %+v, but its messages make %+v", m.ID, want, t)
		}
		if m.HighestModSeq > c.st.hdr.modseq {
			c.faultf("mailbox %d: ModSeq %d above the account's %d", m.ID, m.HighestModSeq, c.st.hdr.modseq)
		}
	}
	return c.copies()
}

// copies: the account counts each message once, and knows which are in several
// mailboxes.
func (c *checker) copies() error {
	h := &c.st.hdr
	if !h.counted {
		return nil // from before it was so: counted anew with the next change
	}
	n := map[EmailID]uint32{}
	var messages, bytes int64
	for _, have := range c.content {
		m, size := have.countInto(n)
		messages += m
		bytes += size
	}
	if messages != h.messages || bytes != h.bytes {
		c.faultf("account counts %d messages of %d bytes, there are %d of %d", h.messages, h.bytes, messages, bytes)
	}
	multi := int64(0)
	for _, k := range n {
		if k >= 2 {
			multi++
		}
	}
	if multi != h.multi {
		c.faultf("account counts %d messages with several memberships, there are %d", h.multi, multi)
	}
	if !h.blocks && h.multi > 0 {
		return nil // from before they were recorded in blocks
	}
	return c.counts(n, multi)
}

// counts: the records w have all of the messages that have several memberships.
func (c *checker) counts(n map[EmailID]uint32, multi int64) error {
	err := c.scan(keyCounts, 8, func(k, v []byte) error {
		b := emailBlock(binary.BigEndian.Uint64(k))
		var said counts
		if err := decodeCounts(&said, v); err != nil {
			c.faultf("memberships of block %d: %v", b, err)
			return nil
		}
		multi -= said.several()
		for i, k := range said {
			if e := b.first() + EmailID(i); k > 0 && uint32(k) != n[e] {
				c.faultf("email %d is said to have %d memberships, it has %d", e, k, n[e])
			}
		}
		return nil
	})
	if multi != 0 {
		c.faultf("%d messages with several memberships have no record of it", multi)
	}
	return err
}

func (c *checker) messages(m *Mailbox, have *content) (t tally) {
	last := UID(0)
	for _, e := range have.dir {
		for j := range e.c.cols.uid {
			r := e.c.row(j)
			t.count(c.st.flags.system(r.Flags), r.Size, 1)
			if int(r.Flags) < len(c.st.flags.sets) && c.st.flags.sets[r.Flags].free {
				c.faultf("mailbox %d: UID %d has flags %d, which were freed", m.ID, r.UID, r.Flags)
			}
			c.live[member{r.Email, m.ID, r.UID}] = true
			switch {
			case r.UID <= last || r.UID >= m.UIDNext:
				c.faultf("mailbox %d: UID %d after %d, UIDNext %d", m.ID, r.UID, last, m.UIDNext)
			case r.ModSeq > m.HighestModSeq || r.ModSeq == 0:
				c.faultf("mailbox %d: UID %d has ModSeq %d above %d", m.ID, r.UID, r.ModSeq, m.HighestModSeq)
			case r.Email >= c.st.hdr.nextEmail || r.Email == 0:
				c.faultf("mailbox %d: UID %d is email %d, which was never given", m.ID, r.UID, r.Email)
			}
			last = r.UID
		}
	}
	return t
}

// names: paths are valid and unique, UIDVALIDITYs differ, roles have one mailbox.
func (c *checker) names() error {
	paths, roles, validities := map[string]bool{}, map[mail.Role]bool{}, map[uint32]bool{}
	for i, b := range c.st.boxes {
		m := &b.mb
		if p, err := newPath(m.Path, &Limits{MailboxNameBytes: 1 << 20, MailboxPathBytes: 1 << 20, MailboxDepth: 1 << 20}); err != nil || p != m.Path {
			c.faultf("mailbox %d: bad path %q", m.ID, m.Path)
		}
		if paths[m.Path] || m.Role != mail.RoleNone && roles[m.Role] || validities[m.UIDValidity] {
			c.faultf("mailbox %d: path, role or UIDVALIDITY taken twice", m.ID)
		}
		paths[m.Path], roles[m.Role], validities[m.UIDValidity] = true, true, true
		if m.ID >= c.st.hdr.nextMailbox || m.UIDValidity > c.st.hdr.lastValidity || m.UIDValidity == 0 || m.UIDNext == 0 {
			c.faultf("mailbox %d: id or UIDVALIDITY %d was never given", m.ID, m.UIDValidity)
		}
		if m.NoSelect && (!m.HasChildren || c.content[m.ID].n > 0 || m.Role != mail.RoleNone) {
			c.faultf("mailbox %d: not selectable, but without children or with messages", m.ID)
		}
		if b != c.st.boxByPath(m.Path) || i > 0 && c.st.boxes[i-1].mb.ID >= m.ID {
			c.faultf("mailbox %d: not found by its path %q", m.ID, m.Path)
		}
	}
	if !paths[inboxPath] {
		c.faultf("no inbox")
	}
	return nil
}

// journal: replaying all of it gives what the chunks hold.
func (c *checker) journal() error {
	whole := false
	again := map[MailboxID]*content{}
	var failed error
	v := &View{st: c.st, r: c.r}
	err := v.events(0, func(m ModSeq, e *event) bool {
		if m <= c.st.hdr.floor {
			c.faultf("journal record %d at or below the floor %d", m, c.st.hdr.floor)
		}
		if e.action == actCreate && e.mailbox == 1 {
			whole = true
		}
		if c.st.hdr.swept > 0 { // numbers of flags were given again
			return true
		}
		if again[e.mailbox] == nil {
			again[e.mailbox] = noContent
		}
		again[e.mailbox], failed = again[e.mailbox].apply(e, m, &c.st.flags)
		return failed == nil
	})
	if failed != nil || err != nil || !whole || c.st.hdr.swept > 0 {
		return errors.Join(failed, err)
	}
	for _, b := range c.st.boxes {
		if d := compare(again[b.mb.ID], c.content[b.mb.ID]); d != "" {
			c.faultf("mailbox %d: journal and chunks differ: %s", b.mb.ID, d)
		}
	}
	return nil
}

// compare says how two contents differ, "" if they do not.
func compare(a, b *content) string {
	if a == nil {
		a = noContent
	}
	if a.n != b.n {
		return fmt.Sprintf("%d messages, %d messages", a.n, b.n)
	}
	for i := range a.n {
		x, j := a.locate(i)
		y, k := b.locate(i)
		if x.row(j) != y.row(k) {
			return fmt.Sprintf("%+v, %+v", x.row(j), y.row(k))
		}
	}
	return ""
}

// memory: what sessions see is what the engine holds.
func (c *checker) memory(a *account) {
	now := a.durable.Load()
	if now == nil || now.hdr.modseq != c.st.hdr.modseq {
		return // not loaded, or changed meanwhile
	}
	if len(now.boxes) != len(c.st.boxes) {
		c.faultf("%d mailboxes in memory, %d stored", len(now.boxes), len(c.st.boxes))
		return
	}
	for i, b := range now.boxes {
		if o := c.st.boxes[i]; b.mb != o.mb {
			c.faultf("mailbox %d: %+v in memory, %+v stored", b.mb.ID, b.mb, o.mb)
		}
		if have := b.lazy.done.Load(); have != nil {
			if d := compare(have, c.content[b.mb.ID]); d != "" {
				c.faultf("mailbox %d: memory and storage differ: %s", b.mb.ID, d)
			}
		}
	}
}

func (c *checker) scan(kind byte, size int, f func(key, val []byte) error) error {
	return scan(c.r, []byte{kind}, func(k, v []byte) error {
		if len(k) != size {
			c.faultf("key of kind %q has %d bytes", kind, len(k))
			return nil
		}
		return f(k, v)
	})
}

// strays: chunks belong to mailboxes that exist.
func (c *checker) strays() error {
	for _, kind := range []byte{keyColumns, keyMarks} {
		if err := c.scan(kind, 12, func(k, _ []byte) error {
			if id := MailboxID(binary.BigEndian.Uint64(k)); c.st.box(id) == nil {
				c.faultf("chunk of mailbox %d, which does not exist", id)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
