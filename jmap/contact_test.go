package jmap

import (
	"strings"
	"testing"

	"posthouse/jmap/wire"
	"posthouse/store"
)

const someCards = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Grace Okafor\r\nN:Okafor;Grace;;Dr.;\r\nitem1.EMAIL;TYPE=WORK,pref:grace@okafor.example\r\n" +
	"TEL;HOME:+49 30\r\n  1234\r\nORG:Okafor\\, Ltd.;Sales\r\nBDAY:1980-02-03\r\nNOTE:one\\ntwo\r\nCATEGORIES:Friends,Work\r\nUID:u1\r\nPHOTO;ENCODING=b:AAAA\r\nEND:VCARD\r\n" +
	"BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=B6rg=\n\nEMAIL;INTERNET:joerg@mueller.example\nEND:VCARD\n" +
	"BEGIN:VCARD\nVERSION:4.0\nKIND:group\nFN:Team\nUID:g1\nMEMBER:u1\nEND:VCARD\n"

func TestVCard(t *testing.T) {
	cards, more := parseVCards([]byte(someCards), 10)
	if more || len(cards) != 3 {
		t.Fatalf("%d cards", len(cards))
	}
	for i, want := range []string{
		`{"anniversaries":{"a1":{"date":{"day":3,"month":2,"year":1980},"kind":"birth"}},"emails":{"e1":{"address":"grace@okafor.example","contexts":{"work":true},"pref":1}},"keywords":{"Friends":true,"Work":true},` +
			`"name":{"components":[{"kind":"title","value":"Dr."},{"kind":"given","value":"Grace"},{"kind":"surname","value":"Okafor"}],"full":"Grace Okafor"},"notes":{"n1":{"note":"one\ntwo"}},` +
			`"organizations":{"o1":{"name":"Okafor, Ltd."}},"phones":{"p1":{"contexts":{"private":true},"number":"+49 30 1234"}},"uid":"u1"}`,
		`{"emails":{"e1":{"address":"joerg@mueller.example"}},"name":{"components":[{"kind":"given","value":"Jörg"},{"kind":"surname","value":"Müller"}]}}`,
		`{"kind":"group","members":{"u1":true},"name":{"full":"Team"},"uid":"g1"}`,
	} {
		if got := text(map[string]any(cards[i])); got != want {
			t.Errorf("card %d:\n%s\n%s", i, got, want)
		}
	}
	if _, more := parseVCards([]byte(someCards), 2); !more {
		t.Error("the bound does not hold")
	}
}

func FuzzVCard(f *testing.F) {
	f.Add([]byte(someCards))
	f.Add([]byte("BEGIN:VCARD\nN;ENCODING=QUOTED-PRINTABLE:=\n=\n=\nEND:VCARD"))
	f.Add([]byte("BEGIN:VCARD\nADR;TYPE=\"a:b\":;;\\;x;\\\\\nTEL:\nEND:VCARD\nBEGIN:VCARD\nEND:VCARD"))
	f.Fuzz(func(t *testing.T, b []byte) {
		cards, _ := parseVCards(b, 5)
		for _, c := range cards {
			if _, err := wire.Parse(wire.Append(nil, map[string]any(c)), wire.Limits{}); err != nil {
				t.Errorf("%q: %v", b, err)
			}
			cardName(c)
			cardEmails(c)
			for _, four := range []bool{true, false} {
				w := cardWriter{four: four}
				if again, _ := parseVCards(w.card(c), 5); len(again) != 1 {
					t.Errorf("%q: %d cards in %s", b, len(again), w.b)
				}
			}
		}
		if len(cards) > 5 {
			t.Error("too many")
		}
	})
}

