package store

import (
	"io"

	"posthouse/store/engine"
)

// A Body reads the bytes of one message; every read is verified.
type Body interface {
	ReadAt(p []byte, off int64) (int, error)
	Size() int64
	Close() error
}

// A body is header lines followed by a blob.
type body struct {
	prefix []byte
	r      engine.BlobReader
}

func (b *body) Size() int64  { return int64(len(b.prefix)) + b.r.Size() }
func (b *body) Close() error { return b.r.Close() }

func (b *body) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, io.EOF
	}
	if off < int64(len(b.prefix)) {
		n = copy(p, b.prefix[off:])
		if n == len(p) {
			return n, nil
		}
	}
	m, err := b.r.ReadAt(p[n:], off+int64(n)-int64(len(b.prefix)))
	return n + m, err
}
