package jmap

import (
	"strings"
	"testing"
)

const inviteLetter = "From: Ben <ben@demo.test>\nTo: ada@demo.test\nSubject: lunch\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\ncome\n--b\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\n\n" +
	"BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:lunch@x\nDTSTAMP:20261101T080000Z\nDTSTART:20261126T110000Z\nDTEND:20261126T120000Z\nSUMMARY:Lunch\nORGANIZER;CN=Ben:mailto:ben@demo.test\nATTENDEE;RSVP=TRUE:mailto:Ada@demo.test\nEND:VEVENT\nEND:VCALENDAR\n--b--\n"

// An invitation is shown, answered by mail to its organizer, and remembers the answer.
func TestInvite(t *testing.T) {
	r := newRig(t, Options{})
	id := emailID(r.deliver("INBOX", inviteLetter).Email)
	plain := emailID(r.deliver("INBOX", letter(1, "")).Email)
	get := func() map[string]any {
		return r.call("Email/get", `{"accountId":"A7","ids":["`+id+`","`+plain+`"],"properties":["invite","keywords"]}`)
	}
	got := get()
	if at(t, got, "/list/1/invite") != nil || at(t, got, "/list/0/invite/summary") != "Lunch" || at(t, got, "/list/0/invite/me") != "Ada@demo.test" || at(t, got, "/list/0/invite/answer") != nil ||
		text(at(t, got, "/list/0/invite/start")) != `{"isAllDay":false,"local":"2026-11-26T11:00:00","timeZone":"UTC","utc":"2026-11-26T11:00:00Z"}` ||
		text(at(t, got, "/list/0/invite/organizer")) != `{"email":"ben@demo.test","name":"Ben","role":"req-participant","rsvp":false,"status":"needs-action"}` {
		t.Fatal(text(got))
	}
	for _, answer := range []string{"declined", "accepted"} {
		if out := r.call("Invite/reply", `{"accountId":"A7","emailId":"`+id+`","answer":"`+answer+`","comment":"see you"}`); out["answer"] != answer {
			t.Error(text(out))
		}
	}
	if got := get(); at(t, got, "/list/0/invite/answer") != "accepted" || text(at(t, got, "/list/0/keywords")) != `{"$rsvp-accepted":true}` {
		t.Error(text(got))
	}
	if r.inboxOf(8) != 2 {
		t.Fatal("the answers did not arrive")
	}
	raw := r.raw(ben.ID, "INBOX")
	for _, want := range []string{"Subject: Accepted: Lunch\r\n", "Return-Path: <ada@demo.test>", "text/calendar", "method=REPLY"} {
		if !strings.Contains(raw, want) {
			t.Errorf("no %q in %s", want, raw)
		}
	}
	for args, kind := range map[string]string{`"emailId":"` + plain + `","answer":"accepted"`: "notPossible", `"emailId":"M99","answer":"accepted"`: "notFound", `"emailId":"` + id + `","answer":"no"`: "invalidArguments"} {
		if out := r.calls(`["Invite/reply",{"accountId":"A7",` + args + `},"c"]`); at(t, out, "/0/1/type") != kind {
			t.Error(args, text(out))
		}
	}
}
