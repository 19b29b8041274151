package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"posthouse/admin"
	"posthouse/internal/peers"
)

// startTransfer starts the servers of the rows about mail from and to others: beside
// each that takes part, one that is configured for it.
func (b *benchmark) startTransfer(ctx context.Context) error {
	for _, x := range []struct {
		name, with string
		rows       []protocol
	}{
		{"checks", ours0, []protocol{mxSigned, mxUnsigned, smtpSource}},
		{"relay", ours0, []protocol{relay}},
		{"plain relay", ours0, []protocol{relayPlain}},
		{"signing relay", "postfix", []protocol{relay}},
		{"postfix relay", "postfix", []protocol{relayPlain}},
	} {
		if !slices.Contains(b.who, x.with) || !slices.ContainsFunc(workloads, func(w workload) bool { return slices.Contains(x.rows, w.proto) && b.wants(w) }) {
			continue
		}
		if err := b.launch(ctx, x.name); err != nil {
			return err
		}
	}
	return nil
}

// ours0 is our name in -peers.
const ours0 = "posthouse"

// startChecks is our server with all checks of mail from others.
func startChecks(ctx context.Context, dir string) (*peer, error) {
	key, err := senderKey()
	if err != nil {
		return nil, err
	}
	names, err := startNames(key)
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddresses(4)
	if err != nil {
		return nil, err
	}
	p, err := launchPosthouse(ctx, dir, addrs, "LMTP", addrs[0], "IMAP", addrs[1], "MX", addrs[2], "TLS", addrs[3], "SUBMISSION", "", "CHECKS", "enforce",
		"MORE", "[dns]\nservers = [\""+names.conn.LocalAddr().String()+"\"]\n")
	if err != nil {
		return nil, errors.Join(err, names.close())
	}
	p.key = key
	p.addrs = map[protocol]string{mxSigned: addrs[2], mxUnsigned: addrs[2], smtpSource: addrs[2]}
	stop := p.stop
	p.stop = func() ([]*syscall.Rusage, error) {
		used, err := stop()
		return used, errors.Join(err, names.close())
	}
	return p, nil
}

// startRelay is our server on the way from people to others: their mail is signed.
func startRelay(ctx context.Context, dir string) (*peer, error) {
	p, err := launchRelay(ctx, dir, relay)
	if err != nil {
		return nil, err
	}
	c, err := admin.Dial(ctx, filepath.Join(dir, "data"))
	if err == nil { // which makes the keys of the domain
		err = c.Call(ctx, "domain.records", map[string]string{"name": p.domain}, new(any))
	}
	if err != nil {
		return nil, errors.Join(err, p.end())
	}
	return p, nil
}

// startPlainRelay is the same for a domain without keys.
func startPlainRelay(ctx context.Context, dir string) (*peer, error) {
	return launchRelay(ctx, dir, relayPlain)
}

func launchRelay(ctx context.Context, dir string, as protocol) (*peer, error) {
	far, err := startSink()
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddresses(5)
	if err != nil {
		return nil, err
	}
	p, err := launchPosthouse(ctx, dir, addrs, "LMTP", addrs[0], "IMAP", addrs[1], "MX", addrs[2], "TLS", addrs[3], "SUBMISSION", `"`+addrs[4]+`"`, "CHECKS", "off",
		"MORE", "[queue]\nsmarthost = \""+far.Addr().String()+"\"\nsmarthost_tls = \"none\"\n")
	if err != nil {
		return nil, errors.Join(err, far.Close())
	}
	p.addrs = map[protocol]string{as: addrs[4]}
	p.drain = func(ctx context.Context) error { return far.wait(ctx, p.handed.Load(), as == relay) }
	stop := p.stop
	p.stop = func() ([]*syscall.Rusage, error) {
		used, err := stop()
		return used, errors.Join(err, far.Close())
	}
	return p, nil
}

// startPostfixRelay is a Postfix on the same way.
func startPostfixRelay(_ context.Context, dir string) (*peer, error) {
	return launchPostfixRelay(dir, relayPlain, "")
}

// startSigningRelay is a Postfix whose mail opendkim signs, with RSA only: it knows
// nothing else.
func startSigningRelay(_ context.Context, dir string) (*peer, error) {
	if err := peers.HasOpenDKIM(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errAbsent)
	}
	signer, err := peers.LaunchOpenDKIM(dir, "bench.test")
	if err != nil {
		return nil, err
	}
	p, err := launchPostfixRelay(dir, relay, "\nsmtpd_milters = inet:"+signer.Milter+"\nmilter_default_action = tempfail")
	if err != nil {
		return nil, errors.Join(err, signer.Stop())
	}
	p.name, p.version = "Postfix+opendkim", p.version+" and opendkim"
	postfix, stop := p.roots(), p.stop
	p.roots = func() []int { return append(postfix, signer.PID()) }
	p.stop = func() ([]*syscall.Rusage, error) {
		used, err := stop()
		return used, errors.Join(err, signer.Stop())
	}
	return p, nil
}

func launchPostfixRelay(dir string, as protocol, more string) (*peer, error) {
	if err := peers.HasPostfix(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errAbsent)
	}
	far, err := startSink()
	if err != nil {
		return nil, err
	}
	pf, err := peers.LaunchPostfix(dir, peers.PostfixOptions{Domain: "bench.test", Extra: "default_process_limit = 200\nrelayhost = [127.0.0.1]:" + port(far.Addr().String()) + more})
	if err != nil {
		return nil, errors.Join(err, far.Close())
	}
	p := &peer{dir: dir, name: "Postfix", version: "Postfix " + peers.PostfixVersion(), domain: "bench.test",
		addrs: map[protocol]string{as: pf.SMTP}, roots: func() []int { return []int{pf.PID} }}
	p.drain = func(ctx context.Context) error { return far.wait(ctx, p.handed.Load(), as == relay) }
	p.stop = func() ([]*syscall.Rusage, error) {
		used, _ := readUsage([]int{pf.PID})
		return []*syscall.Rusage{{Oublock: used.written / 512}}, errors.Join(pf.Stop(), far.Close())
	}
	return p, nil
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// special reports a server of the rows about transfer only.
func (p *peer) special() bool {
	return p.addrs[relay] != "" || p.addrs[relayPlain] != "" || p.key.Key != nil
}

// burst is how many messages one run of smtp-source sends.
const burst = 500

// A source lets Postfix's smtp-source send: its own connections, one for all of ours.
type source struct {
	args []string
}

func newSource(p *peer, w workload, size int) (*source, error) {
	path, err := exec.LookPath("smtp-source")
	if err != nil {
		path = "/usr/sbin/smtp-source"
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	}
	return &source{[]string{path, "-s", strconv.Itoa(w.conns), "-m", strconv.Itoa(burst), "-l", strconv.Itoa(size), "-M", senderDomain,
		"-f", "sender@" + senderDomain, "-t", p.user(0), p.addrs[w.proto]}}, nil
}

func (s *source) send(int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, s.args[0], s.args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("smtp-source: %w\n%s", err, out)
	}
	return nil
}

func (s *source) close() {}
