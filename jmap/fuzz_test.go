package jmap

import (
	"context"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// fuzzed is a rig whose answers to calls with a fuzzed argument are well formed and no
// failure of the server.
func fuzzed(f *testing.F) (r *rig, ask func(t *testing.T, list string)) {
	r = newRig(f, Options{Limits: Limits{UserPerMinute: -1}})
	r.deliver("INBOX", letter(1, ""))
	r.deliver("Drafts", letter(2, ""))
	who := &principal{account: ada, base: "http://x"}
	return r, func(t *testing.T, list string) {
		out, refusal := r.srv.answer(t.Context(), who, []byte(`{"using":`+usingAll+`,"methodCalls":[`+list+`]}`))
		if refusal != nil {
			return
		}
		if _, err := wire.Parse(out, wire.Limits{Depth: 1000}); err != nil || strings.Contains(string(out), `"serverFail"`) {
			t.Fatalf("%s: %v in %s", list, err, out)
		}
	}
}

// FuzzPatch: any PatchObject is applied or refused, by every type that can be changed.
func FuzzPatch(f *testing.F) {
	for _, s := range []string{`{"keywords/$seen":true,"keywords/a":null}`, `{"keywords":{"a":true},"mailboxIds/F1":null}`, `{"values/a/b/c":1,"values":null}`, `{"shareWith":{"anyone":{"mayReadItems":true}}}`,
		`{"shareWith/Pxx/maySend":true}`, `{"name":"x","parentId":"F1-1","role":null,"sortOrder":-1}`, `{"a~1b~0":1,"/":2,"":3}`, `{"snoozed":{"until":"2030-01-01T00:00:00Z"}}`, `{"undoStatus":"canceled"}`, `{"replyTo":[{"email":"a@b"}],"htmlSignature":7}`} {
		f.Add(s)
	}
	r, ask := fuzzed(f)
	box := r.boxes()["Archive"]
	f.Fuzz(func(t *testing.T, patch string) {
		for typ, id := range map[string]string{"Email": "M1", "Mailbox": box, "Settings": "singleton", "Identity": "default", "VacationResponse": "singleton", "EmailSubmission": "E1", "ContactCard": "C1"} {
			ask(t, `["`+typ+`/set",{"accountId":"A7","update":{"`+id+`":`+patch+`}},"c"]`)
		}
	})
}

// FuzzFilter: any filter and order is answered or refused, by every type with a query.
func FuzzFilter(f *testing.F) {
	for _, s := range [][2]string{{`{"inMailbox":"F1-1","text":"a \"b","before":"2026-01-01T00:00:00Z"}`, `[{"property":"receivedAt"}]`}, {`{"operator":"NOT","conditions":[{"operator":"OR","conditions":[]},{"header":["Subject",""]}]}`, `[]`},
		{`{"allInThreadHaveKeyword":"$seen","minSize":-1}`, `[{"property":"someInThreadHaveKeyword","keyword":"x","isAscending":false},{"property":"from"}]`}, {`null`, `[{"property":"size","collation":"i;octet"}]`},
		{`{"hasAnyRole":true,"name":"x"}`, `[{"property":"sortOrder"}]`}, {`{"email":"ben@demo.test"}`, `null`}, {`{"memberOf":"C1","text":"\u0000"}`, `[{"property":"name"}]`}} {
		f.Add(s[0], s[1])
	}
	_, ask := fuzzed(f)
	f.Fuzz(func(t *testing.T, filter, sort string) {
		for _, typ := range []string{"Email", "Mailbox", "EmailSubmission", "ContactCard", "Quota", "Principal"} {
			ask(t, `["`+typ+`/query",{"accountId":"A7","filter":`+filter+`,"sort":`+sort+`,"collapseThreads":true},"c"]`)
			ask(t, `["`+typ+`/query",{"accountId":"A7","filter":`+filter+`,"sort":`+sort+`},"c"]`)
		}
	})
}

// FuzzContactCard: any JSContact object is kept as it is or refused, and can be written
// as vCards.
func FuzzContactCard(f *testing.F) {
	for _, s := range []string{`{"name":{"full":"Ada"},"emails":{"e":{"address":"ada@x"}}}`, `{"kind":"group","members":{"u":true,"":false},"uid":"g"}`, `{"name":{"components":[{"kind":"given","value":"A"},7,{"kind":[]}]},"phones":{"p":null}}`,
		`{"addresses":{"a":{"components":[{"value":"x\r\nEVIL:1"}],"full":3}},"anniversaries":{"b":{"date":{"year":-1}}}}`, `{"media":{"m":{"uri":"data:,x","kind":"photo"}},"keywords":{"k":true},"notes":{"n":{"note":"\u0000"}}}`} {
		f.Add(s)
	}
	_, ask := fuzzed(f)
	f.Fuzz(func(t *testing.T, card string) {
		ask(t, `["ContactCard/set",{"accountId":"A7","create":{"c":`+card+`}},"s"],["ContactCard/get",{"accountId":"A7","ids":["#c"]},"g"],["ContactCard/export",{"accountId":"A7","ids":["#c"],"version":"3.0"},"e"],["ContactCard/export",{"accountId":"A7","ids":["#c"]},"e"],
			["ContactCard/query",{"accountId":"A7","filter":{"text":"a"},"sort":[{"property":"name"}],"limit":1},"q"],["ContactCard/set",{"accountId":"A7","destroy":["#c"]},"d"]`)
	})
}

// FuzzSocketMessage: any message over a WebSocket is answered in its form.
func FuzzSocketMessage(f *testing.F) {
	for _, s := range []string{`{"@type":"Request","id":"1","using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{},"c"]]}`, `{"@type":"WebSocketPushEnable","dataTypes":["Email"],"pushState":"1"}`,
		`{"@type":"WebSocketPushEnable","dataTypes":null,"pushState":7}`, `{"@type":"WebSocketPushDisable"}`, `{"@type":[],"id":{"a":[1]}}`, `[]`, `{"@type":"Request","id":null,"using":7}`} {
		f.Add([]byte(s))
	}
	r, _ := fuzzed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		k := &socket{Server: r.srv, who: &principal{account: ada, base: "http://x"}, ctx: ctx, out: make(chan []byte, 16)}
		out := k.message(b)
		k.disable()
		if out == nil {
			return
		}
		v, err := wire.Parse(out, wire.Limits{Depth: 1000})
		o, _ := v.(map[string]any)
		if kind := o["@type"]; err != nil || kind != "Response" && kind != "RequestError" {
			t.Fatalf("%q: %v in %q", b, err, out)
		}
	})
}

