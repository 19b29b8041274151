package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"posthouse/internal/peers"
)

// errAbsent says that this machine does not have a peer.
var errAbsent = errors.New("not here")

// starters start each peer in a directory of its own.
var starters = map[string]func(ctx context.Context, dir string) (*peer, error){
	"posthouse": startPosthouse,
	"dovecot":   startDovecot,
	"postfix":   startPostfix,
}

// A peer is a server under load.
type peer struct {
	name, version string
	dir           string // where it keeps mail
	addrs         map[protocol]string
	domain        string // of its users u0000 … u0099
	password      string
	roots         func() []int                    // the processes whose trees are the server
	drain         func(ctx context.Context) error // returns when all that was accepted is in mailboxes; may be nil
	stop          func() ([]*syscall.Rusage, error)

	sent    atomic.Int64 // bytes of mail acknowledged since start
	written int64        // bytes written in its whole life, after end
	ended   bool
}

func (p *peer) serves(w workload) bool { return p.addrs[w.proto] != "" }

func (p *peer) user(i int) string { return fmt.Sprintf("u%04d@%s", i, p.domain) }

// end stops the server once.
func (p *peer) end() error {
	if p.ended {
		return nil
	}
	p.ended = true
	usage, err := p.stop()
	for _, ru := range usage {
		p.written += ru.Oublock * 512
	}
	return err
}

// A wholeRun is what a server wrote from start to stop.
type wholeRun struct {
	name          string
	sent, written int64
}

func (p *peer) wholeRun() wholeRun { return wholeRun{p.name, p.sent.Load(), p.written} }

func startDovecot(_ context.Context, dir string) (*peer, error) {
	if !peers.HasDovecot() {
		return nil, fmt.Errorf("dovecot-imapd, dovecot-lmtpd: %w", errAbsent)
	}
	d, err := peers.LaunchDovecot(dir)
	if err != nil {
		return nil, err
	}
	return &peer{
		dir: dir, name: "Dovecot", version: "Dovecot " + d.Version + ", mdbox, mail_fsync=optimized",
		addrs:  map[protocol]string{imapAppend: d.IMAP, lmtpDeliver: d.LMTP},
		domain: "bench.test", password: peers.DovecotPassword,
		roots: func() []int { return []int{d.PID()} },
		stop: func() ([]*syscall.Rusage, error) {
			err := d.Stop()
			return []*syscall.Rusage{d.Usage()}, err
		},
	}, nil
}

// startPostfix starts a Postfix that delivers to a Dovecot of its own by LMTP.
func startPostfix(ctx context.Context, dir string) (*peer, error) {
	if !peers.HasDovecot() {
		return nil, fmt.Errorf("dovecot-lmtpd: %w", errAbsent)
	}
	boxes := filepath.Join(dir, "d")
	if err := os.Mkdir(boxes, 0o755); err != nil {
		return nil, err
	}
	pf, err := newPostfix(filepath.Join(dir, "p"))
	if err != nil {
		return nil, err
	}
	d, err := peers.LaunchDovecot(boxes)
	if err != nil {
		return nil, err
	}
	if err := pf.start(ctx, d.LMTP); err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	return &peer{
		dir: dir, name: "Postfix+Dovecot", version: "Postfix " + pf.version + " to Dovecot " + d.Version + " by LMTP, mdbox",
		addrs:  map[protocol]string{smtpDeliver: pf.addr},
		domain: "bench.test",
		roots:  func() []int { return []int{pf.pid, d.PID()} },
		drain:  pf.drain,
		stop: func() ([]*syscall.Rusage, error) {
			// The master is not our child: take what it used while it lives.
			used, _ := readUsage([]int{pf.pid})
			err := errors.Join(pf.stop(), d.Stop())
			return []*syscall.Rusage{d.Usage(), {Oublock: used.written / 512}}, err
		},
	}, nil
}

// waitTCP waits until something listens at addr.
func waitTCP(ctx context.Context, addr string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("nothing listens at %s: %w", addr, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// have reports whether programs are installed.
func have(programs ...string) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s: %w", p, errAbsent)
		}
	}
	return nil
}
