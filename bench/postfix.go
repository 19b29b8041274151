package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A postfix is a Postfix of its own, with configuration and queue in dir. Its
// master must be started by root.
type postfix struct {
	dir, addr, version string
	pid                int
}

const postfixMain = `compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = DIR/log
maillog_file_prefixes = DIR
myhostname = mx.bench.test
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = bench.test
virtual_mailbox_maps = static:ok
virtual_transport = lmtp:inet:LMTP
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
default_process_limit = 200
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
alias_maps =
local_recipient_maps =
biff = no
`

const postfixMaster = `PORT inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

func newPostfix(dir string) (*postfix, error) {
	if err := have("/usr/sbin/postfix", "/usr/sbin/postconf"); err != nil {
		return nil, err
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("only root can start it: %w", errAbsent)
	}
	version, err := exec.Command("/usr/sbin/postconf", "-d", "-h", "mail_version").Output()
	if err != nil {
		return nil, err
	}
	return &postfix{dir: dir, version: string(bytes.TrimSpace(version))}, nil
}

// start starts Postfix so that it delivers to an LMTP server.
func (p *postfix) start(ctx context.Context, lmtp string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.addr = l.Addr().String()
	l.Close()
	for _, d := range []string{p.dir, p.dir + "/queue", p.dir + "/data"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if out, err := exec.CommandContext(ctx, "chown", "postfix", p.dir+"/data").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	fill := strings.NewReplacer("DIR", p.dir, "LMTP", lmtp, "PORT", p.addr)
	for name, text := range map[string]string{"main.cf": postfixMain, "master.cf": postfixMaster} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(fill.Replace(text)), 0o644); err != nil {
			return err
		}
	}
	if out, err := exec.CommandContext(ctx, "/usr/sbin/postfix", "-c", p.dir, "start").CombinedOutput(); err != nil {
		return fmt.Errorf("postfix start: %w\n%s%s", err, out, p.log())
	}
	if err := waitTCP(ctx, p.addr, 10*time.Second); err != nil {
		return fmt.Errorf("%w\n%s", err, p.log())
	}
	pid, err := os.ReadFile(p.dir + "/queue/pid/master.pid")
	if err != nil {
		return err
	}
	p.pid, err = strconv.Atoi(string(bytes.TrimSpace(pid)))
	return err
}

func (p *postfix) log() string {
	text, _ := os.ReadFile(p.dir + "/log")
	return string(text)
}

func (p *postfix) stop() error {
	out, err := exec.Command("/usr/sbin/postfix", "-c", p.dir, "stop").CombinedOutput()
	if err != nil {
		return fmt.Errorf("postfix stop: %w\n%s", err, out)
	}
	return nil
}

// drain waits until the queue is empty.
func (p *postfix) drain(ctx context.Context) error {
	for {
		n := 0
		for _, q := range []string{"incoming", "active", "deferred"} {
			filepath.WalkDir(filepath.Join(p.dir, "queue", q), func(_ string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					n++
				}
				return nil // files come and go as we look
			})
		}
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d messages are still queued: %w", n, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
