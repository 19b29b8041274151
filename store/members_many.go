package store

import (
	"encoding/binary"
	"maps"
	"slices"

	"posthouse/store/engine"
)

// What members.go does with one message, for thousands at once: where they are is read
// block by block, and each mailbox changes once.

// MembershipsOf is [View.Memberships] of many messages: result i belongs to ids[i].
func (v *View) MembershipsOf(ids []EmailID) ([][]Membership, error) {
	v.settle()
	want := slices.Compact(slices.Sorted(slices.Values(ids)))
	found := make(map[EmailID][]Membership, len(want))
	for lo := 0; lo < len(want); {
		hi := lo + 1
		for hi < len(want) && blockOf(want[hi]) == blockOf(want[lo]) {
			hi++
		}
		if err := v.membersOfBlock(want[lo:hi], found); err != nil {
			return nil, wrap("Memberships", err)
		}
		lo = hi
	}
	all := make([][]Membership, len(ids))
	for i, id := range ids {
		if all[i] = found[id]; len(all[i]) > 1 {
			slices.SortFunc(all[i], compareMemberships)
		}
	}
	return all, nil
}

// membersOfBlock finds messages of one block, ascending.
func (v *View) membersOfBlock(want []EmailID, found map[EmailID][]Membership) error {
	add := func(id EmailID, m Membership) error {
		live, err := v.isIn(m)
		if live {
			found[id] = append(found[id], m)
		}
		return err
	}
	if v.tx != nil {
		for _, id := range want {
			for _, m := range v.tx.entered(id) {
				if err := add(id, m); err != nil {
					return err
				}
			}
		}
	}
	if err := v.eachMember(want, add); err != nil || !v.st.hdr.blocks {
		return err
	}
	return eachMembers(v.reader(), blockOf(want[0]), func(m *memberBlock) (err error) {
		m.each(func(e EmailID, u UID) bool {
			if _, wanted := slices.BinarySearch(want, e); wanted {
				err = add(e, Membership{m.mailbox, u})
			}
			return err == nil
		})
		return err
	})
}

