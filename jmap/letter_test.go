package jmap

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// RFC 9425 §4: quotas are those of types that the client asked for; what changed is told.
func TestQuotas(t *testing.T) {
	r := newRig(t, Options{})
	if err := r.account(ada.ID).Update(t.Context(), func(tx *store.Tx) error { return tx.SetQuota(store.Quota{Messages: 9, Bytes: 1 << 20}) }); err != nil {
		t.Fatal(err)
	}
	q := r.call("Quota/query", `{"accountId":"A7","sort":[{"property":"used"}]}`)
	state := q["queryState"].(string)
	r.deliver("INBOX", letter(1, ""))
	for _, c := range []struct{ call, path, want string }{
		{`["Quota/get",{"accountId":"A7","ids":["messages","x"]},"c"]`, "/0/1/list", `[{"description":null,"hardLimit":9,"id":"messages","name":"Messages","resourceType":"count","scope":"account","softLimit":null,"types":["Email"],"used":1,"warnLimit":null}]`},
		{`["Quota/query",{"accountId":"A7","filter":{"name":"ess","type":"Email"}},"c"]`, "/0/1/ids", `["messages"]`},
		{`["Quota/query",{"accountId":"A7","filter":{"resourceType":"octets","scope":"account"}},"c"]`, "/0/1/ids", `["octets"]`},
		{`["Quota/query",{"accountId":"A7","filter":{"type":"Mail"}},"c"]`, "/0/1/ids", `[]`},
		{`["Quota/changes",{"accountId":"A7","sinceState":"` + state + `"},"c"]`, "/0/1/updated", `["octets","messages"]`},
		{`["Quota/changes",{"accountId":"A7","sinceState":"` + state + `"},"c"]`, "/0/1/updatedProperties", `null`},
		{`["Quota/queryChanges",{"accountId":"A7","sinceQueryState":"` + state + `","sort":[{"property":"used"}]},"c"]`, "/0/1/added", `[{"id":"messages","index":0},{"id":"octets","index":1}]`},
	} {
		if got := text(at(t, r.calls(c.call), c.path)); got != c.want {
			t.Errorf("%s: %s", c.call, got)
		}
	}
	w := r.do("POST", "/jmap/api", `{"using":["`+capCore+`","`+capQuota+`"],"methodCalls":[["Quota/get",{"accountId":"A7"},"c"]]}`)
	if !strings.Contains(w.Body.String(), `"list":[]`) {
		t.Error(w.Body)
	}
}

// RFC 8620 §2 and §6: limits at their boundary, over HTTP and a WebSocket, and the headers
// of what is not to be kept and what never changes.
func TestBoundaries(t *testing.T) {
	r := newRig(t, Options{Limits: Limits{RequestBytes: 200, UploadBytes: 10, Uploads: 1, Concurrent: 1}})
	request := func(n int) string {
		s := `{"@type":"Request","using":["` + capCore + `"],"methodCalls":[["Core/echo",{"x":""},"c"]]}`
		return strings.Replace(s, `""`, `"`+strings.Repeat("x", n-len(s))+`"`, 1)
	}
	limited := func(w *httptest.ResponseRecorder, limit string) {
		t.Helper()
		if !strings.Contains(w.Body.String(), `"limit":"`+limit+`"`) || !strings.Contains(w.Body.String(), errorPrefix+"limit") || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Error(w.Code, w.Header(), w.Body)
		}
	}
	if w := r.do("POST", "/jmap/api", request(200)); w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Error(w.Code, w.Body)
	}
	limited(r.do("POST", "/jmap/api", request(201)), "maxSizeRequest")
	w := r.do("POST", "/jmap/upload/A7/", "0123456789", "Content-Type", "text/plain")
	v, err := wire.Parse(w.Body.Bytes(), wire.Limits{})
	if err != nil || w.Code != http.StatusCreated || text(v) != `{"accountId":"A7","blobId":"`+at(t, v, "/blobId").(string)+`","size":10,"type":"text/plain"}` {
		t.Fatal(w.Code, w.Body)
	}
	limited(r.do("POST", "/jmap/upload/A7/", "0123456789x"), "maxSizeUpload")
	if w := r.do("POST", "/jmap/upload/A99/", "x"); w.Code != http.StatusNotFound {
		t.Error(w.Code, w.Body)
	}
	who := &principal{account: ada}
	leave, refusal := r.srv.enter(who, r.srv.limits.Concurrent)
	if refusal != nil {
		t.Fatal(refusal)
	}
	limited(r.do("POST", "/jmap/api", request(200)), "maxConcurrentRequests")
	leave()
	leave, refusal = r.srv.enterUpload(who)
	if refusal != nil {
		t.Fatal(refusal)
	}
	limited(r.do("POST", "/jmap/upload/A7/", "x"), "maxConcurrentUpload")
	leave()
	base := "/jmap/download/A7/" + at(t, v, "/blobId").(string) + "/"
	for path, want := range map[string]string{base: `inline; filename="download"`, base + "a%2Fb.txt": `inline; filename="a_b.txt"`, base + "x.bin?type=application/x-y": `attachment; filename="x.bin"`} {
		if w := r.do("GET", path, ""); w.Body.String() != "0123456789" || w.Header().Get("Content-Disposition") != want || w.Header().Get("Cache-Control") != "private, immutable, max-age=31536000" {
			t.Error(path, w.Code, w.Header(), w.Body)
		}
	}
	if h := r.do("GET", "/.well-known/jmap", "").Header(); h.Get("Cache-Control") != "no-cache, no-store, must-revalidate" || h.Get("Content-Type") != "application/json" {
		t.Error(h)
	}
	socketBoundaries(t, r, request)
}

