package jmap

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/jmap/webpush"
	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// A snoozed message leaves, and comes back on time: unread, marked, on top.
func TestSnooze(t *testing.T) {
	r := newRig(t, Options{})
	first, _ := r.deliver("INBOX", letter(1, "")), r.deliver("INBOX", letter(2, ""))
	id, b := emailID(first.Email), r.boxes()
	until1 := utcDate(r.clock().Add(time.Hour).Unix())
	out := r.call("Email/set", `{"accountId":"A7","update":{"`+id+`":{"keywords/$seen":true,"snoozed":{"until":"`+until1+`"}}}}`)
	if out["notUpdated"] != nil {
		t.Fatal(text(out))
	}
	inbox := func() string {
		return text(r.call("Email/query", `{"accountId":"A7","filter":{"inMailbox":"`+b["Inbox"]+`"},"sort":[{"property":"surfacedAt","isAscending":false}]}`)["ids"])
	}
	if got := inbox(); got != `["M2"]` {
		t.Error(got)
	}
	if r.boxes()["Snoozed"] == "" {
		t.Error("IMAP does not see a mailbox Snoozed")
	}
	r.pass(2 * time.Hour)
	until(t, "the message", func() bool { return inbox() == `["M1","M2"]` })
	got := r.call("Email/get", `{"accountId":"A7","ids":["M1"],"properties":["keywords","snoozed","surfacedAt","mailboxIds"]}`)
	if text(at(t, got, "/list/0/keywords")) != `{"$unsnoozed":true}` || at(t, got, "/list/0/snoozed") != nil {
		t.Error(text(got))
	}
	past := r.call("Email/set", `{"accountId":"A7","update":{"M2":{"snoozed":{"until":"2020-01-01T00:00:00Z"}}}}`)
	if at(t, past, "/notUpdated/M2/type") != "invalidProperties" {
		t.Error(text(past))
	}
}

// All messages of a query change as a job, and change back.
func TestBulk(t *testing.T) {
	r := newRig(t, Options{})
	r.srv.jobBatch = 400
	const n = 1100 // three batches
	for i := range n {
		r.deliver("INBOX", letter(i, ""))
	}
	b := r.boxes()
	count := func(box string) int {
		return int(r.call("Email/query", `{"accountId":"A7","filter":{"inMailbox":"`+b[box]+`"},"calculateTotal":true,"limit":0}`)["total"].(int64))
	}
	r.call("Email/set", `{"accountId":"A7","update":{"M5":{"keywords/$flagged":true}}}`)
	job := r.call("Email/bulk", `{"accountId":"A7","filter":{"inMailbox":"`+b["Inbox"]+`"},"patch":{"mailboxIds":{"`+b["Archive"]+`":true},"keywords/$seen":true}}`)
	if at(t, job, "/total") != int64(n) {
		t.Fatal(text(job))
	}
	id := job["jobId"].(string)
	status := func() string {
		return text(at(t, r.call("Job/get", `{"accountId":"A7","ids":["`+id+`"]}`), "/list/0/status"))
	}
	until(t, "the job", func() bool { return status() == `"done"` })
	if count("Archive") != n || count("Inbox") != 0 {
		t.Errorf("%d in Archive, %d in Inbox", count("Archive"), count("Inbox"))
	}
	r.call("Email/bulkUndo", `{"accountId":"A7","jobId":"`+id+`"}`)
	until(t, "undo", func() bool { return status() == `"undone"` })
	if count("Archive") != 0 || count("Inbox") != n {
		t.Errorf("%d in Archive, %d in Inbox", count("Archive"), count("Inbox"))
	}
	if all := r.call("Job/get", `{"accountId":"A7","ids":null}`); len(at(t, all, "/list").([]any)) != 1 {
		t.Error(text(all))
	}
	e := r.call("Email/get", `{"accountId":"A7","ids":["M5","M6"],"properties":["keywords"]}`)
	if text(at(t, e, "/list/0/keywords")) != `{"$flagged":true}` || text(at(t, e, "/list/1/keywords")) != `{}` {
		t.Error(text(e))
	}
	if bad := r.calls(`["Email/bulk",{"accountId":"A7","patch":{"subject":"x"}},"c"]`); at(t, bad, "/0/0") != "error" {
		t.Error(text(bad))
	}
}

