package jmap

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"posthouse/internal/outward"
	"posthouse/jmap/webpush"
	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// A pusher tells push services of what changed in the accounts that have verified
// subscriptions: one goroutine for each of these accounts.
type pusher struct {
	client *http.Client

	mu      sync.Mutex
	running map[mail.AccountID]chan struct{} // gets what must be looked at anew
}

const pushTimeout = 20 * time.Second

func (p *pusher) init(outbound http.RoundTripper) {
	if outbound == nil {
		outbound = outward.Transport(nil, pushTimeout)
	}
	p.running = map[mail.AccountID]chan struct{}{}
	p.client = &http.Client{Transport: outbound, Timeout: pushTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// start sees to it that somebody looks after an account, and that the subscriptions
// are read anew.
func (p *pusher) start(s *Server, id mail.AccountID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	again := p.running[id]
	if again == nil {
		again = make(chan struct{}, 1)
		p.running[id] = again
		s.background(func(ctx context.Context) { p.run(ctx, s, id, again) })
	}
	select {
	case again <- struct{}{}:
	default:
	}
}

func (p *pusher) forget(id mail.AccountID, _ string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if again := p.running[id]; again != nil {
		select {
		case again <- struct{}{}:
		default:
		}
	}
}

// load finds the accounts that have subscriptions.
func (p *pusher) load(ctx context.Context, s *Server) error {
	return s.opts.Store.EachObject(ctx, store.ObjectSubscription, func(id mail.AccountID, _ store.Object) bool {
		p.start(s, id)
		return true
	})
}

// verify sends the code that proves that the device gets what is pushed, RFC 8620
// §7.2.2.
func (p *pusher) verify(s *Server, id mail.AccountID, name string, m values) {
	s.background(func(ctx context.Context) {
		o := wire.Object{{Name: "@type", Value: "PushVerification"}, {Name: "pushSubscriptionId", Value: name}, {Name: "verificationCode", Value: m["code"]}}
		if err := p.post(ctx, s, m, wire.Append(nil, o)); err != nil {
			s.log.Info("push: verification failed", "account", uint64(id), "err", err)
		}
	})
	p.start(s, id)
}

// pushPause gathers what happens at about the same time.
const pushPause = 500 * time.Millisecond

// run looks after an account while it has subscriptions.
func (p *pusher) run(ctx context.Context, s *Server, id mail.AccountID, again chan struct{}) {
	a, err := s.opts.Store.Account(ctx, id)
	if err != nil {
		p.stop(id)
		return
	}
	who, err := s.opts.Directory.Account(ctx, id)
	if err != nil {
		p.stop(id)
		return
	}
	c := &call{Server: s, ctx: ctx, who: &principal{account: who}, acct: &account{Account: a, id: accountID(id), index: s.indexes.of(a.ID(), 0, s.limits.IndexBytes)}}
	f, err := c.follow(nil, 0)
	if err == nil {
		if err = f.share(false); err != nil {
			f.close()
		}
	}
	if err != nil {
		p.stop(id)
		return
	}
	defer f.close()
	check := time.NewTicker(time.Minute)
	defer check.Stop()
	slow := map[string]*slowed{}
	for {
		pause := time.Duration(0)
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-check.C:
			if f.share(false) != nil {
				continue // the next time
			}
		case <-f.poke:
			pause = pushPause
		case _, open := <-f.watch.C():
			if !open {
				return
			}
			pause = pushPause
		}
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
		subs, err := p.subscriptions(c)
		if err != nil || len(subs) == 0 {
			p.stop(id)
			return
		}
		change, err := f.next()
		if err != nil {
			continue
		}
		p.tellAll(ctx, c, subs, slow, change)
	}
}

// A slowed subscription is one whose push service has asked for fewer requests (RFC 8620
// §7.2): what changes meanwhile is told in one of them.
type slowed struct {
	until time.Time
	step  time.Duration
	owed  wire.Object
}

// The time for which a subscription is let alone: as long as its service asks for, within
// these, and twice as long each time if it does not say.
const (
	minSlow = time.Minute
	maxSlow = time.Hour
)

// tellAll tells of a change, or of nothing but what is owed.
func (p *pusher) tellAll(ctx context.Context, c *call, subs map[string]values, slow map[string]*slowed, change wire.Object) {
	now := c.opts.Now()
	for name := range slow {
		if subs[name] == nil {
			delete(slow, name)
		}
	}
	for name, m := range subs {
		news, wait := change, slow[name]
		if wait != nil {
			wait.owed = merged(wait.owed, change)
			if news = wait.owed; now.Before(wait.until) {
				continue
			}
		}
		if news == nil {
			continue
		}
		var busy *errBusy
		if !errors.As(p.tell(ctx, c, name, m, news), &busy) {
			delete(slow, name)
			continue
		}
		if wait == nil {
			wait = &slowed{step: minSlow / 2}
			slow[name] = wait
		}
		wait.step = min(max(wait.step*2, busy.after, minSlow), maxSlow)
		wait.owed, wait.until = news, now.Add(wait.step)
	}
}

// merged is what two StateChanges tell, where b is the newer one; nil tells nothing.
func merged(a, b wire.Object) wire.Object {
	if a == nil || b == nil {
		return append(a, b...)
	}
	all := map[string]map[string]any{}
	for _, one := range []wire.Object{a, b} {
		v, _ := one.Member("changed")
		accounts, _ := v.(wire.Object)
		for _, m := range accounts {
			if all[m.Name] == nil {
				all[m.Name] = map[string]any{}
			}
			states, _ := m.Value.(wire.Object)
			for _, s := range states {
				all[m.Name][s.Name] = s.Value
			}
		}
	}
	changed := wire.Object{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		states := wire.Object{}
		for _, name := range sortedNames(all[id]) {
			states = states.With(name, all[id][name])
		}
		changed = changed.With(id, states)
	}
	return wire.Object{{Name: "@type", Value: "StateChange"}, {Name: "changed", Value: changed}}
}

func (p *pusher) stop(id mail.AccountID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, id)
}

