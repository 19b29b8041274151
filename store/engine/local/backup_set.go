package local

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A backup directory holds several backups. The files of all of them lie in
// files/, each content once, named by its SHA-256; a backup is a manifest that
// lists them. docs/format.md describes it byte by byte.
const (
	backupFormat  = "posthouse backups 1\n"
	backupFirst   = "posthouse backup 1"
	backupExt     = ".backup"
	backupTime    = "20060102T150405Z"
	maxManifest   = 1 << 30 // bytes
	manifestSumAt = "end "
)

// A BackupInfo is one backup.
type BackupInfo struct {
	Name  string // as in 20261123T105500Z
	Store string // the store's id
	// Position is the last commit in it, At when it was begun: all that was
	// acknowledged before is there.
	Position uint64
	At       time.Time
	// Until is when its last commit had been made for sure; zero in old backups.
	Until time.Time
	Files int
	Bytes int64
	// New counts what this backup did not share with those before; known only to
	// the one who made it.
	NewFiles int
	NewBytes int64
}

// A backupFile is one of a backup.
type backupFile struct {
	sum   [32]byte
	size  int64
	mtime int64 // of the original, in ns; 0: it was still growing
	path  string
}

type manifest struct {
	info  BackupInfo
	files []backupFile
}

// A backupSet is an open backup directory.
type backupSet struct {
	fs   vfs.FS
	dir  string
	lock interface{ Close() error }
}

func backupError(k mail.Kind, format string, args ...any) error {
	return &mail.Error{Kind: k, Op: "backup", Text: fmt.Sprintf(format, args...)}
}

// makeSet opens a backup directory for a backup, and makes one of a directory
// that is empty or not there.
func makeSet(fsys vfs.FS, dir string) (*backupSet, error) {
	if err := makeDir(fsys, dir); err != nil {
		return nil, err
	}
	s := &backupSet{fs: fsys, dir: dir}
	if _, err := fsys.Stat(s.path("FORMAT")); errors.Is(err, errNotExist) {
		if err := s.create(); err != nil {
			return nil, err
		}
	}
	return openSet(fsys, dir, true)
}

// openSet opens a backup directory, with a lock if it is to be changed.
func openSet(fsys vfs.FS, dir string, change bool) (*backupSet, error) {
	s := &backupSet{fs: fsys, dir: dir}
	format, err := readFile(fsys, s.path("FORMAT"))
	switch {
	case errors.Is(err, errNotExist):
		return nil, backupError(mail.NotFound, "%s holds no backups", dir)
	case err != nil:
		return nil, err
	case string(format) != backupFormat:
		return nil, backupError(mail.Invalid, "%s is no backup directory of this version", dir)
	}
	if change {
		if s.lock, err = fsys.Lock(s.path("LOCK")); err != nil {
			return nil, backupError(mail.Unavailable, "%s is in use by another backup", dir)
		}
	}
	return s, nil
}

func (s *backupSet) create() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n != "files" && n != "FORMAT.tmp" && n != "LOCK" {
			return backupError(mail.Invalid, "%s has %s but no backups: name an empty directory", s.dir, n)
		}
	}
	if err := makeDir(s.fs, s.path("files")); err != nil {
		return err
	}
	return writeFile(s.fs, s.dir, "FORMAT", []byte(backupFormat))
}

func (s *backupSet) close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

func (s *backupSet) path(elem ...string) string {
	return s.fs.PathJoin(append([]string{s.dir}, elem...)...)
}

// object is where a content lies.
func (s *backupSet) object(sum [32]byte) string {
	name := hex.EncodeToString(sum[:])
	return s.path("files", name[:2], name)
}

