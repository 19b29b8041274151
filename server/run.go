package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"posthouse/config"
)

// gracefulTime is how long transactions under way may take when the server stops.
const gracefulTime = 10 * time.Second

// RunOptions of Run.
type RunOptions struct {
	Load func() (config.Config, error) // at start, and again at each SIGHUP
	Log  io.Writer
}

// A Reloadable is what Reload applies.
type Reloadable struct {
	TLS   config.TLS
	Level slog.Level
}

// Run runs a server until ctx ends or a part of it fails, then stops it. SIGHUP
// reloads. It tells systemd what it does.
func Run(ctx context.Context, o RunOptions) error {
	cfg, err := o.Load()
	if err != nil {
		return err
	}
	log, level := NewLogger(o.Log, cfg.Log)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	s, err := Start(ctx, Options{Config: cfg, Logger: log, Level: level})
	if err != nil {
		return err
	}
	notify(log, daemon.SdNotifyReady)
	s.watchdog()
	var failure error
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case failure = <-s.Failed():
			log.Error("a part of the server failed", "err", failure)
			running = false
		case <-hangup:
			s.reloadFrom(ctx, o.Load)
		}
	}
	notify(log, daemon.SdNotifyStopping)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), gracefulTime)
	defer cancel()
	return errors.Join(failure, s.Stop(stopping))
}

// reloadFrom reads the configuration again; on an error the old one stays.
func (s *Server) reloadFrom(ctx context.Context, load func() (config.Config, error)) {
	notify(s.log, daemon.SdNotifyReloading)
	defer notify(s.log, daemon.SdNotifyReady)
	err := s.Reload(ctx, func() (Reloadable, error) {
		c, err := load()
		return Reloadable{TLS: c.TLS, Level: levelNamed(c.Log.Level)}, err
	})
	if err != nil {
		s.log.Error("reload failed: the old configuration stays", "err", err)
	}
}

// notify tells systemd, where it is there.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot notify systemd", "err", err)
	}
}

// watchdog tells systemd at half its interval that the server lives: it answers
// only while the store can be read.
func (s *Server) watchdog() {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	done := make(chan struct{})
	s.onStop("watchdog", func(context.Context) error { close(done); return nil })
	s.tasks.Go(func() {
		tick := time.NewTicker(interval / 2)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				_ = s.eng.Snapshot(0).Close() // hangs if the engine does
				notify(s.log, daemon.SdNotifyWatchdog)
			}
		}
	})
}
