package store

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"posthouse/mail"
	"posthouse/store/engine"
)

// An Account is the unit of isolation: its updates are totally ordered, updates
// of different accounts never wait for each other but share their syncs.
//
// It is a handle, for its owner or, from [Account.As], for somebody else. What it
// stands for is in memory once, and may come and go.
type Account struct {
	*account
	who *Principal // nil: the owner, who may do everything
}

// View runs fn on the account's last durable state: mailboxes, records and objects
// are of one moment. The View, and what it
// returns by reference, may be kept for reading after fn returns only where its
// method says so. Never write to a client inside fn. NotFound once the account
// is deleted.
func (a *Account) View(ctx context.Context, fn func(v *View) error) error {
	return a.account.view(ctx, a.who, fn)
}

// Update runs fn as one transaction and returns when it is durable and visible.
// If fn returns an error, or changes nothing, nothing is written. fn sees its own
// changes and those of earlier updates that are still on their way to the disk;
// it may be run again after a conflict and must have no other effect. It must not
// call Update itself.
func (a *Account) Update(ctx context.Context, fn func(tx *Tx) error) error {
	return a.store.update(ctx, []*Account{a}, nil, func(txs []*Tx) error {
		if !txs[0].st.exists {
			return fail(mail.NotFound, "Update", "no such account")
		}
		return fn(txs[0])
	})
}

// An account is what all handles of one id stand for. While anybody holds one it is
// the only one of its id.
type account struct {
	id    mail.AccountID
	store *Store

	// mu orders updates; it is held while their functions run, not while they
	// wait for the disk.
	mu      sync.Mutex
	pending *state // newest state, perhaps still on its way to the disk; nil: not loaded
	index   flagIndex
	swept   ModSeq // when flags were last looked through
	threads threadCache
	memo    Memo

	durable atomic.Pointer[state] // what readers see; nil: not loaded

	pub       sync.Mutex // a leaf: never take another lock of the store while holding it
	settled   sync.Cond  // a commit's outcome is known
	submitted []*state   // of commits whose outcome is not known, in order
	unread    []*View    // that have no reader yet
	broken    bool       // a commit failed: pending is not going to be
	suspect   bool       // a conflict: durable may not be what the engine holds
	last      engine.Pending
	watchers  map[*Watcher]struct{}

	recentMu sync.Mutex
	recent   map[uint32]UID // by UIDVALIDITY: first UID not told as \Recent, where it is ahead of the record

	active atomic.Int64 // Views and updates under way: not to be evicted
	used   atomic.Int64 // Store.clock at the last use
	size   atomic.Int64 // estimated bytes in memory
}

func newAccount(s *Store, id mail.AccountID) *account {
	a := &account{id: id, store: s}
	a.memo.acct = a
	a.settled.L = &a.pub
	return a
}

func byID(a, b *account) int { return cmp.Compare(a.id, b.id) }

// addForget drops the entry of an account that nobody holds any more.
func addForget(s *Store, a *account) {
	runtime.AddCleanup(a, func(id mail.AccountID) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if w, ok := s.accounts[id]; ok && w.Value() == nil {
			delete(s.accounts, id)
		}
	}, a.id)
}

// ID is the account's id.
func (a *account) ID() mail.AccountID { return a.id }

// view is View for the owner, or for somebody else.
func (a *account) view(ctx context.Context, who *Principal, fn func(v *View) error) error {
	if err := ctx.Err(); err != nil {
		return wrap("View", err)
	}
	a.use()
	defer a.store.trim()
	defer a.release()
	st, err := a.current()
	if err != nil {
		return err
	}
	v := &View{acct: a, st: st, who: who}
	a.open(v)
	defer v.close()
	if !v.st.exists {
		return fail(mail.NotFound, "View", "no such account")
	}
	return fn(v)
}

// open makes v's state and its reader of one moment. What is durable can be read
// before [account.settle] publishes it: a reader alone may be ahead of the published
// state. While no commit is under way, v gets its reader when it first needs one or
// when the next commit is submitted, whatever comes first: most Views need none.
func (a *account) open(v *View) {
	a.pub.Lock()
	defer a.pub.Unlock()                   // nothing is submitted or settled meanwhile
	if st := a.durable.Load(); st != nil { // nil: just when it is not evicted after all
		v.st = st
	}
	if len(a.submitted) == 0 {
		a.unread = append(a.unread, v)
		return
	}
	v.r = a.store.eng.Snapshot(a.id)
	now := ModSeq(v.r.Version())
	for _, st := range a.submitted {
		if st.hdr.modseq == now {
			v.st = st
		}
	}
}