// eachMember calls f with the records R of messages, ascending and close together.
func (v *View) eachMember(want []EmailID, f func(id EmailID, m Membership) error) error {
	var failed error
	first, last := key64(keyMember, uint64(want[0])), key64(keyMember, uint64(want[len(want)-1]))
	err := v.reader().Scan(first, after(last), func(k, _ []byte) bool {
		if len(k) != memberKeyLen {
			failed = corrupt("membership")
			return false
		}
		id := EmailID(binary.BigEndian.Uint64(k[1:]))
		if _, wanted := slices.BinarySearch(want, id); wanted {
			failed = f(id, Membership{MailboxID(binary.BigEndian.Uint64(k[9:])), UID(binary.BigEndian.Uint32(k[17:]))})
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// placesBy is UIDs by mailbox.
type placesBy map[MailboxID][]UID

func (p placesBy) add(m Membership) { p[m.Mailbox] = append(p[m.Mailbox], m.UID) }

// each calls f with each mailbox in order.
func (p placesBy) each(f func(id MailboxID, uids UIDSet) error) error {
	for _, id := range slices.Sorted(maps.Keys(p)) {
		slices.Sort(p[id])
		if err := f(id, UIDs(p[id]...)); err != nil {
			return err
		}
	}
	return nil
}

// SetFlagsOf is [Tx.SetEmailFlags] of many messages, by the owner: Denied to others.
// Those that are nowhere are passed over. When it fails the transaction has to be given up.
func (tx *Tx) SetFlagsOf(ids []EmailID, c FlagChange) error {
	if tx.who != nil {
		return denied("SetFlagsOf")
	}
	all, err := tx.MembershipsOf(ids)
	if err != nil {
		return err
	}
	in := placesBy{}
	for _, have := range all {
		for _, m := range have {
			in.add(m)
		}
	}
	return in.each(func(id MailboxID, uids UIDSet) error {
		_, _, err := tx.SetFlags(id, uids, c)
		return err
	})
}

// SetMailboxesOf brings many messages into the mailboxes of to and no others, as
// [Tx.SetMailboxes] does; to none at all, [Tx.ExpungeEmail]. By the owner: Denied to
// others. Messages that are nowhere are passed over. When it fails the transaction has
// to be given up.
func (tx *Tx) SetMailboxesOf(ids []EmailID, to []MailboxID) error {
	const op = "SetMailboxesOf"
	if tx.who != nil {
		return denied(op)
	}
	all, err := tx.MembershipsOf(slices.Compact(slices.Sorted(slices.Values(ids))))
	if err != nil {
		return err
	}
	to = slices.Compact(slices.Sorted(slices.Values(to)))
	for _, m := range to {
		if err := tx.fileAllIn(op, all, m); err != nil {
			return err
		}
	}
	out := placesBy{}
	for _, have := range all {
		for _, m := range have {
			if !slices.Contains(to, m.Mailbox) {
				out.add(m)
			}
		}
	}
	return out.each(func(id MailboxID, uids UIDSet) error {
		_, err := tx.Expunge(id, uids)
		return err
	})
}

// fileAllIn is fileIn for those of many messages that are not there.
func (tx *Tx) fileAllIn(op string, all [][]Membership, to MailboxID) error {
	if _, err := tx.enterable(op, to, RightInsert); err != nil {
		return err
	}
	from := placesBy{}
	combined := map[Membership]FlagSet{} // where they differ from those of the place that is copied
	for _, have := range all {
		if len(have) == 0 || slices.ContainsFunc(have, func(m Membership) bool { return m.Mailbox == to }) {
			continue
		}
		from.add(have[0])
		if len(have) == 1 {
			continue
		}
		set, err := tx.combined(have)
		if err != nil {
			return err
		}
		set.system &^= DeletedBit
		if combined[have[0]], err = tx.intern(set); err != nil {
			return err
		}
	}
	return from.each(func(id MailboxID, uids UIDSet) error {
		src, dest := tx.st.box(id), tx.st.box(to)
		c, err := src.lazy.load()
		if err != nil {
			return wrap(op, err)
		}
		rows := c.rows(uids)
		for i := range rows {
			r := &rows[i]
			if fs, ok := combined[Membership{id, r.UID}]; ok {
				r.Flags = fs
			} else if tx.st.flags.system(r.Flags)&DeletedBit != 0 {
				set := tx.st.flags.at(r.Flags)
				set.system &^= DeletedBit
				if r.Flags, err = tx.intern(set); err != nil {
					return err
				}
			}
		}
		_, err = tx.land(op, src, dest, rows, &landing{tx.countInAgain, tx.mine})
		return err
	})
}

// entered returns the memberships of a message that the transaction made.
func (tx *Tx) entered(id EmailID) []Membership {
	for ; tx.cameTo < len(tx.ops); tx.cameTo++ {
		op := &tx.ops[tx.cameTo]
		if op.Kind != engine.Set {
			continue
		}
		if tx.came == nil {
			tx.came = map[EmailID][]Membership{}
		}
		switch k := op.Key; {
		case len(k) == memberKeyLen && k[0] == keyMember:
			e := EmailID(binary.BigEndian.Uint64(k[1:]))
			tx.came[e] = append(tx.came[e], Membership{MailboxID(binary.BigEndian.Uint64(k[9:])), UID(binary.BigEndian.Uint32(k[17:]))})
		case len(k) == runsKeyLen && k[0] == keyRuns:
			if m, err := decodeMembers(k[1:], op.Val); err == nil {
				m.each(func(e EmailID, u UID) bool {
					tx.came[e] = append(tx.came[e], Membership{m.mailbox, u})
					return true
				})
			}
		}
	}
	return tx.came[id]
}

// isIn reports whether a recorded membership stands: an expunged one is recorded until
// it is reaped, but the mailbox knows.
func (v *View) isIn(m Membership) (bool, error) {
	b := v.st.box(m.Mailbox)
	if b == nil || m.UID >= b.mb.UIDNext || !v.rights(b).Has(RightRead) {
		return false, nil
	}
	c, err := b.lazy.load()
	if err != nil {
		return false, err
	}
	_, found := c.search(m.UID)
	return found, nil
}
