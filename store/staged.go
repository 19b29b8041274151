package store

import (
	"context"
	"io"
	"sync"
	"time"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/store/engine"
)

// stagedMemory is the size up to which a message is kept in memory until its
// commit. Larger ones go to the engine as they arrive.
const stagedMemory = 1 << 20

// Staged takes the bytes of one message as they arrive and parses them in the
// same pass. Small messages stay in memory, large ones go to the engine. It is
// for one goroutine.
type Staged struct {
	ctx    context.Context
	store  *Store
	parser message.Parser
	buf    []byte
	large  engine.Staged
	stored engine.BlobID // once a commit adopted large
	next   *engine.Blob  // handed out for a commit
	group  *group        // the update that it was handed out for last
	size   int64
	parsed *parsed
	err    error
	closed bool

	found parsed      // what parsed points to
	first engine.Blob // what next points to first
}

// parsed is what the records of a message are made of.
type parsed struct {
	message    *message.Message
	envelope   []byte
	structure  []byte
	table      []byte
	fields     []byte
	preview    string
	sent       time.Time
	attachment bool
	references []uint64
}

var stagedBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

// Stage starts the reception of one message: write its bytes to the result as
// they arrive. Close it in every case.
func (s *Store) Stage(ctx context.Context) (*Staged, error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap("Stage", err)
	}
	m := &Staged{ctx: ctx, store: s, buf: (*stagedBuffers.Get().(*[]byte))[:0]}
	m.parser.Begin(s.opts.Message)
	return m, nil
}

// Write takes the next bytes; TooLarge past Limits.MessageBytes.
func (s *Staged) Write(p []byte) (int, error) {
	switch {
	case s.err != nil:
		return 0, s.err
	case s.closed || s.parsed != nil:
		return 0, fail(mail.Internal, "Staged.Write", "written after its end")
	case s.size+int64(len(p)) > s.store.limits.MessageBytes:
		s.err = fail(mail.TooLarge, "Staged.Write", "message too large")
		return 0, s.err
	}
	if s.large == nil && s.size+int64(len(p)) > stagedMemory {
		if s.err = s.spill(); s.err != nil {
			return 0, s.err
		}
	}
	s.parser.Write(p)
	s.size += int64(len(p))
	if s.large == nil {
		s.buf = append(s.buf, p...)
		return len(p), nil
	}
	n, err := s.large.Write(p)
	s.err = wrap("Staged.Write", err)
	return n, s.err
}

// spill moves what is in memory to the engine.
func (s *Staged) spill() error {
	l, err := s.store.eng.Stage(s.ctx)
	if err != nil {
		return wrap("Staged.Write", err)
	}
	s.large = l
	_, err = l.Write(s.buf)
	s.release()
	return wrap("Staged.Write", err)
}

func (s *Staged) release() {
	if b := s.buf; b != nil && cap(b) <= stagedMemory {
		b = b[:0]
		stagedBuffers.Put(&b)
	}
	s.buf = nil
}

// Finish ends the message and makes large bytes durable. After it, the Staged can
// be appended, to any number of accounts and mailboxes.
func (s *Staged) Finish() error {
	if s.err != nil || s.parsed != nil {
		return s.err
	}
	if s.closed {
		return fail(mail.Internal, "Staged.Finish", "finished after Close")
	}
	if s.large != nil {
		if err := s.large.Sync(); err != nil {
			s.err = wrap("Staged.Finish", err)
			return s.err
		}
	}
	m := s.parser.Close()
	s.parser = message.Parser{}
	buf := m.AppendEnvelope(make([]byte, 0, 896)) // all four of most messages
	structure := len(buf)
	buf = m.AppendBodyStructure(buf)
	table := len(buf)
	buf = m.AppendTable(buf)
	fields := len(buf)
	p := &s.found
	*p = parsed{message: m, envelope: buf[:structure:structure], structure: buf[structure:table:table],
		table: buf[table:fields:fields], preview: m.Preview(), attachment: m.HasAttachment(), references: references(m)}
	if raw := m.Header.Raw(); int64(len(raw)) == m.Parts[0].BodyStart { // all of it
		p.fields = message.AppendFields(buf, raw, p.envelope)[fields:]
	}
	if t, ok := m.Date(); ok {
		p.sent = t
	}
	s.parsed = p
	return nil
}

// Size is the number of bytes written.
func (s *Staged) Size() int64 { return s.size }

// Message is what the parser found; valid after Finish.
func (s *Staged) Message() *message.Message {
	if s.parsed == nil {
		return nil
	}
	return s.parsed.message
}

// ReadAt reads back what was written.
func (s *Staged) ReadAt(p []byte, off int64) (int, error) {
	if s.large != nil {
		return s.large.ReadAt(p, off)
	}
	if off < 0 || off >= int64(len(s.buf)) {
		return 0, io.EOF
	}
	n := copy(p, s.buf[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Blob returns the source of the bytes for the next commit: a batch that is given
// to [Store.Update] as an extra shares them with the mailboxes by it. It is valid
// for that one update.
func (s *Staged) Blob() *engine.Blob {
	if s.next != nil && s.next.ID == 0 {
		return s.next // not committed yet
	}
	if s.next != nil && s.large != nil {
		s.stored = s.next.ID
	}
	if s.next == nil {
		s.next = &s.first
	} else {
		s.next = new(engine.Blob)
	}
	switch {
	case s.stored != 0:
		s.next.ID = s.stored
	case s.large != nil:
		s.next.Staged = s.large
	default:
		s.next.Bytes = s.buf
	}
	return s.next
}

// Close drops what was not appended. It may be called at any time and twice.
func (s *Staged) Close() error {
	if s.closed {
		return nil
	}
	s.closed, s.group = true, nil
	s.release()
	if s.large != nil {
		return wrap("Staged.Close", s.large.Close())
	}
	return nil
}
