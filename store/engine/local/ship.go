package local

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
	"posthouse/store/engine"
)

// Shipping: a second directory, or the like in a bucket, becomes a copy of the store, and each frame of
// the log is appended to it, at its place, once it is durable here. Large-blob
// and cold files are copied before the frame that names them. So at each moment
// the directory is a store as it was a little while ago: a [Follower] keeps its
// index up to date, and [Promote] makes it one that may be opened.
const (
	shippedName  = "SHIPPED"  // the directory is somebody's copy; its content is the mode
	promotedName = "PROMOTED" // it is no more: nobody ships there again
	modeSync     = "synchronous\n"
	modeAsync    = "asynchronous\n"
	shipBatch    = 4 << 20 // bytes between syncs
	shipLast     = 15 * time.Second
	shipRemind   = 10 * time.Minute // of a failure that stays
)

// A shipper ships. All but what mu guards is its goroutine's.
type shipper struct {
	e       *Engine
	fs      vfs.FS // of dir
	dir     string
	wake    chan struct{} // of size 1
	closing chan struct{}
	wg      sync.WaitGroup
	giveUp  context.CancelFunc // ends requests under way

	mu     sync.Mutex
	moved  sync.Cond
	lsn    uint64        // that the follower has
	strict bool          // commits wait for the follower
	fault  error         // of the last try
	fresh  time.Duration // since the engine's begin: all that was durable then is there
	ended  bool

	claim claiming
	open  bool // at is known
	moded bool // the follower knows the mode
	held  bool // keeper.files, while something is missing there
	at    position
	safe  position // up to where all is synced there
	holes bool     // the last frame lacks blobs
	spare pruning  // what the follower may be able to do without
	moment
	told   time.Duration   // since the engine's begin: the last failure was logged
	synced map[string]bool // directories there whose names are durable
	f      vfs.File        // the follower's segment at.segment
	buf    []byte
}

func (e *Engine) startShipping() {
	if e.opt.Ship == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &shipper{e: e, fs: e.opt.ShipFS, dir: e.opt.Ship, wake: make(chan struct{}, 1), closing: make(chan struct{}), giveUp: cancel}
	s.moved.L = &s.mu
	if o := remote(s.fs); o != nil {
		s.fs = o.patient(ctx)
	}
	if err := s.claim.load(e); err != nil {
		e.log.Error("shipping", "err", err) // found again by the first pass
	}
	// As long as the copy says that nobody goes on without it, nobody does. Only one
	// that is complete can keep up; until then nobody waits for it.
	s.strict = e.opt.ShipSync || s.claim.waited
	if remote(s.fs) == nil {
		if _, err := s.fs.Stat(s.fs.PathJoin(s.dir, "FORMAT")); errors.Is(err, errNotExist) {
			s.strict = false
		}
	}
	e.ship = s
	s.wg.Go(s.run)
}

