package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
)

// readWhole reads a file of at most limit bytes.
func readWhole(fsys vfs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return b, errors.Join(err, f.Close())
}

// Backups lists the backups in dir, the oldest first. damaged are those whose
// manifest cannot be read.
func Backups(fsys vfs.FS, dir string) (list []BackupInfo, damaged []string, err error) {
	s, err := openSet(orDisk(fsys), dir, false)
	if err != nil {
		return nil, nil, backupFailed(err)
	}
	names, err := s.names()
	if err != nil {
		return nil, nil, backupFailed(err)
	}
	for _, n := range names {
		m, err := s.manifest(n)
		if err != nil {
			damaged = append(damaged, n)
			continue
		}
		list = append(list, m.info)
	}
	return list, damaged, nil
}

func orDisk(fsys vfs.FS) vfs.FS {
	if fsys == nil {
		return vfs.Default
	}
	return fsys
}

// VerifyBackups reads every file of the backup name in dir, or of all of them
// if name is "", compares it with its checksum and reports what is wrong.
func VerifyBackups(ctx context.Context, fsys vfs.FS, dir, name string, report func(problem string)) error {
	s, err := openSet(orDisk(fsys), dir, false)
	if err != nil {
		return backupFailed(err)
	}
	names := []string{name}
	if name == "" {
		if names, err = s.names(); err != nil {
			return backupFailed(err)
		}
	}
	seen := map[[32]byte]string{} // "": sound
	for _, n := range names {
		m, err := s.manifest(n)
		if mail.KindOf(err) == mail.NotFound && err != nil {
			return err
		}
		if err != nil {
			report(fmt.Sprintf("backup %s: %v", n, err))
			continue
		}
		for _, f := range m.files {
			fault, ok := seen[f.sum]
			if !ok {
				if fault, err = s.verify(ctx, f); err != nil {
					return backupFailed(err)
				}
				seen[f.sum] = fault
			}
			if fault != "" {
				report(fmt.Sprintf("backup %s: %s: %s", n, f.path, fault))
			}
		}
	}
	return nil
}

// verify says what is wrong with a file; "": nothing.
func (s *backupSet) verify(ctx context.Context, f backupFile) (fault string, err error) {
	file, err := s.fs.Open(s.object(f.sum), vfs.SequentialReadsOption)
	if errors.Is(err, errNotExist) {
		return "it is missing", nil
	}
	if err != nil {
		return err.Error(), nil
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	h := sha256.New()
	buf := make([]byte, copyChunk)
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := file.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err.Error(), nil
		}
	}
	if size != f.size || [32]byte(h.Sum(nil)) != f.sum {
		return "it is damaged", nil
	}
	return "", nil
}

// RestoreBackup makes the store of the backup name ("": the newest) in target,
// which must be empty or not there. Every checksum is verified. The store's
// FORMAT comes last: without it, target is no store.
func RestoreBackup(ctx context.Context, fsys vfs.FS, dir, name string, to vfs.FS, target string) (BackupInfo, error) {
	fsys, to = orDisk(fsys), orDisk(to)
	s, err := openSet(fsys, dir, false)
	if err != nil {
		return BackupInfo{}, backupFailed(err)
	}
	m, err := s.pick(name)
	if err != nil {
		return BackupInfo{}, backupFailed(err)
	}
	if names, err := to.List(target); err == nil && len(names) > 0 {
		return m.info, backupError(mail.Exists, "%s is not empty: restore into a new directory", target)
	}
	r := &restore{s: s, target: target, made: map[string]bool{}, copier: copier{ctx: ctx, from: fsys, to: to}}
	return m.info, backupFailed(r.run(m))
}

// A restore under way.
type restore struct {
	s      *backupSet
	target string
	made   map[string]bool
	copier
}

