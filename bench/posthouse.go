package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"posthouse/admin"
)

// Limits that would end a row early are off; durability is as ever.
const posthouseConf = `hostname = "mx.bench.test"
data = "DIR/data"
allow_plaintext_login = true
[listen]
mx = ["MX"]
lmtp = ["LMTP"]
imap = ["IMAP"]
submission = [SUBMISSION]
submissions = []
imaps = ["TLS"]
http = []
https = []
[log]
level = "warn"
[smtp]
sender_checks = "CHECKS"
[limits]
free_disk_percent = 0
mailboxes = 20000
account_messages_per_day = "off"
account_new_recipients_per_day = "off"
smtp_greeting_pause = 0
smtp_messages_per_connection = "off"
smtp_session = "off"
smtp_session_bytes = "off"
smtp_connections_per_address = "off"
smtp_connections_per_minute = "off"
imap_connections_per_address = "off"
imap_connections_per_user = "off"
MORE`

const posthousePassword = "correct horse battery staple"

// startPosthouse is our server as it delivers and serves mail, without checks of who
// sent it, which the peers do not make either.
func startPosthouse(ctx context.Context, dir string) (*peer, error) {
	addrs, err := freeAddresses(4)
	if err != nil {
		return nil, err
	}
	p, err := launchPosthouse(ctx, dir, addrs, "LMTP", addrs[0], "IMAP", addrs[1], "MX", addrs[2], "TLS", addrs[3], "SUBMISSION", "", "CHECKS", "off", "MORE", "")
	if err != nil {
		return nil, err
	}
	p.addrs = map[protocol]string{imapAppend: addrs[1], imapShared: addrs[1], imapMulti: addrs[1], lmtpDeliver: addrs[0], smtpDeliver: addrs[2]}
	p.imaps = addrs[3]
	return p, nil
}

// launchPosthouse builds the server, starts it with its configuration, of which the
// pairs of words are replaced, and makes its users.
func launchPosthouse(ctx context.Context, dir string, addrs []string, words ...string) (*peer, error) {
	binary := filepath.Join(dir, "posthouse")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/posthouse").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	conf := filepath.Join(dir, "posthouse.toml")
	text := strings.NewReplacer(append(words, "DIR", dir)...).Replace(posthouseConf)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	h := &house{binary: binary, conf: conf, addrs: addrs}
	if err := h.start(ctx); err != nil {
		return nil, err
	}
	p := &peer{
		dir: dir, name: ours, version: "Posthouse " + revision(ctx), domain: "bench.test", password: `"` + posthousePassword + `"`,
		roots: func() []int { return []int{h.cmd.Process.Pid} },
	}
	p.stop = func() ([]*syscall.Rusage, error) {
		err := h.stop()
		return h.used, err
	}
	p.restart = func(ctx context.Context) error { return errors.Join(h.stop(), h.start(ctx)) }
	if err := addUsers(ctx, p, filepath.Join(dir, "data")); err != nil {
		return nil, errors.Join(err, p.end())
	}
	return p, nil
}

// A house is a running server.
type house struct {
	binary, conf string
	addrs        []string
	cmd          *exec.Cmd
	said         bytes.Buffer
	used         []*syscall.Rusage // of each run that has ended
}

func (h *house) start(ctx context.Context) error {
	h.cmd = exec.Command(h.binary, "serve", "--config", h.conf)
	h.said.Reset()
	h.cmd.Stdout, h.cmd.Stderr = &h.said, &h.said
	if err := h.cmd.Start(); err != nil {
		return err
	}
	for _, addr := range h.addrs {
		if err := waitTCP(ctx, addr, 10*time.Second); err != nil {
			return errors.Join(err, h.stop()) // with what it said
		}
	}
	return nil
}

func (h *house) stop() error {
	h.cmd.Process.Signal(syscall.SIGTERM)
	err := h.cmd.Wait()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, h.said.Bytes())
	}
	ru, _ := h.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	h.used = append(h.used, ru)
	return err
}

// revision names the tree that was built.
func revision(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "of this tree"
	}
	return string(bytes.TrimSpace(out))
}

func addUsers(ctx context.Context, p *peer, data string) error {
	c, err := admin.Dial(ctx, data)
	for wait := 0; errors.Is(err, admin.ErrNotRunning) && wait < 500; wait++ { // its ports are bound first
		time.Sleep(10 * time.Millisecond)
		c, err = admin.Dial(ctx, data)
	}
	if err != nil {
		return err
	}
	var none any
	if err := c.Call(ctx, "domain.add", map[string]string{"name": p.domain}, &none); err != nil {
		return err
	}
	for i := range maxUsers {
		in := admin.AccountAdd{Address: p.user(i), Password: posthousePassword}
		if err := c.Call(ctx, "account.add", in, &none); err != nil {
			return err
		}
	}
	return nil
}

// freeAddresses finds TCP addresses on loopback that nobody uses now.
func freeAddresses(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