// RFC 8887 §4.3: a message over the limit gets an error, and what has no id an answer
// without.
func socketBoundaries(t *testing.T, r *rig, request func(n int) string) {
	srv := httptest.NewServer(r.srv)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req := httptest.NewRequest("GET", "/", nil)
	req.SetBasicAuth("ada@demo.test", "demo")
	conn, _, err := websocket.Dial(ctx, "ws"+srv.URL[4:]+"/jmap/ws", &websocket.DialOptions{HTTPHeader: req.Header, Subprotocols: []string{"jmap"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	for _, c := range []struct{ send, want string }{
		{request(200), `{"@type":"Response","methodResponses":`},
		{request(201), `{"@type":"RequestError","requestId":null,"type":"` + errorPrefix + `limit","status":400,"detail":"the request is too large","limit":"maxSizeRequest"}`},
		{`[]`, `{"@type":"RequestError","requestId":null,"type":"` + errorPrefix + `notRequest"`},
		{`{"@type":"Request","id":"r","methodCalls":[]}`, `{"@type":"RequestError","requestId":"r","type":"` + errorPrefix + `notRequest"`},
		{`{"@type":"Cheese","id":"q"}`, `{"@type":"RequestError","requestId":"q","type":"` + errorPrefix + `notRequest"`},
		{request(199), `{"@type":"Response",`},
	} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(c.send)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(ctx); err != nil || !strings.HasPrefix(string(got), c.want) {
			t.Errorf("%.60s: %v, %s", c.send, err, got)
		}
	}
}

// RFC 8621 §7.5: what is too large to be sent is refused with the limit.
func TestTooLargeToSend(t *testing.T) {
	for _, c := range []struct {
		size, limit int64
		want        string
	}{{9, 0, ""}, {9, 9, ""}, {10, 9, `{"type":"tooLarge","description":"the message is too large to be sent","maxSize":9}`}} {
		got := ""
		if se, ok := asSetError(tooLargeToSend(c.size, c.limit)); ok {
			got = string(wire.Append(nil, se.object()))
		}
		if got != c.want {
			t.Errorf("%d of %d: %s", c.size, c.limit, got)
		}
	}
}

// FuzzHighlighted: what a snippet shows is text and marks, whole characters, and no longer
// than RFC 8621 §5 allows.
func FuzzHighlighted(f *testing.F) {
	for _, s := range [][2]string{{"some words, then TEA", "tea"}, {strings.Repeat(`"`, 300) + "x", `"`}, {strings.Repeat("<&>", 100), "&"}, {"ü \t ü\n", "Ü"}, {strings.Repeat("word ", 100), "word"}, {"a" + strings.Repeat("€", 200), "€"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, body, word string) {
		if !utf8.ValidString(body) {
			return
		}
		got, found := highlighted(body, []string{word}, snippetBytes)
		plain := strings.NewReplacer("<mark>", "", "</mark>", "").Replace(got)
		if len(got) > maxPreview || !utf8.ValidString(got) || strings.ContainsAny(plain, "<>\"") || strings.Count(got, "<mark>") != strings.Count(got, "</mark>") || !found && got != "" {
			t.Fatalf("%d bytes: %q", len(got), got)
		}
	})
}
