package jmap

import (
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/store"
)

// come puts a letter into a mailbox as delivery does it, with what the checks found.
func (r *rig) come(path, text string, o store.AppendOptions) store.Appended {
	r.t.Helper()
	return r.appendTo(ada.ID, path, text, o)
}

// reasonsOf returns the codes of a message's verdict, after its status.
func (r *rig) reasonsOf(id store.EmailID) string {
	r.t.Helper()
	out := r.call("Email/get", `{"accountId":"A7","ids":["`+emailID(id)+`"],"properties":["verdict"]}`)
	got := at(r.t, out, "/list/0/verdict/status").(string)
	for _, c := range at(r.t, out, "/list/0/verdict/reasons").([]any) {
		got += " " + c.(map[string]any)["code"].(string)
	}
	return got
}

func TestVerdict(t *testing.T) {
	r := newRig(t, Options{})
	pass := []mail.Finding{{Check: "dmarc", Result: "pass", Text: "header.from=okafor.example"}}
	fail := []mail.Finding{{Check: "dmarc", Result: "fail"}}
	way := []byte("Received: from x by mx.demo.test with ESMTPS id 1; Mon, 23 Nov 2026 12:00:00 +0000\r\n")
	first := r.come("INBOX", "From: Grace Okafor <grace@okafor.example>\nSubject: hello\n\nx\n", store.AppendOptions{Findings: pass, Prefix: way})
	if got := r.reasonsOf(first.Email); got != "verified verified first encrypted" {
		t.Error(got)
	}
	second := r.come("INBOX", "From: Grace Okafor <grace@okafor.example>\nList-Id: Friends <friends.okafor.example>\nSubject: again\n\nx\n", store.AppendOptions{Findings: pass, Prefix: way})
	if got := r.reasonsOf(second.Email); got != "verified verified list encrypted" {
		t.Error(got)
	}
	if got := r.reasonsOf(first.Email); !strings.Contains(got, " first ") {
		t.Error("the first is not the first any more:", got)
	}
	// What was sent makes her known, and others who use her name or nearly her domain suspicious.
	r.come("Sent", "From: ada@demo.test\nTo: Grace Okafor <Grace@okafor.example>\nSubject: re\n\nx\n", store.AppendOptions{})
	if got := r.reasonsOf(second.Email); got != "verified verified contact list encrypted" {
		t.Error(got)
	}
	fake := r.come("INBOX", "From: Grace  okafor <boss@evil.example>\nReply-To: x@drop.example\nSubject: hi\n\nx\n", store.AppendOptions{Findings: fail})
	if got := r.reasonsOf(fake.Email); got != "suspicious name reply-to unverified first" {
		t.Error(got)
	}
	near := r.come("INBOX", "From: g@okafar.example\nSubject: hi\n\nx\n", store.AppendOptions{})
	if got := r.reasonsOf(near.Email); got != "suspicious lookalike first" {
		t.Error(got)
	}
	// A Received field that a client put there says nothing.
	own := r.come("INBOX", "Received: from x by y with ESMTPSA id 1\nFrom: z@z.example\n\nx\n", store.AppendOptions{})
	if got := r.reasonsOf(own.Email); got != "unknown first" {
		t.Error(got)
	}
	v, err := r.srv.Verdict(t.Context(), ada.ID, "A7", fake.Email)
	if err != nil || len(v.Warnings()) != 3 {
		t.Errorf("%+v %v", v, err)
	}
	if _, err := r.srv.Verdict(t.Context(), ada.ID, "A7", 999); mail.KindOf(err) != mail.NotFound {
		t.Error(err)
	}
}

// What a list shows beside a message is told by the message alone.
func TestSigns(t *testing.T) {
	r := newRig(t, Options{})
	fail := store.AppendOptions{Findings: []mail.Finding{{Check: "dmarc", Result: "fail"}}}
	invite := "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nx\n--b\nContent-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n--b--\n"
	for _, tt := range []struct {
		text string
		o    store.AppendOptions
		want string
	}{
		{"From: Grace <grace@okafor.example>\n\nx\n", store.AppendOptions{}, `[]`},
		{"From: Grace <grace@okafor.example>\n" + invite, store.AppendOptions{}, `["invite"]`},
		{"From: Grace <grace@okafor.example>\n\nx\n", fail, `["warning"]`},
		{"From: Grace <grace@okafor.example>\nList-Id: <friends.okafor.example>\n\nx\n", fail, `[]`},
		{"From: \"ben@demo.test\" <b3n@freemail.example>\n\nx\n", store.AppendOptions{}, `["warning"]`},
		{"From: \"ben@demo.test\" <b3n@freemail.example>\n" + invite, store.AppendOptions{}, `["invite","warning"]`},
	} {
		m := r.come("INBOX", tt.text, tt.o)
		out := r.call("Email/get", `{"accountId":"A7","ids":["`+emailID(m.Email)+`"],"properties":["signs"]}`)
		if got := text(at(t, out, "/list/0/signs")); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.text, got, tt.want)
		}
	}
}
