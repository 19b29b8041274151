package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"posthouse/store/engine"
)

// A blob is stored bytes and the number of keys that own them.
type blob struct {
	data   []byte
	owners int
}

func (e *Engine) blob(id engine.BlobID) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.blobs[id]; b != nil {
		return b.data, nil
	}
	return nil, fmt.Errorf("mem: blob %x: %w", uint64(id), engine.ErrNotFound)
}

// OpenBlob implements engine.Engine.
func (e *Engine) OpenBlob(ctx context.Context, id engine.BlobID) (engine.BlobReader, error) {
	data, err := e.blob(id)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return blobReader{bytes.NewReader(data)}, nil
}

// ReadBlob implements engine.Engine.
func (e *Engine) ReadBlob(ctx context.Context, dst []byte, id engine.BlobID) ([]byte, error) {
	data, err := e.blob(id)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return dst, err
	}
	return append(dst, data...), nil
}

// ReadBlobs implements engine.Engine.
func (e *Engine) ReadBlobs(ctx context.Context, ids []engine.BlobID, f func(i int, b []byte, err error) bool) error {
	for i, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := e.blob(id)
		if !f(i, data, err) {
			break
		}
	}
	return nil
}

type blobReader struct{ *bytes.Reader }

func (blobReader) Close() error { return nil }

// disownLocked notes that a key that owned id is gone.
func (e *Engine) disownLocked(id engine.BlobID) {
	if b := e.blobs[id]; b != nil {
		if b.owners--; b.owners == 0 {
			e.dead = append(e.dead, id)
		}
	}
}

// reclaimLocked forgets blobs without an owner, unless a Reader may still lead to them.
func (e *Engine) reclaimLocked() {
	if e.readers > 0 {
		return
	}
	for _, id := range e.dead {
		if b := e.blobs[id]; b != nil && b.owners == 0 {
			e.forgetLocked(id)
		}
	}
	e.dead = e.dead[:0]
}

// A staged holds the bytes of a large blob until a commit adopts them.
type staged struct {
	e      *Engine
	mu     sync.Mutex
	data   []byte
	id     engine.BlobID // once adopted
	closed bool
}

// Stage implements engine.Engine.
func (e *Engine) Stage(ctx context.Context) (engine.Staged, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &staged{e: e}, nil
}

func (s *staged) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.id != 0 {
		return 0, fmt.Errorf("mem: write to a staged blob after adoption or Close: %w", engine.ErrNotFound)
	}
	s.data = append(s.data, p...)
	return len(p), nil
}

func (s *staged) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.data))
}

func (s *staged) Sync() error { return nil }

func (s *staged) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off < 0 || off > int64(len(s.data)) {
		return 0, io.EOF
	}
	n := copy(p, s.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *staged) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
