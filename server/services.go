package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/delivery"
	"posthouse/hook"
	"posthouse/imap"
	"posthouse/imapurl"
	"posthouse/jmap"
	"posthouse/mail"
	"posthouse/mailauth/dnsbl"
	"posthouse/report"
	"posthouse/smtp"
	"posthouse/smtp/wire"
	"posthouse/web"
)

func (s *Server) openDelivery(ctx context.Context) error {
	keys, err := openSRS(ctx, s.eng)
	if err != nil {
		return err
	}
	s.srs = keys
	o := s.deliveryOptions()
	o.Store, o.Directory, o.Queue, o.Hostname, o.Logger, o.SRS, o.Trace = s.store, s.dir, s.queue, s.hostname, s.log, keys.rewriter, s.trace
	o.Engine, o.Suppression, o.Reports, o.Tally, o.Reported = s.eng, s.queue, report.Open(s.eng, nil), s.tally, jmap.NoteReport
	s.deliv = delivery.New(o)
	s.onStop("front ends", s.stopFronts)
	return nil
}

// deliveryOptions are those that a reload applies.
func (s *Server) deliveryOptions() delivery.Options {
	return delivery.Options{Limits: deliveryLimits(s.cfg.Limits), RefuseOverQuota: s.cfg.SMTP.OverQuota == "refuse", Checks: s.senderChecks(), Hooks: hooks(s.cfg.SMTP.Hooks),
		ReportAddresses: reportAddresses(s.cfg.SMTP.ReportAddresses),
		Caps:            delivery.Caps{Messages: s.cfg.Limits.AccountMessages.Int(), NewRecipients: s.cfg.Limits.AccountNewRecipients.Int()}}
}

// senderChecks is what the configuration says about mail from other servers. The demo
// has no DNS, so it asks nothing.
func (s *Server) senderChecks() *delivery.Checks {
	c := s.cfg.SMTP
	if c.SenderChecks == "off" || s.opts.demo {
		return nil
	}
	checks := &delivery.Checks{Resolver: s.resolver, Sealers: c.TrustedForwarders, Pause: max(0, c.PauseSuspects.Duration())}
	for _, zone := range slices.Sorted(maps.Keys(c.Lists)) {
		l, err := config.ParseList(c.Lists[zone])
		if err != nil {
			continue // config has seen to that
		}
		z := dnsbl.Zone{Name: zone, Weight: l.Weight}
		for _, code := range l.Codes {
			z.Codes = append(z.Codes, dnsbl.Code(code))
		}
		checks.Lists = append(checks.Lists, z)
	}
	if c.SenderChecks == "mark" {
		checks.Mode = delivery.MarkOnly
	}
	return checks
}

// smtpFaces are the keys of [listen] that package smtp serves.
var smtpFaces = map[string]smtp.Face{
	"mx": smtp.MX, "submission": smtp.Submission, "submissions": smtp.Submissions, "lmtp": smtp.LMTP,
}

func (s *Server) startSMTP(ctx context.Context) error {
	o := s.smtpOptions()
	o.Delivery, o.Authenticator, o.TLSConfig, o.LoginTLS, o.Hostname, o.Bans = s.deliv, s.dir, s.tlsConfig(), s.loginTLS(submissionALPN...), s.hostname, s.dir
	o.Logger, o.AllowPlaintextLogin, o.URLs = s.log, s.cfg.AllowPlaintextLogin, s.urls()
	s.smtp = smtp.New(o)
	s.fronts = append(s.fronts, s.smtp.Shutdown)
	s.serve(ctx, func(ctx context.Context, b Bound) (func() error, bool) {
		face, ok := smtpFaces[b.Face]
		return func() error { return s.smtp.Serve(ctx, b.Listener, face) }, ok
	})
	return nil
}

// urls reads and signs URLs of what is in the store.
func (s *Server) urls() *imapurl.Service {
	return &imapurl.Service{Store: s.store, People: s.dir, Host: s.hostname, Now: time.Now}
}

// smtpOptions are those that a reload applies.
func (s *Server) smtpOptions() smtp.Options {
	return smtp.Options{XClient: networks(s.cfg.SMTP.XClientHosts), Proxies: networks(s.cfg.SMTP.ProxyHosts), Limits: smtpLimits(s.cfg.Limits)}
}

// reportAddresses reads addresses, or names that are in each domain.
func reportAddresses(list []string) []mail.Address {
	var out []mail.Address
	for _, text := range list {
		if a, err := wire.ParseAddress(text); err == nil {
			out = append(out, a)
		} else if !strings.Contains(text, "@") {
			out = append(out, mail.Address{Local: text})
		}
	}
	return out
}

