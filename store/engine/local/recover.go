package local

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A recovery brings the index up to the end of the log.
type recovery struct {
	e    *Engine
	segs []uint32 // all of them
	next uint64   // LSN of the next frame
	// of the segment looked at last:
	off  int64 // where its next frame would begin
	tail tail  // what follows

	from      mark // what the index had
	todo      replayGroup
	following bool             // somebody writes to the log meanwhile
	live      vfs.File         // then, its segment that is read
	out       chan replayGroup // to the goroutine that applies
	free      chan []byte
	fail      chan error // its first error, or nil, once out is closed
}

// A replayGroup is frames of one segment that are applied at once.
type replayGroup struct {
	frames []durableFrame
	metas  []byte
}

// replayBytes is up to how many bytes of meta are applied at once.
const replayBytes = 256 << 10

// apply applies groups as they come: reading and applying are about the same work.
func (r *recovery) apply() {
	var err error
	for g := range r.out {
		if err == nil {
			err = r.e.apply(g.frames...)
		}
		select {
		case r.free <- g.metas[:0]:
		default:
		}
	}
	r.fail <- err
}

// add appends a frame to the group; meta is valid only during the call.
func (r *recovery) add(h header, meta []byte) error {
	begin := len(r.todo.metas)
	if cap(r.todo.metas)-begin < len(meta) {
		if err := r.send(); err != nil {
			return err
		}
		begin = 0
		select {
		case r.todo.metas = <-r.free:
		default:
		}
		if cap(r.todo.metas) < len(meta) {
			r.todo.metas = make([]byte, 0, max(replayBytes, len(meta)))
		}
	}
	r.todo.metas = append(r.todo.metas, meta...)
	r.todo.frames = append(r.todo.frames, durableFrame{h, r.todo.metas[begin:], uint64(r.off)})
	return nil
}

// send passes the group on. The index must not have what the log may lose.
func (r *recovery) send() (err error) {
	if len(r.todo.frames) > 0 {
		if r.live != nil {
			err = r.live.SyncData()
		}
		if err == nil {
			r.out <- r.todo
		}
	}
	r.todo = replayGroup{}
	return err
}

// recover replays what the index does not have, and opens the active segment.
func (e *Engine) recover(ctx context.Context) error {
	segs, err := e.segments()
	if err != nil {
		return err
	}
	if err := e.wantOwn(segs); err != nil {
		return err
	}
	if err := e.readMark(); err != nil {
		return err
	}
	if e.mark.lsn > 0 && (len(segs) == 0 || segs[len(segs)-1] < e.mark.segment) {
		return damaged("the log ends before segment %d, which the index has seen", e.mark.segment)
	}
	if err := syncDir(e.fs, e.path("log")); err != nil {
		return err
	}
	r := &recovery{e: e, next: e.mark.lsn + 1, from: e.mark,
		out: make(chan replayGroup, pipeline), free: make(chan []byte, pipeline), fail: make(chan error, 1)}
	go r.apply()
	err = r.segments(ctx, segs)
	close(r.out)
	if err = errors.Join(err, <-r.fail); err != nil {
		return err
	}
	if err := e.wantLive(segs); err != nil {
		return err
	}
	if e.replayed > 0 { // so that the next start need not replay it again
		if err := e.flushIndex(); err != nil {
			return err
		}
	}
	e.applied.Store(e.mark.lsn)
	return r.openActive(segs)
}

// wantLive refuses a log of which segments are missing that are not dead, if the
// index was made from its copy: it would not notice by itself.
func (e *Engine) wantLive(segs []uint32) error {
	if !e.rebuilt {
		return nil
	}
	return e.eachFile(func(v victim) error {
		if _, there := slices.BinarySearch(segs, uint32(v.number)); v.place == inLog && v.live > 0 && !there {
			return damaged("segment %d is missing", v.number)
		}
		return nil
	})
}

