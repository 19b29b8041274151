package publish

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"posthouse/directory"
	"posthouse/dns"
	"posthouse/mail"
	"posthouse/mailauth/dkim"
)

// A Key is a signing key of a domain, and what DNS shows of it.
type Key struct {
	Selector string
	Kind     string // RSA, Ed25519
	State    directory.KeyState
	Since    time.Time // in State
	Created  time.Time
	Record   Record // Value "": the key is retired
	Sight    directory.Sight
	Why      string // of Sight, if it is not Present
	Advice   string // what is to be done or will happen; "" is nothing
	Act      bool   // Advice is for people
}

// errKind is of a key in the directory that is none.
var errKind = errors.New("a key that cannot sign")

// Keys returns the keys of a domain with what DNS shows of them. It changes nothing.
func (s *Service) Keys(ctx context.Context, d mail.Domain) ([]Key, error) {
	const op = "publish.Keys"
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	name, err := s.ascii(ctx, op, d)
	if err != nil {
		return nil, err
	}
	list, err := s.opts.Directory.SigningKeys(ctx, d)
	if err != nil {
		return nil, err
	}
	return s.look(ctx, op, name, list)
}

// AdvanceKeys takes the keys of a domain as far as DNS and time allow; fresh announces
// new ones now. It returns them as they are then.
func (s *Service) AdvanceKeys(ctx context.Context, d mail.Domain, fresh bool) ([]Key, error) {
	const op = "publish.AdvanceKeys"
	name, err := s.ascii(ctx, op, d)
	if err != nil {
		return nil, err
	}
	if fresh {
		if _, err := s.opts.Directory.EnsureSigningKeys(ctx, d); err != nil {
			return nil, err
		}
	}
	list, err := s.opts.Directory.SigningKeys(ctx, d)
	if err != nil {
		return nil, err
	}
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	keys, err := s.look(looking, op, name, list)
	if err != nil {
		return nil, err
	}
	sights := map[string]directory.Sight{}
	for _, k := range keys {
		sights[k.Selector] = k.Sight
		if was := list[index(list, k.Selector)]; k.Sight == directory.Absent && !was.Seen.IsZero() && k.State != directory.KeyRetired {
			s.opts.Logger.Warn("the DNS record of a signing key is gone", "domain", name, "selector", k.Selector, "state", k.State.String(), "why", k.Why)
		}
	}
	rules := s.opts.Rules
	rules.Waiting = s.opts.Oldest()
	list, steps, err := s.opts.Directory.AdvanceKeys(ctx, d, rules, sights, fresh)
	if err != nil {
		return nil, err
	}
	for _, st := range steps {
		s.opts.Logger.Info("signing key", "domain", name, "selector", st.Selector, "from", st.From, "to", st.To)
	}
	if len(steps) > 0 {
		return s.look(looking, op, name, list)
	}
	return keys, nil
}

func index(list []directory.SigningKey, selector string) int {
	for i := range list {
		if list[i].Selector == selector {
			return i
		}
	}
	return 0
}