// readerOf opens v's reader, unless a commit has done so.
func (a *account) readerOf(v *View) engine.Reader {
	a.pub.Lock()
	defer a.pub.Unlock()
	if r := a.withdrawLocked(v); r != nil {
		return r
	}
	return a.store.eng.Snapshot(a.id)
}

func (a *account) withdraw(v *View) engine.Reader {
	a.pub.Lock()
	defer a.pub.Unlock()
	return a.withdrawLocked(v)
}

// withdrawLocked returns the reader that a commit opened for v, if one did; none will
// from here on.
func (a *account) withdrawLocked(v *View) engine.Reader {
	if i := slices.Index(a.unread, v); i >= 0 {
		a.unread = slices.Delete(a.unread, i, i+1)
	}
	r := v.pinned
	v.pinned = nil
	return r
}

func (a *account) use() {
	a.active.Add(1)
	a.used.Store(a.store.clock.Add(1))
}

func (a *account) release() { a.active.Add(-1) }

// current returns the durable state, loading it if it is not in memory. The
// account is in use.
func (a *account) current() (*state, error) {
	if st := a.durable.Load(); st != nil {
		return st, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.prepareLocked(); err != nil {
		return nil, err
	}
	return a.durable.Load(), nil
}

// prepareLocked makes pending the newest state that still can come true.
func (a *account) prepareLocked() error {
	a.pub.Lock()
	if a.broken {
		for len(a.submitted) > 0 {
			a.settled.Wait()
		}
		a.broken = false
		a.pending = a.durable.Load()
		a.threads.reset()
		if a.suspect {
			a.suspect = false
			a.pending = nil
		}
	}
	a.pub.Unlock()
	if a.pending != nil {
		return nil
	}
	r := a.store.eng.Snapshot(a.id)
	defer r.Close()
	if st := a.durable.Load(); st != nil && uint64(st.hdr.modseq) == r.Version() {
		a.pending = st
		return nil
	}
	st, err := loadState(a, r)
	if err != nil {
		return wrap("load", err)
	}
	a.pending = st
	a.index = newFlagIndex(&st.flags)
	a.threads = threadCache{}
	a.memo.forget()
	a.store.size.Add(-a.size.Swap(0))
	a.grow(st.memory())
	a.durable.Store(st)
	a.store.keep(a)
	return nil
}

// grow counts memory that the account takes.
func (a *account) grow(n int64) {
	a.size.Add(n)
	a.store.size.Add(n)
}

// submitLocked notes that st is about to be handed to the engine: from then on
// readers may see it.
func (a *account) submitLocked(st *state) {
	a.pending = st
	a.pub.Lock()
	for _, v := range a.unread {
		v.pinned = a.store.eng.Snapshot(a.id)
	}
	clear(a.unread)
	a.unread = a.unread[:0]
	a.submitted = append(a.submitted, st)
	a.pub.Unlock()
}

// submittedLocked notes the commit that the engine made of the newest state.
func (a *account) submittedLocked(p engine.Pending) {
	a.pub.Lock()
	a.last = p
	a.pub.Unlock()
}

// settle publishes st when its commit is durable, or notes that it failed.
func (a *account) settle(st *state, err error, conflict bool) {
	a.pub.Lock()
	defer a.pub.Unlock()
	i := slices.Index(a.submitted, st)
	if a.submitted = slices.Delete(a.submitted, i, i+1); len(a.submitted) == 0 {
		a.last = nil
	}
	if err != nil {
		a.broken = true
		a.suspect = a.suspect || conflict
	} else if now := a.durable.Load(); now == nil || now.hdr.modseq < st.hdr.modseq {
		a.durable.Store(st)
		for w := range a.watchers {
			w.wake()
		}
	}
	a.settled.Broadcast()
}

// pendingCommit returns the newest commit under way, or nil.
func (a *account) pendingCommit() engine.Pending {
	a.pub.Lock()
	defer a.pub.Unlock()
	return a.last
}
