package jmap

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// subscribed makes a subscription with the given credentials and returns its id.
func (r *rig) subscribed(url string, head ...string) string {
	r.t.Helper()
	w := r.do("POST", "/jmap/api", `{"using":`+usingAll+`,"methodCalls":[["PushSubscription/set",{"create":{"p":{"deviceClientId":"d","url":"`+url+`"}}},"c"]]}`, head...)
	v, err := wire.Parse(w.Body.Bytes(), wire.Limits{})
	if err != nil {
		r.t.Fatal(err, w.Body)
	}
	return at(r.t, v, "/methodResponses/0/1/created/p/id").(string)
}

// subscriptionIDs are all that the store keeps.
func (r *rig) subscriptionIDs() (ids []string) {
	r.t.Helper()
	if err := r.account(ada.ID).View(r.t.Context(), func(v *store.View) error {
		return v.Objects(store.ObjectSubscription, func(o store.Object) bool {
			ids = append(ids, o.ID)
			return true
		})
	}); err != nil {
		r.t.Fatal(err)
	}
	return ids
}

// RFC 8620 §7.2: a subscription is seen with the credentials that made it, and ends with
// them or with its time; its URL and keys are never shown.
func TestSubscriptionCredentials(t *testing.T) {
	c := &catcher{status: 201}
	srv := httptest.NewServer(c)
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	r := newRig(t, Options{Outbound: http.DefaultTransport})
	cookie := strings.SplitN(r.do("POST", "/jmap/login", `{"username":"ada@demo.test","password":"demo"}`, csrfHeader, "1", "Authorization", "").Header().Get("Set-Cookie"), ";", 2)[0]
	if cookie == "" {
		t.Fatal("no login")
	}
	browser := []string{"Authorization", "", "Cookie", cookie, csrfHeader, "1"}
	mine, theirs := r.subscribed(srv.URL+"/a"), r.subscribed(srv.URL+"/b", browser...)
	if got := text(r.call("PushSubscription/get", `{}`)["list"]); !strings.Contains(got, mine) || strings.Contains(got, theirs) {
		t.Error(got)
	}
	for _, args := range []string{`{"update":{"` + theirs + `":{"types":["Email"]}}}`, `{"destroy":["` + theirs + `"]}`} {
		if got := text(r.call("PushSubscription/set", args)); !strings.Contains(got, `{"`+theirs+`":{"type":"notFound"}}`) {
			t.Error(got)
		}
	}
	for _, name := range []string{"url", "keys"} {
		if out := r.calls(`["PushSubscription/get",{"properties":["` + name + `"]},"c"]`); at(t, out, "/0/1/type") != "forbidden" {
			t.Error(name, text(out))
		}
	}
	if out := r.calls(`["PushSubscription/set",{"ifInState":"1"},"c"]`); at(t, out, "/0/1/type") != "invalidArguments" {
		t.Error(text(out))
	}
	if w := r.do("POST", "/jmap/logout", "", browser...); w.Code/100 != 2 {
		t.Fatal(w.Code, w.Body)
	}
	if ids := r.subscriptionIDs(); len(ids) != 1 || ids[0] != mine {
		t.Errorf("%v, want %s", ids, mine)
	}
	out := r.call("PushSubscription/set", `{"update":{"`+mine+`":{"expires":"2099-01-01T00:00:00Z"}}}`)
	if at(t, out, "/updated/"+mine+"/expires") != utcDate(r.clock().Add(maxSubscriptionTime).Unix()) {
		t.Error(text(out))
	}
	r.pass(maxSubscriptionTime)
	if list := r.call("PushSubscription/get", `{}`)["list"]; text(list) != "[]" {
		t.Error(text(list))
	}
	next := r.subscribed(srv.URL + "/c")
	if ids := r.subscriptionIDs(); len(ids) != 1 || ids[0] != next {
		t.Errorf("%v, want %s", ids, next)
	}
	r.srv.Drop(ada.ID)
	if ids := r.subscriptionIDs(); len(ids) != 0 {
		t.Error(ids)
	}
}

