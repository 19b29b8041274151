package jmap

import (
	"slices"
	"strings"
	"testing"
	"time"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/store"
)

var _ Sharer = (*directory.Directory)(nil)

// What the owner shares is there for the other person at once, with the rights that
// were given, and goes when it is taken back.
func TestShareWith(t *testing.T) {
	r := newRig(t, Options{Limits: Limits{UserPerMinute: -1}})
	r.deliver("Archive", letter(1, ""))
	box := r.boxes()["Archive"]
	who := at(t, r.call("Principal/query", `{"accountId":"A7","filter":{"email":"ben@demo.test"}}`), "/ids/0").(string)
	if got := r.call("Principal/get", `{"accountId":"A7","ids":["`+who+`","anyone","Pxx","P-"]}`); text(got["notFound"]) != `["Pxx","P-"]` || at(t, got, "/list/0/email") != "ben@demo.test" ||
		at(t, got, "/list/0/type") != "individual" || at(t, got, "/list/0/name") != "Ben" || at(t, got, "/list/1/type") != "group" {
		t.Error(text(got))
	}
	if got := r.call("Principal/query", `{"accountId":"A7","filter":{"email":"nobody@demo.test"}}`); text(got["ids"]) != `[]` {
		t.Error(text(got))
	}
	set := func(patch string) map[string]any {
		return r.call("Mailbox/set", `{"accountId":"A7","update":{"`+box+`":`+patch+`}}`)
	}
	for patch, want := range map[string]string{
		`{"shareWith":{"` + who + `":{"mayFly":true}}}`:                    "invalidProperties",
		`{"shareWith":{"Pxx":{"mayReadItems":true}}}`:                      "invalidProperties",
		`{"shareWith":{"` + principalID(ada.Address) + `":{}}}`:            "invalidProperties",
		`{"shareWith":{"` + who + `":7}}`:                                  "invalidProperties",
		`{"shareWith/` + who + `/mayReadItems":true}`:                      "invalidPatch",
		`{"name":"Other","shareWith":{"Pxx":{"mayReadItems":true}}}`:       "invalidProperties",
		`{"role":"archive","shareWith":{"anyone":{"mayReadItems":"yes"}}}`: "invalidProperties",
	} {
		if got := set(patch); at(t, got, "/notUpdated/"+box+"/type") != want {
			t.Error(patch, text(got))
		}
	}
	if got := r.boxes()["Archive"]; got != box {
		t.Fatal("it has another name")
	}
	if got := set(`{"shareWith":{"` + who + `":{"mayReadItems":true,"maySetSeen":true},"anyone":{"mayReadItems":true}}}`); got["notUpdated"] != nil {
		t.Fatal(text(got))
	}
	needs(t, r.asBen(`["Mailbox/get",{"accountId":"A7","properties":["name","myRights","shareWith"]},"m"]`), `"name":"Archive"`, `"mayReadItems":true`, `"mayAddItems":false`, `"mayAdmin":false`, `"shareWith":null`)
	got := r.call("Mailbox/get", `{"accountId":"A7","ids":["`+box+`"],"properties":["shareWith"]}`)
	if s := at(t, got, "/list/0/shareWith").(map[string]any); len(s) != 2 || at(t, s, "/"+who+"/maySetSeen") != true || at(t, s, "/"+who+"/maySetKeywords") != false {
		t.Error(text(got))
	}
	set(`{"shareWith/anyone":null,"shareWith/` + who + `/maySetKeywords":true}`)
	needs(t, r.asBen(`["Email/set",{"accountId":"A7","update":{"M1":{"keywords/work":true}}},"m"]`), `"updated":{"M1":null}`)
	needs(t, r.asBen(`["Mailbox/set",{"accountId":"A7","update":{"`+box+`":{"shareWith":{"anyone":{"mayReadItems":true}}}}},"m"]`), `"notUpdated":{"`+box+`":{"type":"`)
	set(`{"shareWith":null}`)
	needs(t, r.asBen(`["Mailbox/get",{"accountId":"A7"},"m"]`), "accountNotFound")
	made := r.call("Mailbox/set", `{"accountId":"A7","create":{"n":{"name":"Team","shareWith":{"`+who+`":{"mayReadItems":true,"mayAddItems":true}}}}}`)
	if made["notCreated"] != nil {
		t.Error(text(made))
	}
	needs(t, r.asBen(`["Mailbox/get",{"accountId":"A7"},"m"]`), `"name":"Team"`, `"mayAddItems":true`)
}

