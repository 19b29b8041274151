package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"posthouse/mail"
)

// connect finds out what the follower has, or gives it a first copy.
func (s *shipper) connect() error {
	fsys := s.fs
	if err := s.promoted(); err != nil {
		return err
	}
	if s.claim.lost != nil {
		return s.claim.lost
	}
	format, err := readFile(fsys, fsys.PathJoin(s.dir, "FORMAT"))
	if errors.Is(err, errNotExist) {
		return s.firstCopy("log", "big", "cold", "kv")
	}
	if err != nil {
		return err
	}
	own, err := readFile(s.e.fs, s.e.path("FORMAT"))
	if err != nil {
		return err
	}
	if string(own) != string(format) {
		return s.refuse("it is the copy of another store")
	}
	if err := s.claim.take(s); err != nil {
		return err
	}
	return s.resume()
}

// rebase copies the store anew to a follower that cannot catch up. Large-blob and
// cold files that are there stay, which are most of the mail in an old store.
func (s *shipper) rebase() error {
	fsys := s.fs
	s.disconnect()
	s.open = false
	if err := s.confirm(); err != nil {
		return err
	}
	if err := s.claim.lock(s); err != nil {
		return err
	}
	if err := writeFile(fsys, s.dir, shippedName, []byte(modeAsync)); err != nil {
		return err
	}
	s.moded = false
	s.relax()
	if err := fsys.Remove(fsys.PathJoin(s.dir, "FORMAT")); err != nil {
		return err
	}
	if err := syncDir(fsys, s.dir); err != nil {
		return err
	}
	if err := s.firstCopy("log", "kv"); err != nil {
		return err
	}
	s.open = true
	return s.acknowledge()
}

// relax lets commits go on: nobody can wait for a copy of everything.
func (s *shipper) relax() {
	s.mu.Lock()
	s.strict = false
	s.mu.Unlock()
	s.moved.Broadcast()
}

