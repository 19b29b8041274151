package jmap

import (
	"strings"
	"testing"

	"posthouse/delivery"
	"posthouse/mail"
	"posthouse/store"
)

// mailTo sends a letter over delivery, from another server.
func (r *rig) mailTo(to mail.Address, text string) {
	r.t.Helper()
	tr := r.srv.opts.Delivery.Begin(&delivery.Session{Origin: delivery.FromMX, Hello: "mx.okafor.example", Extended: true},
		mail.Envelope{ReversePath: mail.Address{Local: "grace", Domain: "okafor.example"}, TraceID: "t1"})
	defer tr.Close()
	if reply := tr.Sender(r.t.Context()); !reply.Positive() {
		r.t.Fatal(reply)
	}
	if reply := tr.Recipient(r.t.Context(), mail.Recipient{Address: to}); !reply.Positive() {
		r.t.Fatal(reply)
	}
	if reply := tr.Open(r.t.Context()); reply.Code != 0 {
		r.t.Fatal(reply)
	}
	if _, err := tr.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		r.t.Fatal(err)
	}
	if reply := tr.Accept(r.t.Context()); !reply.Positive() {
		r.t.Fatal(reply)
	}
}

// The next answers of a muted thread arrive in the archive, read; when it is muted no
// more, in the inbox.
func TestMute(t *testing.T) {
	r := newRig(t, Options{})
	b := r.boxes()
	in := func(box string) int { return len(r.query(`{"inMailbox":"` + b[box] + `"}`)) }
	letter := func(n, more string) string {
		return "From: Grace <grace@okafor.example>\nTo: ada@demo.test\nSubject: Re: party\nMessage-ID: <" + n + "@okafor.example>\n" + more + "\nhello\n"
	}
	r.mailTo(ada.Address, letter("1", ""))
	ids := r.query(`{}`)
	thread := at(t, r.call("Email/get", `{"accountId":"A7","ids":["`+ids[0]+`"],"properties":["threadId"]}`), "/list/0/threadId").(string)
	out := r.call("MutedThread/set", `{"accountId":"A7","create":{"m":{"threadId":"`+thread+`"},"n":{"threadId":"T999"},"o":{"threadId":"x"}}}`)
	if at(t, out, "/created/m/id") != thread || at(t, out, "/notCreated/n/type") != "invalidProperties" || at(t, out, "/notCreated/o/type") != "invalidProperties" {
		t.Fatal(text(out))
	}
	r.mailTo(ada.Address, letter("2", "In-Reply-To: <1@okafor.example>\n"))
	r.mailTo(ada.Address, letter("3", ""))
	if in("Inbox") != 2 || in("Archive") != 1 {
		t.Fatalf("%d in the inbox, %d in the archive", in("Inbox"), in("Archive"))
	}
	quiet := r.query(`{"inMailbox":"` + b["Archive"] + `"}`)[0]
	got := r.call("Email/get", `{"accountId":"A7","ids":["`+quiet+`"],"properties":["threadId","keywords"]}`)
	if at(t, got, "/list/0/threadId") != thread || text(at(t, got, "/list/0/keywords")) != `{"$seen":true}` {
		t.Error(text(got))
	}
	if out := r.call("MutedThread/set", `{"accountId":"A7","destroy":["`+thread+`"]}`); out["notDestroyed"] != nil {
		t.Error(text(out))
	}
	r.mailTo(ada.Address, letter("4", "In-Reply-To: <2@okafor.example>\n"))
	if in("Inbox") != 3 {
		t.Errorf("%d in the inbox", in("Inbox"))
	}
}

// Without an archive, or without room there, mail stays in the inbox.
func TestMuteWithoutArchive(t *testing.T) {
	r := newRig(t, Options{})
	b := r.boxes()
	r.mailTo(ada.Address, "From: g@okafor.example\nMessage-ID: <1@x>\nSubject: a\n\nx\n")
	r.call("MutedThread/set", `{"accountId":"A7","create":{"m":{"threadId":"T1"}}}`)
	if out := r.call("Mailbox/set", `{"accountId":"A7","destroy":["`+b["Archive"]+`"]}`); out["notDestroyed"] != nil {
		t.Fatal(text(out))
	}
	r.mailTo(ada.Address, "From: g@okafor.example\nMessage-ID: <2@x>\nIn-Reply-To: <1@x>\nSubject: Re: a\n\nx\n")
	if n := len(r.query(`{"inMailbox":"` + b["Inbox"] + `"}`)); n != 2 {
		t.Errorf("%d in the inbox", n)
	}
	if n := r.countObjects(store.ObjectMute); n != 1 {
		t.Errorf("%d are muted", n)
	}
}

// query returns the ids of Email/query.
func (r *rig) query(filter string) []string {
	r.t.Helper()
	return stringsOf(r.call("Email/query", `{"accountId":"A7","filter":`+filter+`}`)["ids"])
}
