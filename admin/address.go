package admin

import (
	"context"
	"strings"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// maxSuggest bounds how many names are looked at for "did you mean".
const maxSuggest = 10_000

// parseAddress reads an address that a person typed.
func (s *System) parseAddress(ctx context.Context, op, text string) (mail.Address, error) {
	text = strings.TrimSpace(text)
	if text != "" && !strings.Contains(text, "@") {
		return mail.Address{}, s.withoutDomain(ctx, op, text)
	}
	a, err := wire.ParseAddress(text)
	if err != nil || a.Local == "" {
		return a, refuse(mail.Invalid, op, "%q is not a mail address, as ada@example.org", text)
	}
	return a, nil
}

func (s *System) withoutDomain(ctx context.Context, op, local string) error {
	var names []string
	err := s.Directory.Domains(ctx, func(d directory.Domain) bool {
		names = append(names, string(d.Name))
		return len(names) < 4
	})
	if err != nil {
		return err
	}
	switch len(names) {
	case 0:
		return refuse(mail.Invalid, op, "%s has no domain, and there is no domain here yet. Add yours: posthouse domain add example.org", local)
	case 1:
		return refuse(mail.Invalid, op, "%s has no domain. Did you mean %s@%s? (the only domain here)", local, local, names[0])
	}
	return refuse(mail.Invalid, op, "%s has no domain. Did you mean %s@%s?", local, local, strings.Join(names, " or "+local+"@"))
}

// account finds the account that a person named.
func (s *System) account(ctx context.Context, op, text string) (directory.Account, error) {
	a, err := s.parseAddress(ctx, op, text)
	if err != nil {
		return directory.Account{}, err
	}
	acct, err := s.Directory.AccountByAddress(ctx, a)
	if mail.KindOf(err) != mail.NotFound || err == nil {
		return acct, err
	}
	if alias, aerr := s.Directory.Alias(ctx, a); aerr == nil {
		return acct, refuse(mail.NotFound, op, "%s is an alias, not an account: see posthouse alias list", alias.Address)
	}
	var names []string
	_ = s.Directory.Accounts(ctx, func(a directory.Account) bool {
		names = append(names, a.Address.String())
		return len(names) < maxSuggest
	})
	return acct, refuse(mail.NotFound, op, "there is no account %s%s", a, didYouMean(a.String(), names))
}

// domain finds the domain that a person named.
func (s *System) domain(ctx context.Context, op, text string) (directory.Domain, error) {
	name, err := wire.ParseDomain(strings.TrimSpace(text))
	if err != nil {
		return directory.Domain{}, refuse(mail.Invalid, op, "%q is not a domain name, as example.org", text)
	}
	dom, err := s.Directory.Domain(ctx, name)
	if mail.KindOf(err) != mail.NotFound || err == nil {
		return dom, err
	}
	var names []string
	_ = s.Directory.Domains(ctx, func(d directory.Domain) bool {
		names = append(names, string(d.Name))
		return len(names) < maxSuggest
	})
	return dom, refuse(mail.NotFound, op, "there is no domain %s here%s", name, didYouMean(string(name), names))
}

// didYouMean suggests the name that s is most probably a slip of.
func didYouMean(s string, names []string) string {
	best, bestDist := "", 3
	for _, n := range names {
		if d := distance(s, n, bestDist); d < bestDist {
			best, bestDist = n, d
		}
	}
	if best == "" {
		return ""
	}
	return ". Did you mean " + best + "?"
}

// distance is the number of single-letter edits between a and b, or limit if it
// is no less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	prev, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := row[j]
			if a[i] != b[j] {
				cost++
			}
			next[j+1] = min(cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] { // swapped letters are one slip
				next[j+1] = min(next[j+1], prev[j-1]+1)
			}
		}
		prev, row, next = row, next, prev
	}
	return min(row[len(b)], limit)
}
