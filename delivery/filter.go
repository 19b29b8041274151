package delivery

import (
	"bytes"
	"io"

	"posthouse/mailauth/authres"
)

// blindFields are the fields that no recipient may see, RFC 5322 §3.6.3 and
// §3.6.6, in lower case.
var blindFields = []string{"bcc", "resent-bcc"}

// A fieldFilter takes fields out of the header section of a message as it streams
// by: those named in drop, and Authentication-Results that claim to be ours (RFC 8601
// §5). All other bytes pass unchanged.
type fieldFilter struct {
	w      io.Writer
	drop   []string
	server string // our authserv-id, lower case; "" leaves those fields

	body     bool   // the header section has ended
	midLine  bool   // within a line whose fate is known
	dropping bool   // the present field is dropped
	weighing bool   // within Authentication-Results: hold is the field so far
	hold     []byte // what has come of a line or field whose fate is not known
}

// maxHold is more than the longest name in drop with its colon.
const maxHold = 32

// maxResults is the longest Authentication-Results that is looked at; a longer one
// says nothing that anybody would read, and is dropped.
const maxResults = 64 << 10

// Write passes p on without the dropped fields, what stays together in one piece. It
// reports all of p as written.
func (f *fieldFilter) Write(p []byte) (int, error) {
	n, from := len(p), 0 // p[from:at] stays and is not passed on yet
	at := 0
	for at < n && !f.body {
		m, stays, err := f.line(p[at:])
		if err == nil && !stays {
			err = f.pass(p[from:at])
			from = at + m
		}
		if err != nil {
			return 0, err
		}
		at += m
	}
	if err := f.pass(p[from:]); err != nil {
		return 0, err
	}
	return n, nil
}

// Flush passes on what is held back at the end of the message.
func (f *fieldFilter) Flush() error {
	if len(f.hold) == 0 {
		return nil
	}
	if f.weighing {
		return f.weigh()
	}
	_, err := f.w.Write(f.hold)
	f.hold = nil
	return err
}

// line takes one line of the header section, or the part of it that is there, and
// returns its length, and whether it stays. What it writes itself was held back from an
// earlier Write, or is a field that was weighed, of which no line stays: nothing before it
// is still to be passed on.
func (f *fieldFilter) line(p []byte) (n int, stays bool, err error) {
	end := bytes.IndexByte(p, '\n') + 1
	part := p
	if end > 0 {
		part = p[:end]
	}
	n = len(part)
	if f.weighing {
		if f.midLine || part[0] == ' ' || part[0] == '\t' {
			f.keep(part)
			f.midLine = end == 0
			return n, false, nil
		}
		if err := f.weigh(); err != nil {
			return 0, false, err
		}
	}
	if !f.midLine {
		if !f.decide(part, end > 0) {
			f.hold = append(f.hold, part...)
			return n, false, nil
		}
		if f.weighing {
			f.keep(part)
			f.midLine = end == 0
			return n, false, nil
		}
		if !f.dropping {
			err = f.pass(f.hold)
		}
		f.hold = f.hold[:0]
	}
	f.midLine = end == 0
	return n, !f.dropping, err
}

func (f *fieldFilter) pass(b []byte) error {
	if len(b) == 0 {
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
	name := bytes.TrimRight(b[:max(0, colon)], " \t")
	f.dropping = f.drops(name)
	f.weighing = f.server != "" && bytes.EqualFold(name, []byte("Authentication-Results"))
	return true
}

// keep adds to the field that is weighed, but not without end.
func (f *fieldFilter) keep(part []byte) {
	if len(f.hold) <= maxResults {
		f.hold = append(f.hold, part...)
	}
}

// weigh passes on a whole Authentication-Results field, unless it claims to be ours
// or cannot be understood.
func (f *fieldFilter) weigh() error {
	_, value, _ := bytes.Cut(f.hold, []byte{':'})
	server, err := authres.Server(value)
	f.weighing = false
	if ours := err != nil || server == f.server || len(f.hold) > maxResults; !ours {
		err = f.pass(f.hold)
	} else {
		err = nil
	}
	f.hold = f.hold[:0]
	return err
}

func (f *fieldFilter) drops(name []byte) bool {
	for _, d := range f.drop {
		if bytes.EqualFold(name, []byte(d)) {
			return true
		}
	}
	return false
}
