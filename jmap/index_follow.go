package jmap

import (
	"slices"
	"sync"

	"posthouse/mail"
	"posthouse/store"
)

// followMost is how many messages may have changed for following to be cheaper than
// building anew.
const followMost = 20_000

// followLocked brings the index up to date from the log; false if that cannot be.
func (x *index) followLocked(v *store.View) (done bool, err error) {
	if trashOf(v) != x.trash {
		return false, nil
	}
	f := follower{x: x, v: v, r: rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}, added: map[store.EmailID][]store.Membership{}}
	var failed error
	n := 0
	err = v.Changes(x.pos, func(ch store.Change) bool {
		failed = f.note(&ch)
		n += len(ch.Emails)
		return failed == nil && len(f.order) <= followMost && n <= 4*followMost
	})
	switch {
	case mail.KindOf(err) == mail.NotFound && err != nil, len(f.order) > followMost, n > 4*followMost:
		return false, nil
	case failed != nil:
		return false, failed
	case err != nil:
		return false, err
	}
	if f.boxes {
		x.nameLocked(v)
	}
	threads := f.threads()
	for _, t := range threads {
		x.contributeLocked(t, -1)
	}
	f.replace()
	for _, t := range threads {
		x.contributeLocked(t, 1)
	}
	x.pos = v.LogEnd()
	x.size.Store(int64(len(x.pages)) * pageLen * 64)
	return true, nil
}

// A follower takes in a stretch of the log.
type follower struct {
	x     *index
	v     *store.View
	r     rows
	added map[store.EmailID][]store.Membership // of messages that changed: places to look at
	order []store.EmailID
	boxes bool // mailboxes were made or changed
}

// note takes in one change: which messages it may have moved or marked.
func (f *follower) note(ch *store.Change) error {
	switch ch.Kind {
	case store.MailboxCreated, store.MailboxChanged:
		f.boxes = true
	case store.Added:
		i := 0
		for u := range ch.UIDs.All() {
			if err := f.touch(ch.Emails[i]); err != nil {
				return err
			}
			f.added[ch.Emails[i]] = append(f.added[ch.Emails[i]], store.Membership{Mailbox: ch.Mailbox, UID: u})
			i++
		}
	case store.Expunged:
		for _, e := range ch.Emails {
			if err := f.touch(e); err != nil {
				return err
			}
		}
	case store.Flagged:
		snap, err := f.r.snapshot(ch.Mailbox)
		if err != nil || snap == nil {
			return err
		}
		for _, row := range snap.RowsOf(ch.UIDs) {
			if err := f.touch(row.Email); err != nil {
				return err
			}
			f.added[row.Email] = append(f.added[row.Email], store.Membership{Mailbox: ch.Mailbox, UID: row.UID})
		}
	}
	return nil
}

// touch makes sure that a message has an entry.
func (f *follower) touch(id store.EmailID) error {
	if _, known := f.added[id]; known {
		return nil
	}
	if f.x.entryLocked(id) == nil {
		e, err := f.v.Email(id)
		if mail.KindOf(err) == mail.NotFound && err != nil { // came and went
			return nil
		}
		if err != nil {
			return err
		}
		f.x.addLocked(id, e.Thread)
	}
	f.added[id] = nil
	f.order = append(f.order, id)
	return nil
}

func (f *follower) threads() []store.ThreadID {
	var list []store.ThreadID
	seen := map[store.ThreadID]bool{}
	for _, id := range f.order {
		if t := f.x.entryLocked(id).thread; !seen[t] {
			seen[t] = true
			list = append(list, t)
		}
	}
	return list
}

// replace looks where each message is now.
func (f *follower) replace() {
	for _, id := range f.order {
		e := f.x.entryLocked(id)
		maybe := f.added[id]
		e.memberships(func(m store.Membership) { maybe = append(maybe, m) })
		var now []store.Membership
		seen, draft := true, false
		for _, m := range maybe {
			row, snap, ok := f.r.row(m)
			if !ok || row.Email != id || slices.Contains(now, m) {
				continue
			}
			bits := snap.System(row.Flags)
			if bits&store.DeletedBit != 0 {
				continue
			}
			seen, draft = seen && bits&store.SeenBit != 0, draft || bits&store.DraftBit != 0
			now = append(now, m)
		}
		slices.SortFunc(now, func(a, b store.Membership) int {
			if a.Mailbox != b.Mailbox {
				return int(int64(a.Mailbox) - int64(b.Mailbox))
			}
			return int(int64(a.UID) - int64(b.UID))
		})
		e.place(now)
		e.seen, e.draft = seen, draft
	}
}

// indexes are those in memory, bounded together.
type indexes struct {
	mu    sync.Mutex
	clock int64
	byID  map[indexKey]*index
}

// An indexKey names an index: of an account, as its owner (0) or somebody else sees it.
type indexKey struct{ account, who mail.AccountID }

// of returns the index of an account, and drops those that were not used for longest
// when they take too much.
func (s *indexes) of(id, who mail.AccountID, budget int64) *index {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	key := indexKey{id, who}
	x := s.byID[key]
	if x == nil {
		x = &index{}
		s.byID[key] = x
	}
	x.used.Store(s.clock)
	if s.clock%64 == 0 || len(s.byID) <= 4 { // adding up takes time when there are many
		s.evictLocked(x, budget)
	}
	return x
}

func (s *indexes) evictLocked(keep *index, budget int64) {
	for {
		var sum int64
		var oldest indexKey
		var used int64 = 1 << 62
		for key, o := range s.byID {
			sum += o.size.Load() + 4096
			if u := o.used.Load(); u < used && o != keep {
				oldest, used = key, u
			}
		}
		if sum <= budget || oldest == (indexKey{}) {
			return
		}
		delete(s.byID, oldest)
	}
}
