package jmap

import (
	"slices"
	"sync"
	"sync/atomic"

	"posthouse/mail"
	"posthouse/store"
)

// An index is what is kept in memory of an account in use: in which mailboxes each
// message is, as JMAP sees it (what IMAP has marked \Deleted is not there, RFC 8621
// §4.1.1), its thread, and the counts of threads. It follows the log and is made
// anew where the log does not reach.
type index struct {
	used atomic.Int64
	size atomic.Int64

	mu      sync.RWMutex // a leaf
	ready   bool
	pos     store.LogPos
	trash   store.MailboxID
	pages   map[store.EmailID]*page // by id / pageLen
	boxes   map[store.MailboxID]*counts
	names   map[store.MailboxID]string // ids of mailboxes, also of those that went since
	queries queryCache
	people  acquaintances // has a lock of its own
}

const pageLen = 256

type page [pageLen]entry

// An entry is one message. The messages of a thread are a list that begins with the
// entry of the thread's own number: a thread is called by its first message.
type entry struct {
	thread store.ThreadID // 0: not known
	next   store.EmailID
	in     store.Membership    // the first; Mailbox 0: none
	more   *[]store.Membership // the others
	seen   bool                // in all of its places
	draft  bool                // in one of them
}

// counts are those of a mailbox, RFC 8621 §2.
type counts struct{ emails, unread, threads, unreadThreads int }

// memberships calls f with each place of the message.
func (e *entry) memberships(f func(m store.Membership)) {
	if e.in.Mailbox == 0 {
		return
	}
	f(e.in)
	if e.more != nil {
		for _, m := range *e.more {
			f(m)
		}
	}
}

func (e *entry) there() bool { return e.in.Mailbox != 0 }

// unread: neither $seen nor $draft, RFC 8621 §2.
func (e *entry) unread() bool { return !e.seen && !e.draft }

// place sets the memberships.
func (e *entry) place(list []store.Membership) {
	e.in, e.more = store.Membership{}, nil
	if len(list) > 0 {
		e.in = list[0]
	}
	if len(list) > 1 {
		rest := slices.Clone(list[1:])
		e.more = &rest
	}
}

// mailboxes returns the mailboxes of the message, each once.
func (e *entry) mailboxes(dst []store.MailboxID) []store.MailboxID {
	n := len(dst)
	e.memberships(func(m store.Membership) {
		if !slices.Contains(dst[n:], m.Mailbox) {
			dst = append(dst, m.Mailbox)
		}
	})
	return dst
}

// entryLocked returns the entry of a message, nil if it was never seen.
func (x *index) entryLocked(id store.EmailID) *entry {
	p := x.pages[id/pageLen]
	if p == nil || p[id%pageLen].thread == 0 {
		return nil
	}
	return &p[id%pageLen]
}

// slotLocked returns the place of an entry.
func (x *index) slotLocked(id store.EmailID) *entry {
	p := x.pages[id/pageLen]
	if p == nil {
		p = new(page)
		x.pages[id/pageLen] = p
	}
	return &p[id%pageLen]
}

// addLocked notes a message and puts it into its thread.
func (x *index) addLocked(id store.EmailID, t store.ThreadID) {
	e := x.slotLocked(id)
	if e.thread != 0 {
		return
	}
	e.thread = t
	if head := store.EmailID(t); head != id {
		h := x.slotLocked(head)
		if h.thread == 0 { // reaped before its answers
			h.thread = t
		}
		e.next, h.next = h.next, id
	}
}

// threadLocked calls f with each message of a thread that was ever seen.
func (x *index) threadLocked(t store.ThreadID, f func(id store.EmailID, e *entry)) {
	for id := store.EmailID(t); id != 0; {
		e := x.entryLocked(id)
		if e == nil {
			return
		}
		next := e.next
		f(id, e)
		id = next
	}
}

// A found message is a copy of what the index knows of it.
type found struct {
	id     store.EmailID
	thread store.ThreadID
	places []store.Membership
}

// email returns what is known of a message that is there.
func (x *index) email(id store.EmailID) (f found, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e := x.entryLocked(id)
	if e == nil || !e.there() {
		return f, false
	}
	f = found{id: id, thread: e.thread}
	e.memberships(func(m store.Membership) { f.places = append(f.places, m) })
	return f, true
}

// threadOf returns the thread of a message, there or not; 0 if it is not known.
func (x *index) threadOf(id store.EmailID) store.ThreadID {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if e := x.entryLocked(id); e != nil {
		return e.thread
	}
	return 0
}

// thread returns the messages of a thread; there says which of them still are.
func (x *index) thread(t store.ThreadID) (ids []store.EmailID, there []bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.threadLocked(t, func(id store.EmailID, e *entry) {
		ids, there = append(ids, id), append(there, e.there())
	})
	return ids, there
}

