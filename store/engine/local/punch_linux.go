package local

import (
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// punchFile gives a part of a file back to the file system: fallocate(2) with
// FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE.
func punchFile(f vfs.File, off, n int64) error {
	fd := f.Fd()
	if fd == vfs.InvalidFd {
		return syscall.ENOTSUP
	}
	return syscall.Fallocate(int(fd), 0x01|0x02, off, n)
}

// wholeFile tells whether a file has no holes.
func wholeFile(st vfs.FileInfo) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && s.Blocks*512 >= st.Size()
}

// ownFile tells whether a file has no other name.
func ownFile(st vfs.FileInfo) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && s.Nlink == 1
}
