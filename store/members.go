package store

import (
	"cmp"
	"slices"

	"posthouse/mail"
)

// A message may be in several mailboxes, and more than once in one: each is a
// membership, with a UID, flags and ModSeq of its own, of one Email. Flags belong to
// the membership, as in IMAP; what an Email has as a whole is made of them.

// A Membership is a message's place in a mailbox, see [View.Memberships].
type Membership struct {
	Mailbox MailboxID
	UID     UID
}

// Memberships returns the mailboxes that a message is in, JMAP's mailboxIds, by
// mailbox and UID; on the account of somebody else those that the reader may read.
func (v *View) Memberships(id EmailID) ([]Membership, error) {
	v.settle()
	var all []Membership
	add := func(m Membership) error {
		live, err := v.isIn(m)
		if live {
			all = append(all, m)
		}
		return err
	}
	err := v.recordedMembers(id, add)
	if v.tx != nil && err == nil {
		for _, m := range v.tx.entered(id) {
			if err = add(m); err != nil {
				break
			}
		}
	}
	slices.SortFunc(all, compareMemberships)
	return all, wrap("Memberships", err)
}

func compareMemberships(a, b Membership) int {
	return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.UID, b.UID))
}

// A MailboxChange says in which mailboxes a message is to be.
type MailboxChange struct {
	Add, Remove []MailboxID
	Only        bool // in those of Add and no others; Remove is empty
}

// SetMailboxes changes the mailboxes of a message. It stays the same Email; where it
// enters it gets a new UID, and the flags that it has as a whole, but \Deleted. Where
// it leaves, each of its memberships in that mailbox is expunged. It returns where it
// is then. Invalid if that were nowhere: that is what Expunge is for. NotFound if it is
// nowhere now, or a mailbox is not there. Denied.
func (tx *Tx) SetMailboxes(id EmailID, c MailboxChange) ([]Membership, error) {
	const op = "SetMailboxes"
	have, err := tx.Memberships(id)
	if err != nil {
		return nil, err
	}
	if len(have) == 0 {
		return nil, fail(mail.NotFound, op, "no such message")
	}
	stays := func(m MailboxID) bool {
		if slices.Contains(c.Add, m) {
			return true
		}
		return !c.Only && !slices.Contains(c.Remove, m)
	}
	left := len(c.Add)
	for _, m := range have {
		if stays(m.Mailbox) {
			left++
		}
	}
	if left == 0 {
		return nil, fail(mail.Invalid, op, "a message must be in a mailbox")
	}
	if err := tx.mayRefile(op, have, &c, stays); err != nil {
		return nil, err
	}
	for _, m := range slices.Compact(slices.Sorted(slices.Values(c.Add))) {
		if !slices.ContainsFunc(have, func(x Membership) bool { return x.Mailbox == m }) {
			if err := tx.fileIn(op, have, m); err != nil {
				return nil, err
			}
		}
	}
	for _, m := range have {
		if !stays(m.Mailbox) {
			if _, err := tx.Expunge(m.Mailbox, UIDs(m.UID)); err != nil {
				return nil, err
			}
		}
	}
	return tx.Memberships(id)
}

// mayRefile checks all that SetMailboxes will do before it does any of it.
func (tx *Tx) mayRefile(op string, have []Membership, c *MailboxChange, stays func(MailboxID) bool) error {
	for _, m := range c.Add {
		if slices.ContainsFunc(have, func(x Membership) bool { return x.Mailbox == m }) {
			continue
		}
		b, err := tx.enterable(op, m, RightInsert)
		if err != nil {
			return err
		}
		if err := tx.roomIn(op, b, 1); err != nil {
			return err
		}
	}
	for _, m := range have {
		if stays(m.Mailbox) {
			continue
		}
		if _, err := tx.enterable(op, m.Mailbox, RightDeleted|RightExpunge); err != nil {
			return err
		}
	}
	return nil
}

