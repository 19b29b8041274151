package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files with what the command says")

// binary is the command, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "posthouse-cli-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "posthouse")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the command: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A rig is a configuration with its data, and perhaps a server that runs on it.
type rig struct {
	dir, config string
	server      *exec.Cmd
	log         bytes.Buffer
}

func newRig(t *testing.T, more string) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	r.config = filepath.Join(r.dir, "posthouse.toml")
	any := `["127.0.0.1:0"]`
	text := fmt.Sprintf("hostname = \"mx.example.org\"\ndata = %q\n%s\n[listen]\nmx = %s\nsubmission = %s\nsubmissions = %s\nimap = %s\nimaps = %s\nhttps = []\nhttp = %s\n",
		filepath.Join(r.dir, "data"), more, any, any, any, any, any, any)
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// serve starts the server and waits until it answers.
func (r *rig) serve(t *testing.T) {
	t.Helper()
	r.server = exec.Command(binary, "serve", "--config", r.config)
	r.server.Stdout, r.server.Stderr = &r.log, &r.log
	if err := r.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(t, syscall.SIGKILL) })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) { // polling, bounded
		if _, err := os.Stat(filepath.Join(r.dir, "data", "admin.sock")); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the server did not start:\n%s", r.log.String())
		}
	}
}

// end signals the server and returns its exit code.
func (r *rig) end(t *testing.T, sig os.Signal) int {
	t.Helper()
	if r.server == nil {
		return -1
	}
	_ = r.server.Process.Signal(sig)
	err := r.server.Wait()
	r.server = nil
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// run runs one command line and returns what it says and its exit code.
func (r *rig) run(t *testing.T, stdin, line string) (string, int) {
	t.Helper()
	cmd := exec.Command(binary, words(line)...)
	cmd.Env = append(os.Environ(), "POSTHOUSE_CONFIG="+r.config, "POSTHOUSE_DATA=")
	cmd.Dir = r.dir
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// words splits a command line at spaces outside of double quotes.
func words(line string) []string {
	var list []string
	quoted := false
	fields := strings.FieldsFunc(line, func(c rune) bool {
		if c == '"' {
			quoted = !quoted
		}
		return c == ' ' && !quoted
	})
	for _, f := range fields {
		list = append(list, strings.ReplaceAll(f, `"`, ""))
	}
	return list
}

// moments are what differs from run to run.
var moments = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "2026-01-01T00:00:00Z"},
	{regexp.MustCompile(`/[^ ]*/data\b`), "DIR/data"},
	{regexp.MustCompile(`Password: \S+`), "Password: xxxxx-xxxxx-xxxxx-xxxxx"},
}

// A session of testdata is lines "$ command", "< line for its standard input",
// its output as it is, and "? exit code" if that is not 0.
func (r *rig) play(t *testing.T, script string) string {
	t.Helper()
	var got strings.Builder
	lines := strings.Split(script, "\n")
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "# "), line == "" && i < len(lines)-1 && strings.HasPrefix(lines[i+1], "# "):
			got.WriteString(line + "\n")
		case strings.HasPrefix(line, "$ posthouse "):
			got.WriteString(line + "\n")
			stdin := ""
			for _, in := range lines[i+1:] {
				text, ok := strings.CutPrefix(in, "< ")
				if !ok {
					break
				}
				stdin += text + "\n"
				got.WriteString(in + "\n")
			}
			out, code := r.run(t, stdin, strings.TrimPrefix(line, "$ posthouse "))
			for _, m := range moments {
				out = m.re.ReplaceAllString(out, m.to)
			}
			got.WriteString(out)
			if code != 0 {
				fmt.Fprintf(&got, "? %d\n", code)
			}
		}
	}
	return got.String()
}

// TestSessions plays each session of testdata on a stopped store and on a running
// server: both say the same.
func TestSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no sessions", err)
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, mode := range []string{"stopped", "running"} {
			t.Run(filepath.Base(file)+"/"+mode, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, "")
				if mode == "running" {
					r.serve(t)
				}
				got := r.play(t, string(script))
				if *update && mode == "stopped" {
					if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
						t.Fatal(err)
					}
					return
				}
				if got != string(script) && !*update {
					t.Errorf("%s: got\n%s\nwant\n%s", file, got, script)
				}
			})
		}
	}
}

// A wrong path makes no store; the first domain does.
func TestNoData(t *testing.T) {
	r := newRig(t, "")
	for _, line := range []string{"account list", "account add ada@example.org --no-password", "check", "status", "queue list"} {
		out, code := r.run(t, "", line)
		if code != exitUnreachable || !strings.Contains(out, "A new server begins with: posthouse domain add example.org") {
			t.Errorf("%s: %d %s", line, code, out)
		}
	}
	if _, err := os.Stat(filepath.Join(r.dir, "data")); err == nil {
		t.Error("a look made a store")
	}
}

// What check finds makes it exit with 6, stopped and running.
func TestStatusAndProblems(t *testing.T) {
	r := newRig(t, "allow_plaintext_login = true")
	if out, code := r.run(t, "", "domain add example.org"); code != 0 {
		t.Fatal(out)
	}
	if out, code := r.run(t, "", "status"); code != exitDone || !strings.Contains(out, "not running") {
		t.Errorf("%d %s", code, out)
	}
	r.serve(t)
	out, code := r.run(t, "", "status")
	if code != exitProblems || !strings.Contains(out, "Problem: allow_plaintext_login is on") || !strings.Contains(out, "imaps 127.0.0.1:") {
		t.Errorf("%d %s", code, out)
	}
}