// RFC 8620 §7.2: a push service that asks for fewer requests gets them, and then one that
// tells all that was missed.
func TestSlowPush(t *testing.T) {
	posts, status, after := []string{}, http.StatusTooManyRequests, "120"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b := make([]byte, 4096)
		n, _ := req.Body.Read(b)
		posts = append(posts, string(b[:n]))
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
	}))
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	r := newRig(t, Options{Outbound: http.DefaultTransport})
	c, err := r.srv.streamCall(t.Context(), &principal{account: ada})
	if err != nil {
		t.Fatal(err)
	}
	change := func(name, state string) wire.Object {
		return wire.Object{{Name: "@type", Value: "StateChange"}, {Name: "changed", Value: wire.Object{{Name: "A7", Value: wire.Object{{Name: name, Value: state}}}}}}
	}
	subs, slow := map[string]values{"P1": {"url": srv.URL, "verified": true}}, map[string]*slowed{}
	tell := func(news wire.Object, pass time.Duration, want ...string) {
		t.Helper()
		posts = posts[:0]
		r.srv.pusher.tellAll(t.Context(), c, subs, slow, news)
		if strings.Join(posts, "\n") != strings.Join(want, "\n") {
			t.Errorf("posted %q, want %q", posts, want)
		}
		r.pass(pass)
	}
	first := `{"@type":"StateChange","changed":{"A7":{"Email":"1"}}}`
	all := `{"@type":"StateChange","changed":{"A7":{"Email":"3","Mailbox":"2"}}}`
	tell(change("Email", "1"), time.Minute, first)
	tell(change("Mailbox", "2"), 30*time.Second)
	tell(nil, 31*time.Second)
	status, after = http.StatusServiceUnavailable, ""
	tell(change("Email", "3"), 3*time.Minute, all)
	tell(nil, 2*time.Minute) // twice as long
	status = http.StatusCreated
	tell(nil, 0, all)
	tell(nil, 0)
	tell(change("Email", "4"), 0, `{"@type":"StateChange","changed":{"A7":{"Email":"4"}}}`)
	if len(slow) != 0 {
		t.Error(slow)
	}
	for text, want := range map[string]time.Duration{"": 0, "x": 0, "-1": 0, "7": 7 * time.Second, "99999999999": 0, "Mon, 23 Nov 2026 12:00:09 GMT": 9 * time.Second, "Mon, 23 Nov 2025 12:00:00 GMT": 0} {
		if got := retryAfterOf(http.Header{"Retry-After": {text}}, time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// RFC 8621 §7.5: to destroy a submission changes nothing of what is sent, and onSuccess
// holds for it too.
func TestDestroySubmission(t *testing.T) {
	r := newRig(t, Options{})
	held, sent := r.draft("ben@demo.test"), r.draft("ben@demo.test")
	h := at(t, r.call("EmailSubmission/set", hold(held, "3600", "")), "/created/s/id").(string)
	if out := r.call("EmailSubmission/set", `{"accountId":"A7","destroy":["`+h+`"],"onSuccessDestroyEmail":["`+h+`"]}`); at(t, out, "/notDestroyed/"+h+"/type") != "forbidden" {
		t.Error(text(out))
	}
	s := at(t, r.call("EmailSubmission/set", `{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"`+sent+`"}}}`), "/created/s/id").(string)
	out := r.calls(`["EmailSubmission/set",{"accountId":"A7","destroy":["` + s + `","` + s + `"],"onSuccessDestroyEmail":["` + s + `"]},"c"]`)
	if text(at(t, out, "/0/1/destroyed")) != `["`+s+`"]` || at(t, out, "/0/1/notDestroyed") != nil || at(t, out, "/1/0") != "Email/set" || text(at(t, out, "/1/1/destroyed")) != `["`+sent+`"]` {
		t.Error(text(out))
	}
	r.pass(2 * time.Hour)
	until(t, "the message", func() bool { return r.inboxOf(8) == 2 })
	if out := r.call("EmailSubmission/set", `{"accountId":"A7","destroy":["`+h+`"]}`); text(out["destroyed"]) != `["`+h+`"]` {
		t.Error(text(out))
	}
}

// RFC 8621 §7: an envelope that the server makes is from the identity, to each address once.
func TestGeneratedEnvelope(t *testing.T) {
	r := newRig(t, Options{})
	for _, c := range []struct{ header, want string }{
		{"From: ada@demo.test\nSender: else@x.test\nTo: ben@demo.test, Ben <ben@demo.test>\nCc: ben@demo.test\nBcc: ada@demo.test\n",
			`{"mailFrom":{"email":"ada@demo.test","parameters":null},"rcptTo":[{"email":"ben@demo.test","parameters":null},{"email":"ada@demo.test","parameters":null}]}`},
		{"From: ada@demo.test, ben@demo.test\nTo: ben@demo.test\n", `{"properties":["from"],"type":"invalidEmail"}`},
		{"From: ada@demo.test\nSender: ada@demo.test\nSender: ada@demo.test\nTo: ben@demo.test\n", `{"properties":["sender"],"type":"invalidEmail"}`},
	} {
		id := emailID(r.deliver("Drafts", c.header+"Subject: x\n\nx\n").Email)
		out := r.call("EmailSubmission/set", `{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"`+id+`"}}}`)
		got, there := wire.Pointer(out, "/created/s/envelope")
		if !there {
			got = at(t, out, "/notCreated/s")
			delete(got.(map[string]any), "description")
		}
		if text(got) != c.want {
			t.Errorf("%s: %s", c.header, text(got))
		}
	}
}
