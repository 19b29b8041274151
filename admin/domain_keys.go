package admin

import (
	"context"
	"time"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/publish"
)

// SigningKeys is the output of domain.keys and domain.advance-keys, the oldest key first.
type SigningKeys struct {
	V    int          `json:"v"`
	Keys []SigningKey `json:"keys"`
}

// A SigningKey is a key that signs mail of a domain, or did, or will.
type SigningKey struct {
	Selector string    `json:"selector"`
	Kind     string    `json:"kind"`  // RSA, Ed25519
	State    string    `json:"state"` // announced, active, retiring, retired
	Since    time.Time `json:"since"` // in that state
	Created  time.Time `json:"created"`
	Name     string    `json:"name"`            // of its TXT record
	Value    string    `json:"value,omitempty"` // of it; none of a retired key
	DNS      string    `json:"dns"`             // there, missing, unknown: what was just seen
	Why      string    `json:"why,omitempty"`   // of that
	Advice   string    `json:"advice,omitempty"`
	Act      bool      `json:"act"` // Advice is for people to follow
}

// AdvanceKeys is the input of domain.advance-keys.
type AdvanceKeys struct {
	Name  string `json:"name"`
	Fresh bool   `json:"fresh,omitempty"` // announce new keys now
}

func domainKeys(ctx context.Context, s *System, in Named) (SigningKeys, error) {
	const op = "domain.keys"
	d, err := s.domainAndDNS(ctx, op, in.Name)
	if err != nil {
		return SigningKeys{}, err
	}
	list, err := s.Publish.Keys(ctx, d.Name)
	return showKeys(list), err
}

func domainAdvanceKeys(ctx context.Context, s *System, in AdvanceKeys) (SigningKeys, error) {
	d, err := s.domainAndDNS(ctx, "domain.advance-keys", in.Name)
	if err != nil {
		return SigningKeys{}, err
	}
	list, err := s.Publish.AdvanceKeys(ctx, d.Name, in.Fresh)
	return showKeys(list), err
}

// domainAndDNS is a domain here, if it can be compared with DNS.
func (s *System) domainAndDNS(ctx context.Context, op, name string) (directory.Domain, error) {
	if s.Publish == nil {
		return directory.Domain{}, refuse(mail.Unavailable, op, "DNS cannot be asked here")
	}
	return s.domain(ctx, op, name)
}

func showKeys(list []publish.Key) SigningKeys {
	out := SigningKeys{V: 1, Keys: []SigningKey{}}
	for _, k := range list {
		seen := [...]string{"unknown", "missing", "there"}[min(k.Sight, directory.Present)]
		out.Keys = append(out.Keys, SigningKey{
			Selector: k.Selector, Kind: k.Kind, State: k.State.String(), Since: k.Since.UTC(), Created: k.Created.UTC(),
			Name: k.Record.Name, Value: k.Record.Value, DNS: seen, Why: k.Why, Advice: k.Advice, Act: k.Act,
		})
	}
	return out
}