// names returns the backups, the oldest first.
func (s *backupSet) names() ([]string, error) {
	all, err := s.fs.List(s.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range all {
		if n, ok := strings.CutSuffix(n, backupExt); ok {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

// pick returns the manifest of a backup; name "" is the newest.
func (s *backupSet) pick(name string) (*manifest, error) {
	if name == "" {
		names, err := s.names()
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, backupError(mail.NotFound, "%s holds no backups", s.dir)
		}
		name = names[len(names)-1]
	}
	return s.manifest(name)
}

func (s *backupSet) manifest(name string) (*manifest, error) {
	b, err := readWhole(s.fs, s.path(name+backupExt), maxManifest)
	if errors.Is(err, errNotExist) {
		return nil, backupError(mail.NotFound, "%s has no backup %s", s.dir, name)
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(b)
	if err == nil && m.info.Name != name {
		err = fmt.Errorf("it says it is %s: %w", m.info.Name, engine.ErrCorrupt)
	}
	if err != nil {
		return nil, &mail.Error{Kind: mail.Corrupt, Op: "backup", Text: "the manifest of backup " + name + " is damaged", Err: err}
	}
	return m, nil
}

// save writes the manifest, which makes the backup be there. All its files are
// durable by then.
func (s *backupSet) save(m *manifest) error {
	return writeFile(s.fs, s.dir, m.info.Name+backupExt, appendManifest(nil, m))
}

func appendManifest(b []byte, m *manifest) []byte {
	b = fmt.Appendf(b, "%s\nname %s\nstore %s\nposition %d\nat %s\n", backupFirst, m.info.Name, m.info.Store, m.info.Position,
		m.info.At.UTC().Format(time.RFC3339Nano))
	if !m.info.Until.IsZero() {
		b = fmt.Appendf(b, "until %s\n", m.info.Until.UTC().Format(time.RFC3339Nano))
	}
	for _, f := range m.files {
		b = fmt.Appendf(b, "file %x %d %d %s\n", f.sum, f.size, f.mtime, f.path)
	}
	return fmt.Appendf(b, "%s%08x\n", manifestSumAt, checksum(b))
}

func parseManifest(b []byte) (*manifest, error) {
	bad := func(what string) error { return fmt.Errorf("%s: %w", what, engine.ErrCorrupt) }
	end := bytes.LastIndex(b, []byte("\n"+manifestSumAt)) + 1
	if end <= 0 || string(b[end:]) != fmt.Sprintf("%s%08x\n", manifestSumAt, checksum(b[:end])) {
		return nil, bad("checksum")
	}
	m := &manifest{}
	lines := strings.Split(strings.TrimSuffix(string(b[:end]), "\n"), "\n")
	if len(lines) < 5 || lines[0] != backupFirst {
		return nil, bad("first line")
	}
	var err error
	for _, f := range []struct {
		at   int
		key  string
		take func(v string)
	}{
		{1, "name ", func(v string) { m.info.Name = v }},
		{2, "store ", func(v string) { m.info.Store = v }},
		{3, "position ", func(v string) { m.info.Position, err = strconv.ParseUint(v, 10, 64) }},
		{4, "at ", func(v string) { m.info.At, err = time.Parse(time.RFC3339Nano, v) }},
	} {
		v, ok := strings.CutPrefix(lines[f.at], f.key)
		if f.take(v); !ok || err != nil {
			return nil, bad(f.key)
		}
	}
	rest := lines[5:]
	if len(rest) > 0 && strings.HasPrefix(rest[0], "until ") {
		if m.info.Until, err = time.Parse(time.RFC3339Nano, rest[0][len("until "):]); err != nil {
			return nil, bad("until")
		}
		rest = rest[1:]
	}
	for _, line := range rest {
		f, ok := parseBackupFile(line)
		if !ok {
			return nil, bad(line)
		}
		m.files = append(m.files, f)
		m.info.Files++
		m.info.Bytes += f.size
	}
	return m, nil
}

func parseBackupFile(line string) (f backupFile, ok bool) {
	part := strings.Split(line, " ")
	if len(part) != 5 || part[0] != "file" || len(part[1]) != 64 {
		return f, false
	}
	_, e1 := hex.Decode(f.sum[:], []byte(part[1]))
	var e2, e3 error
	f.size, e2 = strconv.ParseInt(part[2], 10, 64)
	f.mtime, e3 = strconv.ParseInt(part[3], 10, 64)
	f.path = part[4]
	for _, p := range strings.Split(f.path, "/") {
		if p == "" || p == "." || p == ".." {
			return f, false
		}
	}
	return f, e1 == nil && e2 == nil && e3 == nil && f.size >= 0
}