// look finds out what DNS shows of keys.
func (s *Service) look(ctx context.Context, op, domain string, list []directory.SigningKey) ([]Key, error) {
	keys := make([]Key, 0, len(list))
	for _, k := range list {
		key, err := s.lookAt(ctx, domain, k)
		if err != nil {
			return nil, &mail.Error{Kind: mail.Corrupt, Op: op, Text: "a signing key of " + domain + " cannot be read", Err: err}
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (s *Service) lookAt(ctx context.Context, domain string, k directory.SigningKey) (Key, error) {
	key := Key{Selector: k.Selector, Kind: "RSA", State: k.State, Since: k.Since, Created: k.Created}
	if k.Ed25519() {
		key.Kind = "Ed25519"
	}
	sk := dkim.SigningKey{Domain: domain, Selector: k.Selector}
	key.Record = Record{Name: sk.Name(), Type: "TXT"}
	published := func([]string) error { return nil } // of a retired key: anything that is there
	if k.State != directory.KeyRetired {
		private, err := x509.ParsePKCS8PrivateKey(k.Private)
		if err != nil {
			return key, err
		}
		var ok bool
		if sk.Key, ok = private.(crypto.Signer); !ok {
			return key, errKind
		}
		if key.Record.Value, err = sk.Record(); err != nil {
			return key, err
		}
		published = sk.Published
	}
	a, err := s.opts.Resolver.LookupTXT(ctx, sk.Name())
	switch {
	case err != nil && !dns.IsAbsent(err):
		key.Sight, key.Why = directory.Unknown, "DNS does not answer"
	case err != nil:
		key.Sight, key.Why = directory.Absent, "there is no such record"
	default:
		key.Sight = directory.Present
		if err := published(a.Records); err != nil {
			key.Sight, key.Why = directory.Absent, "what is there is not right: "+err.Error()
		}
	}
	s.advise(&key, k)
	return key, nil
}

// advise says what is to be done about a key, or what will happen.
func (s *Service) advise(key *Key, k directory.SigningKey) {
	day := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
	there := key.Sight == directory.Present
	switch k.State {
	case directory.KeyAnnounced:
		key.Act = key.Sight == directory.Absent
		key.Advice = "publish this record; the key signs after it has been seen for " + spell(s.opts.Rules.Settle)
		if from := k.Seen.Add(s.opts.Rules.Settle); there && !k.Seen.IsZero() {
			key.Advice = "the record is there: signs from " + day(from) + " on"
		} else if there {
			key.Advice = "the record is there: signs once it has been seen for " + spell(s.opts.Rules.Settle)
		}
	case directory.KeyActive:
		key.Act = key.Sight == directory.Absent
		if key.Act {
			key.Advice = "publish this record: until then receivers take the signatures of this key for none"
		}
	case directory.KeyRetiring:
		key.Act = key.Sight == directory.Absent
		key.Advice = "keep the record at least until " + day(k.Since.Add(s.opts.Rules.Keep)) + ": mail that it signed may be on its way"
	case directory.KeyRetired:
		key.Act = there
		key.Advice = "the record may be deleted"
	}
}

// spell is a time in words.
func spell(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d == time.Hour:
		return "an hour"
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}

const (
	// lookEvery is how often keys are looked at, and firstLook when after the start.
	lookEvery = 30 * time.Minute
	firstLook = time.Minute
	// remindEvery is how often the administrator is told of the same again.
	remindEvery = 14 * 24 * time.Hour
)

// Run takes the keys of all domains through their lives until ctx ends.
func (s *Service) Run(ctx context.Context) {
	t := time.NewTimer(firstLook)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		s.Advance(ctx)
		t.Reset(lookEvery)
	}
}

// Advance looks at the keys of all domains once. What fails is logged, and tried again
// the next time.
func (s *Service) Advance(ctx context.Context) {
	var names []mail.Domain
	err := s.opts.Directory.Domains(ctx, func(d directory.Domain) bool {
		names = append(names, d.Name)
		return true
	})
	for _, d := range names {
		if err == nil && ctx.Err() == nil {
			var keys []Key
			if keys, err = s.AdvanceKeys(ctx, d, false); err == nil {
				err = s.tell(ctx, d, keys)
			}
		}
		if err != nil && ctx.Err() == nil {
			s.opts.Logger.Warn("signing keys", "domain", string(d), "err", err)
			err = nil
		}
	}
	if err != nil {
		s.opts.Logger.Warn("signing keys", "err", err)
	}
}

// tell tells the administrator what is to be done about keys of a domain, again after a
// while. The first keys are not told of: who made them sees it.
func (s *Service) tell(ctx context.Context, d mail.Domain, keys []Key) error {
	if s.opts.Tell == nil {
		return nil
	}
	list, err := s.opts.Directory.SigningKeys(ctx, d)
	if err != nil || len(list) == 0 {
		return err
	}
	now := s.opts.Now()
	broken := false
	var selectors []string
	var text strings.Builder
	for _, k := range keys {
		told := list[index(list, k.Selector)].Told
		first := k.State == directory.KeyActive && told.IsZero() && k.Since.Equal(k.Created)
		if !k.Act || first || !told.IsZero() && now.Sub(told) < remindEvery {
			continue
		}
		selectors, broken = append(selectors, k.Selector), broken || k.State == directory.KeyActive
		fmt.Fprintf(&text, "%s\n  (%s, %s since %s)\n  %s\n", k.Record.Name, k.Kind, k.State, k.Since.UTC().Format(time.DateOnly), k.Advice)
		if k.Record.Value != "" {
			fmt.Fprintf(&text, "  %s\n", ZoneLine(k.Record))
		}
		text.WriteString("\n")
	}
	if len(selectors) == 0 {
		return nil
	}
	s.opts.Logger.Warn("signing keys need a change of DNS: see posthouse domain keys", "domain", string(d), "selectors", strings.Join(selectors, " "))
	intro := fmt.Sprintf("The keys that sign the mail of %s (DKIM) change from time to time. For that\nthese DNS records of the domain need your hand:\n\n", d)
	outro := "Until then nothing breaks: the keys that sign now go on."
	if broken {
		outro = "Until then receivers take mail for unsigned, and may refuse it."
	}
	outro += fmt.Sprintf("\n\n  posthouse domain keys %s\n\nshows how it stands.\n", d)
	if err := s.opts.Tell(ctx, d, "DNS of "+string(d)+": records to change for DKIM", intro+text.String()+outro); err != nil {
		return err
	}
	return s.opts.Directory.KeysTold(ctx, d, selectors, now)
}
