package local

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// A staged takes a blob's bytes: up to LargeBlob in memory, more in a file.
type staged struct {
	e      *Engine
	mu     sync.Mutex
	buf    []byte   // all bytes, while there is no file
	f      vfs.File // all bytes, once there are many
	number uint64   // of the file
	size   int64
	crcs   []uint32 // of the file's blocks, the last of which may not be full
	sealed int64    // the size at which the file was synced with its trailer; -1: never
	sum    uint32   // checksum in that trailer
	err    error    // of a failed write or sync: final

	claimed bool          // a commit is under way with it
	id      engine.BlobID // once adopted
	closed  bool
	keep    bool // a commit that may be on disk names the file
}

var errStagedGone = fmt.Errorf("local: the staged blob is closed: %w", engine.ErrNotFound)

// Stage implements engine.Engine.
func (e *Engine) Stage(ctx context.Context) (engine.Staged, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.failed(); err != nil {
		return nil, err
	}
	if e.space.full(e) {
		return nil, errFull()
	}
	return &staged{e: e, sealed: -1}, nil
}

// stageBytes stages a large blob that came as bytes, durably.
func (e *Engine) stageBytes(ctx context.Context, b []byte) (*staged, error) {
	st, err := e.Stage(ctx)
	if err != nil {
		return nil, err
	}
	s := st.(*staged)
	if _, err = s.Write(b); err == nil {
		err = s.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *staged) Write(p []byte) (int, error) {
	if err := s.e.gate.enter(); err != nil {
		return 0, err
	}
	defer s.e.gate.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.claimed || s.id != 0 {
		return 0, errStagedGone
	}
	if s.err != nil {
		return 0, s.err
	}
	if s.f == nil && s.size+int64(len(p)) <= s.e.opt.LargeBlob {
		s.buf = append(s.buf, p...)
		s.size += int64(len(p))
		return len(p), nil
	}
	if s.f == nil {
		if s.err = s.spillLocked(); s.err != nil {
			return 0, s.err
		}
	}
	if s.e.space.full(s.e) {
		s.err = errFull()
		return 0, s.err
	}
	if s.err = s.writeLocked(p); s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// spillLocked moves the bytes from memory to a file.
func (s *staged) spillLocked() error {
	f, number, err := s.e.createLarge()
	if err != nil {
		return stagedError(err)
	}
	s.f, s.number = f, number
	buf := s.buf
	s.buf, s.size = nil, 0
	return s.writeLocked(buf)
}

func (s *staged) writeLocked(p []byte) error {
	n, err := s.f.WriteAt(p, s.size)
	s.e.written.Add(uint64(n))
	if err != nil {
		return stagedError(err)
	}
	for rest := p; len(rest) > 0; {
		in := int(s.size % largeBlock)
		if in == 0 {
			s.crcs = append(s.crcs, 0)
		}
		n := min(len(rest), largeBlock-in)
		last := &s.crcs[len(s.crcs)-1]
		*last = crc32.Update(*last, castagnoli, rest[:n])
		s.size += int64(n)
		rest = rest[n:]
	}
	return nil
}

// stagedError gives an error of a large-blob file its kind. It does not stop
// the engine: nothing relies on the file yet.
func stagedError(err error) error {
	kind := engine.ErrUnavailable
	if isNoSpace(err) {
		kind = engine.ErrFull
	}
	return fmt.Errorf("local: large blob: %w: %w", kind, err)
}

func (s *staged) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Sync writes the file's trailer and makes file and name durable.
func (s *staged) Sync() error {
	if err := s.e.gate.enter(); err != nil {
		return err
	}
	defer s.e.gate.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errStagedGone
	}
	return s.syncLocked()
}

func (s *staged) syncLocked() error {
	if s.err != nil || s.f == nil || s.sealed == s.size {
		return s.err
	}
	trailer, sum := appendTrailer(nil, s.crcs, s.size)
	n, err := s.f.WriteAt(trailer, s.size)
	s.e.written.Add(uint64(n))
	if err == nil {
		err = s.f.Sync()
	}
	if err == nil {
		err = syncDir(s.e.fs, s.e.largeDir(s.number))
	}
	s.e.syncs.Add(2)
	if err != nil {
		s.err = stagedError(err)
		return s.err
	}
	s.sealed, s.sum = s.size, sum
	return nil
}

func (s *staged) ReadAt(p []byte, off int64) (int, error) {
	if err := s.e.gate.enter(); err != nil {
		return 0, err
	}
	defer s.e.gate.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil && s.closed {
		return 0, errStagedGone
	}
	if off < 0 || off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.size-off))
	var err error
	if s.f == nil {
		copy(p[:n], s.buf[off:])
	} else {
		n, err = s.f.ReadAt(p[:n], off)
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// claim takes the bytes for a commit, durable if they are in a file, or returns
// the id under which an earlier commit stored them.
func (s *staged) claim(n *newBlob) (engine.BlobID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.id != 0:
		return s.id, nil
	case s.closed:
		return 0, errStagedGone
	case s.claimed:
		return 0, fmt.Errorf("local: the staged blob is in another commit: %w", engine.ErrConflict)
	}
	if err := s.syncLocked(); err != nil {
		return 0, err
	}
	s.claimed = true
	n.data, n.big, n.crc = s.buf, s.f != nil, s.sum
	return 0, nil
}

// adopt notes that a commit has stored the bytes.
func (s *staged) adopt(id engine.BlobID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed, s.id = false, id
	if s.closed {
		s.disposeLocked()
	}
}

// release gives the bytes back after a commit failed. unknown: it may be on
// disk all the same, so the file must stay; the next Open sweeps it if not.
func (s *staged) release(unknown bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed = false
	s.keep = s.keep || unknown
	if s.closed {
		s.disposeLocked()
	}
}

// Close implements engine.Staged. During a commit it takes effect at its end.
func (s *staged) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.claimed {
		return nil
	}
	return s.disposeLocked()
}

func (s *staged) disposeLocked() error {
	s.buf = nil
	if s.f == nil {
		return nil
	}
	err := s.f.Close()
	s.f = nil
	// Once the engine is closed, the number may be another one's: the next Open sweeps.
	if s.id == 0 && !s.keep && s.e.gate.enter() == nil {
		if rerr := s.e.fs.Remove(s.e.largeName(s.number)); err == nil {
			err = rerr
		}
		s.e.gate.leave()
	}
	if err != nil {
		return fmt.Errorf("local: large blob: %w", err)
	}
	return nil
}
