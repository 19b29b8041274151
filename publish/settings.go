package publish

import (
	"context"
	"strings"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// A Setting is how a mail program reaches one service.
type Setting struct {
	Protocol string // imap, smtp
	Host     string
	Port     uint16
	Implicit bool // TLS from the first byte; else STARTTLS
}

// Settings are how a mail program reaches the server for an address in a domain of ours,
// the best first (RFC 8314 §3: TLS from the first byte). NotFound for other domains;
// whether the address exists is not said.
func (s *Service) Settings(ctx context.Context, d mail.Domain) ([]Setting, error) {
	if _, err := s.opts.Directory.Domain(ctx, d); err != nil {
		return nil, err
	}
	var out []Setting
	for _, known := range []struct {
		face, protocol string
		implicit       bool
	}{{"imaps", "imap", true}, {"imap", "imap", false}, {"submissions", "smtp", true}, {"submission", "smtp", false}} {
		for _, f := range s.opts.Faces {
			if f.Name == known.face {
				out = append(out, Setting{known.protocol, s.opts.Hostname, f.Port, known.implicit})
				break
			}
		}
	}
	return out, nil
}

// hosts are the names below a domain under which the server shows something about it.
var hosts = []string{"mta-sts.", "autoconfig.", "autodiscover."}

// DomainOf finds the domain of ours that a host name belongs to, and the label in front of
// it with its dot, as "mta-sts.".
func (s *Service) DomainOf(ctx context.Context, host string) (d mail.Domain, label string, ok bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, label := range hosts {
		rest, found := strings.CutPrefix(host, label)
		if !found {
			continue
		}
		d, err := wire.ParseDomain(rest)
		if err != nil {
			return "", "", false
		}
		_, err = s.opts.Directory.Domain(ctx, d)
		return d, label, err == nil
	}
	return "", "", false
}
