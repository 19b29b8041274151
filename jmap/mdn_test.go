package jmap

import (
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

const asksForMDN = "Return-Path: <ben@demo.test>\nFrom: Ben <ben@demo.test>\nTo: ada@demo.test\nSubject: read me\nMessage-ID: <q@demo.test>\nDisposition-Notification-To: Ben <ben@demo.test>\n\nhello\n"

func mdnOf(id, more string) string {
	return `{"accountId":"A7","identityId":"default","send":{"k":{"forEmailId":"` + id + `","subject":"Read: read me","textBody":"I have seen it.","reportingUA":"Posthouse",
		"disposition":{"actionMode":"manual-action","sendingMode":"mdn-sent-manually","type":"displayed"},"extensionFields":{"X-Note":"hi"}` + more + `}},
		"onSuccessUpdateEmail":{"#k":{"keywords/$mdnsent":true}}}`
}

// An MDN is sent once, with a null sender and the keyword, and is understood by who
// gets it.
func TestMDN(t *testing.T) {
	r := newRig(t, Options{})
	id := emailID(r.deliver("INBOX", asksForMDN).Email)
	out := r.calls(`["MDN/send",` + mdnOf(id, "") + `,"c"]`)
	if len(out) != 2 || at(t, out, "/0/0") != "MDN/send" || at(t, out, "/0/1/sent/k/finalRecipient") != "rfc822; ada@demo.test" || at(t, out, "/1/0") != "Email/set" {
		t.Fatal(text(out))
	}
	if e := r.call("Email/get", `{"accountId":"A7","ids":["`+id+`"],"properties":["keywords"]}`); text(at(t, e, "/list/0/keywords")) != `{"$mdnsent":true}` {
		t.Error(text(e))
	}
	if r.inboxOf(8) != 1 {
		t.Fatal("it did not arrive")
	}
	if again := r.call("MDN/send", mdnOf(id, "")); at(t, again, "/notSent/k/type") != "mdnAlreadySent" {
		t.Error(text(again))
	}
	raw := r.raw(ben.ID, "INBOX")
	if !strings.HasPrefix(raw, "Return-Path: <>\r\n") || !strings.Contains(raw, "In-Reply-To: <q@demo.test>") {
		t.Error(raw)
	}
	got := r.call("MDN/parse", `{"accountId":"A7","blobIds":["`+r.uploadText(raw)+`","`+emailBlob(id)+`","B99"]}`)
	var parsed map[string]any
	for _, v := range got["parsed"].(map[string]any) {
		parsed = v.(map[string]any)
	}
	if text(parsed["disposition"]) != `{"actionMode":"manual-action","sendingMode":"mdn-sent-manually","type":"displayed"}` || parsed["originalMessageId"] != "<q@demo.test>" ||
		parsed["finalRecipient"] != "rfc822; ada@demo.test" || text(parsed["extensionFields"]) != `{"X-Note":"hi"}` || parsed["textBody"] != "I have seen it." || parsed["reportingUA"] != "Posthouse" {
		t.Error(text(got))
	}
	if text(got["notParsable"]) != `["`+emailBlob(id)+`"]` || text(got["notFound"]) != `["B99"]` {
		t.Error(text(got))
	}
}

func emailBlob(id string) string { return "B" + id[1:] }

// What must not be sent is refused with the error of RFC 9007.
func TestMDNRefused(t *testing.T) {
	r := newRig(t, Options{})
	asks := emailID(r.deliver("INBOX", asksForMDN).Email)
	plain := emailID(r.deliver("INBOX", letter(1, "")).Email)
	elsewhere := emailID(r.deliver("INBOX", strings.Replace(asksForMDN, "Return-Path: <ben@", "Return-Path: <list@", 1)).Email)
	for _, c := range []struct{ args, path, want string }{
		{mdnOf(plain, ""), "/notSent/k/type", "notFound"},
		{mdnOf("M99", ""), "/notSent/k/type", "notFound"},
		{mdnOf(asks, `,"finalRecipient":"rfc822; ben@demo.test"`), "/notSent/k/type", "forbiddenFrom"},
		{mdnOf(asks, `,"originalMessageId":"<x>"`), "/notSent/k/type", "invalidProperties"},
		{strings.Replace(mdnOf(asks, ""), "Posthouse", `a\r\nBcc: x`, 1), "/notSent/k/type", "invalidProperties"},
		{strings.Replace(mdnOf(asks, ""), "displayed", "eaten", 1), "/notSent/k/type", "invalidProperties"},
		{strings.Replace(mdnOf(elsewhere, ""), "mdn-sent-manually", "mdn-sent-automatically", 1), "/notSent/k/type", "forbidden"},
	} {
		if out := r.call("MDN/send", c.args); at(t, out, c.path) != c.want {
			t.Errorf("%s: %s", c.args, text(out))
		}
	}
	for _, args := range []string{strings.Replace(mdnOf(asks, ""), "$mdnsent", "$seen", 1), strings.Replace(mdnOf(asks, ""), `"default"`, `"Inone"`, 1)} {
		if out := r.calls(`["MDN/send",` + args + `,"c"]`); at(t, out, "/0/1/type") != "invalidArguments" {
			t.Error(text(out))
		}
	}
	if r.inboxOf(8) != 0 {
		t.Error("something was sent")
	}
}

// raw returns the only message of a mailbox.
func (r *rig) raw(id mail.AccountID, path string) string {
	r.t.Helper()
	a, err := r.store.Account(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	var e *store.Email
	if err := a.View(r.t.Context(), func(v *store.View) error {
		m, err := v.Mailbox(path)
		if err != nil {
			return err
		}
		s, err := v.Snapshot(m.ID)
		if err == nil {
			e, err = v.Email(s.Row(s.Len() - 1).Email)
		}
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	b, err := a.Open(r.t.Context(), e)
	if err != nil {
		r.t.Fatal(err)
	}
	defer b.Close()
	out := make([]byte, b.Size())
	if _, err := b.ReadAt(out, 0); err != nil && len(out) == 0 {
		r.t.Fatal(err)
	}
	return string(out)
}

// uploadText sends bytes ahead and returns their blob.
func (r *rig) uploadText(s string) string {
	r.t.Helper()
	w := r.do("POST", "/jmap/upload/A7/", s)
	_, id, ok := strings.Cut(w.Body.String(), `"blobId":"`)
	if !ok {
		r.t.Fatal(w.Body)
	}
	id, _, _ = strings.Cut(id, `"`)
	return id
}

func FuzzMDN(f *testing.F) {
	f.Add("manual-action/MDN-sent-manually; displayed")
	f.Add("automatic-action / mdn-sent-automatically ; deleted/error,x")
	f.Add(";/;")
	srv := &Server{}
	f.Fuzz(func(t *testing.T, s string) {
		if d := dispositionOf(s); d != nil && len(d) != 3 {
			t.Error(d)
		}
		m := message.Parse([]byte("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\nDisposition: " + s + "\r\n--b--"))
		data := memoryBody("x")
		e := &email{msg: m, size: 1, open: func() (store.Body, error) { return data, nil }}
		c := &call{Server: srv, acct: &account{shared: true}}
		_, _ = c.readMDN(nil, e)
	})
}
