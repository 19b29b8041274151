package jmap

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"posthouse/internal/outward"
	"posthouse/jmap/webpush"
	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// pushSubscriptionType is PushSubscription, RFC 8620 §7.2. They belong to the user;
// what identifies the device to its push service is never shown again.
func pushSubscriptionType() *objectType {
	t := &objectType{
		name: "PushSubscription", capability: capCore, noAccount: true, noState: true,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "deviceClientId", typ: "String", mode: immutable},
			{name: "url", typ: "String", mode: immutable | writeOnly},
			{name: "keys", typ: "PushKeys|null", mode: immutable | writeOnly | optional},
			{name: "verificationCode", typ: "String|null", mode: optional},
			{name: "expires", typ: "UTCDate|null", mode: optional},
			{name: "types", typ: "String[]|null", mode: optional},
		},
		create: createSubscription, update: updateSubscription,
		destroy: func(s *setter, id string) error {
			s.afterwards = append(s.afterwards, func() { s.pusher.forget(s.acct.ID(), id) })
			return s.tx.DeleteObject(store.ObjectSubscription, id)
		},
	}
	t.keep(store.ObjectSubscription)
	for i := range t.properties {
		if t.properties[i].name == "verificationCode" { // as the client gave it: ours is for the device alone
			t.properties[i].get = func(_ *getter, r any) (any, error) {
				if r.(values)["verified"] == true {
					return r.(values)["verificationCode"], nil
				}
				return nil, nil
			}
		}
	}
	return t
}

// maxSubscriptionTime is how long a subscription lasts without being renewed.
const maxSubscriptionTime = 30 * 24 * time.Hour

// expiry bounds what a client asks for.
func (s *setter) expiry(v any) string {
	most := s.tx.Now().Add(maxSubscriptionTime)
	if at := dateOf(v); !at.IsZero() && at.Before(most) {
		most = at
	}
	return utcDate(most.Unix())
}

func createSubscription(s *setter, props map[string]any, _ any) (string, wire.Object, error) {
	n, err := countOf(&s.tx.View, store.ObjectSubscription)
	if err != nil {
		return "", nil, err
	}
	if n >= s.limits.Subscriptions {
		return "", nil, unfit("overQuota", "too many subscriptions")
	}
	text, _ := props["url"].(string)
	if u, err := url.Parse(text); err != nil || u.Scheme != "https" && s.opts.Outbound == nil || u.Host == "" || u.User != nil || len(text) > 2000 {
		return "", nil, invalidProperties("not an https URL", "url")
	}
	if props["keys"] != nil {
		if _, ok := pushKeys(props["keys"]); !ok {
			return "", nil, invalidProperties("not the keys of a subscription", "keys")
		}
	}
	if props["verificationCode"] != nil {
		return "", nil, invalidProperties("comes by push", "verificationCode")
	}
	id, err := s.newID("P")
	if err != nil {
		return "", nil, err
	}
	code, err := s.newID("V")
	if err != nil {
		return "", nil, err
	}
	m := values{"deviceClientId": props["deviceClientId"], "url": text, "keys": props["keys"], "types": props["types"], "expires": s.expiry(props["expires"]), "code": code}
	s.afterwards = append(s.afterwards, func() { s.pusher.verify(s.Server, s.acct.ID(), id, m) })
	return id, wire.Object{{Name: "expires", Value: m["expires"]}, {Name: "keys", Value: nil}}, s.put(store.ObjectSubscription, id, m)
}

// pushKeys reads the keys of a subscription, base64url of any padding.
func pushKeys(v any) (webpush.Keys, bool) {
	m, _ := v.(map[string]any)
	read := func(name string) []byte {
		text, _ := m[name].(string)
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(text), "="))
		if err != nil {
			return nil
		}
		return b
	}
	k := webpush.Keys{P256DH: read("p256dh"), Auth: read("auth")}
	return k, len(k.P256DH) == 65 && len(k.Auth) == 16
}

func updateSubscription(s *setter, r record, changed map[string]any) (wire.Object, error) {
	m := r.rec.(values)
	var set wire.Object
	if v, there := changed["verificationCode"]; there {
		if v != m["code"] {
			return nil, invalidProperties("not the code that was pushed", "verificationCode")
		}
		changed["verified"] = true
	}
	if v, there := changed["expires"]; there {
		changed["expires"] = s.expiry(v)
		set = set.With("expires", changed["expires"])
	}
	s.afterwards = append(s.afterwards, func() { s.pusher.start(s.Server, s.acct.ID()) })
	return set, s.merge(store.ObjectSubscription, r, changed)
}

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
		if err != nil || change == nil {
			continue
		}
		for name, m := range subs {
			p.tell(ctx, c, name, m, change)
		}
	}
}

func (p *pusher) stop(id mail.AccountID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, id)
}

// subscriptions returns those that have not expired.
func (p *pusher) subscriptions(c *call) (map[string]values, error) {
	subs := map[string]values{}
	err := c.acct.View(c.ctx, func(v *store.View) error {
		return v.Objects(store.ObjectSubscription, func(o store.Object) bool {
			if m, err := decodeValues(o.Value); err == nil && dateOf(m["expires"]).After(c.opts.Now()) {
				subs[o.ID] = m
			}
			return true
		})
	})
	return subs, err
}

// tell pushes a change to one verified subscription, as far as it wants to hear.
func (p *pusher) tell(ctx context.Context, c *call, name string, m values, change wire.Object) {
	if m["verified"] != true {
		return
	}
	if types := stringsOf(m["types"]); types != nil {
		if change = only(change, types); change == nil {
			return
		}
	}
	err := p.post(ctx, c.Server, m, wire.Append(nil, change))
	if errors.Is(err, errGone) {
		err = c.acct.Update(ctx, func(tx *store.Tx) error { return tx.DeleteObject(store.ObjectSubscription, name) })
	}
	if err != nil && ctx.Err() == nil && mail.KindOf(err) != mail.NotFound {
		c.log.Info("push failed", "account", uint64(c.acct.ID()), "err", err)
	}
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
	case resp.StatusCode/100 != 2:
		return errors.New("push service: " + resp.Status)
	}
	return nil
}

// vapidKey is what browsers subscribe with, RFC 8292 §3.2; null without one.
func (s *Server) vapidKey() any {
	if s.opts.VAPID == nil {
		return nil
	}
	k, err := webpush.PublicKey(s.opts.VAPID)
	if err != nil {
		return nil
	}
	return k
}