// lock keeps the process away that follows: it lets go of a directory without FORMAT.
func (s *shipper) lock() (interface{ Close() error }, error) {
	l, err := s.fs.Lock(s.fs.PathJoin(s.dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("local: the standby is in use: %w", err)
	}
	return l, nil
}

// firstCopy copies the store as it is now, after it emptied the directories
// named. FORMAT comes last: without it, what is there is begun anew.
func (s *shipper) firstCopy(empty ...string) (err error) {
	fsys := s.fs
	if err := makeDir(fsys, s.dir); err != nil {
		return err
	}
	names, err := fsys.List(s.dir)
	if err != nil {
		return err
	}
	_, serr := fsys.Stat(fsys.PathJoin(s.dir, shippedName))
	names = slices.DeleteFunc(names, func(n string) bool { return n == "LOCK" || strings.HasPrefix(n, claimName) })
	if len(names) > 0 && serr != nil {
		return s.refuse("it is not empty")
	}
	if err := s.claim.take(s); err != nil {
		return err
	}
	if err := s.claim.lock(s); err != nil {
		return err
	}
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	s.relax()
	if !s.held {
		s.e.keeper.files.RLock()
		s.held = true
	}
	if err := writeFile(fsys, s.dir, shippedName, []byte(modeAsync)); err != nil {
		return err
	}
	for _, name := range append(empty, baseName) {
		if err := fsys.RemoveAll(fsys.PathJoin(s.dir, name)); err != nil {
			return err
		}
	}
	for _, d := range []string{"log", "big", "cold", "kv"} {
		if err := makeDir(fsys, fsys.PathJoin(s.dir, d)); err != nil {
			return err
		}
	}
	end, err := s.e.eachStored(context.Background(), shipIndex, func(path, name string, size int64) error {
		if strings.HasPrefix(path, "big/") || strings.HasPrefix(path, "cold/") {
			return s.beside(name)
		}
		if remote(fsys) != nil && strings.HasPrefix(path, "kv/") {
			return nil // it is made anew where it is needed
		}
		return s.copy(name, fsys.PathJoin(s.dir, path), size)
	})
	if err != nil {
		return err
	}
	s.at = end
	return s.e.fs.RemoveAll(s.e.path(shipIndex))
}

// resume finds the end of the follower's log, and whether it is a part of ours.
func (s *shipper) resume() error {
	theirs := &Engine{fs: s.fs, dir: s.dir}
	segs, err := theirs.segments()
	if err != nil {
		return err
	}
	for i := len(segs) - 1; i >= 0; i-- {
		at, last, err := s.scanTo(theirs, segs[i])
		if err != nil {
			return err
		}
		if at.lsn == 0 && i > 0 {
			continue
		}
		s.at = at
		if err := s.compare(at, last); err != nil {
			return err
		}
		// Who shipped before may have written what it did not sync.
		if err := syncDir(s.fs, theirs.path("log")); err != nil {
			return err
		}
		return s.openSegment()
	}
	return s.resumeEmpty()
}

// resumeEmpty begins a log that had no frame when it was copied.
func (s *shipper) resumeEmpty() error {
	segs, err := s.e.segments()
	if err != nil {
		return err
	}
	s.at = position{}
	if len(segs) == 0 {
		return nil
	}
	h, ok, err := s.e.firstFrame(segs[0])
	if err == nil && ok && h.lsn != 1 {
		err = fmt.Errorf("%w: it has no log, and commit 1 is no longer in ours", errTooOld)
	}
	s.at.segment = segs[0]
	return err
}

// scanTo returns the end of the follower's segment n, and its last frame.
func (s *shipper) scanTo(theirs *Engine, n uint32) (at position, last header, err error) {
	at.segment = n
	f, err := theirs.fs.Open(theirs.segmentName(n))
	if err != nil {
		return at, last, err
	}
	sc, err := newScanner(f, n, s.e.store)
	if o, ok := f.(*objectFile); ok {
		at.off = uint64(o.last())
	}
	for err == nil {
		var h header
		var ok bool
		if h, ok, err = sc.header(int64(at.off)); err != nil || !ok || at.lsn != 0 && h.lsn != at.lsn+1 {
			break
		}
		if ok, err = sc.sound(h, int64(at.off)); err != nil || !ok {
			break
		}
		last = h
		at.lsn, at.off = h.lsn, at.off+alignUp(h.frameLen)
	}
	return at, last, errors.Join(err, f.Close())
}

// compare wants the follower's last frame to be ours, but for what is durable there.
func (s *shipper) compare(at position, last header) error {
	if at.lsn == 0 {
		return nil
	}
	if at.lsn > s.e.end.Load().lsn {
		return s.refuse("it has commits that this store has lost")
	}
	f, err := s.e.fs.Open(s.e.segmentName(at.segment))
	if errors.Is(err, errNotExist) {
		return fmt.Errorf("%w: commit %d is no longer in the log", errTooOld, at.lsn)
	}
	if err != nil {
		return err
	}
	sc, err := newScanner(f, at.segment, s.e.store)
	if err == nil {
		var h header
		var ok bool
		h, ok, err = sc.header(int64(at.off - alignUp(last.frameLen)))
		h.durable = last.durable
		if err == nil && (!ok || h != last) {
			err = s.refuse("its commit %d is not that of this store", at.lsn)
		}
	}
	return errors.Join(err, f.Close())
}

// refuseShipped keeps a directory that another store ships to from being opened.
func (e *Engine) refuseShipped() error {
	if _, err := e.fs.Stat(e.path(shippedName)); err != nil {
		return nil
	}
	if _, err := e.fs.Stat(e.path(promotedName)); err == nil {
		return nil
	}
	return &mail.Error{Kind: mail.Invalid, Op: "local.Open", Text: e.dir + " is the standby of another store: posthouse standby promote makes it a store of its own"}
}
