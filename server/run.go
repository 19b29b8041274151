package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"posthouse/admin"
	"posthouse/config"
)

// gracefulTime is how long transactions under way may take when the server stops.
const gracefulTime = 10 * time.Second

// RunOptions of Run.
type RunOptions struct {
	Load func() (config.Config, error) // at start, and again at each SIGHUP
	Log  io.Writer
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
	failure := s.supervise(ctx, hangup, o.Load)
	notify(log, daemon.SdNotifyStopping)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), gracefulTime)
	defer cancel()
	return errors.Join(failure, s.Stop(stopping))
}

// superviseEvery is how often the store is looked at.
const superviseEvery = 2 * time.Second

// supervise returns when ctx ends, or with the reason why a part of the server
// ended by itself. Meanwhile it reloads, and mends the store after a fault.
func (s *Server) supervise(ctx context.Context, hangup <-chan os.Signal, load func() (config.Config, error)) error {
	tick := time.NewTicker(superviseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.Failed():
			s.log.Error("a part of the server failed", "err", err)
			return err
		case <-hangup:
			_, _ = s.reloadFrom(ctx, load) // it is in the log
		case r := <-s.reloads:
			s.answer(ctx, r, load)
		case <-tick.C:
			s.mend(ctx)
		}
	}
}

// mend opens the store again after a fault, once the disk works. Until then mail
// can be read and none is taken.
func (s *Server) mend(ctx context.Context) {
	if !s.down && !s.eng.Stats().Failed {
		return
	}
	if err := probe(s.cfg.Data); err != nil {
		s.log.Error("the disk does not work: mail is refused", "err", err)
		return
	}
	if err := s.restart(ctx); err != nil {
		s.log.Error("the store does not open", "err", err)
		return
	}
	s.log.Info("the store works again")
}

// probe writes and syncs a file in dir.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4<<10))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// restart stops everything but the listeners and starts it again.
func (s *Server) restart(ctx context.Context) error {
	stopping, cancel := context.WithTimeout(ctx, gracefulTime)
	defer cancel()
	if err := s.undo(stopping, s.prepared); err != nil {
		s.log.Warn("stopping what failed", "err", err) // expected of a store that failed
	}
	s.down, s.fronts = true, nil
	for _, b := range s.bound {
		if err := b.Listener.(*keptListener).reopen(); err != nil {
			return err
		}
	}
	if err := s.run(ctx, s.open()); err != nil {
		return errors.Join(err, s.undo(stopping, s.prepared))
	}
	s.down = false
	return nil
}

// reloadFrom reads the configuration again; on an error the old one stays.
func (s *Server) reloadFrom(ctx context.Context, load func() (config.Config, error)) (out admin.Reloaded, err error) {
	notify(s.log, reloading())
	defer notify(s.log, daemon.SdNotifyReady)
	c, err := load()
	if err == nil {
		out, err = s.Reload(ctx, c)
	}
	if err != nil {
		s.log.Error("reload failed: the old configuration stays", "err", err)
	}
	return out, err
}

// reloading is the message for Type=notify and Type=notify-reload.
func reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return daemon.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000)
}

// notify tells systemd, where it is there.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot notify systemd", "err", err)
	}
}

// startWatchdog tells systemd at half its interval that the server lives: it answers
// only while the store can be read.
func (s *Server) startWatchdog(context.Context) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return err
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
	return nil
}