// segments replays all segments in order.
func (r *recovery) segments(ctx context.Context, segs []uint32) error {
	r.segs = segs
	for _, n := range segs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.e.countSegment(n, segs[len(segs)-1]); err != nil {
			return err
		}
		if n < r.from.segment {
			continue
		}
		if err := r.segment(n); err != nil {
			return err
		}
	}
	return nil
}

// readMark learns how far the index is. One that is new begins with its copy.
func (e *Engine) readMark() error {
	read := func() error {
		return e.get(e.db, []byte{kindMark}, func(b []byte) (err error) {
			e.mark, err = decodeMark(b)
			return err
		})
	}
	base, berr := e.baseLSN()
	e.keeper.base.Store(base)
	if berr != nil {
		e.log.Error("the index's copy cannot be read: the next collection makes it anew", "err", berr)
		e.keeper.rebase.Store(true)
	}
	err := read()
	if err == nil && berr == nil && base > e.mark.lsn {
		gap, gerr := e.logGap(e.mark.segment)
		if gerr != nil {
			return gerr
		}
		if gap {
			if err := e.dropIndex(); err != nil {
				return err
			}
			e.mark, err = mark{}, read()
		}
	}
	if err == engine.ErrNotFound && berr == nil && base > 0 {
		e.log.Warn("making the index anew from its copy and the log", "copy", base)
		e.rebuilt = true
		if err = e.loadBase(); err == nil {
			err = read()
		}
		if err == nil {
			err = e.fs.RemoveAll(e.path(asideName))
		}
	}
	if err == engine.ErrNotFound {
		err = nil
		if whole, lerr := e.logFromBegin(); !whole || lerr != nil {
			err = errors.Join(berr, lerr)
		}
	}
	return err
}

// logGap tells whether segments from n on are missing: those of a standby are
// removed also when its index, which nobody kept up to date, does not have them.
func (e *Engine) logGap(n uint32) (bool, error) {
	segs, err := e.segments()
	if err != nil || len(segs) == 0 || segs[len(segs)-1] < n {
		return false, err
	}
	i, ok := slices.BinarySearch(segs, n)
	return !ok || int(segs[len(segs)-1]-n) != len(segs)-1-i, nil
}

// countSegment adds a segment to the gauges.
func (e *Engine) countSegment(n, last uint32) error {
	st, err := e.fs.Stat(e.segmentName(n))
	if err != nil {
		return err
	}
	e.segmentCount.Add(1)
	if n != last {
		e.sealedBytes.Add(uint64(st.Size()))
	}
	return nil
}

// damaged is the error for a log that lost acknowledged commits.
func damaged(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &mail.Error{Kind: mail.Corrupt, Op: "local.Open", Err: fmt.Errorf("%w: %w", engine.ErrCorrupt, err),
		Text: "the store's log is damaged: " + err.Error() + ". Restore the files in log/ from a backup; do not delete any"}
}

