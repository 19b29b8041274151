package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"posthouse/mail"
	"posthouse/store/engine"
)

// Repair makes anew what an account keeps beside its messages and can be made from
// them: counts, sums, memberships, threads, annotations without message, what is shared
// and seen, the work of the reaper. A message that is in no mailbox and waits for no
// reaper comes back into one named Restored. known says which accounts and groups there
// are, for lists that name others; nil: all. It reports what it mended. What is damaged
// itself stays, for Check to say so. It runs on a live store.
func (s *Store) Repair(ctx context.Context, known func(mail.AccountID) bool, report func(id mail.AccountID, mended string)) error {
	var ids []mail.AccountID
	if err := s.Accounts(ctx, func(id mail.AccountID) bool {
		ids = append(ids, id)
		return true
	}); err != nil {
		return err
	}
	for _, id := range ids {
		did, err := s.repairAccount(ctx, id, known)
		switch {
		case mail.KindOf(err) == mail.Corrupt && err != nil, errors.Is(err, engine.ErrCorrupt):
			continue // Check says so
		case err != nil:
			return wrap("Repair", err)
		}
		for _, d := range did {
			report(id, d)
		}
	}
	if err := s.repairDomains(ctx, report); err != nil {
		return wrap("Repair", err)
	}
	return wrap("Repair", s.repairIndex(ctx, report))
}

func (s *Store) repairAccount(ctx context.Context, id mail.AccountID, known func(mail.AccountID) bool) (did []string, err error) {
	a := s.handle(id)
	a.evict() // what is stored counts, not what was read before
	err = s.update(ctx, []*Account{{account: a}}, nil, func(txs []*Tx) error {
		r := &repairer{tx: txs[0], known: known, content: map[MailboxID]*content{}}
		err := r.run()
		did = r.did
		return err
	})
	return did, err
}

// A repairer mends one account as one transaction.
type repairer struct {
	tx    *Tx
	known func(mail.AccountID) bool
	did   []string

	content map[MailboxID]*content
	live    map[member]bool
	gone    map[Membership]bool // wait for the reaper
	emails  map[EmailID]*Email
	lost    []Row // messages that are nowhere
}

func (r *repairer) mended(format string, args ...any) {
	r.did = append(r.did, fmt.Sprintf(format, args...))
	r.tx.changed = true
}

