package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/directory"
	"posthouse/dns"
	"posthouse/publish"
	"posthouse/queue"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
	"posthouse/trace"
)

// ErrInUse is returned by OpenStopped when a server owns the store.
var ErrInUse = errors.New("the store is in use")

// prepareData makes the data directory.
func (s *Server) prepareData(context.Context) error {
	return os.MkdirAll(s.cfg.Data, 0o700)
}

// openStore opens engine, store and directory.
func (s *Server) openStore(ctx context.Context) error {
	eng, err := openEngine(ctx, s.cfg, s.log, s.opts.small)
	if err != nil {
		return err
	}
	if s.opts.wrap != nil {
		eng = s.opts.wrap(eng)
	}
	s.eng = eng
	s.onStop("engine", func(context.Context) error { return eng.Close() })
	if s.store, err = store.Open(ctx, eng, storeOptions(s.cfg, s.log, s.opts.small)); err != nil {
		return err
	}
	s.onStop("store", func(context.Context) error { return s.store.Close() })
	s.trace = openTrace(s.cfg, eng, s.log)
	s.onStop("trace", s.trace.Close)
	s.openTally()
	if s.dir, err = directory.Open(ctx, eng, s.loginOptions(directoryOptions(s.cfg))); err != nil {
		return err
	}
	return (&admin.System{Store: s.store, Directory: s.dir}).LoadQuotas(ctx)
}

// openTrace opens what is remembered of messages.
func openTrace(c config.Config, eng engine.Engine, log *slog.Logger) *trace.Log {
	return trace.Open(trace.Options{Engine: eng, Keep: time.Duration(orUnlimited(int64(c.Trace.Keep.Duration()))), BytesPerDay: orUnlimited(c.Trace.PerDay.Int64()), Logger: log})
}

func openEngine(ctx context.Context, c config.Config, log *slog.Logger, small bool) (engine.Engine, error) {
	o := local.Options{Dir: storeDir(c), Logger: log, MinFree: orUnlimited(c.Limits.FreeDisk.Int64()), MinFreePercent: c.Limits.FreeDiskPercent.Int()}
	switch {
	case small:
		o.IndexCache, o.MemTable, o.SegmentSize = 2<<20, 1<<20, 16<<20
	default:
		// A twentieth of the memory for the index's cache: its hot part is small.
		o.IndexCache = max(8<<20, memoryLimit(c)/20)
		// Many accounts are written at once into tables of 16 MiB with a third less work
		// than into smaller ones.
		o.MemTable = min(64<<20, max(8<<20, memoryLimit(c)/64, min(16<<20, memoryLimit(c)/16)))
	}
	o.CollectRate, o.ScrubEvery = orUnlimited(c.Store.CollectRate.Int64()), c.Store.ScrubEvery.Duration()
	o.NoRecycling = !c.Store.Recycle
	for _, name := range c.Backup.Repair {
		p, err := placeOf(context.WithoutCancel(ctx), c, name)
		if err != nil {
			return nil, err
		}
		o.Repair = append(o.Repair, p)
	}
	standby, err := storeAt(context.WithoutCancel(ctx), c, c.Backup.Standby)
	if err != nil {
		return nil, err
	}
	o.Ship, o.ShipFS, o.ShipSync, o.ShipKeep = standby.Dir, standby.FS, c.Backup.Wait, max(0, c.Backup.Keep.Duration())
	eng, err := local.Open(ctx, o)
	if err != nil && errors.Is(err, engine.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if err != nil {
		return nil, err
	}
	return eng, nil
}

// orUnlimited keeps a limit that is on, and passes -1 for one that is off.
func orUnlimited(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

func storeOptions(c config.Config, log *slog.Logger, small bool) store.Options {
	o := store.Options{Logger: log, Limits: storeLimits(c.Limits), Message: messageLimits(c.Limits), ReapAfter: max(c.Limits.ReapAfter.Duration(), 1)}
	if o.MemoryBudget = memoryLimit(c) / 4; small {
		o.MemoryBudget = 8 << 20
	}
	return o
}

func directoryOptions(c config.Config) directory.Options {
	iterations := c.Login.SCRAMIterations.Int()
	if !c.Login.SCRAM {
		iterations = -1
	}
	return directory.Options{
		ProofIterations: iterations,
		HashMemory:      c.Limits.HashMemory.Int64(),
		Failures:        directory.FailureLimits{PerMinute: c.Limits.FailedPerMin.Int(), PerDay: c.Limits.FailedPerDay.Int(), PerUser: c.Limits.FailedPerUser.Int()},
	}
}

// A Stopped is the store of a server that does not run.
type Stopped struct {
	System   *admin.System
	eng      engine.Engine
	store    *store.Store
	resolver *dns.Client
}

// OpenStopped opens the store of c for admin operations. ErrInUse if a server
// runs on it. As root it becomes the owner of the data directory, so that the
// server finds no files that it may not read.
func OpenStopped(ctx context.Context, c config.Config) (*Stopped, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, err
	}
	if err := becomeOwner(c); err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	eng, err := openEngine(ctx, c, log, true)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, eng, storeOptions(c, log, true))
	if err != nil {
		return nil, errors.Join(err, eng.Close())
	}
	dir, err := directory.Open(ctx, eng, directoryOptions(c))
	if err != nil {
		return nil, errors.Join(err, st.Close(), eng.Close())
	}
	q, err := openIdleQueue(ctx, c, eng)
	if err != nil {
		return nil, errors.Join(err, st.Close(), eng.Close())
	}
	sys := &admin.System{Engine: eng, Store: st, Directory: dir, Queue: q, Trace: openTrace(c, eng, log), Logger: log, Hostname: hostname(c), DefaultQuota: max(0, c.Limits.Quota.Int64()), Backup: backupOf(c, eng)}
	fresh, err := freshResolver(c.DNS)
	if err != nil {
		return nil, errors.Join(err, q.Close(ctx), st.Close(), eng.Close())
	}
	sys.Publish = publish.New(publishOptions(c, dir, q, fresh))
	return &Stopped{System: sys, eng: eng, store: st, resolver: fresh}, nil
}

// openIdleQueue opens a queue that sends nothing.
func openIdleQueue(ctx context.Context, c config.Config, eng engine.Engine) (*queue.Queue, error) {
	o, err := queueOptions(c, eng, hostname(c), nil)
	if err != nil {
		return nil, err
	}
	o.Resolver = nowhere{}
	return queue.Open(ctx, o)
}

// Close closes the store; what was changed is durable already.
func (s *Stopped) Close() error {
	return errors.Join(s.resolver.Close(), s.System.Queue.Close(context.Background()), s.System.Trace.Close(context.Background()), s.store.Close(), s.eng.Close())
}
