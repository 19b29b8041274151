package jmap

import (
	"strings"
	"testing"
)

// What somebody uploads to an account of somebody else serves for drafts there, and
// nobody else reads it, not even the owner.
func TestSharedUpload(t *testing.T) {
	r := newRig(t, Options{})
	basic := "Basic YmVuQGRlbW8udGVzdDpkZW1v"
	if w := r.do("POST", "/jmap/upload/A7/", "secret", "Authorization", basic); w.Code != 404 {
		t.Fatal(w.Code, w.Body)
	}
	r.share("lrswipte", "INBOX", "Drafts")
	w := r.do("POST", "/jmap/upload/A7/", "hello file", "Authorization", basic, "Content-Type", "text/plain")
	_, rest, ok := strings.Cut(w.Body.String(), `"blobId":"`)
	id, _, _ := strings.Cut(rest, `"`)
	if !ok || w.Code != 201 || !strings.Contains(w.Body.String(), `"accountId":"A7"`) {
		t.Fatal(w.Code, w.Body)
	}
	needs(t, r.asBen(`["Blob/get",{"accountId":"A7","ids":["`+id+`"]},"b"],["Blob/lookup",{"accountId":"A7","ids":["`+id+`","B1"],"typeNames":["Email"]},"l"]`), `"data:asText":"hello file"`, `"notFound":["B1"]`)
	needs(t, text(r.call("Blob/get", `{"accountId":"A7","ids":["`+id+`"]}`)), `"notFound":["`+id+`"]`)
	got := r.asBen(`["Email/set",{"accountId":"A7","create":{"d":{"mailboxIds":{"` + r.boxes()["Drafts"] + `":true},"from":[{"email":"ada@demo.test"}],"subject":"Hi","textBody":[{"partId":"1","type":"text/plain"}],
		"bodyValues":{"1":{"value":"Hallo"}},"attachments":[{"blobId":"` + id + `","type":"text/plain","name":"a.txt"}]}}},"d"],
		["Email/query",{"accountId":"A7","filter":{"hasAttachment":true}},"q"],["Blob/upload",{"accountId":"A7","create":{"u":{"data":[{"data:asText":"x"},{"blobId":"` + id + `"}],"type":"text/plain"}}},"u"],
		["Blob/get",{"accountId":"A7","ids":["#u"]},"b"],["Blob/copy",{"accountId":"A8","fromAccountId":"A7","blobIds":["` + id + `"]},"c"]`)
	needs(t, got, `"created":{"d":{"id":"M`, `"ids":["M1"]`, `"data:asText":"xhello file"`, `"copied":{"`+id+`":"U`)
}