// counts returns those of a mailbox.
func (x *index) counts(id store.MailboxID) counts {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if c := x.boxes[id]; c != nil {
		return *c
	}
	return counts{}
}

// sync brings the index to v's position, if it is not further.
func (x *index) sync(v *store.View) error {
	x.mu.RLock()
	done := x.ready && x.pos >= v.LogEnd()
	x.mu.RUnlock()
	if done {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ready && x.pos >= v.LogEnd() {
		return nil
	}
	if x.ready {
		done, err := x.followLocked(v)
		if done || err != nil {
			x.ready = x.ready && err == nil
			return err
		}
	}
	err := x.buildLocked(v)
	x.ready = err == nil
	return err
}

// nameLocked notes the ids of the mailboxes. They are what a client must hear of one
// that is deleted later.
func (x *index) nameLocked(v *store.View) {
	if x.names == nil {
		x.names = map[store.MailboxID]string{}
	}
	for _, m := range v.Mailboxes() {
		x.names[m.ID] = mailboxID(m)
	}
}

// mailboxName returns the id that a mailbox had; "" if that is not known.
func (x *index) mailboxName(id store.MailboxID) string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.names[id]
}

func trashOf(v *store.View) store.MailboxID {
	if m, err := v.MailboxByRole(mail.RoleTrash); err == nil {
		return m.ID
	}
	return 0
}

// buildLocked reads the account.
func (x *index) buildLocked(v *store.View) error {
	x.pages, x.boxes = map[store.EmailID]*page{}, map[store.MailboxID]*counts{}
	x.queries.clear()
	x.trash = trashOf(v)
	x.nameLocked(v)
	if err := v.Threads(func(t store.ThreadID, e store.EmailID) bool {
		x.addLocked(e, t)
		return true
	}); err != nil {
		return err
	}
	for _, m := range v.Mailboxes() {
		if m.NoSelect {
			continue
		}
		snap, err := v.Snapshot(m.ID)
		if err != nil {
			return err
		}
		for _, row := range snap.Rows(0, snap.Len()) {
			if err := x.joinLocked(v, snap, row, m.ID); err != nil {
				return err
			}
		}
	}
	for base, p := range x.pages {
		for i := range p {
			if id := base*pageLen + store.EmailID(i); p[i].thread == store.ThreadID(id) && id != 0 {
				x.contributeLocked(p[i].thread, 1)
			}
		}
	}
	x.pos = v.LogEnd()
	x.size.Store(int64(len(x.pages)) * pageLen * 64)
	return nil
}

// joinLocked notes one row of a mailbox.
func (x *index) joinLocked(v *store.View, snap *store.Snapshot, row store.Row, box store.MailboxID) error {
	bits := snap.System(row.Flags)
	if bits&store.DeletedBit != 0 {
		return nil
	}
	e := x.entryLocked(row.Email)
	if e == nil {
		rec, err := v.Email(row.Email)
		if err != nil {
			return err
		}
		x.addLocked(row.Email, rec.Thread)
		e = x.slotLocked(row.Email)
	}
	m := store.Membership{Mailbox: box, UID: row.UID}
	first := !e.there()
	e.seen = (first || e.seen) && bits&store.SeenBit != 0
	e.draft = !first && e.draft || bits&store.DraftBit != 0
	switch {
	case first:
		e.in = m
	case e.more == nil:
		e.more = &[]store.Membership{m}
	default:
		*e.more = append(*e.more, m)
	}
	return nil
}

// contributeLocked adds what a thread counts to its mailboxes, or takes it away
// (n = -1). Messages in the trash are as a thread of their own for what is unread.
func (x *index) contributeLocked(t store.ThreadID, n int) {
	var in, own [8]store.MailboxID
	boxes := in[:0]
	unread, unreadTrash := false, false
	x.threadLocked(t, func(_ store.EmailID, e *entry) {
		if !e.there() {
			return
		}
		mine := e.mailboxes(own[:0])
		for _, b := range mine {
			c := x.countsLocked(b)
			c.emails += n
			if e.unread() {
				c.unread += n
			}
			if !slices.Contains(boxes, b) {
				boxes = append(boxes, b)
			}
			if b == x.trash && x.trash != 0 {
				unreadTrash = unreadTrash || e.unread()
			} else {
				unread = unread || e.unread()
			}
		}
	})
	for _, b := range boxes {
		c := x.countsLocked(b)
		c.threads += n
		if b == x.trash && unreadTrash || b != x.trash && unread {
			c.unreadThreads += n
		}
	}
}

func (x *index) countsLocked(b store.MailboxID) *counts {
	c := x.boxes[b]
	if c == nil {
		c = new(counts)
		x.boxes[b] = c
	}
	return c
}
