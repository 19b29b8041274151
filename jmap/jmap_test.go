package jmap

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/delivery"
	"posthouse/directory"
	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
	"posthouse/trace"
)

// A people is a directory of two.
type people struct {
	senders *sync.Map // who may send as Ada, by id; nil: nobody else
}

var ada = directory.Account{ID: 7, Address: mail.Address{Local: "ada", Domain: "demo.test"}, Name: "Ada Lovelace"}
var ben = directory.Account{ID: 8, Address: mail.Address{Local: "ben", Domain: "demo.test"}, Name: "Ben"}

func (people) Authenticate(_ context.Context, login, password string, _ netip.Addr) (directory.Account, error) {
	for _, a := range []directory.Account{ada, ben} {
		if login == a.Address.String() && password == "demo" {
			return a, nil
		}
	}
	return directory.Account{}, &mail.Error{Kind: mail.Denied, Text: "wrong address or password"}
}

func (people) Account(_ context.Context, id mail.AccountID) (directory.Account, error) {
	for _, a := range []directory.Account{ada, ben} {
		if a.ID == id {
			return a, nil
		}
	}
	return directory.Account{}, &mail.Error{Kind: mail.NotFound}
}

func (p people) MaySend(_ context.Context, id mail.AccountID, from mail.Address) (bool, error) {
	a, err := p.Account(context.Background(), id)
	if p.senders != nil && from == ada.Address {
		if _, may := p.senders.Load(id); may {
			return true, nil
		}
	}
	return err == nil && a.Address == from, err
}

func (people) Resolve(_ context.Context, a mail.Address) (directory.Resolution, error) {
	r := directory.Resolution{Local: a.Domain == "demo.test"}
	for _, p := range []directory.Account{ada, ben} {
		if p.Address == a {
			r.Found, r.Accounts = true, []mail.AccountID{p.ID}
		}
	}
	return r, nil
}

func (p people) Identify(_ context.Context, a mail.Address) (mail.AccountID, error) {
	for _, one := range []directory.Account{ada, ben} {
		if one.Address == a {
			return one.ID, nil
		}
	}
	return 0, &mail.Error{Kind: mail.NotFound}
}

func (p people) Name(ctx context.Context, id mail.AccountID) (mail.Address, error) {
	a, err := p.Account(ctx, id)
	return a.Address, err
}

func (p people) Senders(_ context.Context, as mail.Address) (list []mail.Address, err error) {
	if _, may := p.senders.Load(ben.ID); may && as == ada.Address {
		list = append(list, ben.Address)
	}
	return list, nil
}

func (p people) AllowSender(ctx context.Context, as, who mail.Address) error {
	id, err := p.Identify(ctx, who)
	p.senders.Store(id, true)
	return err
}

func (p people) DenySender(ctx context.Context, as, who mail.Address) error {
	id, err := p.Identify(ctx, who)
	p.senders.Delete(id)
	return err
}

func (people) SigningKeys(context.Context, mail.Domain) ([]directory.SigningKey, error) {
	return nil, nil
}

// A rig is a server with two accounts.
type rig struct {
	t     testing.TB
	srv   *Server
	store *store.Store
	mu    sync.Mutex
	now   time.Time

	senders sync.Map // who may send as Ada
	trace   *trace.Log
}

// pass moves the clock.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	r.now = r.now.Add(d)
	r.mu.Unlock()
	r.srv.timers.kick()
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	return newRigOn(t, mem.New(), o)
}

