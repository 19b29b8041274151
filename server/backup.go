package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
)

// backupOf returns what backs an engine up, or nil.
func backupOf(c config.Config, eng engine.Engine) func(ctx context.Context, dir string) (admin.Backup, error) {
	e, ok := eng.(*local.Engine)
	if !ok {
		return nil
	}
	return func(ctx context.Context, dir string) (admin.Backup, error) {
		p, err := placeOf(ctx, c, dir)
		if err != nil {
			return admin.Backup{}, err
		}
		b, err := e.BackupTo(ctx, p.FS, p.Dir, time.Now())
		return showBackup(b), err
	}
}

func showBackup(b local.BackupInfo) admin.Backup {
	return admin.Backup{V: 1, Name: b.Name, At: b.At, Position: b.Position, Files: b.Files, Bytes: b.Bytes, NewFiles: b.NewFiles, NewBytes: b.NewBytes}
}

// Backups lists the backups in a directory or s3://bucket/path, the oldest first,
// and names those whose manifest is damaged.
func Backups(ctx context.Context, c config.Config, dir string) (list []admin.Backup, damaged []string, err error) {
	p, err := placeOf(ctx, c, dir)
	if err != nil {
		return nil, nil, err
	}
	infos, damaged, err := local.Backups(p.FS, p.Dir)
	list = make([]admin.Backup, len(infos))
	for i, b := range infos {
		list[i] = showBackup(b)
	}
	return list, damaged, err
}

// VerifyBackups reads the backup at path, a backup directory for all of its
// backups or dir/name for one, and reports what is damaged.
func VerifyBackups(ctx context.Context, c config.Config, path string, report func(problem string)) error {
	p, err := placeOf(ctx, c, path)
	if err != nil {
		return err
	}
	p, name := placeAndName(p)
	return local.VerifyBackups(ctx, p.FS, p.Dir, name, report)
}

// PruneBackups removes all but the newest keep backups in dir.
func PruneBackups(ctx context.Context, c config.Config, dir string, keep int) (gone []string, freed int64, err error) {
	p, err := placeOf(ctx, c, dir)
	if err != nil {
		return nil, 0, err
	}
	return local.PruneBackups(ctx, p.FS, p.Dir, keep)
}

// placeAndName splits dir/name. A path that has a FORMAT is a directory.
func placeAndName(p local.Place) (dir local.Place, name string) {
	if local.IsBackups(p.FS, p.Dir) {
		return p, ""
	}
	up, name := filepath.Split(filepath.Clean(p.Dir))
	if dir = (local.Place{FS: p.FS, Dir: filepath.Clean(up)}); !local.IsBackups(dir.FS, dir.Dir) {
		return p, "" // its error says what is missing
	}
	return dir, strings.TrimSuffix(name, ".backup")
}

// Restored is what Restore did.
type Restored struct {
	Backup   admin.Backup `json:"backup"`
	Position uint64       `json:"position"`    // of the last commit that is there
	At       time.Time    `json:"at,omitzero"` // when that was made, if a log was used
	Accounts int          `json:"accounts"`    // with new UIDVALIDITYs
	Held     int          `json:"held"`        // messages in the queue that wait for a decision
}

// restoring is where a restore works inside of the data directory: its store is
// moved to its place when all is done, so no half restore is ever served.
const restoring = "restoring"

// A Source is what a restore is made from.
type Source struct {
	Backup string // a backup directory or s3://bucket/path, for the newest in it, or one of its backups
	// Log is the data directory of a standby, which may be s3://bucket/path, or of a
	// server that is lost: what was committed after the backup is taken from its log.
	// "": nothing.
	Log string
	// At is the moment to go back to; zero: the latest that there is. Without a
	// backup's name, the newest one from before is taken.
	At time.Time
}

// Restore makes a store from a backup, and perhaps a log, in c.Data, which must
// hold none. Clients may have seen later states: every mailbox gets a new
// UIDVALIDITY, so that they fetch anew instead of mixing old and new. What waited
// in the queue may have been sent since: it is held until an administrator decides.
func Restore(ctx context.Context, c config.Config, from Source) (Restored, error) {
	if names, err := os.ReadDir(storeDir(c)); err == nil && len(names) > 0 {
		return Restored{}, &mail.Error{Kind: mail.Exists, Op: "restore", Text: c.Data + " has mail already: restore into an empty directory"}
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return Restored{}, err
	}
	if err := becomeOwner(c); err != nil {
		return Restored{}, err
	}
	work := c
	work.Backup = config.Backup{} // not before it is in its place
	work.Data = filepath.Join(c.Data, restoring)
	if err := os.RemoveAll(work.Data); err != nil {
		return Restored{}, err
	}
	p, err := placeOf(ctx, c, from.Backup)
	if err != nil {
		return Restored{}, err
	}
	log, err := storeAt(ctx, c, from.Log)
	if err != nil {
		return Restored{}, err
	}
	out, err := from.restore(ctx, p, log, storeDir(work))
	if err == nil {
		err = out.renew(ctx, work)
	}
	if err != nil {
		return out, errors.Join(err, os.RemoveAll(work.Data))
	}
	return out, out.install(c, work)
}

// restore makes the store in dir.
func (from Source) restore(ctx context.Context, p, log local.Place, dir string) (out Restored, err error) {
	p, name := placeAndName(p)
	if name == "" && !from.At.IsZero() {
		if name, err = local.BackupAt(p.FS, p.Dir, from.At); err != nil {
			return out, err
		}
	}
	info, err := local.RestoreBackup(ctx, p.FS, p.Dir, name, nil, dir)
	out = Restored{Backup: showBackup(info), Position: info.Position}
	if err == nil && from.Log != "" {
		var end local.Moment
		end, err = local.Extend(ctx, nil, dir, log, from.At)
		out.Position, out.At = end.Position, end.At
	}
	return out, err
}

// renew makes the store fit to be served.
func (r *Restored) renew(ctx context.Context, work config.Config) error {
	s, err := OpenStopped(ctx, work)
	if err != nil {
		return err
	}
	r.Accounts, err = s.store.Renew(ctx)
	if err == nil {
		err = r.whole(ctx, s.eng)
	}
	if err == nil {
		var held admin.QueueChanged
		err = s.System.Local().Call(ctx, "queue.hold", admin.QueuePick{All: true}, &held)
		r.Held = len(held.IDs)
	}
	return errors.Join(err, s.Close())
}

// whole wants all that the log names to be there: it may be older than the log,
// of which parts may have been given up.
func (r *Restored) whole(ctx context.Context, eng engine.Engine) error {
	var first string
	err := eng.Check(ctx, false, func(problem string) {
		if first == "" {
			first = problem
		}
	})
	if err == nil && first != "" {
		err = &mail.Error{Kind: mail.Corrupt, Op: "restore", Text: "what the log names is not all there: " + first + ". Restore another moment, or a newer backup"}
	}
	return err
}

// install moves the store to its place.
func (r *Restored) install(c, work config.Config) error {
	if err := os.Remove(storeDir(c)); err != nil && !errors.Is(err, os.ErrNotExist) { // an empty one
		return err
	}
	if err := os.Rename(storeDir(work), storeDir(c)); err != nil {
		return err
	}
	d, err := os.Open(c.Data)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close(), os.RemoveAll(work.Data))
}