// subscriptions returns those that are in force; those that are over are removed.
func (p *pusher) subscriptions(c *call) (map[string]values, error) {
	subs, some := map[string]values{}, false
	err := c.acct.View(c.ctx, func(v *store.View) error {
		return v.Objects(store.ObjectSubscription, func(o store.Object) bool {
			over, err := c.subscriptionOver(v, o)
			some = some || over
			if m, bad := decodeValues(o.Value); err == nil && bad == nil && !over {
				subs[o.ID] = m
			}
			return true
		})
	})
	if err == nil && some {
		err = c.acct.Update(c.ctx, c.dropSubscriptions)
	}
	return subs, err
}

// tell pushes a change to one verified subscription, as far as it wants to hear; the error
// is errBusy, or one that has been dealt with.
func (p *pusher) tell(ctx context.Context, c *call, name string, m values, change wire.Object) error {
	if m["verified"] != true {
		return nil
	}
	if types := stringsOf(m["types"]); types != nil {
		if change = only(change, types); change == nil {
			return nil
		}
	}
	err := p.post(ctx, c.Server, m, wire.Append(nil, change))
	if errors.Is(err, errGone) {
		err = c.acct.Update(ctx, func(tx *store.Tx) error { return tx.DeleteObject(store.ObjectSubscription, name) })
	}
	if err != nil && ctx.Err() == nil && mail.KindOf(err) != mail.NotFound {
		c.log.Info("push failed", "account", uint64(c.acct.ID()), "err", err)
	}
	return err
}

// only leaves of a StateChange the given types; nil if nothing is left.
func only(change wire.Object, types []string) wire.Object {
	v, _ := change.Member("changed")
	all, _ := v.(wire.Object)
	var left wire.Object
	for _, a := range all {
		states, _ := a.Value.(wire.Object)
		some := wire.Object{}
		for _, m := range states {
			if contains(types, m.Name) {
				some = append(some, m)
			}
		}
		if len(some) > 0 {
			left = left.With(a.Name, some)
		}
	}
	if left == nil {
		return nil
	}
	return wire.Object{{Name: "@type", Value: "StateChange"}, {Name: "changed", Value: left}}
}

// errGone: the push service does not know the subscription any more, RFC 8030 §7.3.
var errGone = errors.New("the subscription is gone")

// errBusy: the push service asks for fewer requests, RFC 8030 §8.4.
type errBusy struct{ after time.Duration }

func (e *errBusy) Error() string { return "the push service asks to wait" }

// retryAfterOf reads how long a push service asks to wait, in either form of RFC 9110 §10.2.3;
// 0 if it does not say.
func retryAfterOf(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// post sends one push message, RFC 8030 §5.
func (p *pusher) post(ctx context.Context, s *Server, m values, body []byte) error {
	endpoint, _ := m["url"].(string)
	kind := "application/json"
	k, encrypted := pushKeys(m["keys"])
	if encrypted {
		var err error
		if body, err = webpush.Encrypt(body, k, s.opts.Rand); err != nil {
			return err
		}
		kind = "application/octet-stream"
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", kind)
	if encrypted {
		r.Header.Set("Content-Encoding", "aes128gcm")
	}
	r.Header.Set("TTL", "86400")
	r.Header.Set("Urgency", "normal")
	r.Header.Set("User-Agent", "Posthouse")
	if s.opts.VAPID != nil {
		auth, err := webpush.Authorization(s.opts.VAPID, endpoint, "mailto:postmaster@"+s.opts.Hostname, s.opts.Now().Add(12*time.Hour), s.opts.Rand)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", auth)
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		return errGone
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		return &errBusy{retryAfterOf(resp.Header, s.opts.Now())}
	case resp.StatusCode/100 != 2:
		return errors.New("push service: " + resp.Status)
	}
	return nil
}
