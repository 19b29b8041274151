// Package transcript runs protocol dialogues that are written down as text. It
// is a test kit: only tests import it.
//
//	# RFC 6851 §3.3: a moved message leaves the source by EXPUNGE.
//	C: a SELECT INBOX
//	S: * 3 EXISTS
//	S: * OK [UIDNEXT $next] ...
//	S: a OK ...
//
// The first line cites what the dialogue shows ("# RFC 9051 §6.3.2: …", or
// "# Quirk: client, year: …"); other "#" lines and empty lines are comments. The
// rest are steps, played in order:
//
//	C: text      send text and CRLF. C steps in a row leave in one write.
//	C~: text     send text alone; here \r \n \t \\ are escapes too
//	C*1000: text send it 1000 times; C~*1000: without line ends
//	C|: text     like C:, a line of the literal that {len}, {len+} and ~{len} stand
//	             for in the C line before; S|: likewise for what the server says
//	C: <close>   close the connection; the label may be used again for a new one
//	C: <tls>     start TLS (option [TLS])
//	S: text      the server's next line must be this
//	S&: text     S& steps in a row may come in any order
//	S: <any>     skip lines up to the one that the next S step wants
//	S: <closed>  the server must end the connection, with nothing before it
//	! name args  before the first step: a setting for start (see [Script]);
//	             after it, or if the server has such an action: do it
//
// C2: and S2: are a second connection, and so on; a connection is made when
// its label is first used. In what the server says, "..." stands for any text
// within a line, and $name for one word: any at first, the same wherever it
// stands again, in C lines too. Everywhere \xNN is the byte of that number: bytes
// are compared exactly, and a line that ends in a bare LF ends in \x0a.
//
// With "go test -update" the server's words replace the S steps that did not
// match (write "S: ?" to be told); read the result before you commit it.
//
// Timeouts only bound a failure: nothing here sleeps.
package transcript

import (
	"crypto/tls"
	"flag"
	"net"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite transcripts with what the server said")

// A Server is what a dialogue talks to.
type Server struct {
	// Dial opens the connection of a label: "" for C:, "2" for C2: and so on.
	Dial func(label string) (net.Conn, error)
	// Do holds actions for "! name args" steps: advance a clock, deliver a message.
	Do map[string]func(args string) error
}

// A Start makes a fresh server for one run of a dialogue and cleans up after it
// with t.Cleanup. It may call t.Parallel.
type Start func(t *testing.T, s *Script) Server

// An Option changes how Run plays.
type Option func(*player)

// Bytewise plays every dialogue a second time, against a server of its own, with
// each byte of the client in a write of its own (in what is longer than 64 KiB,
// the middle goes in pieces of 997 bytes).
func Bytewise() Option { return func(p *player) { p.again = true } }

// Timeout sets how long the server may take to answer before the dialogue
// fails; 10 s without it.
func Timeout(d time.Duration) Option { return func(p *player) { p.timeout = d } }

// TLS gives the configuration with which "C: <tls>" starts TLS.
func TLS(c *tls.Config) Option { return func(p *player) { p.tls = c } }

// Run plays each file that matches pattern as a subtest that has its name.
func Run(t *testing.T, pattern string, start Start, options ...Option) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts match %s (%v)", pattern, err)
	}
	for _, file := range files {
		s, err := load(file)
		if err != nil {
			t.Error(err)
			continue
		}
		p := player{script: s, timeout: 10 * time.Second, update: *update}
		for _, o := range options {
			o(&p)
		}
		t.Run(s.Name, func(t *testing.T) { p.run(t, start) })
		if p.again && !p.update {
			p.bytewise = true
			t.Run(s.Name+"/bytewise", func(t *testing.T) { p.run(t, start) })
		}
	}
}
