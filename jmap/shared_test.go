package jmap

import (
	"strings"
	"testing"

	"posthouse/store"
)

// asBen runs one method as the other person.
func (r *rig) asBen(list string) string {
	r.t.Helper()
	w := r.do("POST", "/jmap/api", `{"using":`+usingAll+`,"methodCalls":[`+list+`]}`, "Authorization", "Basic YmVuQGRlbW8udGVzdDpkZW1v")
	return w.Body.String()
}

// Who was given rights on one mailbox sees that one and nothing else of the account.
func TestShared(t *testing.T) {
	r := newRig(t, Options{})
	r.deliver("INBOX", letter(1, ""))
	r.deliver("Archive", letter(2, "References: <1@demo.test>\n"))
	get := `["Email/get",{"accountId":"A7","ids":["M1","M2"],"properties":["subject"]},"g"]`
	if got := r.asBen(get); !strings.Contains(got, "accountNotFound") {
		t.Fatal(got)
	}
	a, err := r.store.Account(t.Context(), ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Update(t.Context(), func(tx *store.Tx) error {
		m, err := tx.Mailbox("Archive")
		if err != nil {
			return err
		}
		return tx.SetACL(m.ID, store.Grant{Who: ben.ID, Rights: store.RightLookup | store.RightRead | store.RightSeen})
	}); err != nil {
		t.Fatal(err)
	}
	session := r.do("GET", "/jmap/session", "", "Authorization", "Basic YmVuQGRlbW8udGVzdDpkZW1v").Body.String()
	if !strings.Contains(session, `"A7":{"name":"ada@demo.test","isPersonal":false`) {
		t.Error(session)
	}
	if got := r.asBen(get); !strings.Contains(got, "letter 2") || strings.Contains(got, "letter 1") || !strings.Contains(got, `"notFound":["M1"]`) {
		t.Error(got)
	}
	if got := r.asBen(`["Mailbox/get",{"accountId":"A7"},"m"]`); strings.Contains(got, "Inbox") || !strings.Contains(got, `"name":"Archive"`) || !strings.Contains(got, `"mayRemoveItems":false`) ||
		!strings.Contains(got, `"totalEmails":1`) {
		t.Error(got)
	}
	if got := r.asBen(`["Email/query",{"accountId":"A7"},"q"]`); !strings.Contains(got, `"ids":["M2"]`) {
		t.Error(got)
	}
	for _, method := range []string{"Identity/get", "EmailSubmission/get", "VacationResponse/get", "Settings/get", "ContactCard/get", "Quota/get"} {
		if got := r.asBen(`["` + method + `",{"accountId":"A7"},"x"]`); !strings.Contains(got, "accountNotSupportedByMethod") {
			t.Error(method, got)
		}
	}
	if got := r.asBen(`["Email/set",{"accountId":"A7","destroy":["M1","M2"],"update":{"M2":{"keywords/$flagged":true}}},"s"]`); strings.Contains(got, `"destroyed":["M`) || !strings.Contains(got, "notDestroyed") || strings.Contains(got, `"updated":{`) {
		t.Error(got)
	}
	if got := r.asBen(`["Email/set",{"accountId":"A7","update":{"M2":{"keywords/$seen":true}}},"s"],` + `["Email/get",{"accountId":"A7","ids":["M2"],"properties":["keywords"]},"g"]`); !strings.Contains(got, `"$seen":true`) {
		t.Error(got)
	}
	if e := r.call("Email/get", `{"accountId":"A7","ids":["M2"],"properties":["keywords"]}`); text(at(t, e, "/list/0/keywords")) != `{}` {
		t.Error("what Ben has read Ada has not: " + text(e))
	}
	for _, path := range []string{"/jmap/download/A7/B1/x", "/jmap/download/A7/B2/x"} {
		w := r.do("GET", path, "", "Authorization", "Basic YmVuQGRlbW8udGVzdDpkZW1v")
		if (w.Code == 200) != strings.Contains(path, "B2") {
			t.Error(path, w.Code)
		}
	}
	box := strings.Split(strings.Split(r.asBen(`["Mailbox/query",{"accountId":"A8","filter":{"role":"inbox"}},"q"]`), `"ids":["`)[1], `"`)[0]
	got := r.asBen(`["Email/copy",{"fromAccountId":"A7","accountId":"A8","create":{"c":{"id":"M2","mailboxIds":{"` + box + `":true}},"d":{"id":"M1","mailboxIds":{"` + box + `":true}}}},"c"]`)
	if !strings.Contains(got, `"created":{"c":{"id":"M1"`) || !strings.Contains(got, `"notCreated":{"d":{"type":"notFound"`) {
		t.Error(got)
	}
}
