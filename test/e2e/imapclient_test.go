package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait for the server; reaching it is a failure.
const patience = 20 * time.Second

// imapConn is a client that says exactly what a test wants to say.
type imapConn struct {
	net.Conn
	r   *bufio.Reader
	tag int
}

func newIMAPConn(conn net.Conn) *imapConn {
	return &imapConn{Conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
}

// dialRaw connects and reads the greeting.
func dialRaw(addr string) (*imapConn, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	c := newIMAPConn(conn)
	conn.SetDeadline(time.Now().Add(patience))
	_, err = c.line()
	return c, err
}

func dialIMAP(addr, user, password string) (*imapConn, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	c := newIMAPConn(conn)
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.r.ReadString('\n'); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := c.cmd("LOGIN %s %s", user, password); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func mustIMAP(t testing.TB, addr, user, password string) *imapConn {
	t.Helper()
	c, err := dialIMAP(addr, user, password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// An answer is what the server said to one command: its untagged responses, each
// with its literals in place, and the text of the tagged OK.
type answer struct {
	untagged []string
	ok       string
}

// A refusal is a tagged NO or BAD.
type refusal string

func (r refusal) Error() string { return string(r) }

// cmd sends one command and reads to its tagged response.
func (c *imapConn) cmd(format string, args ...any) (answer, error) {
	c.tag++
	tag := "t" + strconv.Itoa(c.tag)
	c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c, tag+" "+format+"\r\n", args...); err != nil {
		return answer{}, err
	}
	return c.finish(tag)
}

// appendMessage sends APPEND with a non-synchronising literal.
func (c *imapConn) appendMessage(mailbox, flags string, msg []byte) (answer, error) {
	return c.cmd("APPEND %s (%s) {%d+}\r\n%s", mailbox, flags, len(msg), msg)
}

func (c *imapConn) finish(tag string) (a answer, err error) {
	for {
		line, err := c.line()
		if err != nil {
			return a, err
		}
		rest, tagged := strings.CutPrefix(line, tag+" ")
		switch {
		case !tagged:
			a.untagged = append(a.untagged, line)
		case strings.HasPrefix(rest, "OK"):
			a.ok = rest
			return a, nil
		default:
			return a, refusal(rest)
		}
	}
}

var literalRE = regexp.MustCompile(`\{(\d+)\}$`)

// line reads one response line with the literals in it.
func (c *imapConn) line() (string, error) {
	var b strings.Builder
	for {
		part, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		part = strings.TrimSuffix(part, "\r\n")
		b.WriteString(part)
		m := literalRE.FindStringSubmatch(part)
		if m == nil {
			return b.String(), nil
		}
		n, _ := strconv.Atoi(m[1])
		b.WriteString("\n")
		if _, err := io.CopyN(&b, c.r, int64(n)); err != nil {
			return "", err
		}
	}
}

// number finds the first number after a word in an answer, as in "[UIDVALIDITY 7]".
func (a answer) number(word string) (uint64, bool) {
	re := regexp.MustCompile(regexp.QuoteMeta(word) + `[ (]*(\d+)`)
	for _, l := range append(a.untagged, a.ok) {
		if m := re.FindStringSubmatch(l); m != nil {
			n, err := strconv.ParseUint(m[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// waitFor polls a mailbox until a search finds n messages.
func waitFor(t *testing.T, c *imapConn, mailbox, search string, n int) {
	t.Helper()
	if _, err := c.cmd("SELECT %s", mailbox); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // polling, bounded
		a, err := c.cmd("SEARCH %s", search)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, u := range a.untagged {
			if s, ok := strings.CutPrefix(u, "* SEARCH"); ok {
				found = len(strings.Fields(s))
			}
		}
		if found == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s has %d messages with %s, want %d", mailbox, found, search, n)
		}
		if _, err := c.cmd("NOOP"); err != nil {
			t.Fatal(err)
		}
	}
}
