package jmap

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A mirror is a client that keeps the ids of a query by queryChanges alone.
type mirror struct {
	args  string
	state string
	ids   []string
}

func (m *mirror) open(r *rig) {
	out := r.call("Email/query", `{"accountId":"A7",`+m.args+`}`)
	m.state, m.ids = out["queryState"].(string), stringsOf(out["ids"])
}

// update is what RFC 8620 §5.6 tells a client to do.
func (m *mirror) update(r *rig) {
	out := r.call("Email/queryChanges", `{"accountId":"A7","sinceQueryState":"`+m.state+`",`+m.args+`,"calculateTotal":true}`)
	gone := map[string]bool{}
	for _, id := range stringsOf(out["removed"]) {
		gone[id] = true
	}
	m.ids = slices.DeleteFunc(m.ids, func(id string) bool { return gone[id] })
	for _, a := range out["added"].([]any) {
		o := a.(map[string]any)
		i := int(o["index"].(int64))
		if i > len(m.ids) {
			r.t.Fatalf("%s: index %d of %d", m.args, i, len(m.ids))
		}
		m.ids = slices.Insert(m.ids, i, o["id"].(string))
	}
	if int64(len(m.ids)) != out["total"] {
		r.t.Fatalf("%s: %d ids, total %v: %s", m.args, len(m.ids), out["total"], text(out))
	}
	m.state = out["newQueryState"].(string)
}

