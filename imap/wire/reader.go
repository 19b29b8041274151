package wire

import (
	"bytes"
	"io"
	"sync"
)

// startSize is what a read buffer begins with: most commands and most batches of
// pipelined commands fit.
const startSize = 8 << 10

// keepSize is the buffer for long literals.
const keepSize = 64 << 10

// tailSize holds the end of any line that can announce a literal.
const tailSize = 32

var (
	buffers = sync.Pool{New: func() any { b := make([]byte, startSize); return &b }}
	large   = sync.Pool{New: func() any { b := make([]byte, keepSize); return &b }}
)

// A Reader reads lines and literals from a connection. It holds a buffer only
// while there are bytes in it or a read is under way.
type Reader struct {
	src io.Reader
	// flush is called before every read that may wait: what was said must reach
	// the peer before we listen. This is what makes one write of a batch of replies.
	flush func() error

	buf        *[]byte // nil while idle
	start, end int     // unread bytes in buf
	tail       []byte  // the end of a line that was too long
	in         int64   // bytes read in all
}

// NewReader returns a Reader of src; flush may be nil.
func NewReader(src io.Reader, flush func() error) *Reader {
	return &Reader{src: src, flush: flush}
}

// Reset makes r read from another source, dropping what was buffered: after
// STARTTLS nothing that came in the clear may be used (RFC 9051 §6.2.1).
func (r *Reader) Reset(src io.Reader) {
	r.src, r.start, r.end = src, 0, 0
	r.Release()
}

// Buffered is the number of bytes that can be read without waiting.
func (r *Reader) Buffered() int { return r.end - r.start }

// Bytes is the number of bytes that were read from the connection.
func (r *Reader) Bytes() int64 { return r.in }

// Release gives the buffer back if it is empty.
func (r *Reader) Release() {
	if r.buf == nil || r.start < r.end {
		return
	}
	r.swap(nil)
	r.tail = nil
}

// swap replaces the buffer, which must be empty.
func (r *Reader) swap(b *[]byte) {
	if r.buf != nil {
		switch len(*r.buf) {
		case startSize:
			buffers.Put(r.buf)
		case keepSize:
			large.Put(r.buf)
		}
	}
	r.buf, r.start, r.end = b, 0, 0
}

// fill reads more bytes behind those in the buffer, making room up to limit.
func (r *Reader) fill(limit int) error {
	if r.flush != nil {
		if err := r.flush(); err != nil {
			return err
		}
	}
	if r.buf == nil {
		return r.first()
	}
	if r.start > 0 {
		r.end = copy(*r.buf, (*r.buf)[r.start:r.end])
		r.start = 0
	}
	if r.end == len(*r.buf) {
		bigger := make([]byte, min(2*len(*r.buf), max(limit, len(*r.buf)+1)))
		copy(bigger, (*r.buf)[:r.end])
		*r.buf = bigger
	}
	for range 100 {
		n, err := r.src.Read((*r.buf)[r.end:])
		r.end += n
		r.in += int64(n)
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// A LazyReader can wait for bytes without a buffer: it reads into what alloc
// returns, and calls free before it waits.
type LazyReader interface {
	ReadLazily(alloc func() []byte, free func()) (int, error)
}

// first reads into a buffer that is taken when there is something to read.
func (r *Reader) first() error {
	lazy, ok := r.src.(LazyReader)
	if !ok {
		r.buf = buffers.Get().(*[]byte)
		return r.fill(startSize)
	}
	n, err := lazy.ReadLazily(r.alloc, r.Release)
	r.end += n
	r.in += int64(n)
	if n > 0 {
		return nil
	}
	r.Release()
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (r *Reader) alloc() []byte {
	if r.buf == nil {
		r.buf = buffers.Get().(*[]byte)
	}
	return *r.buf
}

// Line returns the next line without its end, which is CRLF, or LF alone as
// people at a terminal send it. The bytes are valid until the next call. A line
// of more than max bytes gives its first bytes and ErrLineTooLong.
func (r *Reader) Line(max, flood int) ([]byte, error) {
	r.tail = nil
	seen := 0
	for {
		if i := r.newline(seen); i >= 0 {
			line := (*r.buf)[r.start : r.start+i]
			r.start += i + 1
			if len(line) > 0 && line[len(line)-1] == '\r' {
				line = line[:len(line)-1]
			}
			if len(line) > max {
				r.tail = line[len(line)-min(tailSize, len(line)):]
				return line[:max], ErrLineTooLong
			}
			return line, nil
		}
		if seen = r.Buffered(); seen > max+1 {
			return r.skipLine(max, flood)
		}
		if err := r.fill(max + 2); err != nil {
			return nil, err
		}
	}
}

func (r *Reader) newline(from int) int {
	if r.buf == nil {
		return -1
	}
	if i := bytes.IndexByte((*r.buf)[r.start+from:r.end], '\n'); i >= 0 {
		return from + i
	}
	return -1
}

// skipLine drops the rest of a line whose first bytes are in the buffer, keeping
// its end, which may announce a literal.
func (r *Reader) skipLine(max, flood int) ([]byte, error) {
	head := bytes.Clone((*r.buf)[r.start:min(r.end, r.start+min(max, 256))])
	total := r.Buffered()
	for {
		if i := r.newline(0); i >= 0 {
			line := bytes.TrimSuffix((*r.buf)[r.start:r.start+i], []byte("\r"))
			r.tail = line[len(line)-min(tailSize, len(line)):]
			r.start += i + 1
			return head, ErrLineTooLong
		}
		if total > flood {
			return head, ErrFlood
		}
		r.start = r.end - min(tailSize, r.Buffered())
		before := r.Buffered()
		if err := r.fill(startSize); err != nil {
			return nil, err
		}
		total += r.Buffered() - before
	}
}

// HasLine reports whether a whole line can be read without waiting.
func (r *Reader) HasLine() bool { return r.newline(0) >= 0 }

// Read reads raw bytes: those of a literal.
func (r *Reader) Read(p []byte) (int, error) {
	if r.Buffered() > 0 {
		n := copy(p, (*r.buf)[r.start:r.end])
		r.start += n
		return n, nil
	}
	if len(p) >= startSize { // straight into the caller's memory
		if r.flush != nil {
			if err := r.flush(); err != nil {
				return 0, err
			}
		}
		n, err := r.src.Read(p)
		r.in += int64(n)
		return n, err
	}
	if err := r.fill(startSize); err != nil {
		return 0, err
	}
	return r.Read(p)
}

// Next returns up to n buffered bytes, waiting only if there are none. They are
// valid until the next call.
func (r *Reader) Next(n int) ([]byte, error) {
	if r.Buffered() == 0 {
		if n > startSize && (r.buf == nil || len(*r.buf) < keepSize) {
			r.swap(large.Get().(*[]byte))
		}
		if err := r.fill(keepSize); err != nil {
			return nil, err
		}
	}
	p := (*r.buf)[r.start:min(r.end, r.start+n)]
	r.start += len(p)
	return p, nil
}

// Discard reads and drops n bytes.
func (r *Reader) Discard(n int64) error {
	for n > 0 {
		p, err := r.Next(int(min(n, keepSize)))
		if err != nil {
			return err
		}
		n -= int64(len(p))
	}
	return nil
}

// Wait waits until there is something to read, without a buffer if the source is a
// LazyReader.
func (r *Reader) Wait() error {
	if r.Buffered() > 0 {
		return nil
	}
	r.Release()
	return r.fill(startSize)
}
