package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A lab is network namespaces on one bridge: each is a host with its own address, and
// this process is the one at .1.
type lab struct {
	net   string // "10.77.5."
	names map[string]string
}

// newLab makes a host for each name. It skips the test where that is not possible: it
// takes root and a kernel that lets us.
func newLab(t *testing.T, hosts ...string) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip is not installed")
	}
	id := os.Getpid() % 60000
	l := &lab{net: fmt.Sprintf("10.%d.%d.", 64+id/256%60, id%256), names: map[string]string{}}
	bridge := fmt.Sprintf("phb%d", id)
	ip := func(args ...string) error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, bytes.TrimSpace(out))
		}
		return nil
	}
	t.Cleanup(func() {
		for _, ns := range l.names {
			_ = ip("netns", "del", ns)
			_ = os.RemoveAll(filepath.Join("/etc/netns", ns))
		}
		_ = ip("link", "del", bridge)
	})
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Skipf("no network namespaces here: %v", err)
			}
		}
	}
	must(ip("link", "add", bridge, "type", "bridge"), ip("addr", "add", l.net+"1/24", "dev", bridge), ip("link", "set", bridge, "up"))
	for i, h := range hosts {
		ns, veth := fmt.Sprintf("ph%d%s", id, h), fmt.Sprintf("phv%d%s", id, h)
		l.names[h] = ns
		must(ip("netns", "add", ns), ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", ns),
			ip("link", "set", veth, "master", bridge), ip("link", "set", veth, "up"),
			ip("-n", ns, "addr", "add", fmt.Sprintf("%s%d/24", l.net, 10+i), "dev", "eth0"), ip("-n", ns, "link", "set", "eth0", "up"), ip("-n", ns, "link", "set", "lo", "up"))
		dir := filepath.Join("/etc/netns", ns)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Skip(err)
		}
		l.etc(t, h, "resolv.conf", fmt.Sprintf("nameserver %s1\noptions trust-ad edns0\n", l.net))
	}
	must(exec.Command("ip", "netns", "exec", l.names[hosts[0]], "true").Run())
	return l
}

// etc makes a file of /etc for a host, which everybody there may read.
func (l *lab) etc(t *testing.T, host, name, text string) {
	t.Helper()
	path := writeFile(t, filepath.Join("/etc/netns", l.names[host], name), "%s", text)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
}

// exec is a command in a host.
func (l *lab) exec(host string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", l.names[host]}, args...)...)
}