// A client that only hears of changes knows what one that asks anew does, whatever
// happens: queries of many kinds, objects by /changes, and counts of threads.
func TestModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { model(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func model(t *testing.T, rnd *rand.Rand) {
	r := newRig(t, Options{})
	b := r.boxes()
	names := []string{"Inbox", "Archive", "Sent", "Trash"}
	in := `"filter":{"inMailbox":"` + b["Inbox"] + `"`
	mirrors := []*mirror{
		{args: in + `}`}, {args: in + `},"collapseThreads":true`}, {args: in + `,"notKeyword":"$seen"},"collapseThreads":true`},
		{args: `"filter":{},"collapseThreads":true,"sort":[{"property":"receivedAt","isAscending":true}]`},
		{args: `"filter":{"operator":"OR","conditions":[{"inMailbox":"` + b["Archive"] + `"},{"someInThreadHaveKeyword":"$flagged"}]}`},
		{args: `"filter":{"inMailboxOtherThan":["` + b["Trash"] + `"],"hasKeyword":"$seen"},"sort":[{"property":"hasKeyword","keyword":"$flagged","isAscending":false},{"property":"subject"}]`},
		{args: `"filter":{"operator":"NOT","conditions":[{"text":"letter 3"}]},"collapseThreads":true,"sort":[{"property":"size"},{"property":"receivedAt","isAscending":false}]`},
		{args: `"filter":{"noneInThreadHaveKeyword":"$seen"},"collapseThreads":true`},
	}
	known := map[string]string{} // emails by /changes
	for _, m := range mirrors {
		m.open(r)
	}
	emails := r.call("Email/get", `{"accountId":"A7","ids":[]}`)["state"].(string)
	var alive []string
	for step := range 60 {
		for range 1 + rnd.IntN(3) {
			alive = change(r, rnd, b, names, alive, step)
		}
		for _, m := range mirrors {
			if rnd.IntN(3) == 0 {
				continue // this client sleeps
			}
			m.update(r)
			warm := stringsOf(r.call("Email/query", `{"accountId":"A7",`+m.args+`}`)["ids"])
			want := r.cold(`{"accountId":"A7",` + m.args + `}`)
			if !slices.Equal(warm, want) {
				t.Fatalf("step %d, %s:\nkept %v\nanew %v", step, m.args, warm, want)
			}
			if !slices.Equal(m.ids, want) {
				t.Fatalf("step %d, %s:\nhave %v\nwant %v", step, m.args, m.ids, want)
			}
		}
		emails = follow2(r, known, emails, rnd.IntN(2) == 0)
		checkAll(t, r, known, b)
	}
}

// cold asks a server that remembers nothing.
func (r *rig) cold(args string) []string {
	r.t.Helper()
	warm := r.srv
	defer func() { r.srv = warm }()
	r.srv = New(Options{Store: r.store, Directory: people{}})
	defer func() {
		if err := r.srv.Shutdown(context.Background()); err != nil {
			r.t.Error(err)
		}
	}()
	return stringsOf(r.call("Email/query", args)["ids"])
}

// follow2 brings known up to date by Email/changes, a few at a time.
func follow2(r *rig, known map[string]string, state string, few bool) string {
	for more := true; more; {
		most := ""
		if few {
			most = `,"maxChanges":2`
		}
		out := r.call("Email/changes", `{"accountId":"A7","sinceState":"`+state+`"`+most+`}`)
		for _, id := range stringsOf(out["destroyed"]) {
			delete(known, id)
		}
		ids := append(stringsOf(out["created"]), stringsOf(out["updated"])...)
		if len(ids) > 0 {
			got := r.call("Email/get", `{"accountId":"A7","ids":["`+strings.Join(ids, `","`)+`"],"properties":["mailboxIds","keywords"]}`)
			for _, e := range got["list"].([]any) {
				known[e.(map[string]any)["id"].(string)] = text(e)
			}
		}
		state, more = out["newState"].(string), out["hasMoreChanges"] == true
	}
	return state
}

// checkAll compares with everything anew, counts of mailboxes included.
func checkAll(t *testing.T, r *rig, known map[string]string, b map[string]string) {
	t.Helper()
	ids := stringsOf(r.call("Email/query", `{"accountId":"A7"}`)["ids"])
	if len(ids) != len(known) {
		t.Fatalf("%d emails, %d known", len(ids), len(known))
	}
	if len(ids) == 0 {
		return
	}
	fresh := &index{}
	a, err := r.store.Account(t.Context(), ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.View(t.Context(), fresh.sync); err != nil {
		t.Fatal(err)
	}
	x := r.srv.indexes.of(a.ID(), 0, 1<<30)
	for id, c := range fresh.boxes {
		if got := x.counts(id); got != *c {
			t.Fatalf("mailbox %d: counts %+v, made anew %+v", id, got, *c)
		}
	}
	got := r.call("Email/get", `{"accountId":"A7","ids":["`+strings.Join(ids, `","`)+`"],"properties":["mailboxIds","keywords"]}`)
	for _, e := range got["list"].([]any) {
		if id := e.(map[string]any)["id"].(string); known[id] != text(e) {
			t.Fatalf("%s: known as %s, is %s", id, known[id], text(e))
		}
	}
}

// change does one random thing.
func change(r *rig, rnd *rand.Rand, b map[string]string, names []string, alive []string, step int) []string {
	box := names[rnd.IntN(len(names))]
	pick := func() string { return alive[rnd.IntN(len(alive))] }
	set := func(args string) {
		if out := r.call("Email/set", `{"accountId":"A7",`+args+`}`); out["notUpdated"] != nil || out["notDestroyed"] != nil {
			r.t.Fatal(text(out))
		}
	}
	if len(alive) == 0 || rnd.IntN(3) == 0 {
		more := ""
		n := rnd.IntN(8) // few subjects: threads grow
		if rnd.IntN(2) == 0 {
			more = fmt.Sprintf("References: <%d@demo.test>\n", n)
		}
		path := box
		if path == "Inbox" {
			path = "INBOX"
		}
		got := r.deliver(path, strings.Replace(letter(n, more), fmt.Sprintf("<%d@demo.test>\nDate", n), fmt.Sprintf("<%d@demo.test>\nDate", n+10*(step%2)), 1))
		return append(alive, emailID(got.Email))
	}
	id := pick()
	switch rnd.IntN(6) {
	case 0:
		set(`"update":{"` + id + `":{"keywords/$seen":true}}`)
	case 1:
		set(`"update":{"` + id + `":{"keywords":{"$flagged":true}}}`)
	case 2:
		set(`"update":{"` + id + `":{"keywords":{}}}`)
	case 3:
		set(`"update":{"` + id + `":{"mailboxIds":{"` + b[box] + `":true}}}`)
	case 4:
		set(`"update":{"` + id + `":{"mailboxIds/` + b[box] + `":true}}`)
	case 5:
		set(`"destroy":["` + id + `"]`)
		return slices.DeleteFunc(alive, func(s string) bool { return s == id })
	}
	return alive
}
