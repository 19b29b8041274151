package local

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/internal/s3/s3test"
	"posthouse/mail"
)

// TestBackupS3 backs a store up to an S3 bucket that fails now and then, twice,
// verifies, damages, restores and prunes there.
func TestBackupS3(t *testing.T) {
	bucket := s3test.New(t)
	var n atomic.Int64
	bucket.Fail = func(*http.Request) int {
		if n.Add(1)%7 == 0 {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	remote, dir := S3(t.Context(), &bucket.Client), "/posthouse/backups"
	disk := newDisk(t)
	opt := shipOptions(disk)
	opt.Ship = ""
	s := newSpaceTest(t, opt, 100)
	first, err := s.e.BackupTo(t.Context(), remote, dir, backupAt(0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		s.put(1, fmt.Sprint("more", i), prose(uint64(i), 5000))
	}
	second, err := s.e.BackupTo(t.Context(), remote, dir, backupAt(1))
	if err != nil {
		t.Fatal(err)
	}
	if second.NewBytes >= second.Bytes || first.NewBytes == 0 {
		t.Errorf("%+v, then %+v", first, second)
	}
	list, damaged, err := Backups(remote, dir)
	if err != nil || len(damaged) > 0 || len(list) != 2 || list[1].Position != second.Position {
		t.Fatalf("%+v, %q, %v", list, damaged, err)
	}
	wantWhole(t, remote, dir)
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreBackup(t.Context(), remote, dir, "", disk, restoreDir); err != nil {
		t.Fatal(err)
	}
	opt.Dir = restoreDir
	s.e = mustOpen(t, opt)
	s.verify()
	if gone, freed, err := PruneBackups(t.Context(), remote, dir, 1); err != nil || len(gone) != 1 || freed == 0 {
		t.Errorf("pruned %q, %d bytes, %v", gone, freed, err)
	}
	wantWhole(t, remote, dir)
	for key := range bucket.Objects() {
		if strings.Contains(key, "/files/") {
			bucket.Edit(key, func(b []byte) { b[len(b)/2] ^= 1 })
			break
		}
	}
	found := 0
	if err := VerifyBackups(t.Context(), remote, dir, "", func(string) { found++ }); err != nil || found == 0 {
		t.Errorf("damage is not found: %v", err)
	}
	if _, err := RestoreBackup(t.Context(), remote, dir, "", disk, "/srv/again"); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("damage is restored: %v", err)
	}
}

func wantWhole(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	if err := VerifyBackups(t.Context(), fs, dir, "", func(p string) { t.Error(p) }); err != nil {
		t.Error(err)
	}
}
