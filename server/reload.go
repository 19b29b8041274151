package server

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"time"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/mail"
)

// Reload applies what can change without a restart (the keys with live:"yes" in package
// config), and says what cannot. A configuration that fails changes nothing. Sessions,
// messages and attempts that are under way go on as they began.
func (s *Server) Reload(ctx context.Context, c config.Config) (admin.Reloaded, error) {
	began := time.Now()
	out := admin.Reloaded{V: 1}
	out.Applied, out.AtStart = config.Changed(s.cfg, c)
	old, next := s.cfg, s.cfg
	next.TakeLive(c)
	passwords, err := s.relayPasswords(next)
	if err != nil {
		return out, err
	}
	sending, err := queueOptions(next, s.eng, s.hostname, passwords)
	if err != nil {
		return out, err
	}
	s.cfg.TakeLive(c) // and no other key: those are read by others
	if err := s.loadCertificate(ctx); err != nil {
		s.cfg.TakeLive(old)
		return out, err
	}
	s.passwords = passwords
	if s.opts.Level != nil {
		s.opts.Level.Set(levelNamed(c.Log.Level))
	}
	if s.opts.demo { // it sends nowhere
		sending.Router = everywhere{}
	}
	s.queue.Apply(sending)
	s.deliv.Apply(s.deliveryOptions())
	s.smtp.Apply(s.smtpOptions())
	s.imap.Apply(imapLimits(s.cfg.Limits))
	s.log.Info("reloaded", "changed", strings.Join(out.Applied, " "), "ms", time.Since(began).Milliseconds())
	if len(out.AtStart) > 0 {
		s.log.Warn("these changes wait for the next start", "keys", strings.Join(out.AtStart, " "))
	}
	return out, nil
}

// relayPasswords reads the passwords of relays. One that only root may read stays what it
// was at the start.
func (s *Server) relayPasswords(c config.Config) (map[string]string, error) {
	fresh := map[string]string{}
	for _, path := range passwordFiles(c) {
		text, err := readSecret("password of a relay", path)
		if known, have := s.passwords[path]; have && errors.Is(err, fs.ErrPermission) {
			text, err = known, nil
		}
		if err != nil {
			return nil, err
		}
		fresh[path] = text
	}
	return fresh, nil
}

// passwordFiles are those that the routes name.
func passwordFiles(c config.Config) []string {
	files := map[string]bool{c.Queue.SmarthostPasswordFile: true}
	for _, to := range c.Queue.Routes {
		if r, err := config.ParseRoute(to); err == nil {
			files[r.PasswordFile] = true
		}
	}
	delete(files, "")
	var list []string
	for path := range maps.Keys(files) {
		list = append(list, path)
	}
	return list
}

// A reloadRequest asks the loop that owns the configuration.
type reloadRequest struct {
	dry  bool
	done chan<- reloadDone // has room for one
}

type reloadDone struct {
	out admin.Reloaded
	err error
}

// askReload reads the configuration again, or with dry only says what that would change.
func (s *Server) askReload(ctx context.Context, dry bool) (admin.Reloaded, error) {
	done := make(chan reloadDone, 1)
	select {
	case s.reloads <- reloadRequest{dry, done}:
	case <-ctx.Done():
		return admin.Reloaded{}, &mail.Error{Kind: mail.Unavailable, Op: "config.reload", Text: "the server is busy or was not started with a file", Err: ctx.Err()}
	}
	select {
	case d := <-done:
		return d.out, d.err
	case <-ctx.Done():
		return admin.Reloaded{}, &mail.Error{Kind: mail.Unavailable, Op: "config.reload", Text: "the reload takes long; the log says how it ended", Err: ctx.Err()}
	}
}

// answer does what a request asks for.
func (s *Server) answer(ctx context.Context, r reloadRequest, load func() (config.Config, error)) {
	var d reloadDone
	if r.dry {
		c, err := load()
		if d.err = err; err == nil {
			d.out.V = 1
			d.out.Applied, d.out.AtStart = config.Changed(s.cfg, c)
		}
	} else {
		d.out, d.err = s.reloadFrom(ctx, load)
	}
	if d.err != nil {
		d.err = &mail.Error{Kind: mail.Invalid, Op: "config.reload", Text: d.err.Error(), Err: d.err}
	}
	r.done <- d
}
