package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A trace is what strace wrote of a server: for each reply, how many syncs of
// the log ended since the reply before.
type trace struct {
	replies []tracedReply
}

type tracedReply struct {
	text  string
	syncs int
}

var (
	syncRE    = regexp.MustCompile(`^(\d+) .*\bf(?:data)?sync\(\d+<[^>]*/log/[0-9a-f]+\.seg>(.*)$`)
	resumedRE = regexp.MustCompile(`^(\d+) .*<\.\.\. f(?:data)?sync resumed>.*= 0$`)
	writeRE   = regexp.MustCompile(`\bwrite\(\d+<(?:socket|TCP)[^"]*".*?(t\d+ OK|250 2\.0\.0)`)
)

func readTrace(t *testing.T, name string) (tr trace) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syncs, begun := 0, map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if m := syncRE.FindStringSubmatch(line); m != nil {
			if strings.HasSuffix(m[2], "= 0") {
				syncs++
			} else {
				begun[m[1]] = true
			}
		} else if m := resumedRE.FindStringSubmatch(line); m != nil && begun[m[1]] {
			delete(begun, m[1])
			syncs++
		} else if m := writeRE.FindStringSubmatch(line); m != nil {
			tr.replies = append(tr.replies, tracedReply{m[1], syncs})
			syncs = 0
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return tr
}

// startTraced starts the server under strace.
func (r *rig) startTraced(t *testing.T, out string) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("POSTHOUSE_NEED_PEERS") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if msg, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("nothing can be traced here: %v: %s", err, msg)
	}
	r.cmd = exec.Command("strace", "-f", "-y", "-s", "4000", "-e", "trace=fsync,fdatasync,write", "-o", out, binary, "serve", "--config", r.config)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the server does not die with strace
		if pid, err := tracedPID(out); err == nil && r.cmd != nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	for end := time.Now().Add(patience); !r.greets(); time.Sleep(2 * time.Millisecond) { // polling, bounded
		if time.Now().After(end) {
			t.Fatal("the server does not greet")
		}
	}
}

// tracedPID returns the process that a trace begins with.
func tracedPID(out string) (int, error) {
	b, err := os.ReadFile(out)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), " ")
	return strconv.Atoi(first)
}

// endTraced ends the server, and returns when strace has written everything.
func (r *rig) endTraced(t *testing.T, out string) {
	t.Helper()
	pid, err := tracedPID(out)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGTERM)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("the server: %v", err)
	}
	r.cmd = nil
}

// TestSyncBeforeReply looks at the system calls of a server: each reply that
// acknowledges a change comes after a sync of the log that began after the change
// was asked for, and what changes nothing needs none.
func TestSyncBeforeReply(t *testing.T) {
	r := newRig(t, rigOptions{})
	user := r.person(t, "ada")
	out := filepath.Join(r.dir, "trace")
	r.startTraced(t, out)
	c := mustIMAP(t, r.imap, user, r.password)
	mx, err := dialSMTP(r.mx)
	if err != nil {
		t.Fatal(err)
	}
	defer mx.Close()
	msg := []byte("Subject: traced\r\n\r\nbody\r\n")
	var want []bool // of each reply in the trace, that it needs a sync
	var tags []string
	do := func(durable bool, format string, args ...any) {
		t.Helper()
		if _, err := c.cmd(format, args...); err != nil {
			t.Fatalf(format+": %v", append(args, err)...)
		}
		want, tags = append(want, durable), append(tags, fmt.Sprintf("t%d OK", c.tag))
	}
	do(false, "SELECT INBOX")
	for range 5 {
		do(true, "APPEND INBOX {%d+}\r\n%s", len(msg), msg)
		do(false, "NOOP")
		do(true, "STORE 1 +FLAGS (\\Flagged)")
		do(false, "FETCH 1:* (FLAGS)")
		do(true, "STORE 1 -FLAGS (\\Flagged)")
		do(true, "COPY 1 Archive")
		do(true, "MOVE 1 Archive")
		do(true, "APPEND INBOX {%d+}\r\n%s", len(msg), msg)
		do(true, "STORE 1 +FLAGS (\\Deleted)")
		do(true, "EXPUNGE")
		if err := mx.send("a@far.test", user, msg); err != nil {
			t.Fatal(err)
		}
		want, tags = append(want, true), append(tags, "250 2.0.0")
	}
	r.endTraced(t, out)
	tr := readTrace(t, out)
	at, plain, needless := 0, 0, 0
	for i, w := range want {
		syncs := 0
		for at < len(tr.replies) && tr.replies[at].text != tags[i] {
			at++ // replies to login
		}
		if at == len(tr.replies) {
			t.Fatalf("reply %d, %q, is not in the trace of %d replies", i, tags[i], len(tr.replies))
		}
		syncs = tr.replies[at].syncs
		at++
		if w && syncs == 0 {
			t.Errorf("reply %d (%q) came without a sync", i, tags[i])
		}
		if !w {
			plain++
			if syncs > 0 {
				needless++
			}
		}
	}
	if needless > plain/2 {
		t.Errorf("%d of %d replies that acknowledge nothing came after a sync: the trace shows nothing", needless, plain)
	}
}