// notify tells that the log has grown. A nil shipper ships nothing.
func (s *shipper) notify() {
	if s == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// wait returns once the follower has commit lsn, if commits wait for it.
func (s *shipper) wait(lsn uint64) error {
	if s == nil || s.e.opt.mutate.shipLate {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.strict && s.lsn < lsn {
		if s.ended || s.fault != nil && s.e.isClosing() {
			return fmt.Errorf("local: commit %d is not shipped: %w", lsn, engine.ErrUnavailable)
		}
		s.moved.Wait()
	}
	return nil
}

// reaches waits a moment for the follower to have commit lsn, and tells whether it
// has. It has whatever there is if there is no follower.
func (s *shipper) reaches(lsn uint64, done <-chan struct{}) bool {
	if s == nil {
		return true
	}
	t := time.NewTicker(2 * time.Millisecond)
	defer t.Stop()
	for range 1000 {
		have, fault := s.shipped()
		if have >= lsn || fault != nil {
			return have >= lsn
		}
		select {
		case <-done:
			return false
		case <-s.closing:
			return false
		case <-t.C:
		}
	}
	return false
}

// refuses returns an error while commits would wait for a follower that cannot
// be reached.
func (s *shipper) refuses() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.strict && s.fault != nil {
		return fmt.Errorf("local: the standby cannot be reached: %w: %w", engine.ErrUnavailable, s.fault)
	}
	return nil
}

// shipped returns the last commit that the follower has, and what the last try
// to give it more failed with.
func (s *shipper) shipped() (lsn uint64, fault error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lsn, s.fault
}

// lag returns the last commit that the follower has, and for how long it has not
// had all of those up to lsn.
func (s *shipper) lag(lsn uint64) (shipped uint64, behind time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lsn < lsn {
		behind = max(1, s.e.space.since()-s.fresh)
	}
	return s.lsn, behind
}

// end is called when the engine closes. Commits under way are shipped, unless
// the follower cannot be reached.
func (s *shipper) end() {
	if s == nil {
		return
	}
	close(s.closing)
	t := time.AfterFunc(shipLast, s.giveUp)
	s.wg.Wait()
	t.Stop()
	s.giveUp()
}

func (s *shipper) run() {
	defer s.close()
	for failures := 0; ; {
		err := s.pass()
		s.report(err)
		var retry <-chan time.Time
		if failures++; err == nil {
			failures = 0
		} else {
			retry = time.After(s.e.opt.shipRetry << min(failures-1, 4))
		}
		select {
		case <-s.closing:
			if err == nil {
				s.report(s.pass())
			}
			return
		case <-s.wake:
		case <-retry:
		}
	}
}

func (s *shipper) report(err error) {
	s.mu.Lock()
	before, now := s.fault, s.e.space.since()
	s.fault = err
	behind := now - s.fresh
	s.mu.Unlock()
	s.moved.Broadcast()
	switch {
	case err != nil && (before == nil || now-s.told > shipRemind):
		s.told = now
		s.e.log.Error("shipping the log failed, will try again", "to", s.dir, "err", err, "behind", behind.Round(time.Second))
	case err == nil && before != nil:
		s.e.log.Info("the log is shipped again", "to", s.dir)
	}
}

func (s *shipper) close() {
	s.disconnect()
	if s.held {
		s.e.keeper.files.RUnlock()
		s.held = false
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.moved.Broadcast()
}

func (s *shipper) disconnect() {
	if s.f != nil {
		_ = s.f.Close() // what counts is synced
	}
	s.f, s.synced = nil, nil
	// What was put into a bucket stays as it was; of a directory nobody knows.
	s.open = s.open && remote(s.fs) != nil
	s.at = s.safe
	s.claim.unlock()
}

// pass gives the follower all that is durable. As long as something is missing
// there, no file goes here.
func (s *shipper) pass() error {
	// The keeper, which may be in the way for a moment, waits for commits, and these
	// for us. What it removes meanwhile was sealed long ago.
	s.held = s.held || s.e.keeper.files.TryRLock()
	begin := s.e.space.since()
	err := s.claim.lock(s)
	if err == nil {
		err = s.catchUp()
	}
	if errors.Is(err, errTooOld) {
		s.e.log.Warn("the standby is too old to catch up: copying the store anew", "to", s.dir, "err", err)
		if err = s.rebase(); err == nil {
			err = s.catchUp()
		}
	}
	if err == nil {
		s.mu.Lock()
		s.fresh = begin
		s.mu.Unlock()
		err = errors.Join(s.prune(), s.tidy(false))
	}
	if err != nil {
		s.disconnect()
		return err
	}
	if s.held {
		s.e.keeper.files.RUnlock()
		s.held = false
	}
	if !s.moded {
		err = s.setMode() // only now all that was acknowledged before is there
		s.moded = err == nil
	}
	s.claim.unlock()
	return err
}

// setMode tells the follower whether acknowledged commits may be missing there.
func (s *shipper) setMode() error {
	mode := modeAsync
	if s.e.opt.ShipSync {
		mode = modeSync
	}
	if s.e.opt.ShipSync {
		if err := s.claim.wait(s.e, true); err != nil {
			return err
		}
	}
	if err := writeFile(s.fs, s.dir, shippedName, []byte(mode)); err != nil || s.e.opt.ShipSync {
		return err
	}
	if err := s.claim.wait(s.e, false); err != nil {
		return err
	}
	s.relax()
	return nil
}

// tidy puts small objects of a segment together.
func (s *shipper) tidy(sealed bool) error {
	if f, ok := s.f.(*appendFile); ok {
		return f.tidy(sealed)
	}
	return nil
}

func (e *Engine) isClosing() bool {
	select {
	case <-e.closing:
		return true
	default:
		return false
	}
}

func (s *shipper) catchUp() error {
	if !s.open {
		if err := s.connect(); err != nil {
			return err
		}
		s.open = true
		if err := s.acknowledge(); err != nil {
			return err
		}
	}
	for end := *s.e.end.Load(); s.at.lsn < end.lsn; {
		if err := s.segment(end); err != nil {
			return err
		}
		if s.at.lsn >= end.lsn {
			break
		}
		next, err := s.nextSegment(end)
		if err != nil {
			return err
		}
		if err := errors.Join(s.tidy(true), s.f.Close()); err != nil {
			return err
		}
		s.f, s.at.segment, s.at.off = nil, next, 0
	}
	return nil
}

// errTooOld: the follower needs commits that are no longer in the log.
var errTooOld = errors.New("local: the standby is too old")

func (s *shipper) nextSegment(end position) (uint32, error) {
	segs, err := s.e.segments()
	if err != nil {
		return 0, err
	}
	for _, n := range segs {
		if n > s.at.segment && n <= end.segment {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: commit %d is no longer in the log", errTooOld, s.at.lsn+1)
}

func (s *shipper) refuse(format string, args ...any) error {
	return &mail.Error{Kind: mail.Invalid, Op: "local.ship", Text: s.dir + ": " + fmt.Sprintf(format, args...) + ". Empty it to begin anew"}
}

// segment ships the durable frames of segment at.segment from at.off on.
func (s *shipper) segment(end position) (err error) {
	src, err := s.e.fs.Open(s.e.segmentName(s.at.segment), vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	sc, err := newScanner(src, s.at.segment, s.e.store)
	if err != nil {
		return err
	}
	if err := s.openSegment(); err != nil {
		return err
	}
	for unsynced := uint64(0); ; {
		h, ok, err := sc.header(int64(s.at.off))
		if err != nil {
			return err
		}
		if !ok || h.lsn != s.at.lsn+1 || h.lsn > end.lsn {
			return s.acknowledge()
		}
		if err := s.frame(sc, h); errors.Is(err, errLater) {
			return s.acknowledge()
		} else if err != nil {
			return err
		}
		n := alignUp(h.frameLen)
		s.at.lsn, s.at.off = h.lsn, s.at.off+n
		// Dead blobs may have been punched out: recovery believes the frame only if the
		// one after it says that it was durable.
		if unsynced += n; unsynced >= shipBatch || s.holes {
			if err := s.acknowledge(); err != nil {
				return err
			}
			unsynced = 0
		}
	}
}

// frame copies the files that a frame names, then the frame. Which frames are
// durable is another matter there than here: several share a sync.
func (s *shipper) frame(sc *scanner, h header) error {
	meta, ok, err := sc.meta(h, int64(s.at.off))
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("local: segment %d at %d: %w", s.at.segment, s.at.off, engine.ErrCorrupt)
	}
	if err := s.moment.see(meta); err != nil {
		return err
	}
	err = eachChange(meta, func(c change) error {
		switch {
		case c.kind != metaSet:
		case c.key[0] == kindFile && len(c.key) == 9:
			return s.beside(s.e.largeName(be.Uint64(c.key[1:])))
		case c.key[0] == kindCold && len(c.key) == 9:
			return s.beside(s.e.coldName(be.Uint64(c.key[1:])))
		}
		return nil
	})
	if err != nil {
		return err
	}
	crc, begin := uint32(0), int64(s.at.off)
	for off, left := begin, int64(alignUp(h.frameLen)); left > 0; {
		part := s.buffer()[:min(left, copyChunk)]
		n, err := sc.f.ReadAt(part, off)
		if err != nil && n < len(part) {
			return err
		}
		lo, hi := max(off, begin+headerLen), min(off+int64(len(part)), begin+int64(h.metaOff))
		if lo < hi {
			crc = crc32.Update(crc, castagnoli, part[lo-off:hi-off])
		}
		if off == begin && !s.e.opt.mutate.shipClaims {
			h.durable = s.safe.lsn
			h.encode(part)
		}
		if _, err := s.f.WriteAt(part, off); err != nil {
			return err
		}
		off += int64(len(part))
		left -= int64(len(part))
	}
	s.holes = crc != h.blobCRC
	return nil
}

// acknowledge syncs what was appended, and lets those go on who wait for it,
// unless the follower was promoted: it looks at the log after it said so.
func (s *shipper) acknowledge() error {
	if s.f != nil {
		if err := s.f.SyncData(); err != nil {
			return err
		}
	}
	s.safe = s.at
	if err := s.confirm(); err != nil {
		return err
	}
	s.mu.Lock()
	s.lsn = s.at.lsn
	s.strict = s.e.opt.ShipSync || s.claim.waited
	s.mu.Unlock()
	s.moved.Broadcast()
	return nil
}

func (s *shipper) promoted() error {
	_, err := s.fs.Stat(s.fs.PathJoin(s.dir, promotedName))
	switch {
	case errors.Is(err, errNotExist):
		return nil
	case err == nil:
		return s.refusePromoted()
	}
	return err
}

func (s *shipper) refusePromoted() error {
	return s.refuse("the standby was promoted: this store is no longer the one that counts")
}
