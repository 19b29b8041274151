package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
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

// demo starts `posthouse demo`, and returns its process and what it announced.
func demo(t *testing.T, args ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"demo", "--no-open", "--quiet"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	var text strings.Builder
	for sc := bufio.NewScanner(out); sc.Scan(); {
		text.WriteString(sc.Text() + "\n")
		if strings.Contains(sc.Text(), "Send from Ada to Ben") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return cmd, text.String()
}

func kB(t *testing.T, pid int, field string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(field + `:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no %s in %s", field, b)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The demo is ready within a second of processor time and 80 MB of memory, at its
// highest, and leaves nothing behind.
func TestDemo(t *testing.T) {
	cmd, text := demo(t)
	peak := kB(t, cmd.Process.Pid, "VmHWM")
	t.Logf("at most %d kB, now %d kB\n%s", peak, kB(t, cmd.Process.Pid, "VmRSS"), text)
	if peak > 80<<10 {
		t.Errorf("the demo takes %d kB to start, more than 80 MB", peak)
	}
	m := regexp.MustCompile(`http://[0-9.:]+/`).FindString(text)
	resp, err := http.Get(m + "healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
	var dir string
	for _, env := range cmd.Env {
		if v, ok := strings.CutPrefix(env, "TMPDIR="); ok {
			dir = v
		}
	}
	began := time.Now()
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %v", took)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	// User and system time, not the clock: other tests run beside this one.
	if used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); used > time.Second {
		t.Errorf("the demo took %v of processor time", used)
	}
}

func TestDemoKeeps(t *testing.T) {
	keep := filepath.Join(t.TempDir(), "kept")
	base := freeBase(t)
	for round := range 2 {
		cmd, text := demo(t, "--keep", keep, "--port-base", strconv.Itoa(base))
		for _, port := range []int{25, 143, 993, 587, 465, 80} {
			if !strings.Contains(text, strconv.Itoa(base+port)) {
				t.Errorf("no port %d in\n%s", base+port, text)
			}
		}
		out, err := exec.Command(binary, "--data", keep, "account", "show", "ada@demo.test").CombinedOutput()
		if err != nil {
			t.Fatalf("%v %s", err, out)
		}
		m := regexp.MustCompile(`Mail +(\d+) messages`).FindSubmatch(out)
		if m == nil {
			t.Fatalf("%s", out)
		}
		if n, _ := strconv.Atoi(string(m[1])); n < 150+round {
			t.Errorf("round %d: %d messages", round, n)
		}
		deliverDemo(t, base)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// deliverDemo brings one message to Ada.
func deliverDemo(t *testing.T, base int) {
	t.Helper()
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", base+25))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(nc)
	for _, line := range []string{"HELO x.test", "MAIL FROM:<b@x.test>", "RCPT TO:<ada@demo.test>", "DATA", "Subject: kept\r\n\r\nx\r\n.", "QUIT"} {
		if reply, err := r.ReadString('\n'); err != nil || reply[0] > '3' {
			t.Fatalf("before %s: %q %v", line, reply, err)
		}
		if _, err := nc.Write([]byte(line + "\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	if reply, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(reply, "221") {
		t.Fatalf("at the end: %q %v", reply, err)
	}
}

// freeBase finds a base whose ports are free now.
func freeBase(t *testing.T) int {
	t.Helper()
	for base := 30000; base < 60000; base += 1000 {
		free := true
		for _, port := range []int{25, 143, 993, 587, 465, 80} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+port))
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		if free {
			return base
		}
	}
	t.Fatal("no free base")
	return 0
}

func TestDemoLeavesOtherDataAlone(t *testing.T) {
	r := newRig(t, "")
	if out, code := r.run(t, "", "domain add example.org"); code != 0 {
		t.Fatal(out)
	}
	out, code := r.run(t, "", "demo --no-open --keep "+filepath.Join(r.dir, "data"))
	if code != exitFailed || !strings.Contains(out, "holds the data of another server") {
		t.Errorf("%d %s", code, out)
	}
	if out, code := r.run(t, "", "domain list -q"); code != 0 || out != "example.org\n" {
		t.Errorf("%d %s", code, out)
	}
}
