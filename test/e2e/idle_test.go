package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sys "golang.org/x/sys/unix"
)

// manyIdle is about what the descriptors of one process allow where tests run.
const manyIdle = 18_000

// TestManyIdle holds 18,000 connections in IDLE at once, plain and with TLS, wakes them
// all by one message, and says what each costs the server. A bound that is far above
// what is measured keeps it so.
func TestManyIdle(t *testing.T) {
	if os.Getenv("POSTHOUSE_LONG") == "" {
		t.Skip("takes a minute: set POSTHOUSE_LONG")
	}
	raiseDescriptors(t, manyIdle+500)
	l := &loginRig{server: newPaper(t, t.TempDir(), "localhost", nil)}
	l.rig = newRig(t, rigOptions{tls: true, more: fmt.Sprintf("descriptors = %d\nimap_connections_per_address = 0\nimap_connections_per_user = 0\nimap_login_time = \"10m\"\n[tls]\ncert = %q\nkey = %q\n",
		manyIdle+1000, l.server.cert, l.server.key)})
	user := l.person(t, "ada")
	l.start(t)
	roots := x509.NewCertPool()
	roots.AddCert(l.server.pair.Leaf)
	for _, secure := range []bool{false, true} {
		before := l.memory(t)
		plain := &net.Dialer{KeepAlive: -1} // 18,000 probes at once are nothing to wait for
		dial := func() (net.Conn, error) { return plain.Dial("tcp", l.imap) }
		if secure {
			cfg := &tls.Config{RootCAs: roots, ServerName: "localhost"}
			dial = func() (net.Conn, error) { return tls.DialWithDialer(plain, "tcp", l.imaps, cfg) }
		}
		conns := idleConns(t, dial, user, l.password)
		after := l.settled(t)
		each := (after - before) / manyIdle
		began := time.Now()
		fillInbox(t, l.rig, user, 1)
		told(t, conns)
		t.Logf("tls %v: %d connections, %d bytes each (%d MB before, %d MB with them), all told after %v", secure, manyIdle, each, before>>20, after>>20, time.Since(began).Round(time.Millisecond))
		if bound := int64(32 << 10); each > bound {
			t.Errorf("more than %d bytes", bound)
		}
		for _, c := range conns {
			c.Close()
		}
		l.kill(t) // the next ones find a server that has nothing from these
		l.start(t)
	}
}

// raiseDescriptors allows this process n open files.
func raiseDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var lim sys.Rlimit
	if err := sys.Getrlimit(sys.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	if lim.Max < n {
		t.Skipf("this process may open %d files only", lim.Max)
	}
	lim.Cur = lim.Max
	if err := sys.Setrlimit(sys.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
}

// idleConns opens connections that have selected the inbox and wait in IDLE.
func idleConns(t *testing.T, dial func() (net.Conn, error), user, password string) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, manyIdle)
	errs := make(chan error, 8)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < manyIdle; i += 8 {
				c, err := dial()
				if err == nil {
					conns[i] = c
					err = toIdle(c, user, password)
				}
				if err != nil {
					errs <- fmt.Errorf("connection %d: %w", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	})
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	return conns
}

func toIdle(c net.Conn, user, password string) error {
	c.SetDeadline(time.Now().Add(15 * time.Minute))
	fmt.Fprintf(c, "a LOGIN %s %s\r\nb SELECT INBOX\r\nc IDLE\r\n", user, password)
	r := bufio.NewReaderSize(c, 2048)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, "+ ") {
			return nil
		}
		if strings.Contains(line, " NO ") || strings.Contains(line, " BAD ") {
			return fmt.Errorf("%s", line)
		}
	}
}

// told waits until every connection was told of a message.
func told(t *testing.T, conns []net.Conn) {
	t.Helper()
	var b [1]byte
	for i, c := range conns {
		c.SetDeadline(time.Now().Add(5 * time.Minute))
		if _, err := c.Read(b[:]); err != nil || b[0] != '*' {
			t.Fatalf("connection %d was told %q, %v", i, b, err)
		}
	}
}

// memory is what the server's process has in memory, in bytes.
func (l *loginRig) memory(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", l.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// settled is the memory once the server has given back what it used meanwhile, which it
// does when it has been quiet for a minute.
func (l *loginRig) settled(t *testing.T) int64 {
	t.Helper()
	time.Sleep(80 * time.Second)
	return l.memory(t)
}
