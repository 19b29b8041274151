package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
	"posthouse/store/engine"
)

// An Engine is an open store. Make it with Open.
type Engine struct {
	opt   Options
	fs    vfs.FS
	dir   string
	log   *slog.Logger
	lock  io.Closer
	store uint64 // the store's id
	db    *pebble.DB
	gate  gate

	mu     sync.Mutex
	wake   sync.Cond // there is work for the committer, or the end
	queue  []*request
	closed bool
	remake bool  // the committer is to make the reserves that are not there
	fault  error // fail-stop

	queued, inflight, queuedBytes atomic.Int64 // requests in the queue; not answered; bytes in the queue

	wg      sync.WaitGroup
	closing chan struct{}
	groups  chan *group
	buffers chan []byte
	writer  *writer

	markMu    sync.Mutex
	mark      mark          // written by the applier
	sets      []change      // the applier's
	applied   atomic.Uint64 // mark.lsn
	unflushed atomic.Uint64 // bytes of log that the index holds in memory only
	end       atomic.Pointer[position]

	subscribers subscribers
	readers     readers
	segs        segmentFiles
	bulk        sync.Pool // of *[]byte, see ReadBlobs
	files       largeFiles
	space       space
	ballast     ballast
	ship        *shipper   // nil: the log is not shipped
	backups     sync.Mutex // one at a time

	commits, groupCount, syncs, blobBytes, written atomic.Uint64
	segmentCount                                   atomic.Int64
	sealedBytes                                    atomic.Uint64 // of segments before the active one
	replayed                                       uint64
	rebuilt                                        bool // the index was made from its copy
	indexFaults                                    atomic.Uint64
	indexDamaged                                   atomic.Bool
	heal                                           chan struct{} // of size 1: it is

	liveBytes, deadBytes atomic.Int64 // of blobs, as stored
	keeper               keeper
	spares               spares
	punchHole            func(f vfs.File, off, n int64) error // nil: impossible here
}

var _ engine.Engine = (*Engine)(nil)

// A position is the durable end of the log.
type position struct {
	lsn     uint64
	segment uint32
	off     uint64
}

// Open opens the store in opt.Dir, making it if the directory is empty or not
// there, and brings the index up to the end of the log.
func Open(ctx context.Context, opt Options) (*Engine, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	e, again, err := openOnce(ctx, opt)
	if again {
		e, _, err = openOnce(ctx, opt)
	}
	return e, corruptStore(err)
}

// corruptStore says what is to be done about a store that is damaged.
func corruptStore(err error) error {
	if errors.Is(err, engine.ErrCorrupt) && mail.KindOf(err) != mail.Corrupt {
		return &mail.Error{Kind: mail.Corrupt, Op: "local.Open", Err: err,
			Text: "the store is damaged: " + err.Error() + ". Restore it from a backup or promote its standby; do not delete any file"}
	}
	return err
}

// openOnce tells also that a start found the index damaged, and that the next one
// will make it anew.
func openOnce(ctx context.Context, opt Options) (_ *Engine, again bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	e := &Engine{
		opt: opt, fs: opt.FS, dir: opt.Dir, log: opt.Logger,
		closing: make(chan struct{}), heal: make(chan struct{}, 1),
		groups:  make(chan *group, pipeline),
		buffers: make(chan []byte, pipeline),
		readers: readers{open: map[*reader]struct{}{}},
		space:   space{begin: time.Now()},
	}
	e.space.at.Store(-spaceEvery)
	e.wake.L = &e.mu
	e.gate.empty = make(chan struct{}, 1)
	e.segs = segmentFiles{fs: e.fs, name: e.fileName, max: opt.OpenSegments, open: map[fileKey]*segmentFile{}}
	e.punchHole = punchFile
	if err := e.open(ctx); err != nil {
		close(e.closing) // the index does not wait for space any more
		again := e.indexDamaged.Load() && e.rebuildOrdered()
		return nil, again, errors.Join(err, e.closeFiles())
	}
	c := &committer{e: e, w: e.writer, lsn: e.mark.lsn, versions: map[engine.Account]version{}, links: newLinks(e.mark.lsn)}
	c.links.always = opt.mutate.noCAS
	e.startShipping()
	e.wg.Add(4)
	go c.run()
	go e.applier()
	go e.flusher()
	go e.keep()
	return e, false, nil
}

