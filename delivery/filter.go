package delivery

import (
	"bytes"
	"io"
)

// blindFields are the fields that no recipient may see, RFC 5322 §3.6.3 and
// §3.6.6, in lower case.
var blindFields = []string{"bcc", "resent-bcc"}

// A fieldFilter takes fields out of the header section of a message as it streams
// by. All other bytes pass unchanged.
type fieldFilter struct {
	w    io.Writer
	drop []string

	body     bool   // the header section has ended
	midLine  bool   // within a line whose fate is known
	dropping bool   // the present field is dropped
	hold     []byte // the beginning of a line whose fate is not known
}

// maxHold is more than the longest name in drop with its colon.
const maxHold = 32

// Write passes p on without the dropped fields. It reports all of p as written.
func (f *fieldFilter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !f.body {
		var err error
		if p, err = f.line(p); err != nil {
			return 0, err
		}
	}
	if len(p) > 0 {
		if _, err := f.w.Write(p); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// Flush passes on what is held back at the end of the message.
func (f *fieldFilter) Flush() error {
	if len(f.hold) == 0 {
		return nil
	}
	_, err := f.w.Write(f.hold)
	f.hold = nil
	return err
}

// line takes one line of the header section, or the part of it that is there, and
// returns the rest of p.
func (f *fieldFilter) line(p []byte) ([]byte, error) {
	end := bytes.IndexByte(p, '\n') + 1
	part := p
	if end > 0 {
		part = p[:end]
	}
	rest := p[len(part):]
	if !f.midLine {
		if !f.decide(part, end > 0) {
			f.hold = append(f.hold, part...)
			return rest, nil
		}
		if err := f.pass(f.hold); err != nil {
			return nil, err
		}
		f.hold = f.hold[:0]
	}
	f.midLine = end == 0
	return rest, f.pass(part)
}

func (f *fieldFilter) pass(b []byte) error {
	if f.dropping || len(b) == 0 {
		return nil
	}
	_, err := f.w.Write(b)
	return err
}

// decide looks at the beginning of a line, f.hold and part, and reports whether
// its fate is now known.
func (f *fieldFilter) decide(part []byte, whole bool) bool {
	var room [2 * maxHold]byte
	b := append(append(room[:0], f.hold...), part[:min(len(part), maxHold)]...)
	switch {
	case b[0] == ' ' || b[0] == '\t':
		return true // goes with the line before it
	case b[0] == '\n' || len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		f.body, f.dropping = true, false
		return true
	}
	colon := bytes.IndexByte(b, ':')
	if colon < 0 && !whole && len(b) < maxHold {
		return false
	}
	f.dropping = colon > 0 && f.drops(bytes.TrimRight(b[:colon], " \t"))
	return true
}

func (f *fieldFilter) drops(name []byte) bool {
	for _, d := range f.drop {
		if bytes.EqualFold(name, []byte(d)) {
			return true
		}
	}
	return false
}