// hooks reads what config has checked.
func hooks(list []string) []hook.Asked {
	var out []hook.Asked
	for _, text := range list {
		h, err := config.ParseHook(text)
		if err != nil {
			continue
		}
		a := hook.Asked{Name: h.Program, Time: h.Time, Open: h.Open, Submitted: h.Submitted, Received: h.Received}
		switch h.Program {
		case "milter":
			a.Hook = &hook.Milter{Address: h.Address}
		case "rspamd":
			a.Hook = &hook.Rspamd{URL: h.Address}
		case "clamav":
			a.Hook = &hook.ClamAV{Address: h.Address}
		}
		out = append(out, a)
	}
	return out
}

// networks reads what config has checked.
func networks(list []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		if p, err := config.ParseNetwork(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func (s *Server) startIMAP(ctx context.Context) error {
	o := imap.Options{
		Store: s.store, Directory: s.dir, Logger: s.log, Limits: imapLimits(s.cfg.Limits), TLSConfig: s.loginTLS(imapALPN...),
		AllowPlaintextLogin: s.cfg.AllowPlaintextLogin, Withhold: s.cfg.IMAP.Withhold, WithholdFrom: s.cfg.IMAP.WithholdFrom,
		Neighbours: s.dir, SharedAccounts: s.cfg.IMAP.SharedAccounts, URLs: s.urls(),
	}
	o.JMAP = s.jmapURL()
	if s.cfg.IMAP.ServerID {
		o.Version = Version()
	}
	o.Quotas = &admin.System{Store: s.store, Directory: s.dir, Logger: s.log}
	s.imap = imap.New(o)
	s.fronts = append(s.fronts, s.imap.Shutdown)
	s.serve(ctx, func(ctx context.Context, b Bound) (func() error, bool) {
		face := imap.Face{Name: b.Face, ImplicitTLS: b.Face == "imaps"}
		return func() error { return s.imap.Serve(ctx, b.Listener, face) }, b.Face == "imap" || b.Face == "imaps"
	})
	return nil
}

func (s *Server) startWeb(ctx context.Context) error {
	if err := s.openJMAP(); err != nil {
		return err
	}
	s.web = web.New(web.Options{
		Hostname: s.hostname, Status: s.status, Health: s.health, Figures: s.figures, People: s.opts.People,
		JMAP: s.jmap, Verdict: s.jmap.Verdict, Account: s.jmap.OpenAccount, Store: s.store, User: s.webUser, Publish: s.pub, TLS: s.tlsConfig(), Limits: webLimits(s.cfg.Limits), Logger: s.log,
	})
	s.fronts = append(s.fronts, func(ctx context.Context) error { // streams end first: they would hold the other up
		return errors.Join(s.jmap.Shutdown(ctx), s.web.Shutdown(ctx))
	})
	s.serve(ctx, func(ctx context.Context, b Bound) (func() error, bool) {
		if b.Face == "https" {
			return func() error { return s.serveHTTPS(ctx, b.Listener) }, true
		}
		return func() error { return s.web.Serve(b.Listener) }, b.Face == "http"
	})
	return nil
}

// stopFronts shuts all front ends down at once: none waits for another's clients.
func (s *Server) stopFronts(ctx context.Context) error {
	errs := make([]error, len(s.fronts))
	var wg sync.WaitGroup
	for i, f := range s.fronts {
		wg.Go(func() { errs[i] = f(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// serve starts a task for each listener that pick takes.
func (s *Server) serve(ctx context.Context, pick func(context.Context, Bound) (func() error, bool)) {
	ctx = context.WithoutCancel(ctx) // they end by Shutdown, so that transactions can finish
	for _, b := range s.bound {
		f, ok := pick(ctx, b)
		if !ok {
			continue
		}
		s.goTask(b.Face, func() error {
			err := f()
			if errors.Is(err, smtp.ErrClosed) || errors.Is(err, imap.ErrClosed) || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		})
	}
}

func (s *Server) startAdmin(context.Context) error {
	s.sys = &admin.System{Engine: s.eng, Store: s.store, Directory: s.dir, Queue: s.queue, Trace: s.trace, Logger: s.log, Status: s.status, Reload: s.askReload, Reports: s.reports, Hostname: s.hostname, Backup: backupOf(s.cfg, s.eng),
		DefaultQuota: max(0, s.cfg.Limits.Quota.Int64()), Revoked: s.revoked, Publish: s.pub}
	l, err := admin.Listen(s.cfg.Data)
	if err != nil {
		return err
	}
	srv := admin.NewServer(s.sys, s.cfg.Data)
	s.onStop("admin socket", srv.Shutdown)
	s.goTask("admin socket", func() error { return srv.Serve(l) })
	return nil
}

// health says why the server cannot do its work, or nil.
func (s *Server) health(context.Context) error {
	st := s.eng.Stats()
	switch {
	case st.Failed:
		return errors.New("the store stopped after a disk fault: look at the log, mend the disk, restart the server")
	case st.ReadOnly:
		return fmt.Errorf("the disk is full (%d MB free): mail is refused for the time being", st.FreeBytes>>20)
	}
	return nil
}
