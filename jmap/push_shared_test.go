package jmap

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// grant gives Ben rights on a mailbox of Ada.
func (r *rig) grant(path string, rights store.Rights) {
	r.t.Helper()
	a, err := r.store.Account(r.t.Context(), ada.ID)
	if err == nil {
		err = a.Update(r.t.Context(), func(tx *store.Tx) error {
			m, err := tx.Mailbox(path)
			if err != nil {
				return err
			}
			return tx.SetACL(m.ID, store.Grant{Who: ben.ID, Rights: rights})
		})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// Who has rights on a mailbox of somebody else hears of its changes, and of no others.
func TestSharedEvents(t *testing.T) {
	r := newRig(t, Options{})
	r.grant("Archive", store.RightLookup|store.RightRead)
	srv := httptest.NewServer(r.srv)
	defer srv.Close()
	open := func(head ...string) (lines chan string, end func()) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/jmap/eventsource?types=*&closeafter=no&ping=0", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("ben@demo.test", "demo")
		for i := 0; i < len(head); i += 2 {
			req.Header.Set(head[i], head[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		lines = make(chan string, 100)
		go func() {
			defer close(lines)
			for s := bufio.NewScanner(resp.Body); s.Scan(); {
				if text, is := strings.CutPrefix(s.Text(), "data: "); is || strings.HasPrefix(s.Text(), ": hello") {
					lines <- text
				}
			}
		}()
		return lines, func() { resp.Body.Close() }
	}
	next := func(lines chan string) string {
		t.Helper()
		select {
		case l := <-lines:
			return l
		case <-time.After(30 * time.Second):
			t.Fatal("no event")
			return ""
		}
	}
	lines, end := open()
	next(lines) // hello
	r.deliver("INBOX", letter(1, ""))
	r.deliver("Archive", letter(2, ""))
	if got := next(lines); !strings.Contains(got, `"A7":{`) || !strings.Contains(got, `"Email":`) || !strings.Contains(got, `"Mailbox":`) || strings.Contains(got, "A8") {
		t.Error(got)
	}
	r.appendTo(ben.ID, "INBOX", letter(3, ""), store.AppendOptions{})
	for got := next(lines); !strings.Contains(got, `"A8":{`); got = next(lines) {
		if strings.Contains(got, "EmailSubmission") {
			t.Error(got)
		}
	}
	end()
	// After a pause it is told to look.
	lines, end = open("Last-Event-ID", "1")
	defer end()
	next(lines)
	for got := next(lines); !strings.Contains(got, `"A7":{`); got = next(lines) {
	}
}

// Every method on a mailbox that one may only read answers with an error of its own,
// and changes nothing.
func TestReadOnlyShared(t *testing.T) {
	r := newRig(t, Options{Limits: Limits{UserPerMinute: -1}})
	r.grant("Archive", store.RightLookup|store.RightRead)
	r.deliver("Archive", letter(1, ""))
	for _, write := range []string{`"Email/set",{"accountId":"A7","destroy":["M1"]}`, `"Email/bulk",{"accountId":"A7","destroy":true}`, `"MutedThread/set",{"accountId":"A7","destroy":["T1"]}`} {
		if got := r.asBen(`[` + write + `,"c"]`); !strings.Contains(got, `"accountReadOnly"`) {
			t.Errorf("%s:\n%s", write, got)
		}
	}
	needs(t, r.do("GET", "/jmap/session", "", "Authorization", "Basic YmVuQGRlbW8udGVzdDpkZW1v").Body.String(), `"isPersonal":false,"isReadOnly":true`)
	r.grant("Drafts", store.RightLookup|store.RightRead|store.RightSeen) // not all of it is
	box := r.boxes()["Archive"]
	for call, want := range map[string]string{
		`"Email/set",{"accountId":"A7","create":{"c":{"mailboxIds":{"` + box + `":true},"subject":"x"}}}`:    `"notCreated":{"c":{"type":"forbidden"`,
		`"Email/set",{"accountId":"A7","update":{"M1":{"keywords/$flagged":true}}}`:                          `"notUpdated":{"M1":{"type":"forbidden"`,
		`"Email/set",{"accountId":"A7","update":{"M1":{"snoozed":{"until":"2030-01-01T00:00:00Z"}}}}`:        `"notUpdated":{"M1":{"type":"forbidden"`,
		`"Email/set",{"accountId":"A7","destroy":["M1"]}`:                                                    `"notDestroyed":{"M1":{"type":"forbidden"`,
		`"Email/import",{"accountId":"A7","emails":{"i":{"blobId":"B1","mailboxIds":{"` + box + `":true}}}}`: `"notCreated":{"i":{"type":"forbidden"`,
		`"Mailbox/set",{"accountId":"A7","create":{"m":{"name":"New"}}}`:                                     `"notCreated":{"m":{"type":"forbidden"`,
		`"Mailbox/set",{"accountId":"A7","update":{"` + box + `":{"name":"New"}}}`:                           `"notUpdated":{"` + box + `":{"type":"forbidden"`,
		`"Mailbox/set",{"accountId":"A7","destroy":["` + box + `"],"onDestroyRemoveEmails":true}`:            `"notDestroyed":{"` + box + `":{"type":"forbidden"`,
		`"MutedThread/set",{"accountId":"A7","create":{"m":{"threadId":"T1"}}}`:                              `"notCreated":{"m":{"type":"forbidden"`,
		`"ContactCard/get",{"accountId":"A7"}`:                                                               `"accountNotSupportedByMethod"`,
		`"MDN/send",{"accountId":"A7","identityId":"default","send":{}}`:                                     `"accountNotSupportedByMethod"`,
		`"Email/bulk",{"accountId":"A7","patch":{"keywords/$seen":true}}`:                                    `"jobId"`,
		`"Recipient/suggest",{"accountId":"A7","text":""}`:                                                   `"accountNotSupportedByMethod"`,
		`"Email/get",{"accountId":"A7","ids":["M1"],"properties":["verdict","invite","snoozed"]}`:            `"status":"unknown"`,
		`"Email/parse",{"accountId":"A7","blobIds":["B1"]}`:                                                  `"subject":"letter 1"`,
		`"SearchSnippet/get",{"accountId":"A7","emailIds":["M1"],"filter":{"text":"letter"}}`:                `"emailId":"M1"`,
		`"Thread/get",{"accountId":"A7","ids":["T1"]}`:                                                       `"emailIds":["M1"]`,
		`"Email/queryChanges",{"accountId":"A7","sinceQueryState":"1"}`:                                      `"`,
	} {
		if got := r.asBen(`[` + call + `,"c"]`); !strings.Contains(got, want) || strings.Contains(got, "serverFail") {
			t.Errorf("%s:\n%s", call, got)
		}
	}
	if got := r.do("POST", "/jmap/upload/A7/", "x", "Authorization", "Basic YmVuQGRlbW8udGVzdDpkZW1v"); got.Code != http.StatusCreated { // into his own
		t.Error(got.Code)
	}
	if got := r.call("Email/get", `{"accountId":"A7","ids":["M1"],"properties":["keywords","mailboxIds"]}`); text(at(t, got, "/list/0/keywords")) != `{}` {
		t.Error(text(got))
	}
}

// The state of the session is another one when an account comes, may be used otherwise
// or goes, and in each response (RFC 8620 §3.4); streams that are open tell of accounts that came.
func TestSharedLater(t *testing.T) {
	r := newRig(t, Options{Limits: Limits{UserPerMinute: -1}})
	c, err := r.srv.streamCall(t.Context(), &principal{account: ben})
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.follow(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	told := func() string {
		t.Helper()
		if err := f.share(true); err != nil {
			t.Fatal(err)
		}
		change, err := f.next()
		if err != nil {
			t.Fatal(err)
		}
		return string(wire.Append(nil, change))
	}
	seen := map[string]bool{}
	state := func(fresh bool) {
		t.Helper()
		var session struct{ State string }
		if err := json.Unmarshal(r.do("GET", "/jmap/session", "", "Authorization", "Basic YmVuQGRlbW8udGVzdDpkZW1v").Body.Bytes(), &session); err != nil || session.State == "" || seen[session.State] == fresh {
			t.Errorf("%q, %v", session.State, err)
		}
		needs(t, r.asBen(`["Core/echo",{},"e"]`), `"sessionState":"`+session.State+`"`)
		seen[session.State] = true
	}
	state(true)
	state(false)
	if got := told(); strings.Contains(got, "A7") {
		t.Error(got)
	}
	r.grant("Archive", store.RightLookup|store.RightRead)
	state(true)
	needs(t, told(), `"A7":{"Email":"`, `"Mailbox":"`, "!EmailSubmission")
	if got := told(); strings.Contains(got, "A7") {
		t.Error(got)
	}
	r.grant("Archive", store.RightLookup|store.RightRead|store.RightWrite)
	state(true)
	r.deliver("Archive", letter(1, ""))
	state(false)
	r.grant("Archive", store.NoRights)
	state(false) // as it was at first
	told()
	if len(f.others) != 0 {
		t.Error("it follows an account that is not shared")
	}
}
