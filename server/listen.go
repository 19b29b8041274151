package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"posthouse/admin"
	"posthouse/config"
)

// A Bound is a listener with the face that is served on it.
type Bound struct {
	Face string // a key of [listen]
	net.Listener
}

func (b Bound) listener() admin.Listener {
	return admin.Listener{Face: b.Face, Network: b.Addr().Network(), Address: b.Addr().String()}
}

// bind opens all ports, before privileges are dropped.
func (s *Server) bind(ctx context.Context) error {
	if s.bound == nil {
		handed, err := fromSystemd()
		if err != nil {
			return err
		}
		if s.bound, err = listen(ctx, s.cfg, handed); err != nil {
			return err
		}
	}
	for i, b := range s.bound {
		s.bound[i].Listener = &keptListener{Listener: b.Listener}
	}
	s.onStop("listeners", func(context.Context) error {
		for _, b := range s.bound {
			_ = b.Listener.(*keptListener).release() // nothing is lost with it
		}
		return nil
	})
	return nil
}

// fromSystemd returns the listeners that systemd opened for us (socket activation:
// ports below 1024 without ever being root), by their FileDescriptorName.
func fromSystemd() ([]Bound, error) {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return nil, err
	}
	faces := config.Listen{}.Faces()
	var handed []Bound
	for name, listeners := range named {
		if !slices.ContainsFunc(faces, func(f config.Face) bool { return f.Name == name }) {
			return nil, fmt.Errorf("a socket from systemd is named %q: set FileDescriptorName to a key of [listen]", name)
		}
		for _, l := range listeners {
			if l != nil {
				handed = append(handed, Bound{name, l})
			}
		}
	}
	return handed, nil
}

// listen binds every address of [listen], or none. A face that handed has is left
// to it.
func listen(ctx context.Context, c config.Config, handed []Bound) (bound []Bound, err error) {
	bound = handed
	defer func() {
		if err != nil {
			for _, b := range bound {
				_ = b.Close()
			}
		}
	}()
	for _, f := range c.Listen.Faces() {
		if slices.ContainsFunc(handed, func(b Bound) bool { return b.Face == f.Name }) {
			continue
		}
		for _, addr := range f.Addrs {
			l, err := listenOn(ctx, addr, os.FileMode(c.SMTP.LMTPSocketMode()))
			if err != nil {
				return bound, fmt.Errorf("listen.%s: %w%s", f.Name, err, bindHint(err))
			}
			bound = append(bound, Bound{f.Name, l})
		}
	}
	return bound, nil
}

// bindHint says what to do about a port that cannot be had.
func bindHint(err error) string {
	switch {
	case errors.Is(err, os.ErrPermission):
		return " (ports below 1024 need root, which is given up for run.user, or CAP_NET_BIND_SERVICE)"
	case errors.Is(err, syscall.EADDRINUSE):
		return " (another server listens there: `ss -ltnp` shows which)"
	}
	return ""
}

// keepAlive is how often a silent connection is asked whether its peer is still there:
// before the NATs of the world forget it, and not as often as Go does by itself (15 s),
// which keeps the radio of a phone awake that waits in IDLE.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 4 * time.Minute, Interval: 30 * time.Second, Count: 6}

func listenOn(ctx context.Context, addr string, mode os.FileMode) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	if !config.IsSocket(addr) {
		return lc.Listen(ctx, "tcp", addr)
	}
	if err := removeStaleSocket(ctx, addr); err != nil {
		return nil, err
	}
	l, err := lc.Listen(ctx, "unix", addr)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(addr, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStaleSocket removes a socket that a killed server left, and refuses one
// that is in use.
func removeStaleSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is there and is no socket", path)
	}
	var d net.Dialer
	if c, err := d.DialContext(ctx, "unix", path); err == nil {
		_ = c.Close()
		return fmt.Errorf("%s is in use", path)
	}
	return os.Remove(path)
}

// A keptListener outlives the front end that serves on it: Close ends its Accept
// and no more. So a restart in place needs no rights to bind again, and who
// connects meanwhile waits instead of being refused.
type keptListener struct {
	net.Listener
	closed atomic.Bool
}

// Accept returns net.ErrClosed after Close.
func (k *keptListener) Accept() (net.Conn, error) {
	c, err := k.Listener.Accept()
	if err != nil && k.closed.Load() {
		return nil, net.ErrClosed
	}
	return c, err
}

// Close ends Accept.
func (k *keptListener) Close() error {
	k.closed.Store(true)
	return k.deadline(time.Unix(1, 0))
}

// reopen takes Close back.
func (k *keptListener) reopen() error {
	k.closed.Store(false)
	return k.deadline(time.Time{})
}

// release closes the listener itself.
func (k *keptListener) release() error { return k.Listener.Close() }

func (k *keptListener) deadline(t time.Time) error {
	d, ok := k.Listener.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return k.release()
	}
	return d.SetDeadline(t)
}