// FuzzParameters: what stands in addresses and header fields (of downloads, uploads,
// event streams) is read within bounds, and makes header fields of one line.
func FuzzParameters(f *testing.F) {
	for _, s := range [][3]string{{"text/html; charset=x", "a.html", "15"}, {"image/png\r\nX: y", "a\"\\\r\n/..\x00é.png", "-1"}, {"", "", "99999999999999999999"}, {"video/", "\xff", "Email,,*"}, {"Pxx", "B1-2", "F1-0"}} {
		f.Add(s[0], s[1], s[2])
	}
	r, _ := fuzzed(f)
	f.Fuzz(func(t *testing.T, mediaType, name, number string) {
		h := http.Header{}
		setDownloadHeaders(h, mediaType, name)
		for k, v := range h {
			if strings.ContainsAny(v[0], "\r\n\x00") {
				t.Errorf("%s: %q", k, v[0])
			}
		}
		if d, _, err := mime.ParseMediaType(h.Get("Content-Disposition")); err != nil || d != "inline" && d != "attachment" {
			t.Errorf("%q: %q, %v", name, h.Get("Content-Disposition"), err)
		}
		if d := pingInterval(len(number)); d < 0 || d > maxPing || d != 0 && d < minPing {
			t.Error(d)
		}
		if position(number) < 0 || len(wantedTypes(number)) > len(number)+1 {
			t.Error(number)
		}
		if a, ok := principalAddress(number); ok {
			if again, ok := principalAddress(principalID(a)); !ok || again != a {
				t.Errorf("%q: %v, then %v", number, a, again)
			}
		}
		c := &call{Server: r.srv, ctx: t.Context(), who: &principal{account: ada}}
		var err error
		if c.acct, err = r.srv.account(c.ctx, c.who, "A7"); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{mediaType, name, number} {
			if _, err := r.srv.OpenAccount(c.ctx, ada.ID, id); err == nil && id != "A7" {
				t.Errorf("there is an account %q", id)
			}
			if err := c.view(func(v *store.View) error {
				_, err := c.blob(v, id)
				return err
			}); err != nil {
				t.Errorf("%q: %v", id, err)
			}
		}
	})
}

// FuzzIDs decodes what may stand in the record of a job.
func FuzzIDs(f *testing.F) {
	f.Add(appendIDs(nil, []store.EmailID{1, 2, 3, 900, 7}))
	f.Add([]byte{2, 4, 0x80})                                                // cut
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2})    // more than 64 bits
	f.Add(appendIDs(nil, []store.EmailID{1<<64 - 1, 0, 1 << 63, 1<<63 - 1})) // around
	f.Fuzz(func(t *testing.T, b []byte) {
		ids := decodeIDs(b)
		if len(ids) > len(b) {
			t.Fatalf("%d messages in %d bytes", len(ids), len(b))
		}
		if again := decodeIDs(appendIDs(nil, ids)); !slices.Equal(again, ids) {
			t.Fatalf("%v became %v", ids, again)
		}
	})
}
