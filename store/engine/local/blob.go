package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"posthouse/store/engine"
)

func errNoBlob(id engine.BlobID) error {
	return fmt.Errorf("local: blob %x: %w", uint64(id), engine.ErrNotFound)
}

func errBadBlob(id engine.BlobID, r blobRecord) error {
	return fmt.Errorf("local: blob %x in %s %d at %d: checksum: %w", uint64(id), r.place, r.where, r.offset, engine.ErrCorrupt)
}

func (p place) String() string {
	switch p {
	case inFile:
		return "large-blob file"
	case inCold:
		return "cold file"
	}
	return "segment"
}

// blobRecord looks a blob up. The record's key is not kept.
func (e *Engine) blobRecord(id engine.BlobID) (r blobRecord, err error) {
	var buf [9]byte
	err = e.get(e.db, appendBlobKey(buf[:0], id), func(b []byte) (err error) {
		r, err = decodeBlobRecord(b)
		r.key = nil
		return err
	})
	if err == engine.ErrNotFound {
		err = errNoBlob(id)
	}
	return r, err
}

// exists tells with an error if a blob does not. Its commit was acknowledged
// before anyone could know its id, so the index has it.
func (e *Engine) exists(id engine.BlobID) error {
	_, err := e.blobRecord(id)
	return err
}

// ReadBlob implements engine.Engine.
func (e *Engine) ReadBlob(ctx context.Context, dst []byte, id engine.BlobID) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return dst, err
	}
	if err := e.gate.enter(); err != nil {
		return dst, err
	}
	defer e.gate.leave()
	return e.readBlob(dst, id)
}

// readBlob appends a blob to dst. Collection may move the blob meanwhile: what
// failed is tried again as long as its record changes.
func (e *Engine) readBlob(dst []byte, id engine.BlobID) ([]byte, error) {
	for r, err := e.blobRecord(id); ; {
		if err != nil {
			return dst, err
		}
		var rerr error
		if r.place == inFile {
			dst, rerr = e.readFile(dst, id, r)
		} else {
			dst, rerr = e.readSmall(dst, id, r)
		}
		if rerr == nil {
			return dst, nil
		}
		before := r
		if r, err = e.blobRecord(id); err == nil && r.place == before.place && r.where == before.where {
			return dst, rerr
		}
	}
}

// readSmall appends a blob of the log or of a cold file to dst.
func (e *Engine) readSmall(dst []byte, id engine.BlobID, r blobRecord) ([]byte, error) {
	if r.place == inLog {
		return e.readLog(dst, id, r)
	}
	return e.readCold(dst, id, r)
}

// readLog appends a blob of the log to dst: one read.
func (e *Engine) readLog(dst []byte, id engine.BlobID, r blobRecord) ([]byte, error) {
	old := len(dst)
	buf, err := e.readStored(dst, id, r, int(r.length))
	if err == nil && checksum(buf[old:]) != r.crc {
		return dst, errBadBlob(id, r)
	}
	return buf, err
}

// readStored appends n bytes as they are stored to dst.
func (e *Engine) readStored(dst []byte, id engine.BlobID, r blobRecord, length int) ([]byte, error) {
	s, err := e.segs.acquireFile(fileKey{r.place, r.where})
	if err != nil {
		return dst, err
	}
	defer e.segs.release(s)
	old := len(dst)
	buf := slices.Grow(dst, length)[:old+length]
	n, err := s.ReadAt(buf[old:], int64(r.offset))
	if n < length {
		if err == io.EOF {
			err = engine.ErrCorrupt
		}
		return dst, fmt.Errorf("local: blob %x in %v %d at %d: read %d of %d bytes: %w", uint64(id), r.place, r.where, r.offset, n, length, err)
	}
	return buf, nil
}

// readFile appends a large blob to dst.
func (e *Engine) readFile(dst []byte, id engine.BlobID, r blobRecord) ([]byte, error) {
	b, err := e.openLarge(id, r)
	if err != nil {
		return dst, err
	}
	old := len(dst)
	buf := slices.Grow(dst, int(r.length))[:old+int(r.length)]
	_, err = b.ReadAt(buf[old:], 0)
	if cerr := b.Close(); err == nil {
		err = cerr
	}
	if err != nil && err != io.EOF {
		return dst, err
	}
	return buf, nil
}

// OpenBlob implements engine.Engine.
func (e *Engine) OpenBlob(ctx context.Context, id engine.BlobID) (engine.BlobReader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.gate.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	r, err := e.blobRecord(id)
	if err != nil {
		return nil, err
	}
	if r.place == inFile {
		b, err := e.openLarge(id, r)
		if err == nil {
			return b, nil
		}
		if e.exists(id) != nil { // removed meanwhile
			err = errNoBlob(id)
		}
		return nil, err
	}
	b, err := e.readBlob(nil, id)
	if err != nil {
		return nil, err
	}
	return smallReader{bytes.NewReader(b)}, nil
}

// A smallReader is a blob of the log: read and verified as a whole.
type smallReader struct{ *bytes.Reader }

func (smallReader) Close() error { return nil }
