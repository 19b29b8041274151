package jmap

import (
	"net/netip"
	"strings"
	"testing"

	"posthouse/delivery"
	"posthouse/mail"
	"posthouse/store"
)

// People read what became of what they sent and of what came to them, and not who else
// got it or what is somebody else's.
func TestTraceOfOwn(t *testing.T) {
	r := newRig(t, Options{})
	id := r.draft("ben@demo.test")
	sub := at(t, r.call("EmailSubmission/set", `{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"`+id+`"}}}`), "/created/s/id").(string)
	got := r.call("Trace/get", `{"accountId":"A7","ids":["`+sub+`","`+id+`","M99","E0"]}`)
	needs(t, text(got), `"notFound":["M99","E0"]`, `"became":"delivered"`, `"address":"ben@demo.test"`, `"kind":"received"`, "from the account ada@demo.test")
	if len(at(t, got, "/list").([]any)) != 2 {
		t.Error(text(got))
	}

	r.arrive("0123456789abc", letter(5, ""), ada.Address, ben.Address)
	came := r.call("Email/query", `{"accountId":"A7","filter":{"subject":"letter 5"}}`)
	email := at(t, came, "/ids/0").(string)
	got = r.call("Trace/get", `{"accountId":"A7","ids":["`+email+`"]}`)
	needs(t, text(got), `"traceId":"0123456789abc"`, `"address":"ada@demo.test"`, "!ben@demo.test", `"remote":"192.0.2.1"`)

	r.arrive("0123456789abd", letter(6, ""), ada.Address)
	// A message that only claims to be that one tells nothing of it.
	r.appendTo(ben.ID, "INBOX", "Received: from x by mx.demo.test with ESMTP id 0123456789abd; now\nFrom: x@x.example\nMessage-ID: <other@x.example>\n\nx\n", store.AppendOptions{})
	_, rest, _ := strings.Cut(r.asBen(`["Email/query",{"accountId":"A8","filter":{"from":"x@x.example"}},"q"]`), `"ids":["`)
	forged, _, _ := strings.Cut(rest, `"`)
	needs(t, r.asBen(`["Trace/get",{"accountId":"A8","ids":["`+forged+`"]},"t"],["Trace/get",{"accountId":"A7","ids":["`+id+`"]},"u"]`), "!ada@demo.test", `accountNotFound`)
}

// arrive brings a message over SMTP.
func (r *rig) arrive(id, content string, to ...mail.Address) {
	r.t.Helper()
	tr := r.srv.opts.Delivery.Begin(&delivery.Session{Origin: delivery.FromMX, Hello: "mx.okafor.example", Remote: netip.MustParseAddr("192.0.2.1"), Extended: true},
		mail.Envelope{ReversePath: mail.Address{Local: "grace", Domain: "okafor.example"}, TraceID: id})
	defer tr.Close()
	if x := tr.Sender(r.t.Context()); !x.Positive() {
		r.t.Fatal(x)
	}
	for _, a := range to {
		if x := tr.Recipient(r.t.Context(), mail.Recipient{Address: a}); !x.Positive() {
			r.t.Fatal(x)
		}
	}
	if x := tr.Open(r.t.Context()); x.Code != 0 {
		r.t.Fatal(x)
	}
	if _, err := tr.Write([]byte(strings.ReplaceAll(content, "\n", "\r\n"))); err != nil {
		r.t.Fatal(err)
	}
	if x := tr.Accept(r.t.Context()); !x.Positive() {
		r.t.Fatal(x)
	}
}
