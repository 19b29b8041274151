package store

import (
	"strings"

	"posthouse/mail"
)

// RenameMailbox gives a mailbox and all below it a new path, making the missing
// levels above. Renaming the inbox moves its messages to a new mailbox and leaves
// it empty (RFC 9051 §6.3.6). Subscriptions are names and stay (RFC 9051 §6.3.7).
func (tx *Tx) RenameMailbox(id MailboxID, path string) error {
	if err := tx.existing("RenameMailbox"); err != nil {
		return err
	}
	b := tx.st.box(id)
	if b == nil {
		return noMailbox("RenameMailbox")
	}
	path, err := newPath(path, &tx.acct.store.limits)
	if err != nil {
		return err
	}
	if tx.who != nil {
		if err := tx.mayRename(id, path); err != nil {
			return err
		}
	}
	switch old := b.mb.Path; {
	case tx.st.boxByPath(path) != nil:
		return fail(mail.Exists, "RenameMailbox", "mailbox exists")
	case old == inboxPath:
		return tx.renameInbox(id, path)
	case isBelow(path, old):
		return fail(mail.Invalid, "RenameMailbox", "a mailbox cannot be moved below itself")
	}
	if err := tx.renameRoom(b, path); err != nil {
		return err
	}
	parent, err := tx.parentOf(path)
	if err != nil {
		return err
	}
	tx.repath(id, parent, path)
	return nil
}

// mayRename checks the rights that renaming takes, RFC 4314 §4: on the mailbox, on all
// that moves with it, and on the new place.
func (tx *Tx) mayRename(id MailboxID, path string) error {
	const op = "RenameMailbox"
	b, err := tx.allowed(op, id, RightDelete)
	if err != nil {
		return err
	}
	if b.mb.Path == inboxPath {
		return denied(op)
	}
	lo, hi := tx.st.below(b.mb.Path)
	for _, n := range tx.st.order[lo:hi] {
		if c := tx.st.boxes[n]; !c.mb.NoSelect && !tx.rights(c).Has(RightDelete) {
			return denied(op)
		}
	}
	if parentPath(path) == parentPath(b.mb.Path) {
		return nil
	}
	return tx.mayCreate(op, path)
}

func (tx *Tx) renameInbox(id MailboxID, path string) error {
	if err := tx.mailboxRoom(path); err != nil {
		return err
	}
	to, err := tx.create(NewMailbox{Path: path})
	if err != nil {
		return err
	}
	_, err = tx.Move(id, to, UIDSet{{1, 1<<32 - 1}})
	return err
}

// renameRoom checks the limits for everything that gets a new path.
func (tx *Tx) renameRoom(b *box, path string) error {
	if err := tx.mailboxRoom(parentPath(path)); err != nil {
		return err
	}
	l := &tx.acct.store.limits
	lo, hi := tx.st.below(b.mb.Path)
	for _, n := range tx.st.order[lo:hi] {
		moved := path + tx.st.boxes[n].mb.Path[len(b.mb.Path):]
		if len(moved) > l.MailboxPathBytes || strings.Count(moved, "/") >= l.MailboxDepth {
			return fail(mail.TooLarge, "RenameMailbox", "the name of a mailbox below would be too long")
		}
	}
	return nil
}

// repath moves a mailbox in the tree.
func (tx *Tx) repath(id, parent MailboxID, path string) {
	st := tx.st
	b := tx.edit(id)
	old, from := b.mb.Path, b.mb.Parent
	lo, hi := st.below(old)
	for _, n := range st.order[lo:hi] {
		c := tx.own(n)
		c.mb.Path = path + c.mb.Path[len(old):]
		c.mb.Subscribed = st.subscribed(c.mb.Path)
		tx.logBox(actChange, c.mb.ID)
	}
	b.mb.Path, b.mb.Parent, b.mb.Subscribed = path, parent, st.subscribed(path)
	st.reorder()
	tx.logBox(actChange, id)
	if i, ok := st.index(parent); ok && !st.boxes[i].mb.HasChildren {
		tx.own(i).mb.HasChildren = true
	}
	tx.drop(tx.childless(from))
}

// SetRole gives a mailbox its role, taking it from the one that had it. Denied
// for the inbox, which is known by its name.
func (tx *Tx) SetRole(id MailboxID, r mail.Role) error {
	b, err := tx.enterable("SetRole", id, RightRead)
	if err == nil {
		err = tx.owned("SetRole")
	}
	if err != nil {
		return err
	}
	if err := validRole(r); err != nil {
		return err
	}
	if b.mb.Path == inboxPath && r != mail.RoleNone {
		return fail(mail.Denied, "SetRole", "the inbox has no role")
	}
	if b.mb.Role == r {
		return nil
	}
	if r != mail.RoleNone {
		for _, o := range tx.st.boxes {
			if o.mb.Role == r {
				tx.edit(o.mb.ID).mb.Role = mail.RoleNone
				tx.logBox(actChange, o.mb.ID)
				break
			}
		}
	}
	tx.edit(id).mb.Role = r
	tx.logBox(actChange, id)
	return nil
}

func validRole(r mail.Role) error {
	switch r {
	case mail.RoleNone, mail.RoleAll, mail.RoleArchive, mail.RoleDrafts, mail.RoleFlagged, mail.RoleImportant,
		mail.RoleJunk, mail.RoleSent, mail.RoleTrash:
		return nil
	}
	return fail(mail.Invalid, "SetRole", "unknown role")
}
