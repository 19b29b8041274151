package local

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
)

// A Puller makes a directory, and keeps it, a copy of a standby that lies
// elsewhere, as in a bucket: with that copy it can be followed and promoted.
type Puller struct {
	s     *shipper
	from  Place
	pulls int
}

// pruneEvery is after how many pulls the copy is looked at for what it can do without.
const pruneEvery = 300

// NewPuller returns what copies the standby from to the directory dir of fsys.
func NewPuller(fsys vfs.FS, dir string, from Place) *Puller {
	from.FS = orDisk(from.FS)
	p := &Puller{s: &shipper{fs: orDisk(fsys), dir: dir}, from: from}
	p.s.moved.L = &p.s.mu
	return p
}

// Pull takes over all that is there now. What fails may be tried again.
func (p *Puller) Pull(ctx context.Context) (Moment, error) {
	s := p.s
	src, err := openLog(p.from.FS, p.from.Dir)
	if err == nil {
		s.e = src
		err = p.pull(ctx)
	}
	if err != nil {
		s.disconnect()
		s.open = false
	}
	s.claim.unlock()
	return Moment{s.at.lsn, s.moment.at}, err
}

func (p *Puller) pull(ctx context.Context) error {
	s := p.s
	if err := s.claim.lock(s); err != nil {
		return err
	}
	if err := s.promoted(); err != nil {
		return err
	}
	err := p.more(ctx)
	if errors.Is(err, errTooOld) { // who follows lets go of a directory without FORMAT
		s.disconnect()
		s.open = false
		if err := s.fs.Remove(s.fs.PathJoin(s.dir, "FORMAT")); err != nil {
			return err
		}
		err = p.more(ctx)
	}
	if err == nil {
		if p.pulls++; p.pulls%pruneEvery == 0 {
			err = p.prune()
		}
	}
	return err
}

