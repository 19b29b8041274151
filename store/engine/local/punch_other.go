//go:build !linux

package local

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func punchFile(vfs.File, int64, int64) error { return errors.ErrUnsupported }

func wholeFile(vfs.FileInfo) bool { return false }

func ownFile(vfs.FileInfo) bool { return false }
