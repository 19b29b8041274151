package jmap

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

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
			recs, err := s.typ.load(s.call, &s.tx.View, []string{id})
			if err != nil {
				return err
			}
			if len(recs) == 0 {
				return unfit("notFound", "")
			}
			s.afterwards = append(s.afterwards, func() { s.pusher.forget(s.acct.ID(), id) })
			return s.tx.DeleteObject(store.ObjectSubscription, id)
		},
	}
	t.keep(store.ObjectSubscription)
	t.load = ofThisLogin(t.load)
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

// ofThisLogin leaves out the subscriptions that were made with other credentials than those
// of the request, RFC 8620 §7.2.1, and what has expired.
func ofThisLogin(load loader) loader {
	return func(c *call, v *store.View, ids []string) ([]record, error) {
		list, err := load(c, v, ids)
		return slices.DeleteFunc(list, func(r record) bool {
			m := r.rec.(values)
			session, _ := m["session"].(string)
			return session != c.who.session || !dateOf(m["expires"]).After(c.opts.Now())
		}), err
	}
}

// dropSubscriptions removes those that are over: expired, or of a login that is.
func (s *Server) dropSubscriptions(tx *store.Tx) error {
	var gone []string
	var failed error
	if err := tx.Objects(store.ObjectSubscription, func(o store.Object) bool {
		over, err := s.subscriptionOver(&tx.View, o)
		if failed = err; over {
			gone = append(gone, o.ID)
		}
		return err == nil
	}); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	for _, id := range gone {
		if err := tx.DeleteObject(store.ObjectSubscription, id); err != nil {
			return err
		}
	}
	return nil
}

// subscriptionOver reports whether a subscription has expired or its login has ended, RFC
// 8620 §7.2.
func (s *Server) subscriptionOver(v *store.View, o store.Object) (bool, error) {
	m, err := decodeValues(o.Value)
	if err != nil {
		return true, nil // of no use to anybody
	}
	session, _ := m["session"].(string)
	if !dateOf(m["expires"]).After(s.opts.Now()) || session == "" {
		return !dateOf(m["expires"]).After(s.opts.Now()), nil
	}
	login, err := v.Object(store.ObjectSession, session)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return true, nil
	}
	var rec sessionRecord
	if err == nil {
		err = json.Unmarshal(login.Value, &rec)
	}
	return err == nil && s.sessionOver(&rec), err
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
	if err := s.dropSubscriptions(s.tx); err != nil {
		return "", nil, err
	}
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
	if s.who.session != "" {
		m["session"] = s.who.session
	}
	set := wire.Object{{Name: "expires", Value: m["expires"]}, {Name: "verificationCode", Value: nil}}
	for _, name := range []string{"keys", "types"} {
		if props[name] == nil {
			set = set.With(name, nil)
		}
	}
	s.afterwards = append(s.afterwards, func() { s.pusher.verify(s.Server, s.acct.ID(), id, m) })
	return id, set, s.put(store.ObjectSubscription, id, m)
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