// fileIn puts a message into one more mailbox.
func (tx *Tx) fileIn(op string, have []Membership, to MailboxID) error {
	set, err := tx.combined(have)
	if err != nil {
		return err
	}
	src, dest := tx.st.box(have[0].Mailbox), tx.st.box(to)
	c, err := src.lazy.load()
	if err != nil {
		return wrap(op, err)
	}
	rows := c.rows(UIDs(have[0].UID))
	set.system &^= DeletedBit
	if tx.who != nil {
		own := tx.st.flags.at(rows[0].Flags)
		set.system = set.system&^SeenBit | own.system&SeenBit
	}
	if rows[0].Flags, err = tx.intern(set); err != nil {
		return err
	}
	_, err = tx.land(op, src, dest, rows, &landing{tx.countInAgain, tx.mine})
	return err
}

// EmailFlags returns the flags that a message has as a whole, system flags first:
// \Seen if all its memberships have it, any other if one has (RFC 8621 §4.1.1 leaves
// it open). NotFound if it is nowhere.
func (v *View) EmailFlags(id EmailID) ([]mail.Flag, error) {
	have, err := v.Memberships(id)
	if err != nil {
		return nil, err
	}
	if len(have) == 0 {
		return nil, fail(mail.NotFound, "EmailFlags", "no such message")
	}
	set, err := v.combined(have)
	return v.st.flags.flags(&set), err
}

func (v *View) combined(have []Membership) (flagSet, error) {
	var all flagSet
	seen := SeenBit
	for _, m := range have {
		c, err := v.content(v.st.box(m.Mailbox))
		if err != nil {
			return all, wrap("EmailFlags", err)
		}
		i, _ := c.search(m.UID)
		k, j := c.locate(i)
		s := v.st.flags.at(k.mark.flags[j])
		seen &= s.system
		all = combine(FlagsAdd, &all, &s)
	}
	all.system = all.system&^SeenBit | seen
	return all, nil
}

// SetEmailFlags changes the flags of a message wherever it is, and reports whether
// that changed any. On the account of somebody else each of its mailboxes must allow
// it (RFC 8621 §2). NotFound if it is nowhere.
func (tx *Tx) SetEmailFlags(id EmailID, c FlagChange) (bool, error) {
	const op = "SetEmailFlags"
	have, err := tx.Memberships(id)
	if err != nil {
		return false, err
	}
	if len(have) == 0 {
		return false, fail(mail.NotFound, op, "no such message")
	}
	if tx.who != nil {
		before := tx.st.flags
		mask, err := tx.addFlagSet(c.Flags)
		if err != nil {
			return false, err
		}
		set := tx.st.flags.at(mask)
		tx.st.flags = before
		need := set.rights()
		if c.Op == FlagsReplace {
			need |= RightSeen | RightWrite
		}
		for _, m := range have {
			if _, err := tx.enterable(op, m.Mailbox, need); err != nil {
				return false, err
			}
		}
	}
	any := false
	for _, m := range have {
		changed, _, err := tx.SetFlags(m.Mailbox, UIDs(m.UID), c)
		if err != nil {
			return any, err
		}
		any = any || len(changed) > 0
	}
	return any, nil
}

// ExpungeEmail removes a message from every mailbox that it is in. NotFound if it is
// nowhere.
func (tx *Tx) ExpungeEmail(id EmailID) error {
	const op = "ExpungeEmail"
	have, err := tx.Memberships(id)
	if err != nil {
		return err
	}
	if len(have) == 0 {
		return fail(mail.NotFound, op, "no such message")
	}
	for _, m := range have {
		if _, err := tx.enterable(op, m.Mailbox, RightDeleted|RightExpunge); err != nil {
			return err
		}
	}
	for _, m := range have {
		if _, err := tx.Expunge(m.Mailbox, UIDs(m.UID)); err != nil {
			return err
		}
	}
	return nil
}
