package store

import (
	"context"
	"sync"
	"sync/atomic"

	"posthouse/mail"
)

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

// SetDomainQuota bounds the bytes of all accounts of a domain together; 0 is no
// limit. It is kept in memory only: who knows it says so after each start. From
// its return on no update brings the accounts above it, also not several at once.
func (s *Store) SetDomainQuota(ctx context.Context, d mail.Domain, bytes int64) error {
	if bytes < 0 {
		return fail(mail.Invalid, "SetDomainQuota", "quota is negative")
	}
	l := &s.ledger
	l.mu.Lock()
	if l.limits == nil {
		l.limits, l.used, l.accounts = map[string]int64{}, map[string]int64{}, map[mail.AccountID]holding{}
	}
	if bytes == 0 {
		delete(l.limits, string(d))
	} else {
		l.limits[string(d)] = bytes
	}
	first := bytes > 0 && !l.on.Swap(true)
	l.mu.Unlock()
	if !first {
		return nil
	}
	if err := s.countDomains(ctx); err != nil {
		l.on.Store(false)
		return err
	}
	return nil
}

// countDomains reads what all accounts hold. Updates that end meanwhile tell the
// ledger themselves; what is newer counts.
func (s *Store) countDomains(ctx context.Context) error {
	return s.Accounts(ctx, func(id mail.AccountID) bool {
		r := s.eng.Snapshot(id)
		defer r.Close()
		v, err := r.Get([]byte{keyAccount})
		if err != nil {
			return true // deleted meanwhile, or damaged: such an account is not written to
		}
		h, err := decodeHeader(v)
		if err == nil {
			s.ledger.mu.Lock()
			s.ledger.noteLocked(id, &h)
			s.ledger.mu.Unlock()
		}
		return true
	})
}

// DomainUsage returns the bytes that the accounts of a domain hold together, as
// far as counted: 0 while no domain has a quota.
func (s *Store) DomainUsage(d mail.Domain) int64 {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.ledger.used[string(d)]
}

// A ledger sums up what the accounts of each domain hold. An update reserves what
// it will add before it does, and when its outcome is known the account's new sum
// replaces the reservation: so two updates never share the last room. It is
// empty, and costs nothing, while no domain has a quota.
type ledger struct {
	on atomic.Bool

	mu       sync.Mutex // a leaf
	limits   map[string]int64
	used     map[string]int64 // by domain: holdings and reservations
	accounts map[mail.AccountID]holding
}

// A holding is what an account adds to the sum of its domain.
type holding struct {
	modseq ModSeq
	domain string
	bytes  int64
}

// reserve takes room for a transaction.
func (l *ledger) reserve(tx *Tx, n int64) bool {
	d := tx.st.hdr.domain
	if n <= 0 || d == "" || !l.on.Load() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.limits[d]; q > 0 && l.used[d]+n > q {
		return false
	}
	if tx.reserved > 0 && tx.domain != d {
		l.used[tx.domain] -= tx.reserved
		l.used[d] += tx.reserved
	}
	tx.domain = d
	tx.reserved += n
	l.used[d] += n
	return true
}

// release gives back what transactions reserved that are not going to be.
func (l *ledger) release(txs ...*Tx) {
	for _, tx := range txs {
		if tx.reserved > 0 {
			l.mu.Lock()
			l.used[tx.domain] -= tx.reserved
			l.mu.Unlock()
			tx.reserved = 0
		}
	}
}

// settle notes the outcome of a transaction that was handed to the engine.
func (l *ledger) settle(tx *Tx, done bool) {
	if !done || !l.on.Load() {
		l.release(tx)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used[tx.domain] -= tx.reserved
	tx.reserved = 0
	l.noteLocked(tx.acct.id, &tx.st.hdr)
}

func (l *ledger) noteLocked(id mail.AccountID, h *header) {
	was := l.accounts[id]
	if was.modseq >= h.modseq {
		return
	}
	now := holding{h.modseq, h.domain, h.bytes + h.annotations}
	l.used[was.domain] -= was.bytes
	l.used[now.domain] += now.bytes
	l.accounts[id] = now
}