func (r *restore) run(m *manifest) error {
	fsys := r.to
	for _, d := range []string{"log", "big", "cold", "kv"} {
		if err := r.dir(fsys.PathJoin(r.target, d)); err != nil {
			return err
		}
	}
	last := slices.IndexFunc(m.files, func(f backupFile) bool { return f.path == "FORMAT" })
	if last < 0 {
		return backupError(mail.Corrupt, "backup %s has no FORMAT", m.info.Name)
	}
	for i, f := range m.files {
		if i == last {
			continue
		}
		if err := r.file(f); err != nil {
			return err
		}
	}
	for d := range r.made {
		if err := syncDir(fsys, d); err != nil {
			return err
		}
	}
	format, err := readFile(r.from, r.s.object(m.files[last].sum))
	if err != nil {
		return err
	}
	if sha256.Sum256(format) != m.files[last].sum {
		return r.damaged(m.files[last])
	}
	return writeFile(fsys, r.target, "FORMAT", format)
}

func (r *restore) dir(d string) error {
	if r.made[d] {
		return nil
	}
	r.made[d] = true
	return makeDir(r.to, d)
}

func (r *restore) file(f backupFile) error {
	to := r.to.PathJoin(r.target, f.path)
	if err := r.dir(r.to.PathDir(to)); err != nil {
		return err
	}
	if !r.s.has(f) {
		return r.damaged(f)
	}
	got := backupFile{size: f.size}
	err := r.copySum(r.s.object(f.sum), to, &got)
	if err == nil && got.sum != f.sum {
		err = r.damaged(f)
	}
	return err
}

func (r *restore) damaged(f backupFile) error {
	return backupError(mail.Corrupt, "the backup's copy of %s (files/%s) is missing or damaged: restore another backup", f.path, hex.EncodeToString(f.sum[:]))
}

// PruneBackups removes all but the newest keep backups in dir, and the files
// that only they had. It returns the names of those that went, and bytes freed.
func PruneBackups(ctx context.Context, fsys vfs.FS, dir string, keep int) (gone []string, freed int64, err error) {
	fsys = orDisk(fsys)
	if keep < 1 {
		return nil, 0, backupError(mail.Invalid, "at least one backup must be kept")
	}
	s, err := openSet(fsys, dir, true)
	if err != nil {
		return nil, 0, backupFailed(err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	names, err := s.names()
	if err != nil {
		return nil, 0, backupFailed(err)
	}
	cut := max(0, len(names)-keep)
	used := map[string]bool{}
	for _, n := range names[cut:] {
		m, err := s.manifest(n)
		if err != nil { // what it needs is not known: nothing may go
			return nil, 0, err
		}
		for _, f := range m.files {
			used[hex.EncodeToString(f.sum[:])] = true
		}
	}
	for _, n := range names[:cut] {
		if err := fsys.Remove(s.path(n + backupExt)); err != nil {
			return gone, 0, backupFailed(err)
		}
		gone = append(gone, n)
	}
	// A manifest whose files are gone must not come back.
	if err := syncDir(fsys, s.dir); err != nil {
		return gone, 0, backupFailed(err)
	}
	freed, err = s.sweep(ctx, used)
	return gone, freed, backupFailed(err)
}

// sweep removes the files that nobody uses.
func (s *backupSet) sweep(ctx context.Context, used map[string]bool) (freed int64, err error) {
	dirs, err := s.fs.List(s.path("files"))
	if err != nil {
		return 0, err
	}
	for _, d := range dirs {
		if len(d) != 2 {
			continue // new.tmp of a backup that was cut off: the next one overwrites it
		}
		names, err := s.fs.List(s.path("files", d))
		if err != nil {
			return freed, err
		}
		for _, n := range names {
			if err := ctx.Err(); err != nil {
				return freed, err
			}
			if used[n] {
				continue
			}
			name := s.path("files", d, n)
			st, err := s.fs.Stat(name)
			if err == nil {
				err = s.fs.Remove(name)
			}
			if err != nil {
				return freed, err
			}
			freed += st.Size()
		}
	}
	return freed, nil
}
