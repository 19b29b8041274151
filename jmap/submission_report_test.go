package jmap

import (
	"fmt"
	"strings"
	"testing"

	"posthouse/mail"
)

// statusReport is a DSN about one recipient; original is what it returns of the message.
func statusReport(envID, fields, original string) string {
	if envID != "" {
		envID = "Original-Envelope-Id: " + envID + "\n"
	}
	return "From: MAILER-DAEMON@okafor.example\nTo: ada@demo.test\nSubject: report\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n" +
		"--b\n\nFor people.\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.okafor.example\n" + envID + "\n" + fields + "\n--b\nContent-Type: text/rfc822-headers\n\n" + original + "\n--b--\n"
}

func readReceipt(of, disposition string) string {
	return "From: grace@okafor.example\nTo: ada@demo.test\nSubject: read\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n" +
		"--b\n\nI read it.\n--b\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; grace@okafor.example\nOriginal-Message-ID: " + of + "\nDisposition: " + disposition + "\n\n--b--\n"
}

// arrives lets delivery take a message for Ada.
func (r *rig) arrives(text string) {
	r.t.Helper()
	to := []mail.Recipient{{Address: mail.Address{Local: "ada", Domain: "demo.test"}}}
	if err := r.srv.opts.Delivery.Inject(r.t.Context(), mail.Envelope{Recipients: to, TraceID: "report"}, []byte(strings.ReplaceAll(text, "\n", "\r\n")), nil); err != nil {
		r.t.Fatal(err)
	}
}

// Reports that come stand in the submission that they are about: RFC 8621 §7. Its state
// changes with the message that brings them.
func TestReports(t *testing.T) {
	r, out := outgoingRig(t)
	id := r.draft("grace@okafor.example")
	got := r.call("EmailSubmission/set", `{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"`+id+`","envelope":{"mailFrom":{"email":"ada@demo.test","parameters":{"RET":"FULL"}},
		"rcptTo":[{"email":"grace@okafor.example","parameters":{"NOTIFY":"SUCCESS,FAILURE"}},{"email":"x@okafor.example"},{"email":"y@okafor.example"}]}}}}`)
	sub := at(t, got, "/created/s/id").(string)
	env := out.sent()[0]
	if env.EnvID != sub || !env.ReturnFull || env.Recipients[0].Original != "rfc822;grace@okafor.example" || env.Recipients[0].Notify != mail.NotifySuccess|mail.NotifyFailure {
		t.Fatalf("%+v", env)
	}
	messageID := at(t, r.call("Email/get", `{"accountId":"A7","ids":["`+id+`"],"properties":["messageId"]}`), "/list/0/messageId/0").(string)
	state := r.call("EmailSubmission/get", `{"accountId":"A7","ids":[]}`)["state"].(string)

	// By the envelope, by the original recipient.
	r.arrives(statusReport(sub, "Original-Recipient: rfc822;grace@okafor.example\nFinal-Recipient: rfc822;gr@elsewhere.example\nAction: delivered\nStatus: 2.0.0\n", "Subject: Hi\n"))
	if s := r.status(sub, "grace@okafor.example"); s != "yes 250 2.0.0 delivered" {
		t.Error(s)
	}
	if ch := r.call("EmailSubmission/changes", `{"accountId":"A7","sinceState":"`+state+`"}`); text(ch["updated"]) != `["`+sub+`"]` {
		t.Error(text(ch))
	}
	// By the Message-ID of what came back.
	r.arrives(statusReport("", "Final-Recipient: rfc822; X@okafor.example\nAction: failed (really)\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1\n nobody here\n", "Message-ID: <"+messageID+">\n"))
	if s := r.status(sub, "x@okafor.example"); s != "no 550 5.1.1 nobody here" {
		t.Error(s)
	}
	// A delay is no fate; what is final stays.
	r.arrives(statusReport(sub, "Final-Recipient: rfc822;y@okafor.example\nAction: delayed\nStatus: 4.4.1\n\nFinal-Recipient: rfc822;grace@okafor.example\nAction: failed\nStatus: 5.0.0\n", ""))
	if s := r.status(sub, "y@okafor.example") + ", " + r.status(sub, "grace@okafor.example"); s != "queued 450 4.4.1 delayed, yes 250 2.0.0 delivered" {
		t.Error(s)
	}
	// The queue, which tells later that it is rid of it, knows less.
	r.srv.Told(ada.ID, env.TraceID, []Sent{{Address: env.Recipients[0].Address, State: "delivered", Reply: mail.Reply{Code: 250, Text: "taken"}}, {Address: env.Recipients[2].Address, State: "delivered", Reply: mail.Reply{Code: 250, Text: "taken"}}})
	until(t, "the queue's word", func() bool { return r.status(sub, "y@okafor.example") == "unknown 250 taken" })
	if s := r.status(sub, "grace@okafor.example"); s != "yes 250 2.0.0 delivered" {
		t.Error(s)
	}
	r.arrives(readReceipt("<"+messageID+">", "manual-action/MDN-sent-manually; deleted"))
	r.arrives(readReceipt("<"+messageID+">", "manual-action/MDN-sent-manually; Displayed"))
	list := at(t, r.call("EmailSubmission/get", `{"accountId":"A7","ids":["`+sub+`"]}`), "/list/0").(map[string]any)
	if at(t, list, "/deliveryStatus/grace@okafor.example/displayed") != "yes" || at(t, list, "/deliveryStatus/x@okafor.example/displayed") != "unknown" ||
		len(list["dsnBlobIds"].([]any)) != 3 || len(list["mdnBlobIds"].([]any)) != 2 {
		t.Error(text(list))
	}
	dsn := at(t, list, "/dsnBlobIds/1").(string)
	if w := r.do("GET", "/jmap/download/A7/"+dsn+"/x", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "nobody here") {
		t.Error(w.Code, w.Body)
	}
	// What is destroyed is not named any more.
	r.call("Email/set", `{"accountId":"A7","destroy":["M`+dsn[1:]+`"]}`)
	if list := at(t, r.call("EmailSubmission/get", `{"accountId":"A7","ids":["`+sub+`"]}`), "/list/0/dsnBlobIds").([]any); len(list) != 2 {
		t.Error(list)
	}
}

