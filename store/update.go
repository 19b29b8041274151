package store

import (
	"context"
	"errors"
	"slices"

	"posthouse/mail"
	"posthouse/store/engine"
)

// maxAttempts bounds how often an update is computed anew because commits before
// it failed.
const maxAttempts = 5

// Update runs fn as one transaction over several accounts, in the order of ids,
// and commits it as one atomic unit together with extra: batches of the queue or
// the directory that must take effect exactly with it. An account that does not
// exist gets a Tx on which only CreateAccount may be called first. If fn returns
// an error nothing happens. fn may be run again after a conflict.
func (s *Store) Update(ctx context.Context, ids []mail.AccountID, extra []*engine.Batch, fn func(txs []*Tx) error) error {
	accts := make([]*Account, len(ids))
	for i, id := range ids {
		if id == 0 || slices.Contains(ids[:i], id) {
			return fail(mail.Internal, "Update", "account named twice, or account 0")
		}
		accts[i] = &Account{account: s.handle(id)}
	}
	return s.update(ctx, accts, extra, fn)
}

func (s *Store) update(ctx context.Context, accts []*Account, extra []*engine.Batch, fn func(txs []*Tx) error) error {
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return wrap("Update", engine.ErrUnavailable)
	}
	for _, a := range accts {
		a.use()
	}
	defer func() {
		for _, a := range accts {
			a.release()
		}
		s.trim()
	}()
	for attempt := 1; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return wrap("Update", err)
		}
		u := &update{store: s, accts: accts, extra: extra, group: group{ctx: ctx}}
		if err := u.compute(fn); err != nil {
			return err
		}
		err := u.finish()
		if attempt == maxAttempts || !errors.Is(err, engine.ErrConflict) {
			return wrap("Update", err)
		}
	}
}

// An update is one attempt to compute and commit.
type update struct {
	store  *Store
	accts  []*Account
	extra  []*engine.Batch
	group  group
	wrote  []*Tx // those that changed something
	commit engine.Pending

	// Room for what an update of one account needs.
	room struct {
		txs, wrote [1]*Tx
		batches    [2]*engine.Batch
	}
}

// compute runs fn and hands its changes to the engine, with all accounts locked.
func (u *update) compute(fn func(txs []*Tx) error) error {
	locked := u.accts
	if len(locked) > 1 {
		locked = slices.SortedFunc(slices.Values(locked), func(a, b *Account) int { return byID(a.account, b.account) })
	}
	for _, a := range locked {
		a.mu.Lock()
	}
	txs := u.room.txs[:0]
	defer func() {
		for _, tx := range txs {
			tx.close()
		}
		for _, a := range locked {
			a.mu.Unlock()
		}
	}()
	for _, a := range u.accts {
		if err := a.prepareLocked(); err != nil {
			return err
		}
		tx := a.beginLocked(&u.group, a.who)
		txs = append(txs, tx)
		tx.recount()
	}
	if err := fn(txs); err != nil {
		u.store.ledger.release(txs...)
		return err
	}
	u.submitLocked(txs)
	return nil
}

func (u *update) submitLocked(txs []*Tx) {
	batches := u.room.batches[:0]
	var global []engine.Op
	u.wrote = u.room.wrote[:0]
	for _, tx := range txs {
		if b := tx.batch(); b != nil {
			batches = append(batches, b)
			global = append(global, tx.global...)
			u.wrote = append(u.wrote, tx)
		} else {
			u.store.ledger.release(tx)
		}
	}
	sums, posted := u.store.ledger.post(u.wrote)
	defer posted()
	if global = append(global, sums...); len(global) > 0 {
		batches = append(batches, &engine.Batch{Expect: engine.AnyVersion, Ops: global})
	}
	batches = append(batches, u.extra...)
	if len(batches) == 0 {
		return
	}
	for _, tx := range u.wrote {
		tx.acct.threads.add(tx)
		tx.acct.submitLocked(tx.st)
	}
	u.commit = u.store.eng.Commit(u.group.ctx, batches...)
	for _, tx := range u.wrote {
		tx.acct.submittedLocked(u.commit)
	}
}

// finish waits for the disk and publishes. No lock is held.
func (u *update) finish() error {
	if u.commit == nil {
		return nil
	}
	_, err := u.commit.Wait()
	for _, tx := range u.wrote {
		tx.acct.settle(tx.st, err, errors.Is(err, engine.ErrConflict))
		u.store.ledger.settle(tx, err == nil)
	}
	if err == nil {
		u.group.stored()
	}
	return err
}
