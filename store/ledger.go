package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"posthouse/mail"
	"posthouse/store/engine"
)

// What the accounts of a domain hold together stands in one record for each domain in
// account 0, which changes in the same commit as the accounts do. So a start reads as
// many records as there are domains. They are counted once, when the first domain of a
// store gets a quota: until then nothing is kept and nothing costs.
const (
	domainSum    = 'q' // domain: bytes
	domainCounts = 'Q' // the sums are kept
)

func domainKey(d string) []byte { return append([]byte{keyStore, domainSum}, d...) }

// SetDomainQuota bounds the bytes of all accounts of a domain together; 0 is no
// limit. It is kept in memory only: who knows it says so after each start. From
// its return on no update brings the accounts above it, also not several at once.
// The first one in the life of a store reads all accounts, while updates wait.
func (s *Store) SetDomainQuota(ctx context.Context, d mail.Domain, bytes int64) error {
	if bytes < 0 {
		return fail(mail.Invalid, "SetDomainQuota", "quota is negative")
	}
	l := &s.ledger
	l.mu.Lock()
	if l.limits == nil {
		l.limits = map[string]int64{}
	}
	if bytes == 0 {
		delete(l.limits, string(d))
	} else {
		l.limits[string(d)] = bytes
	}
	l.mu.Unlock()
	if bytes == 0 || l.on.Load() {
		return nil
	}
	s.closing.Lock()
	defer s.closing.Unlock()
	if l.on.Load() {
		return nil
	}
	_, err := s.countDomainsLocked(ctx)
	return wrap("SetDomainQuota", err)
}

// DomainUsage returns the bytes that the accounts of a domain hold together: 0 while
// no domain of the store ever had a quota.
func (s *Store) DomainUsage(d mail.Domain) int64 {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if h := s.ledger.domains[string(d)]; h != nil {
		return h.bytes + h.reserved
	}
	return 0
}

// countDomainsLocked reads what all accounts hold and makes the records anew. It
// reports the domains whose records were wrong. No update is under way.
func (s *Store) countDomainsLocked(ctx context.Context) (wrong []string, err error) {
	if s.closed {
		return nil, engine.ErrUnavailable
	}
	sums, err := s.domainSums(ctx)
	if err != nil {
		return nil, err
	}
	had, _, err := s.recordedSums()
	if err != nil {
		return nil, err
	}
	prefix := []byte{keyStore, domainSum}
	ops := []engine.Op{{Kind: engine.DeleteRange, Key: prefix, End: after(prefix)}, {Kind: engine.Set, Key: []byte{keyStore, domainCounts}, Val: []byte{formatVersion}}}
	domains := map[string]*holdings{}
	for d, n := range sums {
		ops = append(ops, engine.Op{Kind: engine.Set, Key: domainKey(d), Val: appendSum(n)})
		domains[d] = &holdings{bytes: n}
		if had[d] != n {
			wrong = append(wrong, d)
		}
	}
	for d := range had {
		if _, there := sums[d]; !there {
			wrong = append(wrong, d)
		}
	}
	if _, err := s.eng.Commit(ctx, &engine.Batch{Expect: engine.AnyVersion, Ops: ops}).Wait(); err != nil {
		return nil, err
	}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.domains, s.ledger.wrong = domains, nil
	s.ledger.on.Store(true)
	return wrong, nil
}

// domainSums adds up what the accounts hold. A damaged account is not written to, and
// does not count.
func (s *Store) domainSums(ctx context.Context) (map[string]int64, error) {
	sums := map[string]int64{}
	var failed error
	err := s.Accounts(ctx, func(id mail.AccountID) bool {
		r := s.eng.Snapshot(id)
		defer r.Close()
		v, err := r.Get([]byte{keyAccount})
		if err != nil && !errors.Is(err, engine.ErrNotFound) && !errors.Is(err, engine.ErrCorrupt) {
			failed = err
		}
		if err != nil {
			return failed == nil
		}
		if h, err := decodeHeader(v); err == nil && h.domain != "" && h.bytes+h.annotations != 0 {
			sums[h.domain] += h.bytes + h.annotations
		}
		return true
	})
	return sums, errors.Join(failed, err)
}

// recordedSums reads the records, and whether they are kept; a damaged one is -1.
func (s *Store) recordedSums() (sums map[string]int64, kept bool, err error) {
	g := s.eng.Snapshot(0)
	defer g.Close()
	if _, err := g.Get([]byte{keyStore, domainCounts}); err != nil {
		if errors.Is(err, engine.ErrNotFound) {
			err = nil
		}
		return nil, false, err
	}
	sums = map[string]int64{}
	err = scan(g, []byte{keyStore, domainSum}, func(k, v []byte) error {
		sums[string(k)] = decodeSum(v)
		return nil
	})
	return sums, true, err
}

func appendSum(n int64) []byte { return binary.AppendUvarint([]byte{formatVersion}, uint64(n)) }

func decodeSum(v []byte) int64 {
	d := openRecord(v)
	n := int64(d.Uvarint())
	if n <= 0 || d.err("domain") != nil {
		return -1
	}
	return n
}

// A ledger sums up what the accounts of each domain hold. An update reserves what
// it will add before it does; when it is handed to the engine the account's new sum
// replaces the reservation: so two updates never share the last room.
type ledger struct {
	on atomic.Bool // the records are kept

	// order is held while a commit with a domain's record is handed to the engine: the
	// records come to the disk in the order of their sums. Taken before mu.
	order sync.Mutex

	mu       sync.Mutex // a leaf
	limits   map[string]int64
	domains  map[string]*holdings
	wrong    map[string]bool // whose record has what a commit that failed would have made of it
	inflight int             // transactions with a record, whose outcome is not known
	posts    uint64          // ever
}

