package jmap

import (
	"slices"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store"
	"posthouse/trace"
)

// share gives Ben rights on mailboxes of Ada.
func (r *rig) share(rights string, paths ...string) {
	r.t.Helper()
	have, err := store.ParseRights(rights)
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := r.store.Account(r.t.Context(), ada.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := a.Update(r.t.Context(), func(tx *store.Tx) error {
		for _, path := range paths {
			m, err := tx.Mailbox(path)
			if err != nil {
				return err
			}
			if err := tx.SetACL(m.ID, store.Grant{Who: ben.ID, Rights: have}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
}

// draftAsBen makes a draft in Ada's account by Ben.
func (r *rig) draftAsBen(to, from string) string {
	r.t.Helper()
	got := r.asBen(`["Email/set",{"accountId":"A7","create":{"d":{"mailboxIds":{"` + r.boxes()["Drafts"] + `":true},"keywords":{"$draft":true,"$seen":true},
		"from":[{"email":"` + from + `"}],"to":[{"email":"` + to + `"}],"subject":"Hi","bodyValues":{"1":{"value":"Hallo"}},"textBody":[{"partId":"1","type":"text/plain"}]}}},"d"]`)
	_, rest, ok := strings.Cut(got, `"created":{"d":{"id":"`)
	if !ok {
		r.t.Fatal(got)
	}
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// needs fails if an answer lacks something, or has what stands behind "!".
func needs(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if no, negated := strings.CutPrefix(w, "!"); strings.Contains(got, no) == negated {
			t.Errorf("%q in %s", w, got)
		}
	}
}

// Who may send as the owner of a shared account does so there: with the owner's
// identity, into the owner's Sent; the trace and the submission say who it was. Nobody
// else may, and what the owner sent is not shown.
func TestSendForOther(t *testing.T) {
	r := newRig(t, Options{})
	r.share("lrswipte", "INBOX", "Drafts", "Sent")
	b := r.boxes()
	own := r.draft("ben@demo.test")
	ownSub := at(t, r.call("EmailSubmission/set", `{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"`+own+`"}}}`), "/created/s/id").(string)
	id := r.draftAsBen("ben@demo.test", "ada@demo.test")
	send := `["EmailSubmission/set",{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"` + id + `"}},"onSuccessUpdateEmail":{"#s":{"mailboxIds":{"` + b["Sent"] + `":true},"keywords/$draft":null}}},"s"]`
	needs(t, r.asBen(send), "accountNotSupportedByMethod")
	needs(t, r.do("GET", "/jmap/session", "", "Authorization", "Basic YmVuQGRlbW8udGVzdDpkZW1v").Body.String(), `!"urn:ietf:params:jmap:submission":{"maxDelayedSend":2592000,"submissionExtensions":{"FUTURERELEASE":[],"DSN":[]}}}},"primary`)

	r.senders.Store(ben.ID, true)
	needs(t, r.do("GET", "/jmap/session", "", "Authorization", "Basic YmVuQGRlbW8udGVzdDpkZW1v").Body.String(), `"A7":{"name":"ada@demo.test"`,
		`"submissionExtensions":{"FUTURERELEASE":[],"DSN":[]}}}}},"primary`)
	needs(t, r.asBen(`["Identity/get",{"accountId":"A7"},"i"]`), `"id":"default","name":"Ada Lovelace","email":"ada@demo.test"`, `"mayDelete":false`)
	needs(t, r.asBen(`["Identity/set",{"accountId":"A7","create":{"x":{"email":"ben@demo.test"}},"update":{"default":{"name":"Me"}},"destroy":["default"]},"i"]`),
		"!\"created\":{", "!\"updated\":{", `"destroyed":null`)
	needs(t, r.asBen(`["VacationResponse/get",{"accountId":"A7"},"i"]`), "accountNotSupportedByMethod")
	got := r.asBen(send)
	needs(t, got, `"undoStatus":"pending"`, `"sentBy":"ben@demo.test"`, `"Email/set"`, `"updated":{"`+id+`":null}`)
	_, rest, _ := strings.Cut(got, `"created":{"s":{"id":"`)
	sub, _, _ := strings.Cut(rest, `"`)
	needs(t, r.asBen(`["EmailSubmission/get",{"accountId":"A7","ids":null},"g"],["EmailSubmission/query",{"accountId":"A7"},"q"],["EmailSubmission/changes",{"accountId":"A7","sinceState":"1"},"c"]`),
		`"ids":["`+sub+`"]`, "!"+ownSub)
	needs(t, text(r.call("EmailSubmission/get", `{"accountId":"A7","ids":null}`)), ownSub, sub, `"sentBy":"ben@demo.test"`, `"sentBy":null`, `"delivered":"yes"`)
	e := r.call("Email/get", `{"accountId":"A7","ids":["`+id+`"],"properties":["mailboxIds","keywords"]}`)
	needs(t, text(e), `"mailboxIds":{"`+b["Sent"]+`":true}`, `!$draft`)
	found, _, err := r.trace.Find(t.Context(), trace.Query{From: "ada@demo.test"})
	if err != nil || !slices.ContainsFunc(found, func(s trace.Story) bool { return s.Events[0].Account == "ben@demo.test" }) {
		t.Errorf("%+v, %v", found, err)
	}
}

// What Ben sends for Ada is asked for when it goes: a grant that was taken back
// meanwhile counts no more, and a From of somebody else never did.
func TestSendForOtherLater(t *testing.T) {
	r, out := outgoingRig(t)
	r.share("lrswipte", "INBOX", "Drafts", "Sent")
	r.senders.Store(ben.ID, true)
	own := r.draftAsBen("grace@okafor.example", "grace@okafor.example")
	needs(t, r.asBen(`["EmailSubmission/set",{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"`+own+`"}}},"s"]`), "forbiddenFrom")
	held := func() string {
		got := r.asBen(`["EmailSubmission/set",` + strings.ReplaceAll(hold(r.draftAsBen("grace@okafor.example", "ada@demo.test"), "60", `,"onSend":{"mailboxIds":{"`+r.boxes()["Sent"]+`":true},"keywords/$draft":null}`), "ben@demo.test", "grace@okafor.example") + `,"s"]`)
		_, rest, ok := strings.Cut(got, `"created":{"s":{"id":"`)
		if !ok {
			t.Fatal(got)
		}
		id, _, _ := strings.Cut(rest, `"`)
		return id
	}
	final := func(sub string) bool {
		return at(t, r.call("EmailSubmission/get", `{"accountId":"A7","ids":["`+sub+`"]}`), "/list/0/undoStatus") == "final"
	}
	first := held()
	r.pass(2 * time.Minute)
	until(t, "the first", func() bool { return final(first) })
	if got := out.sent(); len(got) != 1 || got[0].Account != ben.ID || got[0].ReversePath != ada.Address {
		t.Fatalf("%+v", got)
	}
	r.srv.Told(ben.ID, out.sent()[0].TraceID, []Sent{{Address: mail.Address{Local: "grace", Domain: "okafor.example"}, State: "failed", Reply: mail.Reply{Code: 550, Text: "no"}}})
	until(t, "the queue's word", func() bool { return strings.HasPrefix(r.status(first, "grace@okafor.example"), "no 550") })
	second := held()
	r.senders.Delete(ben.ID)
	r.pass(2 * time.Minute)
	until(t, "the second", func() bool { return final(second) })
	if got := r.status(second, "grace@okafor.example"); !strings.HasPrefix(got, "no 5") || len(out.sent()) != 1 {
		t.Errorf("%s, %d sent", got, len(out.sent()))
	}
}
