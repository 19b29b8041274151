package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"posthouse/internal/peers"
	"posthouse/mailauth/dkim"
)

// errAbsent says that this machine does not have a peer.
var errAbsent = errors.New("not here")

// starters start each peer in a directory of its own.
var starters = map[string]func(ctx context.Context, dir string) (*peer, error){
	"posthouse":     startPosthouse,
	"checks":        startChecks,
	"relay":         startRelay,
	"plain relay":   startPlainRelay,
	"postfix relay": startPostfixRelay,
	"signing relay": startSigningRelay,
	"dovecot":       startDovecot,
	"postfix":       startPostfix,
	"cyrus":         startCyrus,
}

// A peer is a server under load.
type peer struct {
	name, version string
	dir           string // where it keeps mail
	addrs         map[protocol]string
	imaps         string // address, or ""
	domain        string // of its users u0000 … u0099; may be ""
	password      string
	prefix        string                          // of the names of a user's mailboxes
	roots         func() []int                    // the processes whose trees are the server
	drain         func(ctx context.Context) error // returns when all that was accepted is in mailboxes; may be nil
	stop          func() ([]*syscall.Rusage, error)
	restart       func(ctx context.Context) error // ends the server and starts it again on its files; may be nil

	key     dkim.SigningKey // of senderDomain, if the server checks who sent a message
	sent    atomic.Int64    // bytes of mail acknowledged since start
	handed  atomic.Int64    // messages, likewise
	written int64           // bytes written in its whole life, after end
	ended   bool
}

func (p *peer) serves(w workload) bool { return p.addrs[w.proto] != "" }

func (p *peer) user(i int) string {
	if p.domain == "" {
		return fmt.Sprintf("u%04d", i)
	}
	return fmt.Sprintf("u%04d@%s", i, p.domain)
}

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

// wholeRun says what a server wrote from start to stop.
func (p *peer) wholeRun() string {
	sent := p.sent.Load()
	return fmt.Sprintf("%s from start to stop: %.1f MB of mail, %.2f bytes written per byte", p.name, float64(sent)/1e6, float64(p.written)/float64(max(sent, 1)))
}

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
		addrs: map[protocol]string{imapAppend: d.IMAP, imapShared: d.IMAP, imapMulti: d.IMAP, lmtpDeliver: d.LMTP},
		imaps: d.IMAPS, domain: "bench.test", password: peers.DovecotPassword,
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
	if err := peers.HasPostfix(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errAbsent)
	}
	d, err := peers.LaunchDovecot(boxes)
	if err != nil {
		return nil, err
	}
	queue := filepath.Join(dir, "p")
	if err := os.Mkdir(queue, 0o755); err != nil {
		return nil, err
	}
	pf, err := peers.LaunchPostfix(queue, peers.PostfixOptions{Domain: "bench.test", LMTP: d.LMTP, Extra: "default_process_limit = 200"})
	if err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	return &peer{
		dir: dir, name: "Postfix+Dovecot", version: "Postfix " + peers.PostfixVersion() + " to Dovecot " + d.Version + " by LMTP, mdbox",
		addrs:  map[protocol]string{smtpDeliver: pf.SMTP, mxSigned: pf.SMTP, mxUnsigned: pf.SMTP, smtpSource: pf.SMTP},
		domain: "bench.test",
		roots:  func() []int { return []int{pf.PID, d.PID()} },
		drain:  pf.Drain,
		stop: func() ([]*syscall.Rusage, error) {
			// The master is not our child: take what it used while it lives.
			used, _ := readUsage([]int{pf.PID})
			err := errors.Join(pf.Stop(), d.Stop())
			return []*syscall.Rusage{d.Usage(), {Oublock: used.written / 512}}, err
		},
	}, nil
}

func startCyrus(_ context.Context, dir string) (*peer, error) {
	if err := peers.HasCyrus(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errAbsent)
	}
	p := &peer{dir: dir, name: "Cyrus", password: peers.CyrusPassword, prefix: "INBOX."}
	var users []string
	for i := range maxUsers {
		users = append(users, p.user(i))
	}
	c, err := peers.LaunchCyrus(dir, users)
	if err != nil {
		return nil, err
	}
	p.version = "Cyrus " + c.Version
	p.addrs = map[protocol]string{imapAppend: c.IMAP, imapShared: c.IMAP, imapMulti: c.IMAP, lmtpDeliver: c.LMTP}
	p.imaps = c.IMAPS
	p.roots = func() []int { return []int{c.PID()} }
	p.stop = func() ([]*syscall.Rusage, error) {
		err := c.Stop()
		return []*syscall.Rusage{c.Usage()}, err
	}
	// An account is made at its first login.
	for i := range maxUsers {
		s, err := dialIMAP(p, i, false)
		if err != nil {
			return nil, errors.Join(err, p.end())
		}
		s.close()
	}
	return p, nil
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
