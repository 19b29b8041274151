package store

import (
	"cmp"
	"encoding/binary"
	"slices"

	"posthouse/mail"
	"posthouse/store/engine"
)

// Anyone as the Who of a Grant is every account of the owner's domain.
const Anyone mail.AccountID = 0

// A Grant is one entry of a mailbox's access control list, RFC 4314 §2.
type Grant struct {
	Who      mail.AccountID // an account or a group, which share one space of ids; or Anyone
	Negative bool           // takes the rights away, whoever else grants them
	Rights   Rights
}

// maxGrants bounds the entries of one mailbox.
const maxGrants = 1000

// An acl says who but the owner may do what, by ascending who. Immutable.
type acl []entitlement

type entitlement struct {
	who        mail.AccountID
	give, take Rights
}

func (l acl) find(who mail.AccountID) (int, bool) {
	return slices.BinarySearchFunc(l, who, func(e entitlement, id mail.AccountID) int { return cmp.Compare(e.who, id) })
}

func (l acl) of(who mail.AccountID) entitlement {
	if i, ok := l.find(who); ok {
		return l[i]
	}
	return entitlement{who: who}
}

// with returns l with the entitlement of one changed.
func (l acl) with(e entitlement) acl {
	i, found := l.find(e.who)
	l = slices.Clone(l)
	switch {
	case e.give|e.take == 0 && found:
		return slices.Delete(l, i, i+1)
	case e.give|e.take == 0:
		return l
	case found:
		l[i] = e
		return l
	}
	return slices.Insert(l, i, e)
}

// rights are what p may do with a mailbox of an owner in domain: all that any
// entry for it gives, without all that any takes.
func (l acl) rights(p *Principal, domain string) Rights {
	var give, take Rights
	add := func(who mail.AccountID) {
		e := l.of(who)
		give |= e.give
		take |= e.take
	}
	if len(l) == 0 {
		return NoRights
	}
	add(p.Account)
	for _, g := range p.Groups {
		add(g)
	}
	if string(p.Domain) == domain {
		add(Anyone)
	}
	return give &^ take
}

func appendACL(dst []byte, l acl) []byte {
	dst = append(dst, formatVersion)
	dst = binary.AppendUvarint(dst, uint64(len(l)))
	for _, e := range l {
		dst = binary.AppendUvarint(dst, uint64(e.who))
		dst = binary.AppendUvarint(dst, uint64(e.give))
		dst = binary.AppendUvarint(dst, uint64(e.take))
	}
	return dst
}

func decodeACL(v []byte) (acl, error) {
	d := openRecord(v)
	l := make(acl, d.Count(3))
	for i := range l {
		e := entitlement{who: mail.AccountID(d.Uvarint()), give: d.rights(), take: d.rights()}
		if i > 0 && e.who <= l[i-1].who || e.give|e.take == 0 {
			d.Fail()
		}
		l[i] = e
	}
	if len(l) == 0 {
		d.Fail()
	}
	return l, d.err("access control")
}

func (d *decoder) rights() Rights {
	n := d.Uvarint()
	if n > uint64(AllRights) {
		d.Fail()
	}
	return Rights(n)
}

// SetACL makes g the only entry of its sign for g.Who; with no rights there is none.
// Whoever may do it needs the right to administer. Denied for the owner, who has
// all rights and keeps them.
func (tx *Tx) SetACL(id MailboxID, g Grant) error {
	const op = "SetACL"
	b, err := tx.allowed(op, id, RightAdminister)
	if err != nil {
		return err
	}
	switch {
	case g.Who == tx.acct.id:
		return fail(mail.Denied, op, "the owner has all rights")
	case g.Rights&^AllRights != 0:
		return fail(mail.Invalid, op, "unknown right")
	}
	e := b.acl.of(g.Who)
	was := e
	if g.Negative {
		e.take = g.Rights
	} else {
		e.give = g.Rights
	}
	if e == was {
		return nil
	}
	l := b.acl.with(e)
	if len(l) > maxGrants {
		return fail(mail.TooLarge, op, "the mailbox is shared with too many")
	}
	tx.setACL(id, l)
	return nil
}