// The owner lets somebody send as the account's address, over JMAP.
func TestShareIdentity(t *testing.T) {
	r := newRig(t, Options{})
	r.share("lr", "INBOX")
	who := principalID(ben.Address)
	set := func(patch string) map[string]any {
		return r.call("Identity/set", `{"accountId":"A7","update":{"default":`+patch+`}}`)
	}
	for _, bad := range []string{`{"anyone":{"maySend":true}}`, `{"Pxx":{"maySend":true}}`, `{"` + who + `":{"mayFly":true}}`, `{"` + principalID(ada.Address) + `":{"maySend":true}}`} {
		if got := set(`{"shareWith":` + bad + `}`); at(t, got, "/notUpdated/default/type") != "invalidProperties" {
			t.Error(bad, text(got))
		}
	}
	state := r.call("Identity/get", `{"accountId":"A7","ids":[]}`)["state"].(string)
	if got := set(`{"shareWith":{"` + who + `":{"maySend":true}}}`); got["notUpdated"] != nil {
		t.Fatal(text(got))
	}
	if got := r.call("Identity/get", `{"accountId":"A7","ids":["default"],"properties":["shareWith","name"]}`); text(at(t, got, "/list/0/shareWith")) != `{"`+who+`":{"maySend":true}}` || at(t, got, "/list/0/name") != "Ada Lovelace" {
		t.Error(text(got))
	}
	if got := r.call("Identity/changes", `{"accountId":"A7","sinceState":"`+state+`"}`); text(got["updated"]) != `["default"]` {
		t.Error(text(got))
	}
	needs(t, r.asBen(`["Identity/get",{"accountId":"A7"},"i"],["Identity/set",{"accountId":"A7","update":{"default":{"shareWith":{}}}},"s"]`), `"email":"ada@demo.test"`, `"type":"forbidden"`)
	set(`{"shareWith":null}`)
	needs(t, r.asBen(`["Identity/get",{"accountId":"A7"},"i"]`), "accountNotSupportedByMethod")
	if got := r.call("Identity/set", `{"accountId":"A7","create":{"i":{"email":"ada@demo.test","shareWith":{}}}}`); at(t, got, "/notCreated/i/type") != "invalidProperties" {
		t.Error(text(got))
	}
}

// jobDone waits for a job of Ben's in Ada's account.
func (r *rig) jobDone(got, want string) string {
	r.t.Helper()
	_, rest, ok := strings.Cut(got, `"jobId":"`)
	if !ok {
		r.t.Fatal(got)
	}
	id, _, _ := strings.Cut(rest, `"`)
	until(r.t, want, func() bool {
		return strings.Contains(r.asBen(`["Job/get",{"accountId":"A7","ids":["`+id+`"]},"j"]`), want)
	})
	return id
}

