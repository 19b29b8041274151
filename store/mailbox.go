package store

import (
	"slices"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A NewMailbox is a mailbox to be made.
type NewMailbox struct {
	Path      string
	Role      mail.Role
	Subscribe bool
}

// CreateAccount makes the account with INBOX and the given mailboxes; Exists if
// it is there. INBOX may be among them, to be subscribed.
func (tx *Tx) CreateAccount(boxes []NewMailbox) error {
	if tx.st.exists {
		return fail(mail.Exists, "CreateAccount", "account exists")
	}
	st := tx.st
	*st = state{exists: true, flags: newFlagTable(), list: new(mailboxList)}
	st.hdr = header{modseq: tx.modseq - 1, nextEmail: 1, nextMailbox: 1, created: tx.now, counted: true,
		floor: tx.modseq - 1, checkpoint: tx.modseq - 1}
	tx.acct.index = newFlagIndex(&st.flags)
	tx.sets, tx.words = len(st.flags.sets), 0
	tx.boxed = true
	if _, err := tx.create(NewMailbox{Path: inboxPath}); err != nil {
		st.exists = false
		return err
	}
	for _, m := range boxes {
		var err error
		if cleanPath(m.Path) == inboxPath {
			if m.Subscribe {
				err = tx.Subscribe(inboxPath, true)
			}
		} else {
			_, err = tx.CreateMailbox(m)
		}
		if err != nil {
			*st = *tx.acct.pending
			return err
		}
	}
	return nil
}

// deleteAccount removes everything.
func (tx *Tx) deleteAccount() error {
	if err := tx.existing("DeleteAccount"); err != nil {
		return err
	}
	for _, b := range tx.st.boxes {
		for _, e := range b.acl {
			tx.share(engine.Delete, e.who, b.mb.ID)
		}
	}
	*tx.st = state{hdr: header{modseq: tx.st.hdr.modseq}, flags: newFlagTable(), list: new(mailboxList)}
	tx.changed = true
	return nil
}

// CreateMailbox makes a mailbox and the levels above it that are missing. Exists
// if it is there (a NoSelect one becomes selectable instead), Invalid for a bad
// name, TooLarge over a limit. A trailing "/" is ignored (RFC 9051 §6.3.4).
func (tx *Tx) CreateMailbox(m NewMailbox) (MailboxID, error) {
	if err := tx.existing("CreateMailbox"); err != nil {
		return 0, err
	}
	path, err := newPath(m.Path, &tx.acct.store.limits)
	if err != nil {
		return 0, err
	}
	if err := tx.mayCreate("CreateMailbox", path); err != nil {
		return 0, err
	}
	if m.Subscribe || m.Role != mail.RoleNone {
		if err := tx.owned("CreateMailbox"); err != nil {
			return 0, err
		}
	}
	if err := validRole(m.Role); err != nil {
		return 0, err
	}
	m.Path = path
	old := tx.st.boxByPath(path)
	if old != nil && !old.mb.NoSelect {
		return 0, fail(mail.Exists, "CreateMailbox", "mailbox exists")
	}
	if old == nil {
		if err := tx.mailboxRoom(path); err != nil {
			return 0, err
		}
	}
	return tx.create(m)
}

// mailboxRoom checks that path and the missing levels above it may be made.
func (tx *Tx) mailboxRoom(path string) error {
	n := 0
	for p := path; p != "" && tx.st.boxByPath(p) == nil; p = parentPath(p) {
		n++
	}
	if len(tx.st.boxes)+n > tx.acct.store.limits.Mailboxes {
		return fail(mail.TooLarge, "CreateMailbox", "too many mailboxes")
	}
	if q := tx.st.hdr.quota.Mailboxes; q > 0 && int64(len(tx.st.boxes)+n) > q {
		return fail(mail.OverQuota, "CreateMailbox", "the account may have no more mailboxes")
	}
	return nil
}

// create makes a mailbox that was checked.
func (tx *Tx) create(m NewMailbox) (MailboxID, error) {
	parent, err := tx.parentOf(m.Path)
	if err != nil {
		return 0, err
	}
	var id MailboxID
	if old := tx.st.boxByPath(m.Path); old != nil {
		id = old.mb.ID
		b := tx.edit(id)
		// UIDs go on: what was expunged from the mailbox before waits for the reaper
		// under its UID, and a copy of it must not come to stand under the same.
		b.mb.NoSelect, b.mb.UIDValidity, b.mb.HighestModSeq = false, tx.validity(), tx.modseq
		b.recent, b.lazy = b.mb.UIDNext, loaded(noContent)
		tx.logBox(actChange, id)
	} else {
		id = tx.insert(m.Path, parent)
		tx.logBox(actCreate, id)
	}
	tx.inherit(id, parent)
	if m.Role != mail.RoleNone {
		if err := tx.SetRole(id, m.Role); err != nil {
			return 0, err
		}
	}
	if m.Subscribe {
		err = tx.Subscribe(m.Path, true)
	}
	return id, err
}

// parentOf returns the mailbox above path, making the levels that are missing.
func (tx *Tx) parentOf(path string) (MailboxID, error) {
	up := parentPath(path)
	if up == "" {
		return 0, nil
	}
	if b := tx.st.boxByPath(up); b != nil {
		return b.mb.ID, nil
	}
	return tx.create(NewMailbox{Path: up})
}

// insert puts a new mailbox into the tree.
func (tx *Tx) insert(path string, parent MailboxID) MailboxID {
	st := tx.st
	id := st.hdr.nextMailbox
	st.hdr.nextMailbox++
	b := &box{mb: Mailbox{ID: id, Parent: parent, Path: path, Subscribed: st.subscribed(path), UIDValidity: tx.validity(),
		UIDNext: 1, HighestModSeq: tx.modseq}, recent: 1, lazy: loaded(noContent), born: tx.modseq, write: true,
		seen: newSeenTable(tx.acct, id, true)}
	if !tx.boxed {
		st.boxes, tx.boxed = slices.Clone(st.boxes), true
	}
	at, _ := st.search(path)
	st.boxes = append(st.boxes, b)
	order := make([]int, 0, len(st.order)+1)
	order = append(append(order, st.order[:at]...), len(st.boxes)-1)
	st.order = append(order, st.order[at:]...)
	tx.dirty = append(tx.dirty, id)
	tx.changed = true
	if i, ok := st.index(parent); ok && !st.boxes[i].mb.HasChildren {
		tx.own(i).mb.HasChildren = true
	}
	return id
}

// validity returns a new UIDVALIDITY: by the clock, and above all before it.
func (tx *Tx) validity() uint32 {
	h := &tx.st.hdr
	h.lastValidity = max(h.lastValidity+1, uint32(min(max(tx.now, 1), 1<<32-1)))
	return h.lastValidity
}

// DeleteMailbox removes a mailbox and its messages. With children it stays as a
// NoSelect name until the last of them goes. Denied for the inbox, and for a
// NoSelect name.
func (tx *Tx) DeleteMailbox(id MailboxID) error {
	if err := tx.existing("DeleteMailbox"); err != nil {
		return err
	}
	b := tx.st.box(id)
	if b == nil || tx.who != nil && b.mb.NoSelect {
		return noMailbox("DeleteMailbox")
	}
	if tx.who != nil {
		if _, err := tx.allowed("DeleteMailbox", id, RightDelete); err != nil {
			return err
		}
	}
	switch {
	case b.mb.Path == inboxPath:
		return fail(mail.Denied, "DeleteMailbox", "the inbox cannot be deleted")
	case b.mb.NoSelect:
		return fail(mail.Denied, "DeleteMailbox", "mailbox has others below it")
	}
	if _, err := tx.expunge("DeleteMailbox", b, UIDSet{{1, 1<<32 - 1}}); err != nil {
		return err
	}
	if err := tx.unannotate(id); err != nil {
		return err
	}
	tx.unshare(id)
	tx.removeRange(key64(keyColumns, uint64(id)))
	tx.removeRange(key64(keyMarks, uint64(id)))
	b = tx.edit(id)
	b.dirty = false
	b.lazy = loaded(noContent) // nothing is saved any more
	tx.logBox(actDelete, id)
	if b.mb.HasChildren {
		b.mb.NoSelect, b.mb.Role = true, mail.RoleNone
		return nil
	}
	tx.drop(id)
	return nil
}

// drop takes a mailbox out of the tree, and the NoSelect names above it that
// stood only for it.
func (tx *Tx) drop(id MailboxID) {
	for id != 0 {
		st := tx.st
		i, ok := st.index(id)
		if !ok {
			break
		}
		parent := st.boxes[i].mb.Parent
		tx.edit(id)
		tx.remove(mailboxKey(id))
		st.boxes = slices.Delete(st.boxes, i, i+1)
		st.reorder()
		id = tx.childless(parent)
	}
}

// childless notes that a child of the mailbox has gone. It returns the mailbox's
// id if nothing holds it any more.
func (tx *Tx) childless(id MailboxID) MailboxID {
	i, ok := tx.st.index(id)
	if !ok {
		return 0
	}
	b := tx.st.boxes[i]
	if lo, hi := tx.st.below(b.mb.Path); lo < hi {
		return 0
	}
	tx.own(i).mb.HasChildren = false
	if !b.mb.NoSelect {
		return 0
	}
	tx.logBox(actDelete, id)
	return id
}
