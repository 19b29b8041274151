package jmap

import (
	"strings"
	"testing"
	"time"
)

// What is written is read as what it was, in both versions, and no line is too long.
func TestVCardWritten(t *testing.T) {
	long := "BEGIN:VCARD\nVERSION:4.0\nUID:u9\nFN:" + strings.Repeat("ä€", 90) + "\nN:Ä\\;x;\\\\;;;\nEMAIL;TYPE=home;PREF=1:a@b.example\nADR;TYPE=work:;;1 Way\\, Town;;;;\nCATEGORIES:a\\,b,c\nNICKNAME:Nick\nURL:https://x.example/?a=1\\,2\nTITLE:Dr\nEND:VCARD\n"
	cards, _ := parseVCards([]byte(someCards+long), 10)
	if len(cards) != 4 {
		t.Fatal(len(cards))
	}
	for _, four := range []bool{true, false} {
		for _, m := range cards {
			w := cardWriter{four: four}
			file := string(w.card(m))
			for _, l := range strings.Split(file, "\r\n") {
				if len(l) > foldAt {
					t.Errorf("a line of %d octets: %s", len(l), l)
				}
			}
			again, _ := parseVCards([]byte(file), 2)
			if len(again) != 1 {
				t.Fatalf("%d cards in %s", len(again), file)
			}
			want := text(map[string]any(m))
			if name, _ := m["name"].(map[string]any); name["full"] == nil { // FN must be there
				name["full"] = cardName(m)
				want = text(map[string]any(m))
				delete(name, "full")
			}
			if got := again[0]; !four && got["kind"] == "group" {
				delete(got["name"].(map[string]any), "components") // N must be there
			}
			if got := text(map[string]any(again[0])); got != want {
				t.Errorf("%t:\n%s\n%s\n%s", four, file, got, want)
			}
		}
	}
}

// Nothing in a card makes lines of its own.
func TestVCardInjection(t *testing.T) {
	evil := "x\r\nEND:VCARD\nBEGIN:VCARD\rFN:y\x00\x0b"
	m := values{"uid": evil, "kind": evil, "name": map[string]any{"full": evil, "components": []any{map[string]any{"kind": "given", "value": evil}}}, "members": map[string]any{evil: true},
		"emails": map[string]any{evil: map[string]any{"address": evil}}, "keywords": map[string]any{evil: true}, "addresses": map[string]any{"a": map[string]any{"full": evil}},
		"notes": map[string]any{"n": map[string]any{"note": evil}}, "organizations": map[string]any{"o": map[string]any{"name": evil}}}
	w := cardWriter{four: true}
	file := w.card(m)
	if cards, _ := parseVCards(file, 5); len(cards) != 1 || strings.Count(string(file), "\r\nFN:") != 1 || strings.Count(string(file), "\nEND:VCARD") != 1 {
		t.Errorf("%s", file)
	}
}

// Contacts are exported into a file, and the cards of a group are found.
func TestExportContacts(t *testing.T) {
	r := newRig(t, Options{})
	got := r.call("ContactCard/import", `{"accountId":"A7","vcard":"BEGIN:VCARD\nUID:u1\nFN:Grace\nEND:VCARD\nBEGIN:VCARD\nUID:u2\nFN:Hal\nEND:VCARD\nBEGIN:VCARD\nUID:g\nKIND:group\nFN:Team\nMEMBER:u1\nEND:VCARD\n"}`)
	grace, group := at(t, got, "/ids/0").(string), at(t, got, "/ids/2").(string)
	q := r.call("ContactCard/query", `{"accountId":"A7","filter":{"memberOf":"`+group+`"}}`)
	needs(t, text(q), `"ids":["`+grace+`"]`)
	needs(t, text(r.call("ContactCard/query", `{"accountId":"A7","filter":{"operator":"NOT","conditions":[{"memberOf":"`+group+`"}]},"calculateTotal":true}`)), `"total":2`)
	r.call("ContactCard/set", `{"accountId":"A7","update":{"`+group+`":{"members/u2":true}}}`)
	out := r.calls(`["ContactCard/queryChanges",{"accountId":"A7","filter":{"memberOf":"` + group + `"},"sinceQueryState":"` + at(t, q, "/queryState").(string) + `"},"c"],
		["ContactCard/query",{"accountId":"A7","filter":{"memberOf":"` + group + `"}},"q"]`)
	if at(t, out, "/0/1/type") != "cannotCalculateChanges" || len(at(t, out, "/1/1/ids").([]any)) != 2 {
		t.Error(text(out))
	}
	x := r.call("ContactCard/export", `{"accountId":"A7","ids":["`+grace+`","C0"],"version":"3.0"}`)
	needs(t, text(x), `"exported":1`, `"notFound":["C0"]`)
	w := r.do("GET", "/jmap/download/A7/"+x["blobId"].(string)+"/contacts.vcf", "")
	needs(t, w.Body.String(), "VERSION:3.0\r\nUID:u1\r\nFN:Grace\r\n")
	if typ := w.Header().Get("Content-Type"); typ != "text/vcard" {
		t.Error(typ)
	}
	needs(t, text(r.call("ContactCard/export", `{"accountId":"A7"}`)), `"exported":3`)
	needs(t, text(r.calls(`["ContactCard/export",{"accountId":"A7","version":"2.1"},"c"]`)), "invalidArguments")
}

// The history says to whom one wrote, how often and when.
func TestRecipientHistory(t *testing.T) {
	r := newRig(t, Options{})
	for i, to := range []string{"Grace <grace@okafor.example>", "hal@okafor.example", "Grace <Grace@Okafor.example>"} {
		r.deliver("Sent", "From: ada@demo.test\nTo: "+to+"\nSubject: x\nMessage-ID: <s"+string(rune('0'+i))+"@demo.test>\n\nx\n")
	}
	r.deliver("INBOX", letter(1, ""))
	last := r.clock().Add(-2 * time.Minute).Unix()
	got := r.call("Recipient/history", `{"accountId":"A7"}`)
	if text(at(t, got, "/total")) != "2" || at(t, got, "/list/0/email") != "grace@okafor.example" || text(at(t, got, "/list/0/sent")) != "2" || at(t, got, "/list/0/lastSentAt") != utcDate(last) {
		t.Error(text(got))
	}
	if got := r.call("Recipient/history", `{"accountId":"A7","sort":"name","position":1,"limit":1}`); at(t, got, "/list/0/email") != "hal@okafor.example" {
		t.Error(text(got))
	}
	if got := r.call("Recipient/history", `{"accountId":"A7","addresses":["BEN@demo.test","ben@demo.test","no@demo.test"]}`); text(at(t, got, "/total")) != "1" || text(at(t, got, "/list/0/sent")) != "0" || at(t, got, "/list/0/lastSentAt") != nil {
		t.Error(text(got))
	}
	needs(t, text(r.calls(`["Recipient/history",{"accountId":"A7","sort":"x"},"c"]`)), "unsupportedSort")
}
