package jmap

import (
	"strings"
	"testing"

	"posthouse/jmap/wire"
)

// ben runs calls as Ben and returns their responses.
func (r *rig) ben(list string) []any {
	r.t.Helper()
	body := r.asBen(list)
	v, err := wire.Parse([]byte(body), wire.Limits{})
	if err != nil {
		r.t.Fatal(err, body)
	}
	return at(r.t, v, "/methodResponses").([]any)
}

// RFC 8620 §5.4 and RFC 8621 §4.7: messages are copied from another account, if both are
// in the states that the client knows, and the originals go if asked for.
func TestCopy(t *testing.T) {
	r := newRig(t, Options{})
	first := emailID(r.deliver("INBOX", letter(1, "")).Email)
	second := emailID(r.deliver("INBOX", letter(2, "")).Email)
	r.call("Email/set", `{"accountId":"A7","update":{"`+first+`":{"keywords":{"$flagged":true}}}}`)
	r.share("lrswite", "INBOX")
	box := ""
	for _, m := range at(t, r.ben(`["Mailbox/get",{"accountId":"A8","properties":["name"]},"c"]`), "/0/1/list").([]any) {
		if o := m.(map[string]any); o["name"] == "Archive" {
			box = o["id"].(string)
		}
	}
	theirs := at(t, r.ben(`["Email/get",{"accountId":"A7","ids":[]},"c"]`), "/0/1/state").(string)
	one := func(id, more string) string {
		return `"create":{"x":{"id":"` + id + `","mailboxIds":{"` + box + `":true}` + more + `}}`
	}
	copied := func(rest string) []any {
		return r.ben(`["Email/copy",{"accountId":"A8","fromAccountId":"A7",` + rest + `},"c"]`)
	}
	for rest, kind := range map[string]string{`"ifFromInState":"1",` + one(first, ""): "stateMismatch", `"ifInState":"999",` + one(first, ""): "stateMismatch"} {
		if out := copied(rest); at(t, out, "/0/1/type") != kind {
			t.Error(rest, text(out))
		}
	}
	out := copied(`"ifFromInState":"` + theirs + `","onSuccessDestroyOriginal":true,"destroyFromIfInState":"1",` + one(first, ""))
	if len(out) != 2 || at(t, out, "/0/1/fromAccountId") != "A7" || at(t, out, "/0/1/created/x/blobId") == nil || at(t, out, "/1/1/type") != "stateMismatch" {
		t.Error(text(out))
	}
	id := at(t, out, "/0/1/created/x/id").(string)
	got := text(at(t, r.ben(`["Email/get",{"accountId":"A8","ids":["`+id+`"],"properties":["subject","keywords","receivedAt","mailboxIds"]},"c"]`), "/0/1/list/0"))
	if got != `{"id":"`+id+`","keywords":{"$flagged":true},"mailboxIds":{"`+box+`":true},"receivedAt":"2026-11-23T12:00:00Z","subject":"letter 1"}` {
		t.Error(got)
	}
	out = copied(`"onSuccessDestroyOriginal":true,` + one(second, `,"keywords":{"x":true},"receivedAt":"2020-01-01T00:00:00Z"`))
	if len(out) != 2 || at(t, out, "/1/0") != "Email/set" || text(at(t, out, "/1/1/destroyed")) != `["`+second+`"]` || at(t, out, "/1/1/accountId") != "A7" {
		t.Error(text(out))
	}
	id = at(t, out, "/0/1/created/x/id").(string)
	if got := text(at(t, r.ben(`["Email/get",{"accountId":"A8","ids":["`+id+`"],"properties":["keywords","receivedAt"]},"c"]`), "/0/1/list/0")); got != `{"id":"`+id+`","keywords":{"x":true},"receivedAt":"2020-01-01T00:00:00Z"}` {
		t.Error(got)
	}
	for rest, kind := range map[string]string{one(second, ""): "notFound", one(first, `,"keywords":{"a b":true}`): "invalidProperties", strings.Replace(one(first, ""), box, "F99-1", 1): "invalidProperties"} {
		if out := copied(`"onSuccessDestroyOriginal":true,` + rest); len(out) != 1 || at(t, out, "/0/1/notCreated/x/type") != kind {
			t.Error(rest, text(out))
		}
	}
	out = r.ben(`["Blob/copy",{"accountId":"A8","fromAccountId":"A7","blobIds":["B` + first[1:] + `","Unone"]},"c"],["Blob/copy",{"accountId":"A8","fromAccountId":"A9","blobIds":[]},"d"]`)
	if at(t, out, "/0/1/copied/B"+first[1:]) == nil || at(t, out, "/0/1/notCopied/Unone/type") != "notFound" || at(t, out, "/1/1/type") != "fromAccountNotFound" {
		t.Error(text(out))
	}
}
