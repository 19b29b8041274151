package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"
)

// A session is an IMAP connection that reads answers as fast as they come: all it
// looks for is the end of a command.
type session struct {
	net.Conn
	p      *peer
	secure bool
	tag    string // of every command; never in mail
	buf    []byte
	held   []byte // of buf, not yet looked at

	validity, modSeq string // of INBOX when the session looked, see changed
}

// dialIMAP opens a connection and logs user i in.
func dialIMAP(p *peer, i int, secure bool) (*session, error) {
	addr := p.addrs[imapAppend]
	if secure {
		addr = p.imaps
	}
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	if secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) // of its own loopback server
	}
	s := &session{Conn: nc, p: p, secure: secure, tag: "z" + rand.Text()[:12], buf: make([]byte, 256<<10)}
	s.SetDeadline(time.Now().Add(timeout))
	for !bytes.Contains(s.held, []byte("\r\n")) { // the greeting
		n, err := s.Read(s.buf[len(s.held):])
		if err != nil {
			nc.Close()
			return nil, err
		}
		s.held = s.buf[:len(s.held)+n]
	}
	s.held = nil
	if _, err := s.do("LOGIN %s %s", p.user(i), p.password); err != nil {
		nc.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() {
	s.do("LOGOUT")
	s.Close()
}

// do sends a command and reads its answer, which must be OK. It returns how many
// bytes came.
func (s *session) do(format string, args ...any) (int64, error) {
	return s.exchange(fmt.Appendf(nil, format, args...), nil)
}

// ask is do for short answers: it returns the text.
func (s *session) ask(format string, args ...any) (string, error) {
	var text bytes.Buffer
	_, err := s.exchange(fmt.Appendf(nil, format, args...), &text)
	return text.String(), err
}

// exchange sends a command without its tag and its last line end, and reads up to
// its completion. What was said goes to text, if that is not nil.
func (s *session) exchange(command []byte, text *bytes.Buffer) (int64, error) {
	s.SetDeadline(time.Now().Add(5 * time.Minute)) // servers may be slow, never that slow
	line := append(append(append([]byte(s.tag), ' '), command...), "\r\n"...)
	if _, err := s.Write(line); err != nil {
		return 0, err
	}
	mark := []byte(s.tag + " ")
	var n int64
	for {
		if i := bytes.Index(s.held, mark); i >= 0 {
			if end := bytes.IndexByte(s.held[i:], '\n'); end >= 0 {
				done := s.held[i+len(mark) : i+end]
				if text != nil {
					text.Write(s.held[:i+end+1])
				}
				n += int64(i + end + 1)
				s.held = s.held[i+end+1:]
				if !bytes.HasPrefix(done, []byte("OK")) {
					return n, fmt.Errorf("%.60s: the server said %s", command, bytes.TrimSpace(done))
				}
				return n, nil
			}
		}
		// What may be the beginning of the mark, or of the line that it begins, stays.
		keep := min(len(s.held), 1<<10)
		gone := len(s.held) - keep
		if text != nil {
			text.Write(s.held[:gone])
		}
		n += int64(gone)
		copy(s.buf, s.held[gone:])
		m, err := s.Read(s.buf[keep:])
		if err != nil {
			return n, fmt.Errorf("%.60s: %w", command, err)
		}
		s.held = s.buf[:keep+m]
	}
}

// code returns the value of a response code in what a server said, as of
// "HIGHESTMODSEQ".
func code(text, name string) string {
	_, rest, _ := strings.Cut(text, "["+name+" ")
	value, _, _ := strings.Cut(rest, "]")
	return value
}