func (r *repairer) run() error {
	tx := r.tx
	if !tx.st.exists {
		return nil
	}
	tx.settle()
	for _, step := range []func() error{r.mailboxes, r.account, r.reaper, r.records, r.members, r.threads, r.notes, r.sharing, r.seen, r.revive} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (r *repairer) scan(kind byte, f func(k, v []byte) error) error {
	return scan(r.tx.reader(), []byte{kind}, func(k, v []byte) error { return f(slices.Clone(k), v) })
}

func (r *repairer) remove(kind byte, k []byte) { r.tx.remove(append([]byte{kind}, k...)) }

// mailboxes: counts are those of the messages.
func (r *repairer) mailboxes() error {
	tx := r.tx
	r.live = map[member]bool{}
	for _, b := range tx.st.boxes {
		c, err := b.lazy.load()
		if err != nil {
			return err
		}
		r.content[b.mb.ID] = c
		var t tally
		high := b.mb.HighestModSeq
		next := b.mb.UIDNext
		for _, e := range c.dir {
			for j := range e.c.cols.uid {
				row := e.c.row(j)
				t.count(tx.st.flags.system(row.Flags), row.Size, 1)
				r.live[member{row.Email, b.mb.ID, row.UID}] = true
				high, next = max(high, row.ModSeq), max(next, row.UID+1)
			}
		}
		want := b.mb
		want.Messages, want.Unseen, want.Deleted, want.Bytes, want.DeletedBytes = uint32(t.messages), uint32(t.unseen), uint32(t.deleted), t.bytes, t.deletedBytes
		want.HighestModSeq, want.UIDNext = high, next
		if want != b.mb {
			r.mended("mailbox %d: its counts", b.mb.ID)
			tx.edit(b.mb.ID).mb = want
		}
	}
	return nil
}

// account: sums, and the messages with several memberships.
func (r *repairer) account() error {
	tx := r.tx
	h := &tx.st.hdr
	n, messages, bytes, err := tx.st.copies()
	if err != nil {
		return err
	}
	if !h.counted || h.messages != messages || h.bytes != bytes {
		r.mended("the account's sums")
		h.messages, h.bytes, h.counted = messages, bytes, true
	}
	multi := int64(0)
	for _, c := range n {
		if c >= 2 {
			multi++
		}
	}
	bad, err := r.miscounted(n, multi)
	if err == nil && bad && !tx.recounted {
		r.mended("which messages are in several mailboxes")
		tx.countAnew()
	}
	return err
}

// miscounted tells whether what is recorded of messages with several memberships is
// not n.
func (r *repairer) miscounted(n map[EmailID]uint32, multi int64) (bad bool, err error) {
	bad = multi != r.tx.st.hdr.multi
	err = r.scan(keyCounts, func(k, v []byte) error {
		var said counts
		if len(k) != 8 || decodeCounts(&said, v) != nil {
			bad = true
			return nil
		}
		multi -= said.several()
		first := emailBlock(binary.BigEndian.Uint64(k)).first()
		for i, c := range said {
			bad = bad || c > 0 && uint32(c) != n[first+EmailID(i)]
		}
		return nil
	})
	return bad || multi != 0, err
}

// reaper: it knows of what was expunged, and what is there is not expunged.
func (r *repairer) reaper() error {
	g := r.tx.acct.store.eng.Snapshot(0)
	defer g.Close()
	r.gone = map[Membership]bool{}
	missing := map[uint64]bool{}
	err := r.scan(keyDead, func(k, v []byte) error {
		if len(k) != deadKeyLen-1 {
			return corrupt("expunged")
		}
		at := int64(binary.BigEndian.Uint64(k))
		if ok, err := reapable(g, r.tx.acct.id, at); err != nil {
			return err
		} else if !ok {
			missing[hourOf(at)] = true
		}
		return decodeDead(v, func(d *deads) {
			for u := range d.uids.All() {
				r.gone[Membership{d.mailbox, u}] = true
			}
		})
	})
	for hour := range missing {
		r.mended("the reaper's work of hour %d", hour)
		r.tx.global = append(r.tx.global, engine.Op{Kind: engine.Set, Key: expungedKey(hour, r.tx.acct.id)})
	}
	return err
}

// records reads the messages, and finds those that are nowhere.
func (r *repairer) records() error {
	r.emails = map[EmailID]*Email{}
	return r.scan(keyEmail, func(k, v []byte) error {
		if len(k) != 8 {
			return nil
		}
		e := new(Email)
		id := EmailID(binary.BigEndian.Uint64(k))
		if decodeEmail(e, id, slices.Clone(v)) == nil {
			r.emails[id] = e
		}
		return nil
	})
}

// members: R and r records are the messages of the mailboxes and those that wait.
func (r *repairer) members() error {
	left := make(map[member]bool, len(r.live))
	for m := range r.live {
		left[m] = true
	}
	owned := map[EmailID]bool{}
	keep := func(m member) bool {
		if r.live[m] && !left[m] {
			r.mended("email %d was said twice to be UID %d of mailbox %d", m.email, m.uid, m.mailbox)
			return false
		}
		if !r.live[m] && !r.gone[Membership{m.mailbox, m.uid}] {
			r.mended("email %d is not UID %d of mailbox %d", m.email, m.uid, m.mailbox)
			return false
		}
		owned[m.email] = true
		delete(left, m)
		return true
	}
	err := r.scan(keyMember, func(k, _ []byte) error {
		if len(k) != memberKeyLen-1 {
			r.mended("a membership that says nothing")
			r.remove(keyMember, k)
		} else if !keep(member{EmailID(binary.BigEndian.Uint64(k)), MailboxID(binary.BigEndian.Uint64(k[8:])), UID(binary.BigEndian.Uint32(k[16:]))}) {
			r.remove(keyMember, k)
		}
		return nil
	})
	if err == nil {
		err = r.scan(keyRuns, func(k, v []byte) error {
			r.memberBlock(k, v, keep)
			return nil
		})
	}
	for m := range left {
		r.mended("email %d is UID %d of mailbox %d", m.email, m.uid, m.mailbox)
		r.tx.set(appendMemberKey(nil, m.email, m.mailbox, m.uid), nil)
		owned[m.email] = true
	}
	for id, e := range r.emails {
		if !owned[id] {
			r.lost = append(r.lost, Row{Size: uint32(e.Size), InternalDate: r.tx.now, Email: id})
		}
	}
	slices.SortFunc(r.lost, func(a, b Row) int { return int(a.Email) - int(b.Email) })
	return err
}

// memberBlock leaves of a record r what is to be kept.
func (r *repairer) memberBlock(k, v []byte, keep func(m member) bool) {
	m, err := decodeMembers(k, v)
	if err != nil {
		r.mended("memberships that say nothing")
		r.remove(keyRuns, k)
		return
	}
	n := 0
	left := m.without(func(e EmailID, u UID) bool {
		kept := keep(member{e, m.mailbox, u})
		n += int(bit(!kept))
		return kept
	})
	switch {
	case len(left.runs) == 0:
		r.remove(keyRuns, k)
	case n > 0:
		r.tx.set(m.key(), left.value())
	}
	if !r.tx.st.hdr.blocks {
		r.mended("that memberships are in blocks")
		r.tx.st.hdr.blocks = true
	}
}

// threads: each message is a member of its thread, and found by its references.
func (r *repairer) threads() error {
	left := map[EmailID]bool{}
	for id := range r.emails {
		left[id] = true
	}
	err := r.scan(keyThread, func(k, _ []byte) error {
		if len(k) == 16 {
			if id := EmailID(binary.BigEndian.Uint64(k[8:])); r.emails[id] != nil && r.emails[id].Thread == ThreadID(binary.BigEndian.Uint64(k)) {
				delete(left, id)
				return nil
			}
		}
		r.mended("a member of a thread that is not there")
		r.remove(keyThread, k)
		return nil
	})
	if err != nil {
		return err
	}
	for id := range left {
		r.mended("email %d: its thread", id)
		r.tx.set(threadKey(r.emails[id].Thread, id), nil)
	}
	refs := map[uint64]bool{}
	if err := r.scan(keyReference, func(k, v []byte) error {
		if len(k) == 8 && len(v) == 8 {
			refs[binary.BigEndian.Uint64(k)] = true
		}
		return nil
	}); err != nil {
		return err
	}
	for id, e := range r.emails {
		for _, h := range e.references {
			if !refs[h] {
				refs[h] = true
				r.mended("email %d: a reference", id)
				r.tx.set(referenceKey(h), binary.BigEndian.AppendUint64(nil, uint64(e.Thread)))
			}
		}
	}
	return nil
}

// notes: annotations belong to something, and are counted.
func (r *repairer) notes() error {
	st := r.tx.st
	var all int64
	err := r.scan(keyAnnotation, func(k, v []byte) error {
		if len(k) < 8 {
			return nil
		}
		if id := MailboxID(binary.BigEndian.Uint64(k)); id != 0 {
			if b := st.box(id); b == nil || b.mb.NoSelect {
				r.mended("an annotation of mailbox %d, which is not there", id)
				r.remove(keyAnnotation, k)
				return nil
			}
		}
		all += annotationSize(append([]byte{keyAnnotation}, k...), v)
		return nil
	})
	if err != nil {
		return err
	}
	sums := map[MailboxID]int64{}
	err = r.scan(keyNote, func(k, v []byte) error {
		n, err := decodeNote(append([]byte{keyNote}, k...), v)
		if err != nil {
			return nil
		}
		if c := r.content[n.mailbox]; c != nil {
			if _, there := c.search(n.uid); there {
				sums[n.mailbox] += n.size()
				return nil
			}
		}
		if !r.gone[Membership{n.mailbox, n.uid}] {
			r.mended("an annotation of UID %d of mailbox %d, which is not there", n.uid, n.mailbox)
			r.remove(keyNote, k)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, b := range st.boxes {
		if sum := sums[b.mb.ID]; sum != b.noted {
			r.mended("mailbox %d: bytes of annotations", b.mb.ID)
			r.tx.edit(b.mb.ID).noted = sum
		}
		all += sums[b.mb.ID]
	}
	if all != st.hdr.annotations {
		r.mended("bytes of annotations")
		st.hdr.annotations = all
	}
	return nil
}

// sharing: lists are of mailboxes that are there and name who exists, and the index has
// them.
func (r *repairer) sharing() error {
	tx := r.tx
	if err := r.scan(keyACL, func(k, _ []byte) error {
		if b := tx.st.box(MailboxID(binary.BigEndian.Uint64(append(k, make([]byte, 8)...)))); len(k) != 8 || b == nil || b.mb.NoSelect {
			r.mended("the list of a mailbox that is not there")
			r.remove(keyACL, k)
		}
		return nil
	}); err != nil {
		return err
	}
	g := tx.acct.store.eng.Snapshot(0)
	defer g.Close()
	for i := range tx.st.boxes {
		b := tx.st.boxes[i]
		l := b.acl
		for _, e := range b.acl {
			if e.who != Anyone && r.known != nil && !r.known(e.who) || e.who == tx.acct.id {
				r.mended("mailbox %d: shared with %d, which is not there", b.mb.ID, e.who)
				l = l.with(entitlement{who: e.who})
				continue
			}
			_, err := g.Get(sharedKey(sharedPrefix(e.who, tx.st.hdr.domain), tx.acct.id, b.mb.ID))
			if errors.Is(err, engine.ErrNotFound) {
				r.mended("mailbox %d: shared with %d", b.mb.ID, e.who)
				tx.share(engine.Set, e.who, b.mb.ID)
			} else if err != nil {
				return err
			}
		}
		if len(l) != len(b.acl) {
			tx.setACL(b.mb.ID, l)
		}
	}
	return nil
}

// seen: what others have seen is of mailboxes that are there.
func (r *repairer) seen() error {
	return r.scan(keySeen, func(k, v []byte) error {
		if len(k) != 20 {
			r.remove(keySeen, k)
			return nil
		}
		b := r.tx.st.box(MailboxID(binary.BigEndian.Uint64(k)))
		user := mail.AccountID(binary.BigEndian.Uint64(k[8:]))
		s, err := decodeSeen(UID(binary.BigEndian.Uint32(k[16:])), v)
		bad := err != nil || b == nil || b.mb.NoSelect || user == 0 || user == r.tx.acct.id
		for i := 0; !bad && i < len(s.runs); i++ {
			bad = s.runs[i].last >= b.mb.UIDNext || s.runs[i].modseq > r.tx.st.hdr.modseq
		}
		if bad {
			r.mended("what account %d has seen of a mailbox", user)
			r.remove(keySeen, k)
		}
		return nil
	})
}

// revive puts messages that are nowhere where people find them.
func (r *repairer) revive() error {
	if len(r.lost) == 0 {
		return nil
	}
	tx := r.tx
	b := tx.st.boxByPath(restoredPath)
	if b == nil || b.mb.NoSelect {
		id, err := tx.create(NewMailbox{Path: restoredPath, Subscribe: true})
		if err != nil {
			return err
		}
		b = tx.st.box(id)
	}
	for i := range r.lost {
		row := &r.lost[i]
		row.UID, row.SaveDate, row.ModSeq = b.mb.UIDNext+UID(i), tx.now, tx.modseq
		r.mended("email %d was in no mailbox: it is in %s", row.Email, restoredPath)
	}
	tx.enter(b.mb.ID, r.lost)
	return tx.countIn(r.lost, true)
}

// repairIndex removes from the index of sharing what no list has.
func (s *Store) repairIndex(ctx context.Context, report func(id mail.AccountID, mended string)) error {
	var ops []engine.Op
	if err := s.strayShares(func(x Shared, key []byte) {
		report(x.Owner, fmt.Sprintf("the index shared mailbox %d, its list does not", x.Mailbox))
		ops = append(ops, engine.Op{Kind: engine.Delete, Key: key})
	}); err != nil || len(ops) == 0 {
		return err
	}
	_, err := s.eng.Commit(ctx, &engine.Batch{Expect: engine.AnyVersion, Ops: ops}).Wait()
	return err
}