func newRigOn(t testing.TB, eng engine.Engine, o Options) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	if o.Now == nil {
		o.Now = r.clock
	}
	r.trace = trace.Open(trace.Options{Engine: eng, Keep: 24 * time.Hour, Now: o.Now})
	st, err := store.Open(t.Context(), eng, store.Options{Now: o.Now, ReapAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	r.store = st
	for _, a := range []directory.Account{ada, ben} {
		if err := st.Update(t.Context(), []mail.AccountID{a.ID}, nil, func(txs []*store.Tx) error {
			return txs[0].CreateAccount([]store.NewMailbox{{Path: "INBOX", Subscribe: true}, {Path: "Archive", Role: mail.RoleArchive},
				{Path: "Drafts", Role: mail.RoleDrafts}, {Path: "Sent", Role: mail.RoleSent}, {Path: "Trash", Role: mail.RoleTrash}})
		}); err != nil {
			t.Fatal(err)
		}
	}
	o.Store, o.Directory, o.Hostname = st, people{&r.senders}, "mx.demo.test"
	o.Delivery, o.Trace = r.delivery(nil), r.trace
	r.srv = New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := r.srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := st.Check(ctx, true, func(id mail.AccountID, p string) { t.Errorf("check: %d: %s", id, p) }); err != nil {
			t.Error(err)
		}
		if err := r.trace.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// delivery is a service of delivery with a queue, or without one.
func (r *rig) delivery(q delivery.Queue) *delivery.Service {
	return delivery.New(delivery.Options{Store: r.store, Directory: people{&r.senders}, Hostname: "mx.demo.test", Now: r.clock, Queue: q, Trace: r.trace, Reported: NoteReport})
}

// deliver puts a letter into a mailbox, as delivery would.
func (r *rig) deliver(path, text string) store.Appended {
	r.t.Helper()
	return r.appendTo(ada.ID, path, text, store.AppendOptions{})
}

// appendTo puts a letter into a mailbox of an account.
func (r *rig) appendTo(id mail.AccountID, path, text string, o store.AppendOptions) store.Appended {
	r.t.Helper()
	m, err := r.store.Stage(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		r.t.Fatal(err)
	}
	if err := m.Finish(); err != nil {
		r.t.Fatal(err)
	}
	a, err := r.store.Account(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	o.InternalDate = r.clock()
	var got store.Appended
	if err := a.Update(r.t.Context(), func(tx *store.Tx) error {
		box, err := tx.Mailbox(path)
		if err != nil {
			return err
		}
		got, err = tx.Append(box.ID, m, o)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	r.pass(time.Minute)
	return got
}

func letter(n int, more string) string {
	return fmt.Sprintf("From: Ben <ben@demo.test>\nTo: ada@demo.test\nSubject: letter %d\nMessage-ID: <%d@demo.test>\nDate: Mon, 23 Nov 2026 12:00:00 +0100\n%s\nHello %d\n", n, n, more, n)
}

// do sends a request with Basic and returns status and body.
func (r *rig) do(method, path, body string, head ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.RemoteAddr = "127.0.0.1:5"
	req.SetBasicAuth("ada@demo.test", "demo")
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(head); i += 2 {
		if req.Header.Del(head[i]); head[i+1] != "" {
			req.Header.Set(head[i], head[i+1])
		}
	}
	w := httptest.NewRecorder()
	r.srv.ServeHTTP(w, req)
	return w
}

var usingAll = `["` + strings.Join(allCapabilities, `","`) + `"]`

// calls runs method calls and returns the responses as JSON values.
func (r *rig) calls(list string) []any {
	r.t.Helper()
	w := r.do("POST", "/jmap/api", `{"using":`+usingAll+`,"methodCalls":[`+list+`]}`)
	if w.Code != http.StatusOK {
		r.t.Fatalf("%s: %d %s", list, w.Code, w.Body)
	}
	v, err := wire.Parse(w.Body.Bytes(), wire.Limits{})
	if err != nil {
		r.t.Fatalf("%v in %s", err, w.Body)
	}
	return v.(map[string]any)["methodResponses"].([]any)
}

// call runs one method and returns its response's arguments.
func (r *rig) call(name, args string) map[string]any {
	r.t.Helper()
	out := r.calls(`["` + name + `",` + args + `,"c"]`)
	first := out[0].([]any)
	if first[0] != name {
		r.t.Fatalf("%s %s: %v", name, args, first)
	}
	return first[1].(map[string]any)
}

// at follows a path of names and indexes.
func at(t testing.TB, v any, path string) any {
	t.Helper()
	got, ok := wire.Pointer(v, path)
	if !ok {
		t.Fatalf("no %s in %v", path, v)
	}
	return got
}

func text(v any) string { return string(wire.Append(nil, wire.Plain(v))) }

// boxes returns the ids of mailboxes by name.
func (r *rig) boxes() map[string]string {
	ids := map[string]string{}
	for _, m := range r.call("Mailbox/get", `{"accountId":"A7"}`)["list"].([]any) {
		o := m.(map[string]any)
		ids[o["name"].(string)] = o["id"].(string)
	}
	return ids
}

func TestFirstSteps(t *testing.T) {
	r := newRig(t, Options{})
	for i := range 3 {
		r.deliver("INBOX", letter(i, ""))
	}
	r.deliver("INBOX", letter(9, "In-Reply-To: <1@demo.test>\nReferences: <1@demo.test>\n"))
	w := r.do("GET", "/.well-known/jmap", "")
	s, err := wire.Parse(w.Body.Bytes(), wire.Limits{})
	if err != nil || at(t, s, "/username") != "ada@demo.test" || at(t, s, "/primaryAccounts/urn:ietf:params:jmap:mail") != "A7" {
		t.Fatalf("session: %v %s", err, w.Body)
	}
	b := r.boxes()
	out := r.calls(`["Email/query",{"accountId":"A7","filter":{"inMailbox":"` + b["Inbox"] + `"},"collapseThreads":true,"calculateTotal":true,"limit":2},"q"],
		["Email/get",{"accountId":"A7","#ids":{"resultOf":"q","name":"Email/query","path":"/ids"},"properties":["threadId","subject","from","preview","keywords","mailboxIds","receivedAt","hasAttachment","size"]},"g"],
		["Thread/get",{"accountId":"A7","#ids":{"resultOf":"g","name":"Email/get","path":"/list/*/threadId"}},"t"]`)
	t.Log(text(out))
	id := at(t, out, "/0/1/ids/0").(string)
	t.Log(text(r.call("Email/get", `{"accountId":"A7","ids":["`+id+`"],"fetchAllBodyValues":true}`)))
	t.Log(text(r.call("Mailbox/get", `{"accountId":"A7","ids":["`+b["Inbox"]+`"]}`)))
	state := at(t, out, "/0/1/queryState").(string)
	t.Log(text(r.call("Email/set", `{"accountId":"A7","update":{"`+id+`":{"keywords/$seen":true,"mailboxIds":{"`+b["Archive"]+`":true}}}}`)))
	t.Log(text(r.call("Email/queryChanges", `{"accountId":"A7","sinceQueryState":"`+state+`","filter":{"inMailbox":"`+b["Inbox"]+`"},"collapseThreads":true}`)))
	t.Log(text(r.call("Email/changes", `{"accountId":"A7","sinceState":"`+state+`"}`)))
	t.Log(text(r.call("Mailbox/changes", `{"accountId":"A7","sinceState":"`+state+`"}`)))
	t.Log(text(r.call("Email/set", `{"accountId":"A7","create":{"d":{"mailboxIds":{"`+b["Drafts"]+`":true},"keywords":{"$draft":true},"from":[{"name":"Ada","email":"ada@demo.test"}],"subject":"Grüße","bodyValues":{"1":{"value":"Hallo"}},"textBody":[{"partId":"1","type":"text/plain"}]}}}`)))
}
