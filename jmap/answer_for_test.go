package jmap

import (
	"strings"
	"testing"
)

// Who may send as the owner of a shared account answers invitations and sends receipts there in the
// owner's name, and nobody else does; what is answered is marked with the rights that one has.
func TestAnswerForOther(t *testing.T) {
	r := newRig(t, Options{})
	r.share("lrswite", "INBOX")
	r.share("lr", "Archive")
	invite := emailID(r.deliver("INBOX", inviteLetter).Email)
	asks := emailID(r.deliver("INBOX", asksForMDN).Email)
	only := emailID(r.deliver("Archive", strings.ReplaceAll(inviteLetter, "lunch@x", "dinner@x")).Email)
	answer := func(id string) string {
		return r.asBen(`["Invite/reply",{"accountId":"A7","emailId":"` + id + `","answer":"accepted"},"r"]`)
	}
	get := `["Email/get",{"accountId":"A7","ids":["` + invite + `"],"properties":["invite"]},"g"]`
	receipt := `["MDN/send",` + mdnOf(asks, "") + `,"m"]`
	needs(t, answer(invite), "accountNotSupportedByMethod")
	needs(t, r.asBen(receipt), "accountNotSupportedByMethod")
	needs(t, r.asBen(get), `"me":null`)
	r.senders.Store(ben.ID, true)
	needs(t, r.asBen(get), `"me":"Ada@demo.test"`)
	before := r.inboxOf(8)
	needs(t, answer(invite), `"answer":"accepted"`)
	needs(t, r.asBen(receipt), `"finalRecipient":"rfc822; ada@demo.test"`)
	if n := r.inboxOf(8); n != before+2 {
		t.Fatalf("%d messages arrived", n-before)
	}
	needs(t, text(r.call("Email/get", `{"accountId":"A7","ids":["`+invite+`","`+asks+`"],"properties":["keywords"]}`)), `"$rsvp-accepted":true`, `"$mdnsent":true`)
	needs(t, r.raw(ben.ID, "INBOX"), "From: Ada Lovelace <ada@demo.test>")
	// What one may not mark is not answered.
	needs(t, answer(only), `"forbidden"`)
	if n := r.inboxOf(8); n != before+2 {
		t.Errorf("%d messages arrived", n-before)
	}
	needs(t, r.do("GET", "/jmap/session", "", "Authorization", "Basic YmVuQGRlbW8udGVzdDpkZW1v").Body.String(), `"https://posthouse.email/jmap":{},"urn:ietf:params:jmap:mdn":{},`)
}
