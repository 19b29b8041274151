package jmap

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"posthouse/jmap/wire"
)

// loginAs logs in as a browser does and returns the cookie.
func (r *rig) loginAs(password string, head ...string) (*http.Response, *http.Cookie) {
	r.t.Helper()
	head = append([]string{"Authorization", "", csrfHeader, "1"}, head...)
	resp := r.do("POST", "/jmap/login", `{"username":"ada@demo.test","password":"`+password+`"}`, head...).Result()
	for _, c := range resp.Cookies() {
		return resp, c
	}
	return resp, nil
}

// A session of a browser: a cookie that scripts and other sites cannot use, durable,
// and gone on the server when it ends.
func TestBrowserSession(t *testing.T) {
	r := newRig(t, Options{})
	if resp, c := r.loginAs("wrong"); resp.StatusCode != 401 || c != nil || resp.Header.Get("WWW-Authenticate") != "" {
		t.Error(resp.Status, c)
	}
	if resp, c := r.loginAs("demo", csrfHeader, ""); resp.StatusCode != 400 || c != nil {
		t.Error("login without the header:", resp.Status)
	}
	_, c := r.loginAs("demo", "X-Forwarded-Proto", "https")
	if c == nil || c.Name != "__Host-posthouse" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" {
		t.Fatalf("%+v", c)
	}
	resp, c := r.loginAs("demo")
	if b, _ := io.ReadAll(resp.Body); !strings.Contains(string(b), `"inbox":"F`) || !strings.Contains(string(b), `"hasShared":false`) {
		t.Errorf("the inbox, or whether anything is shared, is not told: %s", b)
	}
	cookie := []string{"Authorization", "", "Cookie", c.Name + "=" + c.Value}
	ask := func(more ...string) int {
		return r.do("POST", "/jmap/api", `{"using":[],"methodCalls":[]}`, append(cookie, more...)...).Code
	}
	if got := ask(); got != http.StatusForbidden {
		t.Error("a request of another site:", got)
	}
	if got := ask(csrfHeader, "1"); got != http.StatusOK {
		t.Error("the client's own request:", got)
	}
	if got := ask(csrfHeader, "1", "Cookie", c.Name+"="+c.Value[:len(c.Value)-2]+"xx"); got != http.StatusUnauthorized {
		t.Error("a wrong secret:", got)
	}
	if got := r.do("GET", "/jmap/session", "", "Authorization", "Bearer "+c.Value).Code; got != http.StatusOK {
		t.Error("as Bearer:", got)
	}
	again := New(r.srv.opts) // a restart
	if err := r.srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.srv = again
	if got := ask(csrfHeader, "1"); got != http.StatusOK {
		t.Error("after a restart:", got)
	}
	sessions := r.call("LoginSession/get", `{}`)["list"].([]any)
	if len(sessions) != 2 {
		t.Error(text(sessions))
	}
	if got := r.do("POST", "/jmap/logout", "", append(cookie, csrfHeader, "1")...).Code; got != http.StatusNoContent {
		t.Error("logout:", got)
	}
	if got := ask(csrfHeader, "1"); got != http.StatusUnauthorized {
		t.Error("after logout:", got)
	}
	_, c = r.loginAs("demo")
	cookie[3] = c.Name + "=" + c.Value
	r.srv.Drop(ada.ID)
	if got := ask(csrfHeader, "1"); got != http.StatusUnauthorized {
		t.Error("after a new password:", got)
	}
	_, c = r.loginAs("demo")
	cookie[3] = c.Name + "=" + c.Value
	r.pass(20 * 24 * time.Hour)
	if got := ask(csrfHeader, "1"); got != http.StatusUnauthorized {
		t.Error("after its time:", got)
	}
}

// What is downloaded runs nothing in a browser, whatever it says that it is.
func TestDownload(t *testing.T) {
	r := newRig(t, Options{})
	w := r.do("POST", "/jmap/upload/A7/", "<script>", "Content-Type", "text/html")
	v, err := wire.Parse(w.Body.Bytes(), wire.Limits{})
	if err != nil || w.Code != http.StatusCreated || at(t, v, "/size") != int64(8) {
		t.Fatal(w.Code, w.Body)
	}
	id := at(t, v, "/blobId").(string)
	got := r.do("GET", "/jmap/download/A7/"+id+"/%C3%BC%22%0D%0A.html?type=text/html", "")
	h := got.Header()
	if got.Body.String() != "<script>" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox;") || h.Get("X-Content-Type-Options") != "nosniff" ||
		h.Get("Content-Disposition") != `attachment; filename="____.html"; filename*=UTF-8''%C3%BC%22__.html` {
		t.Error(h, got.Body)
	}
	for _, path := range []string{"/jmap/download/A8/" + id + "/x", "/jmap/download/A7/Unone/x", "/jmap/download/A7/B1/x"} {
		if got := r.do("GET", path, ""); got.Code != http.StatusNotFound {
			t.Error(path, got.Code)
		}
	}
}

