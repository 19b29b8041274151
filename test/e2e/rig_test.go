package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the server under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "posthouse-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "posthouse")
	build := exec.Command("go", "build", "-o", binary, "posthouse/cmd/posthouse")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the server: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A rig is one server with its data, that can be started and ended many times.
// There is no DNS behind it: sender checks mark and decide nothing.
type rig struct {
	dir, config, log           string
	imap, mx, submission, http string
	imaps, https               string // "" without
	domain, password           string
	cmd                        *exec.Cmd
}

type rigOptions struct {
	relay string // host:port that takes all mail for elsewhere
	mx    string // host:port of the MX, any free one if empty
	more  string // more lines of [limits], and sections after it
	tls   bool   // listens with TLS from the first byte too: IMAP and HTTP
}

func startRig(t testing.TB) *rig {
	t.Helper()
	r := newRig(t, rigOptions{})
	r.start(t)
	return r
}

func newRig(t testing.TB, o rigOptions) *rig {
	t.Helper()
	return newRigOn(t, o, func(*rig) {})
}

// newRigOn is newRig after prepare has seen to the rig's directories.
func newRigOn(t testing.TB, o rigOptions, prepare func(*rig)) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "posthouse-rig-")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{dir: dir, domain: "home.test", password: "secret", log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		r.end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("server log:\n%s\ndata kept in %s", r.tailLog(), dir)
			return
		}
		os.RemoveAll(dir)
	})
	prepare(r)
	r.imap, r.mx, r.submission, r.http = freePort(t), freePort(t), freePort(t), freePort(t)
	if o.mx != "" {
		r.mx = o.mx
	}
	imaps, https := "", ""
	if o.tls {
		r.imaps, r.https = freePort(t), freePort(t)
		imaps, https = strconv.Quote(r.imaps), strconv.Quote(r.https)
	}
	r.config = writeFile(t, filepath.Join(dir, "posthouse.toml"), `
hostname = "mx.home.test"
data = "%s"
allow_plaintext_login = true
[listen]
mx = ["%s"]
submission = ["%s"]
submissions = []
imap = ["%s"]
imaps = [%s]
https = [%s]
http = ["%s"]
[smtp]
sender_checks = "mark"
[queue]
smarthost = "%s"
retry = ["1s"]
[limits]
free_disk_percent = 0
smtp_messages_per_connection = 0
account_messages_per_day = 0
account_new_recipients_per_day = 0
%s
`, filepath.Join(dir, "data"), r.mx, r.submission, r.imap, imaps, https, r.http, o.relay, o.more)
	r.run(t, "", "domain", "add", r.domain)
	return r
}

func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (r *rig) hostPort(addr string) (host, port string) {
	host, port, _ = net.SplitHostPort(addr)
	return host, port
}

// run runs the command line against the rig's data.
func (r *rig) run(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, append(args, "--config", r.config)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("posthouse %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (r *rig) addAccount(t testing.TB, address string) {
	t.Helper()
	r.run(t, r.password+"\n", "account", "add", address, "--password-stdin")
}

// person adds an account with this local part and returns its address.
func (r *rig) person(t testing.TB, local string) string {
	t.Helper()
	r.addAccount(t, local+"@"+r.domain)
	return local + "@" + r.domain
}

// check runs posthouse check, which fails if it finds a problem.
func (r *rig) check(t testing.TB) { t.Helper(); r.run(t, "", "check") }

// start starts the server and returns when it greets IMAP clients.
func (r *rig) start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd = exec.Command(binary, "serve", "--config", r.config)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); !r.greets(); time.Sleep(2 * time.Millisecond) { // polling, bounded
		if time.Now().After(end) {
			t.Fatalf("the server does not greet:\n%s", r.tailLog())
		}
	}
}

func (r *rig) greets() bool {
	for _, addr := range []string{r.imap, r.mx, r.submission} {
		conn, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			return false
		}
		conn.SetDeadline(time.Now().Add(patience))
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
		if err != nil {
			return false
		}
	}
	return true
}

// kill ends the server without warning.
func (r *rig) kill(t testing.TB) { t.Helper(); r.end(syscall.SIGKILL) }

func (r *rig) end(sig syscall.Signal) {
	if r.cmd != nil {
		r.cmd.Process.Signal(sig)
		r.cmd.Wait()
		r.cmd = nil
	}
}

func (r *rig) tailLog() string {
	b, _ := os.ReadFile(r.log)
	return string(b[max(0, len(b)-8000):])
}

// swaks sends one message through the MX, exactly as it is.
func (r *rig) swaks(t testing.TB, dir, to string, msg []byte, n int) {
	t.Helper()
	data := append([]byte(nil), msg...)
	if bytes.HasPrefix(data, []byte(".")) {
		data = append([]byte("."), data...)
	}
	data = append(bytes.ReplaceAll(data, []byte("\r\n."), []byte("\r\n..")), ".\r\n"...)
	file := filepath.Join(dir, fmt.Sprintf("message-%d", n))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, dir, "swaks", "--server", r.mx, "--from", "a@far.test", "--to", to, "--helo", "client.test", "--no-data-fixup", "--data", "@"+file, "--silent", "2")
}
