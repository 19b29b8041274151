package admin

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"posthouse/mail"
)

// S3Scheme begins the place of backups in an object store: s3://bucket/path.
const S3Scheme = "s3://"

// BackupCreate is the input of backup.create.
type BackupCreate struct {
	Dir string `json:"dir"` // absolute, as server and caller have different working directories, or s3://bucket/path
}

// Backup is one backup, and the output of backup.create.
type Backup struct {
	V        int       `json:"v"`
	Name     string    `json:"name"`
	At       time.Time `json:"at"`
	Position uint64    `json:"position"` // of the last commit in it
	Files    int       `json:"files"`
	Bytes    int64     `json:"bytes"`
	NewFiles int       `json:"newFiles"` // that earlier backups did not have
	NewBytes int64     `json:"newBytes"`
}

// backupCreate backs the whole store up, all that was acknowledged so far, while
// everything goes on.
func backupCreate(ctx context.Context, s *System, in BackupCreate) (Backup, error) {
	if strings.HasPrefix(in.Dir, S3Scheme) {
		if s.Backup != nil {
			return s.Backup(ctx, in.Dir)
		}
	} else if !filepath.IsAbs(in.Dir) {
		return Backup{}, refuse(mail.Invalid, "backup.create", "%q is no absolute path", in.Dir)
	}
	if s.Backup == nil {
		return Backup{}, refuse(mail.Invalid, "backup.create", "this store is backed up with the tools of its database")
	}
	return s.Backup(ctx, filepath.Clean(in.Dir))
}