// Contacts are made, found, changed, told of, imported, and known to other methods.
func TestContacts(t *testing.T) {
	r := newRig(t, Options{})
	state := r.call("ContactCard/get", `{"accountId":"A7"}`)["state"].(string)
	out := r.call("ContactCard/set", `{"accountId":"A7","create":{"a":{"name":{"full":"Ben"},"emails":{"w":{"address":"ben@demo.test"}},"notes":{"1":{"note":"likes tea"}}},
		"bad":{"emails":["x"]},"big":{"notes":{"1":{"note":"`+strings.Repeat("x", cardBytes)+`"}}}}}`)
	id := at(t, out, "/created/a/id").(string)
	if at(t, out, "/notCreated/bad/type") != "invalidProperties" || at(t, out, "/notCreated/big/type") != "tooLarge" || at(t, out, "/created/a/kind") != "individual" {
		t.Error(text(out))
	}
	query := r.call("ContactCard/query", `{"accountId":"A7","filter":{"text":"LIKES tea"}}`)
	if text(query["ids"]) != `["`+id+`"]` {
		t.Error(text(query))
	}
	in := r.call("ContactCard/import", `{"accountId":"A7","vcard":`+text(someCards)+`}`)
	if len(in["ids"].([]any)) != 3 || in["replaced"] != int64(0) {
		t.Error(text(in))
	}
	if again := r.call("ContactCard/import", `{"accountId":"A7","vcard":`+text(someCards)+`}`); again["replaced"] != int64(2) || again["notImported"] != int64(0) {
		t.Error(text(again))
	}
	ch := r.call("ContactCard/changes", `{"accountId":"A7","sinceState":"`+state+`"}`)
	if len(ch["created"].([]any)) != 5 {
		t.Error(text(ch))
	}
	qc := r.call("ContactCard/queryChanges", `{"accountId":"A7","filter":{"text":"likes tea"},"sinceQueryState":"`+query["queryState"].(string)+`"}`)
	if len(qc["removed"].([]any)) == 0 || len(qc["added"].([]any)) != 0 {
		t.Error(text(qc))
	}
	up := r.call("ContactCard/set", `{"accountId":"A7","update":{"`+id+`":{"emails/w/address":"benjamin@demo.test","keywords":{"vip":true}}}}`)
	if up["notUpdated"] != nil {
		t.Error(text(up))
	}
	if q := r.call("ContactCard/query", `{"accountId":"A7","filter":{"operator":"AND","conditions":[{"keyword":"vip"},{"email":"benjamin"}]}}`); text(q["ids"]) != `["`+id+`"]` {
		t.Error(text(q))
	}
	if q := r.call("ContactCard/query", `{"accountId":"A7","filter":{"hasMember":"u1"}}`); len(q["ids"].([]any)) != 1 {
		t.Error(text(q))
	}
	r.come("Sent", "From: ada@demo.test\nTo: Hans <hans@far.example>\n\nx\n", store.AppendOptions{})
	r.come("INBOX", "From: no-reply@okafor.example\n\nx\n", store.AppendOptions{})
	for typed, want := range map[string]string{"gr": "grace@okafor.example", "han": "hans@far.example", "benj": "benjamin@demo.test", "no-r": "", "müll": "joerg@mueller.example"} {
		got := r.call("Recipient/suggest", `{"accountId":"A7","text":"`+typed+`"}`)["list"].([]any)
		email := ""
		if len(got) > 0 {
			email = got[0].(map[string]any)["email"].(string)
		}
		if email != want {
			t.Errorf("%q: %s", typed, text(got))
		}
	}
	check := r.call("Recipient/check", `{"accountId":"A7","addresses":["hans@fra.example","hans@far.example","new@far.example","benjamin@demo.test"]}`)
	if at(t, check, "/list/0/suggestion") != "hans@far.example" || at(t, check, "/list/1/isFirst") != false || at(t, check, "/list/2/isFirst") != true ||
		at(t, check, "/list/3/contactId") != id || at(t, check, "/list/3/isLocal") != true {
		t.Error(text(check))
	}
	r.call("ContactCard/set", `{"accountId":"A7","destroy":["`+id+`"]}`)
	if got := r.call("Recipient/suggest", `{"accountId":"A7","text":"benj","limit":1}`); len(got["list"].([]any)) != 0 {
		t.Error("a contact that is gone is suggested still:", text(got))
	}
}
