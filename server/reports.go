package server

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"posthouse/directory"
	"posthouse/internal/outward"
	"posthouse/mail"
	"posthouse/report"
	"posthouse/smtp/wire"
)

// openTally counts what others asked to be told. The demo asks and tells nobody.
func (s *Server) openTally() {
	c := s.cfg.Reports
	s.tally = report.OpenTally(report.TallyOptions{Engine: s.eng, DMARC: c.DMARC && !s.opts.demo, TLS: c.TLS && !s.opts.demo, Failures: c.Failures && !s.opts.demo, Logger: s.log})
	s.onStop("counts for reports", s.tally.Close)
}

// startReports sends them.
func (s *Server) startReports(context.Context) error {
	if s.opts.demo {
		return nil
	}
	const patience = 30 * time.Second
	snd := report.NewSender(report.SenderOptions{
		Engine: s.eng, Resolver: s.resolver, Tally: s.tally, Hostname: s.hostname, Organization: s.cfg.Reports.Organization,
		From: s.reportsFrom, Inject: s.deliv.Inject, Rand: rand.Reader, Logger: s.log,
		Client: &http.Client{Transport: outward.Transport(nil, patience), Timeout: 2 * patience, CheckRedirect: httpsOnly},
	})
	snd.Start()
	s.reports = snd
	s.onStop("reports", snd.Close)
	return nil
}

// httpsOnly follows few redirects, and none out of TLS.
func httpsOnly(req *http.Request, via []*http.Request) error {
	if len(via) > 3 || req.URL.Scheme != "https" {
		return http.ErrUseLastResponse
	}
	return nil
}

// reportsFrom is the address that reports come from: the configured one, or postmaster
// at the domain that the host name lies in, or at the first with keys.
func (s *Server) reportsFrom(ctx context.Context) (mail.Address, error) {
	const op = "server.reportsFrom"
	if f := s.cfg.Reports.From; f != "" {
		a, err := wire.ParseAddress(f)
		if err != nil {
			return a, &mail.Error{Kind: mail.NotFound, Op: op, Text: "reports.from is not an address"}
		}
		return a, s.signs(ctx, a.Domain)
	}
	var domains []mail.Domain
	if err := s.dir.Domains(ctx, func(d directory.Domain) bool { domains = append(domains, d.Name); return true }); err != nil {
		return mail.Address{}, err
	}
	best := mail.Domain("")
	for _, d := range domains {
		if s.signs(ctx, d) != nil {
			continue
		}
		if within := s.hostname == string(d) || strings.HasSuffix(s.hostname, "."+string(d)); within || best == "" {
			if best = d; within {
				break
			}
		}
	}
	if best == "" {
		return mail.Address{}, &mail.Error{Kind: mail.NotFound, Op: op, Text: "no domain here signs its mail, so no reports are sent"}
	}
	return mail.Address{Local: "postmaster", Domain: best}, nil
}

// signs fails if a domain has no keys: RFC 8460 §3 and RFC 7489 §7.2.1.1 want signed reports.
func (s *Server) signs(ctx context.Context, d mail.Domain) error {
	keys, err := s.dir.SigningKeys(ctx, d)
	if err == nil && len(keys) == 0 {
		err = &mail.Error{Kind: mail.NotFound, Op: "server.signs", Text: "the domain " + string(d) + " has no DKIM keys"}
	}
	return err
}
