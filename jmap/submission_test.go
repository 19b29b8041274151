package jmap

import (
	"strings"
	"testing"
	"time"

	"posthouse/store"
)

// until waits for a condition.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); {
		if time.Now().After(end) {
			t.Fatal("waited too long for " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// inboxOf counts the messages in somebody's inbox.
func (r *rig) inboxOf(id int) uint32 {
	r.t.Helper()
	accounts := map[int]*store.Account{}
	a, err := r.store.Account(r.t.Context(), ben.ID)
	if id == 7 {
		a, err = r.store.Account(r.t.Context(), ada.ID)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	accounts[id] = a
	n := uint32(0)
	if err := a.View(r.t.Context(), func(v *store.View) error {
		m, err := v.Mailbox("INBOX")
		if err == nil {
			n = m.Messages
		}
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func (r *rig) draft(to string) (id string) {
	r.t.Helper()
	out := r.call("Email/set", `{"accountId":"A7","create":{"d":{"mailboxIds":{"`+r.boxes()["Drafts"]+`":true},"keywords":{"$draft":true,"$seen":true},
		"from":[{"name":"Ada","email":"ada@demo.test"}],"to":[{"email":"`+to+`"}],"bcc":[{"email":"ada@demo.test"}],"subject":"Hi","bodyValues":{"1":{"value":"Hallo"}},"textBody":[{"partId":"1","type":"text/plain"}]}}}`)
	return at(r.t, out, "/created/d/id").(string)
}

// A message is sent at once, filed as asked, and arrives without its Bcc.
func TestSubmit(t *testing.T) {
	r := newRig(t, Options{})
	id, b := r.draft("ben@demo.test"), r.boxes()
	out := r.calls(`["EmailSubmission/set",{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"` + id + `"}},
		"onSuccessUpdateEmail":{"#s":{"mailboxIds":{"` + b["Sent"] + `":true},"keywords/$draft":null}}},"c"]`)
	if len(out) != 2 || at(t, out, "/1/0") != "Email/set" || at(t, out, "/0/1/created/s/undoStatus") != "pending" {
		t.Fatal(text(out))
	}
	sub := at(t, out, "/0/1/created/s/id").(string)
	got := r.call("EmailSubmission/get", `{"accountId":"A7","ids":["`+sub+`"]}`)
	if at(t, got, "/list/0/undoStatus") != "final" || at(t, got, "/list/0/deliveryStatus/ben@demo.test/delivered") != "yes" {
		t.Error(text(got))
	}
	if r.inboxOf(8) != 1 || r.inboxOf(7) != 1 {
		t.Errorf("%d and %d messages arrived", r.inboxOf(8), r.inboxOf(7))
	}
	e := r.call("Email/get", `{"accountId":"A7","ids":["`+id+`"],"properties":["mailboxIds","keywords"]}`)
	if text(at(t, e, "/list/0/mailboxIds")) != `{"`+b["Sent"]+`":true}` || text(at(t, e, "/list/0/keywords")) != `{"$seen":true}` {
		t.Error(text(e))
	}
	if q := r.call("EmailSubmission/query", `{"accountId":"A7","filter":{"undoStatus":"final"}}`); text(q["ids"]) != `["`+sub+`"]` {
		t.Error(text(q))
	}
	if u := r.call("EmailSubmission/set", `{"accountId":"A7","update":{"`+sub+`":{"undoStatus":"canceled"}}}`); at(t, u, "/notUpdated/"+sub+"/type") != "cannotUnsend" {
		t.Error(text(u))
	}
}

func hold(emailID, seconds, more string) string {
	return `{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"` + emailID + `","envelope":{"mailFrom":{"email":"ada@demo.test","parameters":{"HOLDFOR":"` + seconds +
		`"}},"rcptTo":[{"email":"ben@demo.test"}]}` + more + `}}}`
}

// A held message can be taken back, or goes when its time comes, also after a
// restart, and is filed then.
func TestHold(t *testing.T) {
	r := newRig(t, Options{})
	first, second, b := r.draft("ben@demo.test"), r.draft("ben@demo.test"), r.boxes()
	undo := at(t, r.call("EmailSubmission/set", hold(first, "10", "")), "/created/s/id").(string)
	keep := at(t, r.call("EmailSubmission/set", hold(second, "3600", `,"onSend":{"mailboxIds":{"`+b["Sent"]+`":true},"keywords/$draft":null}`)), "/created/s/id").(string)
	if u := r.call("EmailSubmission/set", `{"accountId":"A7","update":{"`+undo+`":{"undoStatus":"canceled"}}}`); u["notUpdated"] != nil {
		t.Error(text(u))
	}
	if err := r.srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := r.srv.opts
	r.srv = New(o)
	r.pass(30 * time.Minute)
	if n := r.inboxOf(8); n != 0 {
		t.Errorf("%d messages went before their time", n)
	}
	r.pass(time.Hour)
	until(t, "the message", func() bool { return r.inboxOf(8) == 1 })
	got := r.call("EmailSubmission/get", `{"accountId":"A7","ids":["`+undo+`","`+keep+`"],"properties":["undoStatus"]}`)
	if at(t, got, "/list/0/undoStatus") != "canceled" || at(t, got, "/list/1/undoStatus") != "final" {
		t.Error(text(got))
	}
	if e := r.call("Email/get", `{"accountId":"A7","ids":["`+second+`"],"properties":["mailboxIds"]}`); text(at(t, e, "/list/0/mailboxIds")) != `{"`+b["Sent"]+`":true}` {
		t.Error(text(e))
	}
	if err := r.srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What cannot be sent is refused with the reason, before anything happens.
func TestSubmitRefused(t *testing.T) {
	r := newRig(t, Options{})
	for _, c := range []struct{ to, identity, kind string }{
		{"nobody@demo.test", "default", "invalidRecipients"}, {"ben@demo.test", "Inone", "invalidProperties"},
	} {
		id := r.draft(c.to)
		out := r.call("EmailSubmission/set", `{"accountId":"A7","create":{"s":{"identityId":"`+c.identity+`","emailId":"`+id+`"}}}`)
		if at(t, out, "/notCreated/s/type") != c.kind {
			t.Error(text(out))
		}
	}
	if out := r.call("Identity/set", `{"accountId":"A7","create":{"i":{"email":"ben@demo.test"}}}`); at(t, out, "/notCreated/i/type") != "forbiddenFrom" {
		t.Error(text(out))
	}
	out := r.call("Identity/set", `{"accountId":"A7","update":{"default":{"textSignature":"-- Ada"}}}`)
	got := r.call("Identity/get", `{"accountId":"A7"}`)
	if out["notUpdated"] != nil || !strings.Contains(text(got), "-- Ada") || len(got["list"].([]any)) != 1 {
		t.Error(text(out), text(got))
	}
}