// holdings is what the accounts of a domain hold.
type holdings struct {
	bytes    int64 // when all commits that were handed over are done
	reserved int64
}

// A holding is what an account adds to the sum of its domain.
type holding struct {
	domain string
	bytes  int64
}

func (st *state) holding() holding {
	if !st.exists || st.hdr.domain == "" {
		return holding{}
	}
	return holding{st.hdr.domain, st.hdr.bytes + st.hdr.annotations}
}

func (l *ledger) atLocked(domain string) *holdings {
	h := l.domains[domain]
	if h == nil {
		h = &holdings{}
		l.domains[domain] = h
	}
	return h
}

// open reads the records when a store is opened.
func (l *ledger) open(s *Store) error {
	sums, kept, err := s.recordedSums()
	if err != nil || !kept {
		return err
	}
	l.domains = make(map[string]*holdings, len(sums))
	for d, n := range sums {
		if n < 0 {
			return nil // counted anew with the first quota
		}
		l.domains[d] = &holdings{bytes: n}
	}
	l.on.Store(true)
	return nil
}

// reserve takes room for a transaction.
func (l *ledger) reserve(tx *Tx, n int64) bool {
	d := tx.st.hdr.domain
	if n <= 0 || d == "" || !l.on.Load() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.atLocked(d)
	if q := l.limits[d]; q > 0 && h.bytes+h.reserved+n > q {
		return false
	}
	if tx.reserved > 0 && tx.domain != d {
		l.atLocked(tx.domain).reserved -= tx.reserved
		h.reserved += tx.reserved
	}
	tx.domain = d
	tx.reserved += n
	h.reserved += n
	return true
}

// release gives back what transactions reserved.
func (l *ledger) release(txs ...*Tx) {
	for _, tx := range txs {
		if tx.reserved > 0 {
			l.mu.Lock()
			l.releaseLocked(tx)
			l.mu.Unlock()
		}
	}
}

func (l *ledger) releaseLocked(tx *Tx) {
	if tx.reserved > 0 {
		l.atLocked(tx.domain).reserved -= tx.reserved
		tx.reserved = 0
	}
}

// post books what transactions changed and returns the records to write with them. The
// caller hands them to the engine, with the transactions, and calls posted then.
func (l *ledger) post(txs []*Tx) (ops []engine.Op, posted func()) {
	if !l.on.Load() {
		return nil, func() {}
	}
	moved := false
	for _, tx := range txs {
		tx.is = tx.st.holding()
		moved = moved || tx.is != tx.was
	}
	if !moved {
		l.release(txs...)
		return nil, func() {}
	}
	l.order.Lock()
	l.mu.Lock()
	defer l.mu.Unlock()
	touched := map[string]bool{}
	for _, tx := range txs {
		l.releaseLocked(tx)
		if tx.is == tx.was {
			continue
		}
		l.bookLocked(tx.was, -1, touched)
		l.bookLocked(tx.is, 1, touched)
		tx.posted = true
		l.inflight++
	}
	l.posts++
	for d := range l.wrong {
		touched[d] = true
	}
	l.wrong = nil
	for d := range touched {
		op := engine.Op{Kind: engine.Delete, Key: domainKey(d)}
		if n := l.atLocked(d).bytes; n > 0 {
			op.Kind, op.Val = engine.Set, appendSum(n)
		}
		ops = append(ops, op)
	}
	return ops, l.order.Unlock
}

func (l *ledger) bookLocked(h holding, sign int64, touched map[string]bool) {
	if h.domain != "" && h.bytes != 0 {
		l.atLocked(h.domain).bytes += sign * h.bytes
		touched[h.domain] = true
	}
}

// settle notes the outcome of a transaction that was handed to the engine.
func (l *ledger) settle(tx *Tx, done bool) {
	if !tx.posted {
		l.release(tx)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inflight--
	if done {
		return
	}
	if l.wrong == nil {
		l.wrong = map[string]bool{}
	}
	l.bookLocked(tx.was, 1, l.wrong)
	l.bookLocked(tx.is, -1, l.wrong)
}

// still returns the number of posts so far if none is under way.
func (l *ledger) still() (posts uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.posts, l.inflight == 0
}

// checkDomains: the records have what the accounts hold. While mail comes in they are
// compared only if none came to an account of a domain meanwhile.
func (s *Store) checkDomains(ctx context.Context, report func(id mail.AccountID, problem string)) error {
	if !s.ledger.on.Load() {
		return nil
	}
	for range 3 {
		before, ok := s.ledger.still()
		sums, err := s.domainSums(ctx)
		if err != nil {
			return err
		}
		recorded, _, err := s.recordedSums()
		if err != nil {
			return err
		}
		if now, still := s.ledger.still(); !ok || !still || now != before {
			continue
		}
		if !maps.Equal(sums, recorded) {
			report(0, fmt.Sprintf("the accounts of the domains hold %v bytes, recorded are %v", sums, recorded))
		}
		return nil
	}
	return nil
}

// repairDomains counts anew.
func (s *Store) repairDomains(ctx context.Context, report func(id mail.AccountID, mended string)) error {
	if !s.ledger.on.Load() {
		return nil
	}
	s.closing.Lock()
	defer s.closing.Unlock()
	wrong, err := s.countDomainsLocked(ctx)
	for _, d := range wrong {
		report(0, "what the accounts of "+d+" hold together")
	}
	return err
}