func (e *Engine) open(ctx context.Context) error {
	begin := time.Now()
	if err := e.openDir(); err != nil {
		return err
	}
	if err := e.refuseShipped(); err != nil {
		return err
	}
	for _, name := range []string{backupIndex, shipIndex} { // of a copy that was cut off
		if err := e.fs.RemoveAll(e.path(name)); err != nil {
			return err
		}
	}
	if err := e.findReserves(); err != nil {
		return err
	}
	if err := e.sweepSpares(); err != nil {
		return err
	}
	e.ballast.giveUp = ctx.Done()
	if err := e.openIndex(); err != nil {
		return err
	}
	e.ballast.opened.Store(true)
	if err := syncDir(e.fs, e.dir); err != nil { // kv's entry
		return err
	}
	if err := e.recover(ctx); err != nil {
		return err
	}
	if err := e.rebuildDone(); err != nil {
		return err
	}
	if err := e.sweep(ctx); err != nil {
		return err
	}
	if err := e.sweepCold(); err != nil {
		return err
	}
	if err := e.tally(); err != nil {
		return err
	}
	e.log.Info("store open", "dir", e.dir, "segments", e.segmentCount.Load(), "position", e.mark.lsn,
		"replayed", e.replayed, "took", time.Since(begin))
	return nil
}

// failed returns the fault that stopped the engine, if any.
func (e *Engine) failed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fault
}

// Close commits what is queued, ends all Readers, and flushes the index, so
// that the next Open has nothing to replay.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	e.wake.Broadcast()
	close(e.closing)
	e.wg.Wait()
	e.ship.end()
	e.gate.shut()
	return e.closeFiles()
}

// closeFiles closes whatever is open.
func (e *Engine) closeFiles() error {
	var errs []error
	e.readers.mu.Lock()
	for r := range e.readers.open {
		errs = append(errs, r.release())
	}
	clear(e.readers.open)
	e.readers.mu.Unlock()
	if e.db != nil {
		if e.indexDamaged.Load() && e.end.Load() != nil {
			if _, err := e.orderRebuild(); err != nil {
				e.log.Error("the index is damaged", "err", err)
			}
		} else if e.fault == nil && e.roomForIndex() {
			if err := e.writeIndex(); err != nil { // the log has it all
				e.log.Warn("closing the store: the next start has more to do", "err", err)
			}
		}
		errs = append(errs, e.db.Close())
	}
	e.segs.closeAll()
	e.keeper.codecs.close()
	if e.writer != nil && e.writer.f != nil {
		errs = append(errs, e.writer.f.Close())
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("local: closing the store: %w", err)
	}
	return nil
}

// Stats implements engine.Engine.
func (e *Engine) Stats() engine.Stats {
	e.markMu.Lock()
	m := e.mark
	e.markMu.Unlock()
	s := engine.Stats{
		Commits: e.commits.Load(), Groups: e.groupCount.Load(), Syncs: e.syncs.Load(),
		BlobBytes: e.blobBytes.Load(), WrittenBytes: e.written.Load(),
		Segments: e.segmentCount.Load(), LargeBlobs: int64(m.files),
		ReplayedFrames: e.replayed, ReadOnly: e.space.short.Load(), Failed: e.failed() != nil,
	}
	s.LiveBytes, s.DeadBytes = uint64(max(0, e.liveBytes.Load())), uint64(max(0, e.deadBytes.Load()))
	e.keeper.stats(&s)
	s.Recycled = e.spares.used.Load()
	s.Position = m.lsn
	if e.ship != nil {
		s.Shipped, s.Unshipped = e.ship.lag(m.lsn)
	}
	s.FreeBytes, _, _ = e.free()
	if e.gate.enter() == nil {
		defer e.gate.leave()
		s.UsedBytes = e.sealedBytes.Load() + uint64(e.spares.bytes.Load()) + e.keeper.coldBytes.Load() + m.offset + m.fileLen + e.db.Metrics().DiskSpaceUsage()
	}
	return s
}
