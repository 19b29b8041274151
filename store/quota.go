package store

import "posthouse/mail"

// A Quota bounds what an account may hold; 0 is no limit.
type Quota struct {
	Bytes     int64 // of messages, each counted once in however many mailboxes it is, and of annotations
	Messages  int64 // the same way
	Mailboxes int64 // names that only stand above others included
}

// Usage is what an account holds, counted as in [Quota]. Expunged messages that
// wait for the reaper do not count: people can always make room.
type Usage struct {
	Bytes, Messages, Mailboxes int64
	Annotations                int64 // bytes, part of Bytes
	Quota                      Quota // Mailboxes: not above Limits.Mailboxes
}

// Full reports whether there is no room for one more message of size bytes.
func (u *Usage) Full(size int64) bool {
	q := &u.Quota
	return q.Bytes > 0 && u.Bytes+size > q.Bytes || q.Messages > 0 && u.Messages >= q.Messages
}

// Usage returns what the account holds.
func (v *View) Usage() Usage {
	h := &v.st.hdr
	u := Usage{Bytes: h.bytes + h.annotations, Messages: h.messages, Mailboxes: int64(len(v.st.boxes)),
		Annotations: h.annotations, Quota: h.quota}
	if most := int64(v.acct.store.limits.Mailboxes); most < 1<<31-1 && (u.Quota.Mailboxes == 0 || u.Quota.Mailboxes > most) {
		u.Quota.Mailboxes = most
	}
	return u
}

// Bounds returns the account's own quota, without that of the server, and the domain
// with whose accounts it shares one.
func (v *View) Bounds() (Quota, mail.Domain) { return v.st.hdr.quota, mail.Domain(v.st.hdr.domain) }

// SetQuota sets what the account may hold. What it holds already stays.
func (tx *Tx) SetQuota(q Quota) error {
	if err := tx.existing("SetQuota"); err != nil {
		return err
	}
	if err := tx.owned("SetQuota"); err != nil {
		return err
	}
	if q.Bytes < 0 || q.Messages < 0 || q.Mailboxes < 0 {
		return fail(mail.Invalid, "SetQuota", "quota is negative")
	}
	if tx.st.hdr.quota != q {
		tx.st.hdr.quota = q
		tx.changed = true
	}
	return nil
}

// SetDomain says with which domain's other accounts this one shares a quota, see
// [Store.SetDomainQuota].
func (tx *Tx) SetDomain(d mail.Domain) error {
	if err := tx.existing("SetDomain"); err != nil {
		return err
	}
	if err := tx.owned("SetDomain"); err != nil {
		return err
	}
	if tx.st.hdr.domain != string(d) {
		tx.reshare(string(d))
		tx.st.hdr.domain = string(d)
		tx.changed = true
	}
	return nil
}

// room checks that n messages of size bytes in all may enter b.
func (tx *Tx) room(op string, b *box, n int, size int64) error {
	h := &tx.st.hdr
	if q := h.quota.Messages; q > 0 && h.messages+int64(n) > q {
		return fail(mail.OverQuota, op, "mailbox is full")
	}
	if err := tx.roomIn(op, b, n); err != nil {
		return err
	}
	return tx.space(op, size)
}

// roomIn checks that b has UIDs for n more messages.
func (tx *Tx) roomIn(op string, b *box, n int) error {
	if uint64(b.mb.UIDNext)+uint64(n) > 1<<32-1 {
		return fail(mail.OverQuota, op, "mailbox has no UIDs left")
	}
	return nil
}

// space checks that size more bytes may be kept.
func (tx *Tx) space(op string, size int64) error {
	h := &tx.st.hdr
	if q := h.quota.Bytes; q > 0 && size > 0 && h.bytes+h.annotations+size > q {
		return fail(mail.OverQuota, op, "mailbox is full")
	}
	if !tx.acct.store.ledger.reserve(tx, size) {
		return fail(mail.OverQuota, op, "the domain has no space left")
	}
	return nil
}