// setACL gives a mailbox another list and keeps the index of what is shared.
func (tx *Tx) setACL(id MailboxID, l acl) {
	i, _ := tx.st.index(id)
	b := tx.own(i)
	for _, e := range b.acl {
		if _, stays := l.find(e.who); !stays {
			tx.share(engine.Delete, e.who, id)
		}
	}
	for _, e := range l {
		if _, there := b.acl.find(e.who); !there {
			tx.share(engine.Set, e.who, id)
		}
	}
	if len(l) == 0 {
		tx.remove(aclKey(id))
	} else {
		tx.set(aclKey(id), appendACL(nil, l))
	}
	b.acl = l
	tx.logBox(actACL, id)
}

// inherit gives a new mailbox the list of the one above it (RFC 4314 §4).
func (tx *Tx) inherit(id, parent MailboxID) {
	if b := tx.st.box(parent); b != nil && len(b.acl) > 0 {
		tx.setACL(id, b.acl)
	}
}

// unshare removes the list of a mailbox that goes, and what others keep of it.
func (tx *Tx) unshare(id MailboxID) {
	i, ok := tx.st.index(id)
	if !ok {
		return
	}
	if len(tx.st.boxes[i].acl) > 0 {
		tx.setACL(id, nil)
	}
	tx.removeRange(key64(keySeen, uint64(id)))
	tx.own(i).seen = newSeenTable(tx.acct, id, true)
}

// ACL returns the access control list of a mailbox, the owner first. It takes the
// right to administer.
func (v *View) ACL(id MailboxID) ([]Grant, error) {
	b, err := v.allowed("ACL", id, RightAdminister)
	if err != nil {
		return nil, err
	}
	all := []Grant{{Who: v.acct.id, Rights: AllRights}}
	for _, e := range b.acl {
		if e.give != 0 {
			all = append(all, Grant{e.who, false, e.give})
		}
		if e.take != 0 {
			all = append(all, Grant{e.who, true, e.take})
		}
	}
	return all, nil
}

// Granted returns the rights of one entry of the list, none if it is not there. It
// takes the right to administer.
func (v *View) Granted(id MailboxID, who mail.AccountID, negative bool) (Rights, error) {
	b, err := v.allowed("Granted", id, RightAdminister)
	if err != nil {
		return NoRights, err
	}
	switch e := b.acl.of(who); {
	case who == v.acct.id && !negative:
		return AllRights, nil
	case negative:
		return e.take, nil
	default:
		return e.give, nil
	}
}

// Rights returns what this View's reader may do with a mailbox: all, for the owner.
// NotFound where that is nothing.
func (v *View) Rights(id MailboxID) (Rights, error) {
	b := v.st.box(id)
	if b == nil {
		return NoRights, noMailbox("Rights")
	}
	r := v.rights(b)
	if r == NoRights {
		return r, noMailbox("Rights")
	}
	return r, nil
}

// Owner reports whether this View is its account's owner's.
func (v *View) Owner() bool { return v.who == nil }

func (v *View) rights(b *box) Rights {
	if v.who == nil {
		return AllRights
	}
	return b.acl.rights(v.who, v.st.hdr.domain)
}

// allowed returns a mailbox if the reader has the rights on it. Who cannot see that
// it is there is not told (RFC 4314 §6).
func (v *View) allowed(op string, id MailboxID, need Rights) (*box, error) {
	b := v.st.box(id)
	if b == nil || b.mb.NoSelect {
		return nil, noMailbox(op)
	}
	switch r := v.rights(b); {
	case r.Has(need):
		return b, nil
	case r.Has(RightLookup):
		return nil, denied(op)
	}
	return nil, noMailbox(op)
}

// mayCreate checks that a mailbox may be made at a path: by the owner, or with the
// right to, on the nearest one above that is there (RFC 4314 §4).
func (v *View) mayCreate(op, path string) error {
	if v.who == nil {
		return nil
	}
	for up := parentPath(path); up != ""; up = parentPath(up) {
		if b := v.st.boxByPath(up); b != nil && !b.mb.NoSelect {
			_, err := v.allowed(op, b.mb.ID, RightCreate)
			return err
		}
	}
	return noMailbox(op) // as below a mailbox that the reader cannot see
}

// owned refuses what only the owner may do.
func (v *View) owned(op string) error {
	if v.who != nil {
		return denied(op)
	}
	return nil
}

func denied(op string) error {
	return fail(mail.Denied, op, "the owner of the mailbox does not allow this")
}