// In the account of somebody else bulk changes, snooze and mute do what one's rights
// allow, and no more.
func TestSharedTriage(t *testing.T) {
	r := newRig(t, Options{Limits: Limits{UserPerMinute: -1}})
	for i := range 3 {
		r.deliver("INBOX", letter(i+1, ""))
	}
	r.deliver("Archive", letter(4, ""))
	r.share("lrsw", "INBOX")
	r.share("lri", "Archive")
	b := r.boxes()
	flagged := func(want string) {
		t.Helper()
		got := r.call("Email/query", `{"accountId":"A7","filter":{"hasKeyword":"work"},"sort":[{"property":"receivedAt"}]}`)
		if text(got["ids"]) != want {
			t.Error(text(got))
		}
	}
	// Labels, where one may; the message in the archive is left alone, and counted.
	id := r.jobDone(r.asBen(`["Email/bulk",{"accountId":"A7","filter":null,"patch":{"keywords/work":true}},"b"]`), `"status":"done","total":4,"done":4,"failed":1`)
	flagged(`["M1","M2","M3"]`)
	if got := r.call("Job/get", `{"accountId":"A7","ids":null}`); len(got["list"].([]any)) != 1 {
		t.Error(text(got))
	}
	own := r.call("Email/bulk", `{"accountId":"A7","filter":{"inMailbox":"`+b["Archive"]+`"},"patch":{"keywords/$seen":true}}`)["jobId"].(string)
	needs(t, r.asBen(`["Job/get",{"accountId":"A7"},"j"],["Email/bulkUndo",{"accountId":"A7","jobId":"`+own+`"},"u"]`), id, `there is no such job`, "!"+own+`","status`)
	r.asBen(`["Email/bulkUndo",{"accountId":"A7","jobId":"` + id + `"},"u"]`)
	until(t, "the undoing", func() bool {
		return strings.Contains(r.asBen(`["Job/get",{"accountId":"A7","ids":["`+id+`"]},"j"]`), `"status":"undone"`)
	})
	flagged(`[]`)
	// Moving takes more.
	move := `["Email/bulk",{"accountId":"A7","filter":{"inMailbox":"` + b["Inbox"] + `"},"patch":{"mailboxIds":{"` + b["Archive"] + `":true}}},"b"]`
	r.jobDone(r.asBen(move), `"done":3,"failed":3`)
	mute := `["MutedThread/set",{"accountId":"A7","create":{"m":{"threadId":"T1"}}},"m"]`
	needs(t, r.asBen(mute), `"forbidden"`)
	r.share("lrswte", "INBOX")
	needs(t, r.asBen(mute), `"created":{"m":{"id":"T1"`)
	r.arrives("From: b@demo.test\nTo: ada@demo.test\nSubject: Re: letter 1\nIn-Reply-To: <1@demo.test>\nReferences: <1@demo.test>\nMessage-ID: <r1@x>\n\nx\n")
	if n := r.inboxOf(7); n != 3 {
		t.Errorf("%d messages in the inbox", n)
	}
	needs(t, r.asBen(`["MutedThread/get",{"accountId":"A7"},"g"],["MutedThread/set",{"accountId":"A7","destroy":["T1"]},"m"]`), `"threadId":"T1"`, `"destroyed":["T1"]`)
	id = r.jobDone(r.asBen(move), `"done":3,"failed":0`)
	if n := r.inboxOf(7); n != 0 {
		t.Errorf("%d messages in the inbox", n)
	}

	// Snooze: where the mailbox of what is put away is shared too.
	snooze := `["Email/set",{"accountId":"A7","update":{"M5":{"snoozed":{"until":"` + utcDate(r.clock().Add(time.Hour).Unix()) + `"}}}},"s"]`
	needs(t, r.asBen(snooze), `"forbidden"`)
	r.call("Mailbox/set", `{"accountId":"A7","create":{"z":{"name":"Snoozed","shareWith":{"`+principalID(ben.Address)+`":{"mayReadItems":true,"mayAddItems":true,"mayRemoveItems":true}}}}}`)
	needs(t, r.asBen(snooze), `"forbidden"`) // it is in the archive, from which he may not take it
	r.share("lrswite", "Archive")
	needs(t, r.asBen(snooze), `"updated":{"M5":null}`)
	needs(t, r.asBen(`["Email/get",{"accountId":"A7","ids":["M5"],"properties":["snoozed","mailboxIds"]},"g"]`), `"until":"`, r.boxes()["Snoozed"])
	r.pass(2 * time.Hour)
	until(t, "its return", func() bool {
		return text(at(t, r.call("Email/get", `{"accountId":"A7","ids":["M5"],"properties":["mailboxIds"]}`), "/list/0/mailboxIds")) == `{"`+b["Archive"]+`":true}`
	})
}

// A job whose maker has no rights any more changes nothing.
func TestSharedJobLater(t *testing.T) {
	r := newRig(t, Options{Limits: Limits{UserPerMinute: -1}})
	r.deliver("INBOX", letter(1, ""))
	r.share("lrsw", "INBOX", "Archive")
	got := r.asBen(`["Email/bulk",{"accountId":"A7","filter":null,"patch":{"keywords/work":true}},"b"]`)
	id := r.jobDone(got, `"status":"done"`)
	r.share("lrs", "INBOX")
	r.asBen(`["Email/bulkUndo",{"accountId":"A7","jobId":"` + id + `"},"u"]`)
	until(t, "the undoing", func() bool {
		return strings.Contains(r.asBen(`["Job/get",{"accountId":"A7","ids":["`+id+`"]},"j"]`), `"status":"undone"`)
	})
	if got := r.call("Email/get", `{"accountId":"A7","ids":["M1"],"properties":["keywords"]}`); at(t, got, "/list/0/keywords/work") != true {
		t.Error(text(got))
	}
	c, err := r.srv.callBy(t.Context(), r.account(ada.ID), mail.AccountID(99), jobObjects)
	if err != nil || !c.who.account.Disabled || !slices.Equal(c.acct.as.Objects, jobObjects) {
		t.Errorf("%+v, %v", c, err)
	}
}

func (r *rig) account(id mail.AccountID) *store.Account {
	r.t.Helper()
	a, err := r.store.Account(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}
