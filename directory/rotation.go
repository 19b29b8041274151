package directory

import (
	"context"
	"slices"
	"time"

	"posthouse/mail"
)

// A KeyState is where a signing key stands in its life. A domain has at most one active
// and one announced key of each kind (RSA, Ed25519), and each kind goes its own way.
//
//	announced  its record should be published; it does not sign
//	active     its record was seen for some time; it signs
//	retiring   it signs no more; what it signed may be on its way, so its record stays
//	retired    its record may go; the private key is gone. Forgotten when the record is
//
//	announced -> active     the record was seen, at every look, for KeyRules.Settle
//	active    -> retiring   in the same moment: another one took its place
//	retiring  -> retired    after KeyRules.Keep, and when nothing that it signed waits
//	retired   -> forgotten  the record is gone
//
// Every step is one commit, and computed from what stands there in that commit.
type KeyState uint8

// The states. Keys from before there were states are active.
const (
	KeyActive KeyState = iota
	KeyAnnounced
	KeyRetiring
	KeyRetired
)

func (s KeyState) String() string {
	return [...]string{"active", "announced", "retiring", "retired"}[min(s, KeyRetired)]
}

// KeyRules say how keys come and go.
type KeyRules struct {
	Rotate time.Duration // age of an active key after which another is announced; 0: never
	Settle time.Duration // for how long a record must have been seen before its key signs
	Keep   time.Duration // how long the record of a key that signs no more stays at least
	// Waiting is when the oldest message that still waits was signed; zero: none does.
	Waiting time.Time
}

// A Sight is what a look at a key's DNS record found.
type Sight uint8

// The sights.
const (
	Unknown Sight = iota // DNS did not answer
	Absent               // it is not there, or it is not the key's
	Present
)

// A KeyStep is a change of a key's state, for the log.
type KeyStep struct {
	Selector string
	From, To string // states; "forgotten" as To
}

// AdvanceKeys takes the keys of a domain as far as rules and what DNS shows of them
// allow, and announces new ones when it is time to, or now with fresh. It returns the
// keys as they are then and the steps that were taken.
func (d *Directory) AdvanceKeys(ctx context.Context, name mail.Domain, rules KeyRules, sights map[string]Sight, fresh bool) (keys []SigningKey, steps []KeyStep, err error) {
	const op = "directory.AdvanceKeys"
	have, err := d.SigningKeys(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	var made []SigningKey // outside of the change: it takes some time
	if wantsKeys(have, rules, d.opts.Now(), fresh) {
		if made, err = d.newSigningKeys(KeyAnnounced, have); err != nil {
			return nil, nil, fail(mail.Internal, op, err, "the signing keys of %s cannot be made", name)
		}
	}
	err = d.change(ctx, op, nil, func(c *change) error {
		steps = nil
		if _, err := c.domain(name); err != nil {
			return err
		}
		before, err := c.signing(name)
		if err != nil {
			return err
		}
		now := time.Unix(d.opts.Now().Unix(), 0)
		keys, steps = advance(before, rules, sights, now)
		if made != nil && wantsKeys(keys, rules, now, fresh) {
			keys, steps = announce(keys, made, steps)
		}
		if !slices.EqualFunc(keys, before, SigningKey.equal) {
			c.setSigning(name, keys)
		}
		return nil
	})
	return keys, steps, err
}

// KeysTold notes that the administrator was told about keys of a domain.
func (d *Directory) KeysTold(ctx context.Context, name mail.Domain, selectors []string, at time.Time) error {
	return d.change(ctx, "directory.KeysTold", nil, func(c *change) error {
		keys, err := c.signing(name)
		if err != nil || len(keys) == 0 {
			return err
		}
		for i := range keys {
			if slices.Contains(selectors, keys[i].Selector) {
				keys[i].Told = at
			}
		}
		c.setSigning(name, keys)
		return nil
	})
}

func (k SigningKey) equal(o SigningKey) bool { return k.Selector == o.Selector && k.sameStand(o) }

func (k SigningKey) sameStand(o SigningKey) bool {
	return k.State == o.State && k.Since.Equal(o.Since) && k.Seen.Equal(o.Seen) && k.Told.Equal(o.Told)
}

// wantsKeys reports whether new keys are to be announced: the domain signs, none are
// announced, and those that sign are old, or somebody asks for it.
func wantsKeys(keys []SigningKey, rules KeyRules, now time.Time, fresh bool) bool {
	old, signs := false, false
	for _, k := range keys {
		switch k.State {
		case KeyAnnounced:
			return false
		case KeyActive:
			signs = true
			old = old || rules.Rotate > 0 && now.Sub(k.Created) >= rules.Rotate
		}
	}
	return signs && (old || fresh)
}

// announce adds made, unless the selectors are taken: then somebody was faster.
func announce(keys, made []SigningKey, steps []KeyStep) ([]SigningKey, []KeyStep) {
	for _, m := range made {
		if slices.ContainsFunc(keys, func(k SigningKey) bool { return k.Selector == m.Selector }) {
			return keys, steps
		}
	}
	for _, m := range made {
		keys, steps = append(keys, m), append(steps, KeyStep{m.Selector, "", KeyAnnounced.String()})
	}
	return keys, steps
}

// advance is one step of the machine; it changes nothing that it is given.
func advance(before []SigningKey, rules KeyRules, sights map[string]Sight, now time.Time) (keys []SigningKey, steps []KeyStep) {
	keys = slices.Clone(before)
	move := func(k *SigningKey, to KeyState) {
		steps = append(steps, KeyStep{k.Selector, k.State.String(), to.String()})
		k.State, k.Since, k.Told = to, now, time.Time{}
	}
	for i := range keys {
		k := &keys[i]
		switch s := sights[k.Selector]; {
		case s == Absent:
			k.Seen = time.Time{}
		case s == Present && k.Seen.IsZero():
			k.Seen = now
		}
	}
	for i := range keys {
		k := &keys[i]
		ready := k.State == KeyAnnounced && sights[k.Selector] == Present && now.Sub(k.Seen) >= rules.Settle
		if !ready {
			continue
		}
		for j := range keys {
			if keys[j].State == KeyActive && keys[j].Ed25519() == k.Ed25519() {
				move(&keys[j], KeyRetiring)
			}
		}
		move(k, KeyActive)
	}
	for i := range keys {
		k := &keys[i]
		waits := !rules.Waiting.IsZero() && !rules.Waiting.After(k.Since)
		if k.State == KeyRetiring && now.Sub(k.Since) >= rules.Keep && !waits {
			move(k, KeyRetired)
			k.Private = nil
		}
	}
	keys = slices.DeleteFunc(keys, func(k SigningKey) bool {
		gone := k.State == KeyRetired && sights[k.Selector] == Absent
		if gone {
			steps = append(steps, KeyStep{k.Selector, k.State.String(), "forgotten"})
		}
		return gone
	})
	return keys, steps
}
