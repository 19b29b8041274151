package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// A sink is a remote mail server that keeps count of what it took. unread counts
// the messages whose 250 could not be written whole: only those may come again.
type sink struct {
	addr string

	mu     sync.Mutex
	taken  map[string]int // by X-Ledger
	unsure map[string]int // of those, taken on a connection that then broke
}

var ledgerHeader = []byte("X-Ledger: ")

// ledgerID returns the value of the X-Ledger field of a message, or "".
func ledgerID(msg []byte) string {
	i := bytes.Index(msg, ledgerHeader)
	if i < 0 {
		return ""
	}
	id, _, _ := bytes.Cut(msg[i+len(ledgerHeader):], []byte("\r\n"))
	return string(id)
}

func startSink(t testing.TB) *sink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{addr: l.Addr().String(), taken: map[string]int{}, unsure: map[string]int{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return s
}

// serve speaks the least of SMTP that a queue needs.
func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	last := "" // taken, and the client has not said anything since
	fmt.Fprint(conn, "220 sink.test\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			s.note(s.unsure, last)
			return
		}
		last = ""
		switch verb := strings.ToUpper(strings.TrimSpace(line[:min(4, len(line))])); verb {
		case "EHLO":
			fmt.Fprint(conn, "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n")
		case "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
			msg, err := readDots(r)
			if err != nil {
				return
			}
			last = ledgerID(msg)
			s.note(s.taken, last)
			fmt.Fprint(conn, "250 2.0.0 taken\r\n")
		case "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "250 2.0.0 ok\r\n")
		}
	}
}

func (s *sink) note(m map[string]int, id string) {
	if id == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m[id]++
}

func (s *sink) counts(id string) (taken, unsure int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[id], s.unsure[id]
}

func readDots(r *bufio.Reader) ([]byte, error) {
	var msg []byte
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return msg, nil
		}
		msg = append(msg, bytes.TrimPrefix(line, []byte("."))...)
	}
}
