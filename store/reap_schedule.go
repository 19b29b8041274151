package store

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

// The reaper finds its work by key: each commit that expunges says in account 0 in
// which hour that was, so that neither a start nor a look at what is due costs
// anything for accounts where there is nothing to do.
const (
	firstReap   = time.Minute
	reapEvery   = 10 * time.Minute
	reapSeldom  = 12 * time.Hour
	defaultReap = 30 * 24 * time.Hour
)

// More keys of the store in account 0, see keyStore.
const (
	expungedIn  = 'r' // hour since 1970, account
	expungedAll = 'R' // the above is complete: accounts from before there was one were looked at
)

func hourOf(t int64) uint64 { return uint64(max(t, 0)) / 3600 }

func expungedKey(hour uint64, id mail.AccountID) []byte {
	k := binary.BigEndian.AppendUint64([]byte{keyStore, expungedIn}, hour)
	return binary.BigEndian.AppendUint64(k, uint64(id))
}

// noteExpunged tells the reaper that the account has work for it.
func (tx *Tx) noteExpunged() {
	tx.global = append(tx.global, engine.Op{Kind: engine.Set, Key: expungedKey(hourOf(tx.now), tx.acct.id)})
}

// A schedule runs the reaper. It is a timer, not a goroutine.
type schedule struct {
	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	running sync.WaitGroup
}

// plan runs f after a time.
func (c *schedule) plan(d time.Duration, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.timer = time.AfterFunc(d, func() {
		c.mu.Lock()
		if c.stopped {
			c.mu.Unlock()
			return
		}
		c.running.Add(1)
		c.mu.Unlock()
		defer c.running.Done()
		f()
	})
}

// stop ends the schedule and waits for a reaper that runs: it ends at its next
// batch.
func (c *schedule) stop() {
	c.mu.Lock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.running.Wait()
}

// reapEvery is the time between two looks: the longer mail is kept, the less does
// it matter how much longer.
func (s *Store) reapEvery() time.Duration {
	return max(reapEvery, min(s.opts.ReapAfter/24, reapSeldom))
}

// reapDue reaps what is old enough, and plans the next look.
func (s *Store) reapDue() {
	if err := s.Reap(context.Background(), s.opts.Now().Add(-s.opts.ReapAfter)); err != nil {
		s.warnReap(0, err)
	}
	s.reaper.plan(s.reapEvery(), s.reapDue)
}

// Reap removes for good what was expunged before the given time: its records,
// and with the last of a message's memberships its bytes. Until then a session
// that has not been told of the expunge can still read the message. The store
// does it by itself, see [Options]. An account that fails does not keep it from the
// others.
func (s *Store) Reap(ctx context.Context, before time.Time) error {
	if err := s.indexExpunged(ctx); err != nil {
		return wrap("Reap", err)
	}
	due, err := s.expungedBefore(before)
	if err != nil {
		return wrap("Reap", err)
	}
	var failed error
	for _, d := range due {
		if err := ctx.Err(); err != nil || s.ended.Load() {
			return wrap("Reap", err)
		}
		if err := s.reapAccount(ctx, d.account, before); err != nil {
			s.warnReap(d.account, err)
			failed = err
			continue
		}
		if time.Unix(int64(d.hour+1)*3600, 0).After(before) {
			continue // there may be younger ones of the same hour
		}
		if err := s.handle(d.account).forgetHour(ctx, d.hour); err != nil {
			return wrap("Reap", err)
		}
	}
	return wrap("Reap", failed)
}

func (s *Store) reapAccount(ctx context.Context, id mail.AccountID, before time.Time) error {
	for {
		more, err := s.handle(id).reap(ctx, before)
		if err != nil || !more || s.ended.Load() {
			return err
		}
	}
}

// A dueReap is an account where something was expunged in an hour.
type dueReap struct {
	hour    uint64
	account mail.AccountID
}

// expungedBefore returns where something was expunged before a time, oldest first.
func (s *Store) expungedBefore(before time.Time) ([]dueReap, error) {
	r := s.eng.Snapshot(0)
	defer r.Close()
	var due []dueReap
	var failed error
	err := r.Scan(expungedKey(0, 0), expungedKey(hourOf(before.Unix()-1)+1, 0), func(k, _ []byte) bool {
		if len(k) != 18 {
			failed = corrupt("expunged")
			return false
		}
		due = append(due, dueReap{binary.BigEndian.Uint64(k[2:]), mail.AccountID(binary.BigEndian.Uint64(k[10:]))})
		return true
	})
	return due, errors.Join(failed, err)
}

// indexExpunged looks once at all accounts of a store from before their work could be
// found by key.
func (s *Store) indexExpunged(ctx context.Context) error {
	r := s.eng.Snapshot(0)
	done := []byte{keyStore, expungedAll}
	_, err := r.Get(done)
	r.Close()
	if !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	var ops []engine.Op
	var failed error
	now := hourOf(s.opts.Now().Unix())
	if err := s.Accounts(ctx, func(id mail.AccountID) bool {
		var idle bool
		if idle, failed = s.handle(id).nothingDead(time.Unix(1<<40, 0)); !idle {
			ops = append(ops, engine.Op{Kind: engine.Set, Key: expungedKey(now, id)})
			ops = append(ops, engine.Op{Kind: engine.Set, Key: expungedKey(0, id)})
		}
		return failed == nil && !s.ended.Load()
	}); err != nil || failed != nil || s.ended.Load() {
		return errors.Join(err, failed)
	}
	ops = append(ops, engine.Op{Kind: engine.Set, Key: done, Val: binary.AppendUvarint([]byte{formatVersion}, now)})
	_, err = s.eng.Commit(ctx, &engine.Batch{Expect: engine.AnyVersion, Ops: ops}).Wait()
	return err
}

// reapable reports whether the reaper will come to what an account expunged at a time.
func reapable(g engine.Reader, id mail.AccountID, at int64) (bool, error) {
	v, err := g.Get([]byte{keyStore, expungedAll})
	if errors.Is(err, engine.ErrNotFound) {
		return true, nil // it will look at all
	}
	if err != nil {
		return false, err
	}
	d := openRecord(v)
	since := d.Uvarint()
	if err := d.err("expunged"); err != nil {
		return false, err
	}
	for _, hour := range []uint64{hourOf(at), since} {
		_, err := g.Get(expungedKey(hour, id))
		if err == nil || !errors.Is(err, engine.ErrNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}

func (s *Store) warnReap(id mail.AccountID, err error) {
	if s.ended.Load() {
		return
	}
	s.opts.Logger.LogAttrs(context.Background(), slog.LevelWarn, "removing expunged mail failed",
		slog.Uint64("account", uint64(id)), slog.Any("err", err))
}