// One message that cannot be changed does not keep a job from changing the others, and
// back.
func TestBulkSingly(t *testing.T) {
	r := newRig(t, Options{})
	for i := range 20 {
		r.deliver("INBOX", letter(i, ""))
	}
	a, err := r.store.Account(t.Context(), ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Update(t.Context(), func(tx *store.Tx) error { // the third is in as many places as may be
		box, err := tx.Mailbox("INBOX")
		for range store.MaxMemberships - 1 {
			if err == nil {
				_, err = tx.Copy(box.ID, box.ID, store.UIDs(3))
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	b := r.boxes()
	count := func(box string) string {
		return text(r.call("Email/query", `{"accountId":"A7","filter":{"inMailbox":"`+b[box]+`"},"calculateTotal":true,"limit":0}`)["total"])
	}
	id := r.call("Email/bulk", `{"accountId":"A7","filter":{"inMailbox":"`+b["Inbox"]+`"},"patch":{"mailboxIds/`+b["Archive"]+`":true,"keywords/$flagged":true}}`)["jobId"].(string)
	job := func() string {
		return text(at(t, r.call("Job/get", `{"accountId":"A7","ids":["`+id+`"],"properties":["status","done","failed"]}`), "/list/0"))
	}
	until(t, "the job", func() bool {
		return job() == `{"done":20,"failed":1,"id":"`+id+`","status":"done"}`
	})
	if n := count("Archive"); n != "19" {
		t.Errorf("%s messages in the archive", n)
	}
	e := r.call("Email/get", `{"accountId":"A7","ids":["M3","M4"],"properties":["keywords"]}`)
	if text(at(t, e, "/list/0/keywords")) != `{}` || text(at(t, e, "/list/1/keywords")) != `{"$flagged":true}` {
		t.Error(text(e))
	}
	r.call("Email/bulkUndo", `{"accountId":"A7","jobId":"`+id+`"}`)
	until(t, "undo", func() bool { return strings.Contains(job(), `"undone"`) })
	if in, out := count("Inbox"), count("Archive"); in != "20" || out != "0" {
		t.Errorf("%s messages in the inbox, %s in the archive", in, out)
	}
}

// What an earlier version wrote down can be undone.
func TestUndoneOfOld(t *testing.T) {
	old, err := decodeValues([]byte(`{"M5":{"in":[1,3],"keywords":{"$seen":true}},"M6":{"in":[2],"keywords":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(undone(old)); got != `[{[5] [1 3] map[$seen:true]} {[6] [2] map[]}]` {
		t.Error(got)
	}
}

// A catcher is a server of somebody else.
type catcher struct {
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
	status int
}

func (c *catcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies, c.heads = append(c.bodies, string(b)), append(c.heads, r.Header)
	w.WriteHeader(c.status)
}

func (c *catcher) got() ([]string, []http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bodies, c.heads
}

// One request, as RFC 8058 wants it, and the message is marked.
func TestUnsubscribe(t *testing.T) {
	c := &catcher{status: 200}
	srv := httptest.NewServer(c)
	defer srv.Close()
	r := newRig(t, Options{Outbound: http.DefaultTransport})
	defer http.DefaultClient.CloseIdleConnections()
	r.deliver("INBOX", letter(1, "List-Unsubscribe: <mailto:x@y.test>, <"+srv.URL+"/u?1>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n"))
	r.deliver("INBOX", letter(2, "List-Unsubscribe: <"+srv.URL+"/u?2>\n"))
	if out := r.call("Email/unsubscribe", `{"accountId":"A7","emailId":"M1"}`); out["status"] != "unsubscribed" {
		t.Error(text(out))
	}
	if out := r.call("Email/unsubscribe", `{"accountId":"A7","emailId":"M2"}`); out["status"] != "notPossible" {
		t.Error(text(out))
	}
	bodies, heads := c.got()
	if len(bodies) != 1 || bodies[0] != "List-Unsubscribe=One-Click" || heads[0].Get("Cookie") != "" {
		t.Error(bodies, heads)
	}
	if e := r.call("Email/get", `{"accountId":"A7","ids":["M1"],"properties":["keywords"]}`); text(at(t, e, "/list/0/keywords")) != `{"$unsubscribed":true}` {
		t.Error(text(e))
	}
	// A list that sends one elsewhere is not followed, and has not taken it.
	other := &catcher{status: 200}
	elsewhere := httptest.NewServer(other)
	defer elsewhere.Close()
	away := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer away.Close()
	r.deliver("INBOX", letter(3, "List-Unsubscribe: <"+away.URL+"/u?3>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n"))
	if out := r.call("Email/unsubscribe", `{"accountId":"A7","emailId":"M3"}`); out["status"] != "failed" {
		t.Error(text(out))
	}
	if bodies, _ := other.got(); len(bodies) != 0 {
		t.Error("the redirect was followed", bodies)
	}
	private := newRig(t, Options{})
	private.deliver("INBOX", letter(1, "List-Unsubscribe: <https://127.0.0.1:443/>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n"))
	if out := private.call("Email/unsubscribe", `{"accountId":"A7","emailId":"M1"}`); out["status"] != "failed" {
		t.Error(text(out))
	}
}

func TestRecipients(t *testing.T) {
	r := newRig(t, Options{})
	out := r.call("Recipient/check", `{"accountId":"A7","addresses":["ben@demo.test","nobody@demo.test","x@gmial.com","x@demo.tset","what"]}`)
	for i, want := range []string{`"ok",null`, `"noMailbox",null`, `"unknown","x@gmail.com"`, `"unknown","x@demo.test"`, `"invalid",null`} {
		p := fmt.Sprintf("/list/%d/", i)
		if got := text(at(t, out, p+"status")) + "," + text(at(t, out, p+"suggestion")); got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
}

func TestSettings(t *testing.T) {
	r := newRig(t, Options{})
	r.call("Settings/set", `{"accountId":"A7","update":{"singleton":{"values/theme":"dark","values/keys":{"a":[1,null]}}}}`)
	r.call("Settings/set", `{"accountId":"A7","update":{"singleton":{"values/theme":"light"}}}`)
	if got := r.call("Settings/get", `{"accountId":"A7"}`); text(at(t, got, "/list/0/values")) != `{"keys":{"a":[1,null]},"theme":"light"}` {
		t.Error(text(got))
	}
	big := r.call("Settings/set", `{"accountId":"A7","update":{"singleton":{"values/x":"`+strings.Repeat("x", maxSettings)+`"}}}`)
	if at(t, big, "/notUpdated/singleton/type") != "tooLarge" {
		t.Error("too much was kept")
	}
}

// A browser in miniature: it decrypts what is pushed to it (RFC 8291).
type browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

func (b *browser) read(t *testing.T, body string) map[string]any {
	t.Helper()
	salt, public, sealed := body[:16], []byte(body[21:86]), []byte(body[86:])
	sender, err := ecdh.P256().NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := b.key.ECDH(sender)
	if err != nil {
		t.Fatal(err)
	}
	derive := func(secret, salt []byte, info string, n int) []byte {
		k, err := hkdf.Key(sha256.New, secret, salt, info, n)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	ikm := derive(shared, b.auth, "WebPush: info\x00"+string(b.key.PublicKey().Bytes())+string(public), 32)
	block, err := aes.NewCipher(derive(ikm, []byte(salt), "Content-Encoding: aes128gcm\x00", 16))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, derive(ikm, []byte(salt), "Content-Encoding: nonce\x00", 12), sealed, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := wire.Parse(plain[:len(plain)-1], wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

// A subscription is verified and told, encrypted and signed; one that is gone goes.
func TestPushSubscription(t *testing.T) {
	c := &catcher{status: 201}
	srv := httptest.NewServer(c)
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	vapid, err := webpush.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Options{Outbound: http.DefaultTransport, VAPID: vapid})
	theirs, err := r.store.Account(t.Context(), ben.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.Update(t.Context(), func(tx *store.Tx) error {
		m, err := tx.Mailbox("INBOX")
		if err != nil {
			return err
		}
		return tx.SetACL(m.ID, store.Grant{Who: ada.ID, Rights: store.RightLookup | store.RightRead})
	}); err != nil {
		t.Fatal(err)
	}
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{key, make([]byte, 16)}
	enc := base64.RawURLEncoding
	out := r.call("PushSubscription/set", `{"create":{"p":{"deviceClientId":"d","url":"`+srv.URL+`/p","types":["Email"],"keys":{"p256dh":"`+
		enc.EncodeToString(key.PublicKey().Bytes())+`","auth":"`+enc.EncodeToString(b.auth)+`"}}}}`)
	id := at(t, out, "/created/p/id").(string)
	until(t, "the verification", func() bool { bodies, _ := c.got(); return len(bodies) == 1 })
	bodies, heads := c.got()
	v := b.read(t, bodies[0])
	if v["@type"] != "PushVerification" || v["pushSubscriptionId"] != id || !strings.HasPrefix(heads[0].Get("Authorization"), "vapid t=") ||
		heads[0].Get("TTL") == "" || heads[0].Get("Content-Encoding") != "aes128gcm" {
		t.Fatal(v, heads[0])
	}
	if bad := r.call("PushSubscription/set", `{"update":{"`+id+`":{"verificationCode":"x"}}}`); at(t, bad, "/notUpdated/"+id+"/type") != "invalidProperties" {
		t.Error(text(bad))
	}
	if ok := r.call("PushSubscription/set", `{"update":{"`+id+`":{"verificationCode":"`+v["verificationCode"].(string)+`"}}}`); ok["notUpdated"] != nil {
		t.Error(text(ok))
	}
	if got := text(r.call("PushSubscription/get", `{}`)); strings.Contains(got, srv.URL) || strings.Contains(got, "p256dh") {
		t.Error("url or keys are shown: " + got)
	}
	pushed := func(id mail.AccountID, account string) {
		t.Helper()
		n, tries := 1, 0
		until(t, "the push", func() bool {
			if bodies, _ := c.got(); len(bodies) > 1 {
				for ; n < len(bodies); n++ {
					v := b.read(t, bodies[n])
					if strings.Contains(text(v), "Mailbox") {
						t.Error(text(v))
					}
					if _, found := wire.Pointer(v, "/changed/"+account+"/Email"); found {
						return true
					}
				}
			}
			if tries++; tries%200 == 1 { // what comes before it listens is not told
				r.appendTo(id, "INBOX", letter(tries, ""), store.AppendOptions{})
			}
			return false
		})
	}
	pushed(ben.ID, "A8") // which he shares
	pushed(ada.ID, "A7")
	c.mu.Lock()
	c.status = 410
	c.mu.Unlock()
	r.deliver("INBOX", letter(1, ""))
	until(t, "the subscription to go", func() bool { return len(r.call("PushSubscription/get", `{}`)["list"].([]any)) == 0 })
}
