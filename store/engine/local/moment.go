package local

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
)

// A moment is up to when frames are taken.
type moment struct {
	until time.Time // zero: all of them
	at    time.Time // of the last frame that had a time
	over  bool      // a frame was of a later time
}

// errLater ends a log at a moment.
var errLater = errors.New("local: the frame is of a later time")

// see notes when a frame was made. A frame without a time is of the one before.
func (m *moment) see(meta []byte) error {
	return eachChange(meta, func(c change) error {
		if c.kind != metaSet || len(c.key) != 1 || c.key[0] != kindTime || len(c.val) != 8 {
			return nil
		}
		t := time.Unix(0, int64(binary.BigEndian.Uint64(c.val)))
		if !m.until.IsZero() && t.After(m.until) {
			m.over = true
			return errLater
		}
		m.at = t
		return nil
	})
}

// A Moment is the end of a log.
type Moment struct {
	Position uint64    // of the last commit
	At       time.Time // when that was made, to a tenth of a second; zero: not known
}

// Extend takes the store in target, restored from a backup and opened by nobody,
// on to what it was at a later time, the zero time for the latest, by the log of
// the same store in from: that of a standby, or of a server that is lost. If
// from has no longer all that target needs, it fails with mail.NotFound.
func Extend(ctx context.Context, fsys vfs.FS, target string, from Place, until time.Time) (Moment, error) {
	fsys = orDisk(fsys)
	src, err := openLog(orDisk(from.FS), from.Dir)
	if err != nil {
		return Moment{}, err
	}
	s := &shipper{e: src, fs: fsys, dir: target, moment: moment{until: until}}
	s.moved.L = &s.mu
	defer s.disconnect()
	err = s.take(ctx)
	return Moment{s.at.lsn, s.moment.at}, err
}

// take finds the end of the target's log and appends what the source has more.
func (s *shipper) take(ctx context.Context) error {
	fsys, target, src := s.fs, s.dir, s.e
	format, err := readFile(fsys, fsys.PathJoin(target, "FORMAT"))
	if err != nil {
		return err
	}
	theirs := &Engine{fs: fsys, dir: target}
	if err := theirs.parseFormat(string(format)); err != nil {
		return err
	}
	if theirs.store != src.store {
		return &mail.Error{Kind: mail.Invalid, Op: "local.Extend", Text: src.dir + " has the log of another store"}
	}
	err = s.resume()
	if err == nil {
		err = s.extend(ctx)
	}
	if errors.Is(err, errTooOld) {
		err = &mail.Error{Kind: mail.NotFound, Op: "local.Extend", Text: src.dir + " has lost commits that this backup needs: name a newer backup", Err: err}
	}
	return err
}

// openLog returns a store that is there only to read its log.
func openLog(fsys vfs.FS, dir string) (*Engine, error) {
	e := &Engine{fs: fsys, dir: dir, log: slog.New(slog.DiscardHandler)}
	format, err := readFile(fsys, e.path("FORMAT"))
	if errors.Is(err, errNotExist) {
		return nil, &mail.Error{Kind: mail.NotFound, Op: "local.Extend", Text: dir + " is no store", Err: err}
	}
	if err == nil {
		err = e.parseFormat(string(format))
	}
	if err != nil {
		return nil, err
	}
	segs, err := e.segments()
	if err != nil {
		return nil, err
	}
	end := position{lsn: maxLSN}
	if len(segs) > 0 {
		end.segment = segs[len(segs)-1]
	}
	e.end.Store(&end)
	return e, nil
}

// extend ships until the log or the moment ends.
func (s *shipper) extend(ctx context.Context) error {
	end := *s.e.end.Load()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.segment(end); err != nil && !errors.Is(err, errNotExist) { // which was given up, after all of it
			return err
		}
		next, err := s.nextSegment(end)
		if s.over || errors.Is(err, errTooOld) { // this was the last one
			return nil
		}
		if err != nil {
			return err
		}
		h, ok, err := s.e.firstFrame(next)
		if errors.Is(err, errNotExist) && next == end.segment { // some buckets list what is just being put
			return nil
		}
		if err != nil {
			return err
		}
		if ok && h.lsn > s.at.lsn+1 {
			return errTooOld
		}
		if s.f != nil {
			if err := s.f.Close(); err != nil {
				return err
			}
		}
		s.f, s.at.segment, s.at.off = nil, next, 0
	}
}

