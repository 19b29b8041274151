package server

import (
	"os"
	"path/filepath"
	"testing"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/internal/s3/s3test"
)

// TestBackupToS3 goes the way of the command line: create, list, verify, restore
// and prune in a bucket.
func TestBackupToS3(t *testing.T) {
	bucket := s3test.New(t)
	c := config.Default()
	c.Hostname, c.Data = "mx.home.test", filepath.Join(t.TempDir(), "data")
	c.S3 = config.S3{Endpoint: bucket.Client.Endpoint, Region: bucket.Client.Region, Key: bucket.Client.Key, SecretFile: filepath.Join(t.TempDir(), "secret")}
	if err := os.WriteFile(c.S3.SecretFile, []byte(bucket.Client.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStopped(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	const dir = "s3://mail/posthouse/a"
	var made [2]admin.Backup
	for i := range made {
		if err := s.System.Local().Call(t.Context(), "backup.create", admin.BackupCreate{Dir: dir}, &made[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if list, damaged, err := Backups(t.Context(), c, dir); err != nil || len(list) != 2 || len(damaged) != 0 || list[1].Name != made[1].Name {
		t.Fatalf("%+v, %q, %v", list, damaged, err)
	}
	for _, path := range []string{dir, dir + "/" + made[0].Name} {
		if err := VerifyBackups(t.Context(), c, path, func(p string) { t.Errorf("%s: %s", path, p) }); err != nil {
			t.Error(err)
		}
	}
	to := c
	to.Data = filepath.Join(t.TempDir(), "restored")
	got, err := Restore(t.Context(), to, Source{Backup: dir + "/" + made[0].Name})
	if err != nil || got.Backup.Name != made[0].Name {
		t.Fatalf("%+v, %v", got, err)
	}
	if s, err = OpenStopped(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if gone, _, err := PruneBackups(t.Context(), c, dir, 1); err != nil || len(gone) != 1 {
		t.Errorf("pruned %q, %v", gone, err)
	}
	c.S3.Endpoint = ""
	if _, _, err := Backups(t.Context(), c, dir); err == nil {
		t.Error("a bucket without an endpoint is read")
	}
}