func TestBadConfiguration(t *testing.T) {
	r := newRig(t, "hostnam = \"x\"\nallow_plaintext_login = 1")
	for _, line := range []string{"serve", "config check", "account list"} {
		out, code := r.run(t, "", line)
		want := r.config + ":3: hostnam: there is no such key. Did you mean hostname?\n" +
			r.config + ":4: allow_plaintext_login: this is a number; allowed: true, false\n"
		if code != exitUsage || out != "posthouse: "+want {
			t.Errorf("%s: %d %s", line, code, out)
		}
	}
}

// SIGTERM stops cleanly; SIGHUP with a broken file changes nothing; the next
// start finds everything.
func TestSignals(t *testing.T) {
	r := newRig(t, "")
	r.serve(t)
	if out, code := r.run(t, "", "domain add example.org"); code != 0 {
		t.Fatal(out)
	}
	good, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.config, append([]byte("broken = 1\n"), good...), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = r.server.Process.Signal(syscall.SIGHUP)
	if err := os.WriteFile(r.config+".good", good, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := r.run(t, "", "domain list --config "+r.config+".good"); code != 0 || !strings.Contains(out, "example.org") {
		t.Errorf("after a reload that failed: %d %s", code, out)
	}
	if code := r.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d\n%s", code, r.log.String())
	}
	if _, err := os.Stat(filepath.Join(r.dir, "data", "admin.sock")); err == nil {
		t.Error("the socket is left behind")
	}
	if err := os.WriteFile(r.config, good, 0o600); err != nil {
		t.Fatal(err)
	}
	r.serve(t)
	_ = r.server.Process.Kill() // leaves its socket behind
	r.end(t, syscall.SIGKILL)
	if out, code := r.run(t, "", "domain list -q"); code != 0 || out != "example.org\n" {
		t.Errorf("on the store of a killed server: %d %s", code, out)
	}
	r.serve2(t)
	if out, code := r.run(t, "", "domain list -q"); code != 0 || out != "example.org\n" {
		t.Errorf("after a restart: %d %s", code, out)
	}
}

// serve2 is serve where an old socket may lie around.
func (r *rig) serve2(t *testing.T) {
	t.Helper()
	if err := os.Remove(filepath.Join(r.dir, "data", "admin.sock")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	r.serve(t)
}

// As root the server becomes the user of [run] for good, and a command of root
// leaves nothing behind that the server may not read.
func TestPrivilegesAreDropped(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	r := newRig(t, "[run]\nuser = \"nobody\"")
	for dir := r.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := r.run(t, "", "domain add example.org"); code != 0 {
		t.Fatal(out)
	}
	r.serve(t)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.server.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "Uid:") || strings.HasPrefix(line, "Gid:") {
			for _, id := range strings.Fields(line)[1:] {
				if id == "0" {
					t.Errorf("still root: %s", line)
				}
			}
		}
	}
	if out, code := r.run(t, "", "account add ada@example.org --no-password"); code != 0 {
		t.Error(out)
	}
	if code := r.end(t, syscall.SIGTERM); code != 0 {
		t.Error(r.log.String())
	}
}

// The shell completes names that are there.
func TestCompletion(t *testing.T) {
	r := newRig(t, "")
	for _, line := range []string{"domain add example.org", "account add ada@example.org --no-password --name Ada", "alias add info@example.org ada@example.org"} {
		if out, code := r.run(t, "", line); code != 0 {
			t.Fatal(out)
		}
	}
	for line, want := range map[string]string{
		"account show ":    "ada@example.org\tAda\n",
		"account disable ": "ada@example.org\tAda\n",
		"domain remove ":   "example.org\n",
		"alias remove ":    "info@example.org\n",
		"config explain ":  "limits.message\n",
	} {
		cmd := exec.Command(binary, append([]string{"__complete"}, append(strings.Fields(line), "")...)...)
		cmd.Env = append(os.Environ(), "POSTHOUSE_CONFIG="+r.config, "POSTHOUSE_DATA=")
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v %s", line, err, out)
		}
	}
}

// systemd can hand in the sockets and hears what the server does.
func TestSystemd(t *testing.T) {
	r := newRig(t, "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(r.dir, "n"), Net: "unixgram"})
	if err != nil {
		t.Skip(err) // the test's directory has too long a name
	}
	defer told.Close()
	r.server = exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve --config "$1"`, binary, r.config)
	r.server.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=mx", "NOTIFY_SOCKET="+filepath.Join(r.dir, "n"))
	r.server.ExtraFiles = []*os.File{f}
	r.server.Stdout, r.server.Stderr = &r.log, &r.log
	if err := r.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(t, syscall.SIGKILL) })
	hear := func(want string) {
		t.Helper()
		_ = told.SetReadDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 256)
		n, err := told.Read(b)
		if err != nil || !strings.HasPrefix(string(b[:n]), want) {
			t.Errorf("heard %q, %v; want %s", b[:n], err, want)
		}
	}
	hear("READY=1")
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if line, err := bufio.NewReader(nc).ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 mx.example.org") {
		t.Errorf("%q %v", line, err)
	}
	_ = r.server.Process.Signal(syscall.SIGHUP)
	hear("RELOADING=1\nMONOTONIC_USEC=")
	hear("READY=1")
	_ = r.server.Process.Signal(syscall.SIGTERM)
	hear("STOPPING=1")
	if code := r.end(t, syscall.Signal(0)); code != 0 { // a second SIGTERM would end it at once
		t.Error(r.log.String())
	}
}