// more takes what is new, or everything if there is nothing yet.
func (p *Puller) more(ctx context.Context) error {
	s := p.s
	if s.open {
		return s.extend(ctx)
	}
	if _, err := s.fs.Stat(s.fs.PathJoin(s.dir, "FORMAT")); errors.Is(err, errNotExist) {
		if err := p.everything(ctx); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	err := s.take(ctx)
	s.open = err == nil
	return err
}

// everything copies all files. The standby loses some meanwhile: only if the copy
// of its index is the same at the end, the log goes on from that.
func (p *Puller) everything(ctx context.Context) error {
	s := p.s
	if err := makeDir(s.fs, s.dir); err != nil {
		return err
	}
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	if _, serr := s.fs.Stat(s.fs.PathJoin(s.dir, shippedName)); serr != nil {
		for _, n := range names {
			if n != "LOCK" && !strings.HasPrefix(n, sourceName) && !strings.HasPrefix(n, claimName) {
				return s.refuse("it is not empty")
			}
		}
	}
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := writeFile(s.fs, s.dir, shippedName, []byte(modeAsync)); err != nil {
		return err
	}
	for _, d := range []string{"log", "big", "cold"} {
		if err := makeDir(s.fs, s.fs.PathJoin(s.dir, d)); err != nil {
			return err
		}
	}
	for range 3 {
		base, err := s.e.baseLSN()
		if err == nil {
			err = p.files(ctx)
		}
		if err != nil {
			return err
		}
		now, err := s.e.baseLSN()
		if err != nil {
			return err
		}
		if now == base {
			return s.copy(s.e.path("FORMAT"), s.fs.PathJoin(s.dir, "FORMAT"), -1)
		}
	}
	return fmt.Errorf("local: %s loses files faster than they are copied", s.e.dir)
}

func (p *Puller) files(ctx context.Context) error {
	s := p.s
	if err := s.fs.RemoveAll(s.fs.PathJoin(s.dir, "kv")); err != nil {
		return err
	}
	if err := s.copy(s.e.path(baseName), s.fs.PathJoin(s.dir, baseName), -1); err != nil && !errors.Is(err, errNotExist) {
		return err
	}
	segs, err := s.e.segments()
	if err != nil {
		return err
	}
	theirs := &Engine{fs: s.fs, dir: s.dir}
	have, err := theirs.segments()
	if err != nil {
		return err
	}
	for _, n := range segs {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := s.e.segmentName(n)
		if len(have) > 0 && n < have[len(have)-1] { // that one may have been cut off
			err = s.beside(name)
		} else {
			err = s.copy(name, s.target(name), -1)
		}
		if err != nil && !errors.Is(err, errNotExist) {
			return err
		}
	}
	return p.besides(ctx)
}

// besides copies the cold and large-blob files.
func (p *Puller) besides(ctx context.Context) error {
	s := p.s
	dirs := []string{"cold"}
	names, err := listDir(s.e.fs, s.e.path("big"))
	for _, n := range names {
		dirs = append(dirs, "big/"+n)
	}
	for _, d := range dirs {
		if err == nil {
			names, err = listDir(s.e.fs, s.e.path(d))
		}
		for _, n := range names {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil && !strings.HasSuffix(n, ".tmp") {
				if err = s.beside(s.e.path(d, n)); errors.Is(err, errNotExist) {
					err = nil // given up meanwhile
				}
			}
		}
	}
	return err
}

// listDir is List, and of what is not there: nothing.
func listDir(fsys vfs.FS, dir string) ([]string, error) {
	names, err := fsys.List(dir)
	if errors.Is(err, errNotExist) {
		return nil, nil
	}
	return names, err
}

// prune removes what the standby has given up, as [shipper.prune].
func (p *Puller) prune() error {
	s := p.s
	theirs := &Engine{fs: s.fs, dir: s.dir, store: s.e.store}
	base, err := s.e.baseLSN()
	if err != nil {
		return err
	}
	have, err := theirs.baseLSN()
	if err == nil && have >= base {
		return nil
	}
	names, _, err := s.unneeded()
	if err != nil {
		return err
	}
	if err := s.copy(s.e.path(baseName), s.fs.PathJoin(s.dir, baseName), -1); err != nil {
		return err
	}
	if s.e, err = openLog(p.from.FS, p.from.Dir); err != nil {
		return err
	}
	if err := s.extend(context.Background()); err != nil {
		return err
	}
	if now, err := theirs.baseLSN(); err != nil || now > s.at.lsn {
		return errors.Join(err, errors.New("local: the log ends before the index's copy"))
	}
	return s.removeUnneeded(names)
}

// PromoteFrom makes the directory dir of fsys, a copy by [Puller], a store that
// may be opened, after all that the standby from has; that is promoted too, so
// that nobody acknowledges any more what is shipped there.
func PromoteFrom(ctx context.Context, fsys vfs.FS, dir string, from Place) (whole bool, err error) {
	whole, err = Promote(from.FS, from.Dir)
	if err != nil {
		return false, err
	}
	p := NewPuller(fsys, dir, from)
	if _, err = p.Pull(ctx); err != nil {
		return false, fmt.Errorf("local: the standby is promoted, but what it has cannot be copied; promote again: %w", err)
	}
	p.s.disconnect()
	_, err = Promote(fsys, dir)
	return whole, err
}

// sourceName is a file that names the place which a copy is of.
const sourceName = "SOURCE"

// SetSource notes in a copy by [Puller] what it is a copy of.
func SetSource(fsys vfs.FS, dir, source string) error {
	fsys = orDisk(fsys)
	if err := makeDir(fsys, dir); err != nil {
		return err
	}
	return writeFile(fsys, dir, sourceName, []byte(source+"\n"))
}

// Source returns what SetSource noted, or "".
func Source(fsys vfs.FS, dir string) (string, error) {
	fsys = orDisk(fsys)
	b, err := readFile(fsys, fsys.PathJoin(dir, sourceName))
	if errors.Is(err, errNotExist) {
		return "", nil
	}
	if err == nil && (len(b) == 0 || b[len(b)-1] != '\n') {
		err = &mail.Error{Kind: mail.Corrupt, Op: "local.Source", Text: dir + ": the file " + sourceName + " is damaged"}
	}
	return strings.TrimSuffix(string(b), "\n"), err
}