// What is about nothing of ours is mail as any other.
func TestReportsOfOthers(t *testing.T) {
	r, _ := outgoingRig(t)
	id := r.draft("grace@okafor.example")
	got := r.call("EmailSubmission/set", `{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"`+id+`"}}}`)
	sub := at(t, got, "/created/s/id").(string)
	for i, s := range []string{
		statusReport("Ea", "Final-Recipient: rfc822;grace@okafor.example\nAction: failed\nStatus: 5.0.0\n", "Message-ID: <other@x>\n"),
		statusReport("", "Action: failed", ""), readReceipt("<other@x>", "x; displayed"), readReceipt("", ";"),
	} {
		r.arrives(s)
		if n := r.inboxOf(7); n != uint32(i+2) { // and the copy of Bcc
			t.Errorf("%d messages after report %d", n, i)
		}
	}
	if o := at(t, r.call("EmailSubmission/get", `{"accountId":"A7","ids":["`+sub+`"]}`), "/list/0"); text(at(t, o, "/dsnBlobIds")) != `[]` || text(at(t, o, "/mdnBlobIds")) != `[]` || at(t, o, "/deliveryStatus/grace@okafor.example/delivered") != "queued" {
		t.Error(text(o))
	}
}

// Parameters that SMTP would not take are refused; a report knows the client's ENVID.
func TestEnvelopeParameters(t *testing.T) {
	r, out := outgoingRig(t)
	make := func(mailFrom, rcpt string) map[string]any {
		return r.call("EmailSubmission/set", fmt.Sprintf(`{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"%s","envelope":{"mailFrom":{"email":"ada@demo.test","parameters":{%s}},"rcptTo":[{"email":"grace@okafor.example","parameters":{%s}}]}}}}`,
			r.draft("grace@okafor.example"), mailFrom, rcpt))
	}
	for _, c := range [][2]string{{`"RET":"SOME"`, ``}, {`"ENVID":""`, ``}, {`"ENVID":"a\nb"`, ``}, {`"ENVID":"` + strings.Repeat("x", 101) + `"`, ``},
		{``, `"NOTIFY":"NEVER,FAILURE"`}, {``, `"NOTIFY":"x"`}, {``, `"ORCPT":"a@b"`}, {``, `"X":""`}} {
		if got := make(c[0], c[1]); at(t, got, "/notCreated/s/type") != "invalidProperties" {
			t.Error(c, text(got))
		}
	}
	sub := at(t, make(`"ENVID":"mine 1"`, `"ORCPT":"rfc822;g@x.example"`), "/created/s/id").(string)
	if env := out.sent()[0]; env.EnvID != "mine 1" || env.Recipients[0].Original != "rfc822;g@x.example" {
		t.Errorf("%+v", env)
	}
	r.arrives(statusReport("mine 1", "Original-Recipient: rfc822;g@x.example\nAction: failed\nStatus: 5.2.2\n", ""))
	if s := r.status(sub, "grace@okafor.example"); s != "no 550 5.2.2 failed" {
		t.Error(s)
	}
}