// An event stream tells of what changes, also of what was missed.
func TestEventSource(t *testing.T) {
	r := newRig(t, Options{})
	srv := httptest.NewServer(r.srv)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	open := func(query, last string) *bufio.Reader {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/jmap/eventsource?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("ada@demo.test", "demo")
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		b := bufio.NewReader(resp.Body)
		if l, err := b.ReadString('\n'); err != nil || l != ": hello\n" {
			t.Fatal(l, err)
		}
		return b
	}
	event := func(b *bufio.Reader) (id, data string) {
		t.Helper()
		for data == "" {
			l, err := b.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if v, ok := strings.CutPrefix(l, "id: "); ok {
				id = strings.TrimSpace(v)
			}
			if v, ok := strings.CutPrefix(l, "data: "); ok {
				data = strings.TrimSpace(v)
			}
		}
		return id, data
	}
	s := open("types=*&closeafter=no&ping=0", "")
	r.deliver("INBOX", letter(1, ""))
	id, data := event(s)
	for _, want := range []string{`"@type":"StateChange"`, `"A7"`, `"Email":`, `"EmailDelivery":`, `"Mailbox":`, `"Thread":`} {
		if !strings.Contains(data, want) {
			t.Error(data, want)
		}
	}
	r.call("Email/set", `{"accountId":"A7","update":{"M1":{"keywords/$seen":true}}}`)
	missed := open("types=Email,Identity&closeafter=state&ping=300", id)
	if _, data := event(missed); strings.Contains(data, "Mailbox") || !strings.Contains(data, `"Email":`) {
		t.Error(data)
	}
	if rest, err := io.ReadAll(missed); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("closeafter: %q, %v", rest, err)
	}
}

// RFC 8887 §4: requests, errors and pushes over one WebSocket.
func TestWebSocket(t *testing.T) {
	r := newRig(t, Options{})
	srv := httptest.NewServer(r.srv)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req := httptest.NewRequest("GET", "/", nil)
	req.SetBasicAuth("ada@demo.test", "demo")
	o := &websocket.DialOptions{HTTPHeader: req.Header, Subprotocols: []string{"jmap"}}
	conn, _, err := websocket.Dial(ctx, "ws"+srv.URL[4:]+"/jmap/ws", o)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	exchange := func(send string) map[string]any {
		t.Helper()
		if send != "" {
			if err := conn.Write(ctx, websocket.MessageText, []byte(send)); err != nil {
				t.Fatal(err)
			}
		}
		_, b, err := conn.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		v, err := wire.Parse(b, wire.Limits{})
		if err != nil {
			t.Fatal(err, string(b))
		}
		return v.(map[string]any)
	}
	got := exchange(`{"@type":"Request","id":"r1","using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{"x":1},"c"]]}`)
	if got["@type"] != "Response" || got["requestId"] != "r1" || at(t, got, "/methodResponses/0/1/x") != int64(1) {
		t.Error(text(got))
	}
	if got := exchange(`{"@type":"Request","id":"r2","using":["urn:none"],"methodCalls":[]}`); got["@type"] != "RequestError" || got["requestId"] != "r2" || got["type"] != errorPrefix+"unknownCapability" {
		t.Error(text(got))
	}
	if got := exchange(`{`); got["@type"] != "RequestError" || got["requestId"] != nil {
		t.Error(text(got))
	}
	state := r.call("Email/get", `{"accountId":"A7","ids":[]}`)["state"].(string)
	r.deliver("INBOX", letter(1, ""))
	push := exchange(`{"@type":"WebSocketPushEnable","dataTypes":["Email"],"pushState":"` + state + `"}`)
	if push["@type"] != "StateChange" || push["pushState"] == nil || at(t, push, "/changed/A7/Email") == "" {
		t.Error(text(push))
	}
	evil := *o
	evil.HTTPHeader = o.HTTPHeader.Clone()
	evil.HTTPHeader.Set("Origin", "https://evil.test")
	if c, _, err := websocket.Dial(ctx, "ws"+srv.URL[4:]+"/jmap/ws", &evil); err == nil {
		_ = c.CloseNow()
		t.Error("a page of another site may open a WebSocket")
	}
}

// Snippets show where the words are, and nothing that runs.
func TestSnippets(t *testing.T) {
	r := newRig(t, Options{})
	r.deliver("INBOX", "From: ben@demo.test\nSubject: <b>Tea</b> & more\n\nSome words, then TEA\nand <script> again tea.\n")
	got := r.call("SearchSnippet/get", `{"accountId":"A7","filter":{"operator":"AND","conditions":[{"text":"tea"},{"operator":"NOT","conditions":[{"body":"words"}]}]},"emailIds":["M1","M9"]}`)
	if at(t, got, "/list/0/subject") != "&lt;b&gt;<mark>Tea</mark>&lt;/b&gt; &amp; more" || at(t, got, "/list/0/preview") != "Some words, then <mark>TEA</mark> and &lt;script&gt; again <mark>tea</mark>. " ||
		text(got["notFound"]) != `["M9"]` {
		t.Error(text(got))
	}
}
