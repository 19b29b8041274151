package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"posthouse/mail"
	"posthouse/tlspolicy/mtasts"
)

// STSPolicy is the MTA-STS policy of a domain of ours (RFC 8461 §3.2), and its id, which
// changes exactly when the policy does.
func (s *Service) STSPolicy(ctx context.Context, d mail.Domain) (mtasts.Policy, string, error) {
	dom, err := s.opts.Directory.Domain(ctx, d)
	if err != nil {
		return mtasts.Policy{}, "", err
	}
	p := mtasts.Policy{Mode: mtasts.Testing, MX: []string{s.opts.Hostname}, MaxAge: 24 * time.Hour}
	switch dom.STS {
	case "enforce":
		p.Mode, p.MaxAge = mtasts.Enforce, 14*24*time.Hour
	case "none": // RFC 8461 §8.3
		p.Mode = mtasts.None
	}
	sum := sha256.Sum256([]byte(p.String()))
	return p, hex.EncodeToString(sum[:10]), nil
}
