package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"posthouse/config"
	"posthouse/web"
)

// DemoOptions of StartDemo.
type DemoOptions struct {
	Keep     string // data directory that stays; "": a temporary one
	PortBase int    // ports are PortBase+25 and so on; negative: the first free base from 10000
	Log      io.Writer
	// Live is how often somebody writes to Ada. With it the demo also has a message that
	// says what to try, a snoozed conversation and a scheduled message; 0: only the mail
	// that is always the same.
	Live time.Duration
	// FreeDisk is the free space in bytes below which it takes no mail; 0: the usual. With more
	// than there is, it behaves as on a full disk.
	FreeDisk int64
}

// A Demo is a running demo server.
type Demo struct {
	*Server
	dir     string
	keep    bool
	started time.Time
	took    time.Duration
	every   time.Duration // DemoOptions.Live
	filled  bool          // by this start
}

// demoPorts are the faces of the demo with the ports that they have elsewhere.
var demoPorts = []struct {
	face string
	port int
}{
	{"mx", 25}, {"submission", 587}, {"submissions", 465}, {"imap", 143}, {"imaps", 993}, {"http", httpPort},
}

const httpPort = 80

// DemoPorts is the highest port of the demo, counted from its base.
const DemoPorts = 993

// StartDemo starts a server with two people and their mail: on loopback only,
// without privileges, and without any way for mail to leave this computer.
func StartDemo(ctx context.Context, o DemoOptions) (_ *Demo, err error) {
	d := &Demo{dir: o.Keep, keep: o.Keep != "", started: time.Now(), every: o.Live}
	if !d.keep {
		if d.dir, err = os.MkdirTemp("", "posthouse-demo-"); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.remove())
		}
	}()
	bound, err := bindDemo(ctx, o.PortBase)
	if err != nil {
		return nil, err
	}
	cfg := demoConfig(d.dir)
	if o.FreeDisk > 0 {
		cfg.Limits.FreeDisk = config.Size(o.FreeDisk)
	}
	log, level := NewLogger(o.Log, cfg.Log)
	d.Server, err = Start(ctx, Options{
		Config: cfg, Logger: log, Level: level, Listeners: bound, small: true, demo: true,
		People: []web.Person{{Name: "Ada", Address: demoAda, Password: demoPassword}, {Name: "Ben", Address: demoBen, Password: demoPassword}},
	})
	if err != nil {
		return nil, err
	}
	if err := d.fill(ctx); err != nil {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return nil, errors.Join(err, d.Stop(stopping))
	}
	d.took = time.Since(d.started)
	return d, nil
}

func demoConfig(dir string) config.Config {
	c := config.Default()
	c.Hostname = "localhost"
	c.Data = dir
	c.Log.Level = "warn"
	c.Limits.HashMemory = 19 << 20
	c.Limits.Memory = 48 << 20
	c.Limits.Descriptors = config.Off
	c.Limits.FreeDiskPercent = config.Off // on a disk of somebody who wants to try it
	return c
}

// bindDemo binds all ports of the demo on loopback, at base or at the first base
// where all are free.
func bindDemo(ctx context.Context, base int) ([]Bound, error) {
	if base >= 0 {
		return bindAt(ctx, base)
	}
	for base := 10000; base+DemoPorts <= 65535; base += 1000 {
		bound, err := bindAt(ctx, base)
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
			return bound, err
		}
	}
	return nil, errors.New("no free ports from 10025 on: name some with --port-base")
}

func bindAt(ctx context.Context, base int) ([]Bound, error) {
	var bound []Bound
	var lc net.ListenConfig
	for _, p := range demoPorts {
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+p.port)))
		if err != nil {
			for _, b := range bound {
				_ = b.Close()
			}
			if errors.Is(err, syscall.EADDRINUSE) {
				err = fmt.Errorf("port %d is in use, choose another --port-base: %w", base+p.port, err)
			}
			return nil, err
		}
		bound = append(bound, Bound{p.face, l})
	}
	return withBrowserPort(ctx, bound, base), nil
}

// refusedByBrowsers are the ports, among those that a demo can get, that browsers
// do not connect to ("bad ports" of the Fetch standard): N+80 of the first base is
// one of them.
var refusedByBrowsers = []int{1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080}

// withBrowserPort adds a second HTTP port where browsers refuse the first.
func withBrowserPort(ctx context.Context, bound []Bound, base int) []Bound {
	if !slices.Contains(refusedByBrowsers, base+httpPort) {
		return bound
	}
	var lc net.ListenConfig
	for _, port := range []string{strconv.Itoa(base + httpPort + 1), "0"} {
		if l, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			return append(bound, Bound{"http", l})
		}
	}
	return bound
}

func (d *Demo) addr(face string) string {
	for _, b := range d.bound {
		if b.Face == face {
			return b.Addr().String()
		}
	}
	return ""
}

func (d *Demo) port(face string) string {
	_, port, err := net.SplitHostPort(d.addr(face))
	if err != nil {
		return ""
	}
	return port
}

// URL is the demo's page, at a port that browsers connect to.
func (d *Demo) URL() string {
	addr := ""
	for _, b := range d.bound { // the second one is there because the first is refused
		if b.Face == "http" {
			addr = b.Addr().String()
		}
	}
	return "http://" + addr + "/"
}

// Announce tells a person what there is.
func (d *Demo) Announce(w io.Writer) {
	end := "Ctrl-C removes everything (--keep DIR keeps it)."
	if d.keep {
		end = "Ctrl-C ends it; the mail stays in " + d.dir + "."
	}
	fmt.Fprintf(w, `  Demo mail server ready in %.1f s. Nothing leaves this computer.

  Ada (admin)   %s
  Ben           %s     password: %s

  Mail client   %s
  IMAP %s (TLS %s)   SMTP %s (TLS %s)   MX %s

  Send from Ada to Ben and watch it arrive. %s
`, d.took.Seconds(), demoAda, demoBen, demoPassword, d.URL(),
		d.addr("imap"), d.port("imaps"), d.addr("submission"), d.port("submissions"), d.addr("mx"), end)
}

// Wait serves until ctx ends or a part of the server fails, stops it, and removes
// what it made.
func (d *Demo) Wait(ctx context.Context) error {
	if d.every > 0 {
		living, die := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); d.live(living) }()
		defer func() { die(); <-ended }() // Stop has closed what it may wait for
	}
	failure := d.supervise(ctx, nil, nil)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return errors.Join(failure, d.Stop(stopping), d.remove())
}

func (d *Demo) remove() error {
	if d.keep {
		return nil
	}
	return os.RemoveAll(d.dir)
}
