package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// DovecotPassword is the password of every user of a Dovecot.
const DovecotPassword = "test"

// A Dovecot is a running Dovecot of its own: configuration, mail (mdbox) and
// state in one directory, on loopback. Any user name logs in.
type Dovecot struct {
	IMAP, IMAPS, LMTP string // addresses, "127.0.0.1:port"
	Log               string // file
	Version           string
	cmd               *exec.Cmd
}

// HasDovecot reports whether Debian's dovecot-imapd and dovecot-lmtpd are there.
func HasDovecot() bool {
	for _, f := range []string{dovecotBinary, "/usr/lib/dovecot/imap", "/usr/lib/dovecot/lmtp"} {
		if _, err := os.Stat(f); err != nil {
			return false
		}
	}
	return true
}

const dovecotBinary = "/usr/sbin/dovecot"

// StartDovecot starts a Dovecot for one test, or skips the test without one.
func StartDovecot(t *testing.T) *Dovecot {
	t.Helper()
	if !HasDovecot() {
		t.Skip("dovecot-imapd and dovecot-lmtpd are not installed")
	}
	dir, err := os.MkdirTemp("", "dovecot") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	d, err := LaunchDovecot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Errorf("dovecot: %v", err)
		}
		if t.Failed() {
			log, _ := os.ReadFile(d.Log)
			t.Logf("dovecot said:\n%s", log)
		}
		os.RemoveAll(dir)
	})
	return d
}

// As far as it goes the defaults of Debian's package: mail_fsync is optimized.
// Limits are raised so that the number of connections is ours to choose.
var dovecotConf = template.Must(template.New("dovecot.conf").Parse(`
protocols = imap lmtp
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/state
log_path = {{.Dir}}/log
ssl = yes
ssl_cert = <{{.Dir}}/cert.pem
ssl_key = <{{.Dir}}/cert.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_cache_size = 10M
default_internal_user = {{.Internal}}
default_internal_group = {{.InternalGroup}}
default_login_user = {{.Login}}
default_process_limit = 3000
default_client_limit = 4000
mail_location = mdbox:{{.Dir}}/mail/%u
mail_fsync = optimized
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 10000
lmtp_save_to_detail_mailbox = no
passdb {
  driver = static
  args = password={{.Password}}
}
userdb {
  driver = static
  args = uid={{.UID}} gid={{.GID}} home={{.Dir}}/mail/%u allow_all_users=yes
}
namespace inbox {
  inbox = yes
}
service anvil {
  chroot =
}
service imap-login {
  chroot =
  service_count = 0
  process_min_avail = 2
  inet_listener imap {
    address = 127.0.0.1
    port = {{.IMAPPort}}
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = {{.IMAPSPort}}
    ssl = yes
  }
}
service imap {
  service_count = 100
  process_limit = 3000
}
service lmtp {
  process_limit = 1000
  inet_listener lmtp {
    address = 127.0.0.1
    port = {{.LMTPPort}}
  }
}
`))

// LaunchDovecot starts a Dovecot in dir, whose path must be short, and returns
// when it answers.
func LaunchDovecot(dir string) (*Dovecot, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	v := map[string]any{"Dir": dir, "Password": DovecotPassword, "IMAPPort": ports[0], "LMTPPort": ports[1], "IMAPSPort": ports[2]}
	cert, err := selfSigned("dovecot.test")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600); err != nil {
		return nil, err
	}
	if err := dovecotUsers(dir, v); err != nil {
		return nil, err
	}
	var conf bytes.Buffer
	if err := dovecotConf.Execute(&conf, v); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "dovecot.conf")
	if err := os.WriteFile(file, conf.Bytes(), 0o644); err != nil {
		return nil, err
	}
	version, _ := exec.Command(dovecotBinary, "--version").Output()
	d := &Dovecot{
		IMAP: fmt.Sprintf("127.0.0.1:%d", ports[0]), LMTP: fmt.Sprintf("127.0.0.1:%d", ports[1]), IMAPS: fmt.Sprintf("127.0.0.1:%d", ports[2]),
		Log: filepath.Join(dir, "log"), Version: string(bytes.TrimSpace(version)),
		cmd: exec.Command(dovecotBinary, "-F", "-c", file),
	}
	var said bytes.Buffer
	d.cmd.Stdout, d.cmd.Stderr = &said, &said
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	for _, addr := range []string{d.IMAP, d.LMTP} {
		if err := answers(addr, 10*time.Second); err != nil {
			d.Stop()
			log, _ := os.ReadFile(d.Log)
			return nil, fmt.Errorf("dovecot does not answer: %w\n%s%s", err, said.Bytes(), log)
		}
	}
	return d, nil
}

// dovecotUsers fills in who Dovecot's processes are: ourselves, or, started by
// root, the users of Debian's package, with nobody as the owner of mail.
func dovecotUsers(dir string, v map[string]any) error {
	uid, gid := os.Getuid(), os.Getgid()
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return err
	}
	g, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		return err
	}
	v["Internal"], v["InternalGroup"], v["Login"] = u.Username, g.Name, u.Username
	mail := filepath.Join(dir, "mail")
	if err := os.Mkdir(mail, 0o777); err != nil {
		return err
	}
	if uid == 0 {
		v["Internal"], v["InternalGroup"], v["Login"] = "dovecot", "dovecot", "dovenull"
		uid, gid = 65534, 65534
		if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(mail, uid, gid)); err != nil {
			return err
		}
	}
	v["UID"], v["GID"] = uid, gid
	return nil
}

// PID is the master process, whose children do the work.
func (d *Dovecot) PID() int { return d.cmd.Process.Pid }

// Stop ends all processes and waits for them.
func (d *Dovecot) Stop() error {
	d.cmd.Process.Signal(syscall.SIGTERM)
	return waitOrKill(d.cmd, 10*time.Second)
}

// Usage is what the stopped server used in all; nil before Stop.
func (d *Dovecot) Usage() *syscall.Rusage {
	if d.cmd.ProcessState == nil {
		return nil
	}
	ru, _ := d.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return ru
}

// waitOrKill waits for a process that was asked to end.
func waitOrKill(cmd *exec.Cmd, limit time.Duration) error {
	kill := time.AfterFunc(limit, func() { cmd.Process.Kill() })
	defer kill.Stop()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return nil // it chose its own code
	}
	return err
}

// freePorts finds TCP ports on loopback that nobody uses now.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// answers waits until something at addr greets.
func answers(addr string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			c.SetReadDeadline(time.Now().Add(limit))
			_, err = c.Read(make([]byte, 1))
			c.Close()
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}
