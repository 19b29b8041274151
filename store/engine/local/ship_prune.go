package local

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A pruning knows what was looked at last.
type pruning struct {
	removals uint64        // of the store, when the follower's files were compared with it
	next     time.Duration // since the engine's begin: not before
	again    bool          // some files were too young
}

// prune removes what the store has given up from the follower too, some time
// after. A segment has commits besides blobs, so the index's copy goes there first,
// from which and the rest of the log the index can be made anew; and what the
// commits say that gave the files up must be there before.
func (s *shipper) prune() error {
	removals, now := s.e.keeper.removals.Load(), s.e.space.since()
	if !s.open || removals == s.spare.removals && !s.spare.again || now < s.spare.next {
		return nil
	}
	s.spare.next = now + s.e.opt.pruneWait
	names, young, err := s.unneeded()
	if err != nil {
		return err
	}
	if err := s.shipBase(); err != nil {
		return err
	}
	if err := s.removeUnneeded(names); err != nil {
		return err
	}
	s.spare.removals, s.spare.again = removals, young
	return nil
}

// unneeded returns the follower's files that the store has no more; young: there
// are more, to be kept for a while.
func (s *shipper) unneeded() (names []string, young bool, err error) {
	lists := map[string]map[string]bool{} // of the store's directories, made after the follower's was
	keep := func(dir, name string) error {
		to := s.fs.PathJoin(s.dir, dir, name)
		ours, ok := lists[dir]
		if !ok {
			list, err := listDir(s.e.fs, s.e.path(dir))
			if err != nil {
				return err
			}
			ours = make(map[string]bool, len(list))
			for _, n := range list {
				ours[n] = true
			}
			lists[dir] = ours
		}
		if ours[name] {
			return nil
		}
		st, err := s.fs.Stat(to)
		switch {
		case err != nil:
			return err
		case s.e.opt.ShipKeep > 0 && s.e.opt.Now().Sub(st.ModTime()) < s.e.opt.ShipKeep:
			young = true
		default:
			names = append(names, to)
		}
		return nil
	}
	theirs := &Engine{fs: s.fs, dir: s.dir}
	segs, err := theirs.segments()
	for _, n := range segs {
		if err == nil && n < s.at.segment {
			err = keep("log", s.fs.PathBase(theirs.segmentName(n)))
		}
	}
	if err != nil {
		return nil, false, err
	}
	err = s.eachTheirs("cold", func(name string) error {
		if coldNumber(name) == 0 {
			return nil
		}
		return keep("cold", name)
	})
	if err != nil {
		return nil, false, err
	}
	err = s.eachTheirs("big", func(dir string) error {
		return s.eachTheirs("big/"+dir, func(name string) error {
			if _, err := strconv.ParseUint(name, 16, 64); err != nil {
				return nil
			}
			return keep("big/"+dir, name)
		})
	})
	return names, young, err
}

func (s *shipper) eachTheirs(dir string, f func(name string) error) error {
	names, err := s.fs.List(s.fs.PathJoin(s.dir, dir))
	for _, n := range names {
		if err == nil {
			err = f(n)
		}
	}
	return err
}

// shipBase gives the follower the index's copy, if it has an older one, and all
// commits that are in it.
func (s *shipper) shipBase() error {
	fsys := s.fs
	theirs := &Engine{fs: fsys, dir: s.dir, store: s.e.store}
	tmp := fsys.PathJoin(s.dir, baseName+".tmp")
	have, err := theirs.baseLSN()
	newer := err != nil || have < s.e.keeper.base.Load()
	if o := remote(fsys); o != nil {
		return s.putBase(o, newer)
	}
	if newer {
		f, cp := backupFile{mtime: 1}, copier{context.Background(), s.e.fs, fsys, s.buffer()}
		if err := cp.copySum(s.e.path(baseName), tmp, &f); err != nil {
			return err
		}
	}
	// What the store is by now, so that all that is in the copy is in their log, and
	// the commits that gave the files up.
	if err := s.catchUp(); err != nil {
		return err
	}
	if newer {
		if err := fsys.Rename(tmp, fsys.PathJoin(s.dir, baseName)); err != nil {
			return err
		}
	}
	return syncDir(fsys, s.dir)
}

// putBase is shipBase to a bucket: what is opened is not what replaces it.
func (s *shipper) putBase(o *objectFS, newer bool) (err error) {
	if !newer {
		return s.catchUp()
	}
	f, err := s.e.fs.Open(s.e.path(baseName), vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := s.catchUp(); err != nil {
		return err
	}
	return o.c.Upload(o.ctx, objectKey(s.dir)+"/"+baseName, f, st.Size())
}

func (s *shipper) removeUnneeded(names []string) error {
	fsys := s.fs
	dirs := map[string]struct{}{}
	for _, name := range names {
		if err := fsys.Remove(name); err != nil && !errors.Is(err, errNotExist) {
			return err
		}
		dirs[fsys.PathDir(name)] = struct{}{}
	}
	for dir := range dirs {
		if err := syncDir(fsys, dir); err != nil {
			return err
		}
	}
	return nil
}