// firstFrame returns the header that segment n begins with, if it is sound.
func (e *Engine) firstFrame(n uint32) (h header, ok bool, err error) {
	f, err := e.fs.Open(e.segmentName(n))
	if err != nil {
		return h, false, err
	}
	sc, err := newScanner(f, n, e.store)
	if err == nil {
		h, ok, err = sc.header(0)
	}
	return h, ok, errors.Join(err, f.Close())
}

// A Standby is what can be told of a standby from outside.
type Standby struct {
	Complete    bool // it could be promoted
	Promoted    bool
	Synchronous bool // the server waits for it: nothing acknowledged is missing
	Moment           // of its last commit
	Bytes       int64
}

// StandbyStatus looks at the standby in dir, while a server ships to it.
func StandbyStatus(fsys vfs.FS, dir string) (st Standby, err error) {
	fsys = orDisk(fsys)
	mode, err := readFile(fsys, fsys.PathJoin(dir, shippedName))
	if errors.Is(err, errNotExist) {
		return st, &mail.Error{Kind: mail.NotFound, Op: "local.StandbyStatus", Text: dir + " is no standby"}
	}
	if err != nil {
		return st, err
	}
	st.Synchronous = string(mode) == modeSync
	_, err = fsys.Stat(fsys.PathJoin(dir, promotedName))
	st.Promoted = err == nil
	e, err := openLog(fsys, dir)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return st, nil // the first copy is under way
	}
	if err != nil {
		return st, err
	}
	st.Complete = true
	if st.Bytes, err = sizeOf(fsys, dir); err != nil {
		return st, err
	}
	st.Moment, err = e.lastMoment()
	return st, err
}

// lastMoment returns the end of the log.
func (e *Engine) lastMoment() (m Moment, err error) {
	segs, err := e.segments()
	s := &shipper{e: e}
	for i := len(segs) - 1; err == nil && i >= 0 && (m.Position == 0 || m.At.IsZero()); i-- {
		var at position
		if at, _, err = s.scanTo(e, segs[i]); err != nil {
			break
		}
		m.Position = max(m.Position, at.lsn)
		m.At, err = e.lastTime(segs[i], at.lsn)
	}
	return m, err
}

// lastTime returns when the last frame up to lsn in segment n that has a time was
// made, or the zero time.
func (e *Engine) lastTime(n uint32, lsn uint64) (time.Time, error) {
	var m moment
	f, err := e.fs.Open(e.segmentName(n))
	if err != nil {
		return m.at, err
	}
	sc, err := newScanner(f, n, e.store)
	begin := int64(0)
	if o, ok := f.(*objectFile); ok {
		begin = o.last()
	}
	for off := begin; err == nil; {
		h, ok, herr := sc.header(off)
		if herr != nil || !ok || h.lsn > lsn {
			err = herr
			break
		}
		meta, ok, merr := sc.meta(h, off)
		if err = merr; err == nil && ok {
			err = m.see(meta)
		}
		off += int64(alignUp(h.frameLen))
	}
	return m.at, errors.Join(err, f.Close())
}

// sizeOf returns the bytes of all files below a directory. Files come and go meanwhile.
func sizeOf(fsys vfs.FS, dir string) (n int64, err error) {
	if o := remote(fsys); o != nil {
		return o.sizeOf(dir)
	}
	names, err := fsys.List(dir)
	for _, name := range names {
		path := fsys.PathJoin(dir, name)
		st, serr := fsys.Stat(path)
		if errors.Is(serr, errNotExist) {
			continue
		}
		if serr != nil {
			return n, serr
		}
		if st.IsDir() {
			below, err := sizeOf(fsys, path)
			if n += below; err != nil && !errors.Is(err, errNotExist) {
				return n, err
			}
			continue
		}
		n += st.Size()
	}
	return n, err
}

// BackupAt returns the name of the newest backup in dir of which no commit is
// later than at, or mail.NotFound.
func BackupAt(fsys vfs.FS, dir string, at time.Time) (string, error) {
	list, _, err := Backups(fsys, dir)
	name := ""
	for _, b := range list {
		until := b.Until
		if until.IsZero() {
			until = b.At
		}
		if !until.After(at) {
			name = b.Name
		}
	}
	if err == nil && name == "" {
		err = backupError(mail.NotFound, "%s has no backup from before %s", dir, at.Format(time.RFC3339))
	}
	return name, err
}