// segment replays the frames of segment n that the index does not have.
func (r *recovery) segment(n uint32) (err error) {
	f, err := r.e.fs.OpenReadWrite(r.e.segmentName(n), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	s, err := newScanner(f, n, r.e.store)
	if err != nil {
		return err
	}
	s.old = r.e.opt.mutate.acceptOld
	if r.following {
		r.live = f
	}
	r.off = 0
	if n == r.from.segment {
		r.off = int64(r.from.offset)
	}
	if r.off > s.size {
		return damaged("segment %d has %d bytes, the index has seen %d", n, s.size, r.off)
	}
	for synced := false; ; synced = true {
		h, ok, err := r.frame(s)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if !synced && r.live == nil { // after a crash of the process only, frames may be in the page cache alone
			if err := f.SyncData(); err != nil {
				return err
			}
		}
		meta, _, err := s.meta(h, r.off)
		if err != nil {
			return err
		}
		if err := r.add(h, meta); err != nil {
			return err
		}
		r.next = h.lsn + 1
		r.off += int64(alignUp(h.frameLen))
		r.e.replayed++
	}
	if err := r.send(); err != nil {
		return err
	}
	if r.tail, err = s.tail(r.off, r.next); err != nil {
		return damaged("%w", err)
	}
	return nil
}

// frame decides whether a good frame, the next in sequence, begins at r.off.
func (r *recovery) frame(s *scanner) (h header, ok bool, err error) {
	h, ok, err = s.header(r.off)
	if err != nil || !ok {
		return h, false, err
	}
	if h.lsn != r.next && !r.e.opt.mutate.acceptLSN && !r.e.opt.mutate.acceptOld {
		if h.lsn > r.next {
			return h, false, damaged("segment %d at %d: frame %d follows, but frame %d is missing", s.segment, r.off, h.lsn, r.next)
		}
		return h, false, nil
	}
	if r.e.opt.mutate.acceptCRC {
		return h, true, nil
	}
	if ok, err = s.sound(h, r.off); ok || err != nil {
		return h, ok, err
	}
	ok, err = r.wasDurable(s, h)
	return h, ok, err
}

// wasDurable tells of a segment's last frame, whose bytes are not all right, that
// nothing but blobs are damaged: the frame after it, in the next segment, says that it
// was synced. Blobs are verified whenever they are read.
func (r *recovery) wasDurable(s *scanner, h header) (bool, error) {
	if _, ok, err := s.meta(h, r.off); err != nil || !ok {
		return false, err
	}
	i, _ := slices.BinarySearch(r.segs, s.segment)
	if i+1 >= len(r.segs) {
		return false, nil
	}
	after, ok, err := r.e.firstFrame(r.segs[i+1])
	return ok && after.durable >= h.lsn, err
}

// openActive opens the segment for new frames: the last one, where its good frames
// end, or a new one. At most one frame begins there that was not synced. Its header
// goes first, durably: no later write can complete that frame.
func (r *recovery) openActive(segs []uint32) error {
	e := r.e
	e.writer = &writer{e: e}
	e.ballast.log.Store(e.hasReserve())
	last := uint32(0)
	if len(segs) > 0 {
		last = segs[len(segs)-1]
	}
	var err error
	switch {
	case last > 0 && !r.tail.other && r.off < e.opt.SegmentSize:
		if err = e.writer.begin(last, uint64(r.off)); err == nil && r.tail.torn {
			err = e.writer.wipe()
		}
	case last > 0 && r.off == 0: // torn in its first frame: nothing of it counts
		err = e.writer.create(last)
	default:
		err = e.writer.create(last + 1)
		e.segmentCount.Add(1)
		if last > 0 {
			e.sealedBytes.Add(uint64(r.off))
		}
	}
	if isNoSpace(err) && e.ballast.log.Load() {
		e.writer.segment = last
		err = e.writer.useReserve()
	} else if isNoSpace(err) && last > 0 { // the tail stays as it is, like before a reserve
		if err = e.writer.create(last + 1); err == nil {
			e.segmentCount.Add(1)
			e.sealedBytes.Add(uint64(r.off))
		}
	}
	if err != nil {
		return fmt.Errorf("local: opening the active segment: %w", err)
	}
	e.end.Store(&position{e.mark.lsn, e.writer.segment, e.writer.off})
	return nil
}

func (e *Engine) hasReserve() bool {
	_, err := e.fs.Stat(e.path("log", spareName))
	return err == nil
}

// logFromBegin tells whether the log has all frames from the first one on.
func (e *Engine) logFromBegin() (bool, error) {
	segs, err := e.segments()
	if err != nil || len(segs) == 0 {
		return err == nil, err
	}
	f, err := e.fs.Open(e.segmentName(segs[0]))
	if err != nil {
		return false, err
	}
	whole := len(segs) == 1 // its first frame may be torn: then nothing was committed
	s, err := newScanner(f, segs[0], e.store)
	if err == nil {
		var h header
		var ok bool
		if h, ok, err = s.header(0); ok {
			whole = h.lsn == 1
		}
	}
	return whole && err == nil, errors.Join(err, f.Close())
}
