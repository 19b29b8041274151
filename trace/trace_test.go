package trace

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

func newLog(t *testing.T, o Options) (*Log, *mem.Engine) {
	t.Helper()
	eng := mem.New()
	o.Engine = eng
	l := Open(o)
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		eng.Close()
	})
	return l, eng
}

func example(id string, at time.Time) *Event {
	return &Event{At: at, Kind: Received, ID: id, From: "Eve@far.test", MessageID: "1." + id + "@far.test", Remote: "192.0.2.1", Hello: "mx.far.test",
		By: "mx", Size: 1234, Reply: mail.Reply{Code: 250, Enhanced: [3]uint8{2, 0, 0}, Text: "Ok"},
		To: []Fate{{"ada@demo.test", Delivered, "INBOX"}, {"ben@demo.test", Turned, "550 5.1.1 No such mailbox here"}}, Notes: []string{"spf=pass"}}
}

func TestFind(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	l, _ := newLog(t, Options{Now: func() time.Time { return now }})
	l.Record(example("0a", now.Add(-49*time.Hour)))
	l.Record(&Event{At: now.Add(-48 * time.Hour), Kind: Attempt, ID: "0a", Queue: "77", Remote: "mx.far.test", Reply: mail.Reply{Code: 451, Text: "later"},
		To: []Fate{{"cy@far.test", Deferred, "451 later"}}})
	l.Record(&Event{At: now.Add(-time.Hour), Kind: Attempt, ID: "0a", Queue: "77", Remote: "mx.far.test", Reply: mail.Reply{Code: 250, Text: "ok"},
		To: []Fate{{"cy@far.test", Relayed, "250 ok"}}})
	l.Record(example("0b", now.Add(-time.Minute)))
	l.Record(&Event{At: now, Kind: Refused, ID: "0c", From: "", To: []Fate{{"ada@demo.test", Turned, "550 no"}}, Reply: mail.Reply{Code: 550, Text: "no"}})
	for _, tt := range []struct {
		name string
		q    Query
		want string
	}{
		{"sender, any case", Query{From: "eve@FAR.test"}, "0a0b"},
		{"recipient", Query{To: "ada@demo.test"}, "0a0b0c"},
		{"recipient that was refused", Query{To: "ben@demo.test"}, "0a0b"},
		{"both", Query{From: "<>", To: "ada@demo.test"}, "0c"},
		{"null sender", Query{From: "<>"}, "0c"},
		{"Message-ID", Query{MessageID: "<1.0b@far.test>"}, "0b"},
		{"queue id", Query{Any: "77"}, "0a"},
		{"trace id", Query{Any: "0b"}, "0b"},
		{"address, whatever it is", Query{Any: "eve@far.test"}, "0a0b"},
		{"Message-ID, whatever it is", Query{Any: "<1.0a@far.test>"}, "0a"},
		{"time", Query{Since: now.Add(-2 * time.Minute)}, "0b0c"},
		{"an event in the time", Query{Since: now.Add(-2 * time.Hour), Until: now.Add(-30 * time.Minute)}, "0a"},
		{"nobody", Query{To: "dan@demo.test"}, ""},
		{"all", Query{}, "0a0b0c"},
		{"newest", Query{Limit: 1}, "0c"},
	} {
		got, more, err := l.Find(t.Context(), tt.q)
		ids := ""
		for _, s := range got {
			ids += s.ID
		}
		if err != nil || ids != tt.want || more != (tt.name == "newest") {
			t.Errorf("%s: %q, %v, %v; want %q", tt.name, ids, more, err, tt.want)
		}
	}
	got, _, err := l.Find(t.Context(), Query{Any: "0a"})
	if err != nil || len(got) != 1 || len(got[0].Events) != 3 || got[0].Events[0].Kind != Received || got[0].Events[2].To[0].Became != Relayed {
		t.Fatalf("%+v, %v", got, err)
	}
	if want := example("0a", now.Add(-49*time.Hour)); !reflect.DeepEqual(&got[0].Events[0], want) {
		t.Errorf("stored %+v\nwant %+v", got[0].Events[0], want)
	}
}

func TestTell(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := Story{ID: "0a", Events: []Event{*example("0a", at),
		{At: at, Kind: Attempt, ID: "0a", Remote: "mx.far.test", Reply: mail.Reply{Code: 451, Text: "later\x1b[2J"}, To: []Fate{{"cy@far.test", Deferred, ""}}}}}
	var text strings.Builder
	for _, x := range s.Tell() {
		text.WriteString(x.Text + "\n")
	}
	const want = `A message from Eve@far.test with Message-ID <1.0a@far.test> came from 192.0.2.1 (calls itself mx.far.test) by mx and was taken (1234 bytes).
What was found out: spf=pass.
It was delivered to ada@demo.test, mailbox INBOX.
For ben@demo.test it was refused for good: 550 5.1.1 No such mailbox here.
mx.far.test was asked to take it and answered: 451 later [2J.
For cy@far.test it is tried again later.
`
	if text.String() != want {
		t.Errorf("%s\nwant\n%s", text.String(), want)
	}
	for k := Received; k <= Sent; k++ {
		if sentences[k] == nil {
			t.Errorf("no sentence for kind %d", k)
		}
	}
	for b := Nothing; b <= Ruled; b++ {
		if fates[b].text == "" {
			t.Errorf("no sentence for fate %d", b)
		}
	}
}

// Days that are over go, and only they.
func TestExpire(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	l, eng := newLog(t, Options{Keep: 48 * time.Hour, Now: func() time.Time { return now }})
	for i := range 6 {
		l.Record(example(fmt.Sprint(i), now.Add(-time.Duration(i)*24*time.Hour)))
	}
	l.Flush(t.Context())
	l.expire(t.Context())
	r := eng.Snapshot(0)
	defer r.Close()
	days := map[byte]bool{}
	if err := r.Scan([]byte("t"), []byte("u"), func(k, _ []byte) bool { days[k[4]] = true; return true }); err != nil {
		t.Fatal(err)
	}
	if len(days) != 3 {
		t.Errorf("days left: %v", days)
	}
}

// A flood is bounded, and counted.
func TestBounds(t *testing.T) {
	l, eng := newLog(t, Options{BytesPerDay: 10_000, Delay: time.Hour})
	e := example("0a", time.Time{})
	e.Reply.Text = strings.Repeat("é", 4000)
	for range 1000 {
		e.To = append(e.To, Fate{Address: strings.Repeat("x", 3000)})
	}
	for range 50 {
		l.Record(e)
	}
	l.Flush(t.Context())
	if s := l.Stats(); s.Recorded != 1 || s.Left != 49 { // one is over the bound by itself
		t.Errorf("%+v", s)
	}
	r := eng.Snapshot(0)
	defer r.Close()
	n := 0
	if err := r.Scan([]byte("t"), []byte("u"), func(_, val []byte) bool { n++; return true }); err != nil || n > 3+maxIndex {
		t.Errorf("%d keys, %v", n, err)
	}
	got, _, err := l.Find(t.Context(), Query{Any: "0a"})
	if err != nil || len(got) != 1 || len(got[0].Events[0].To) != maxFates || len(got[0].Events[0].Reply.Text) > maxText {
		t.Errorf("%v, %v", len(got), err)
	}
}

type brokenEngine struct{ *mem.Engine }

type broken struct{}

func (broken) Wait() (engine.Pos, error) { return 0, errors.New("no disk") }

func (brokenEngine) Commit(context.Context, ...*engine.Batch) engine.Pending { return broken{} }

// A disk that fails costs records, never the caller.
func TestBrokenDisk(t *testing.T) {
	eng := brokenEngine{mem.New()}
	l := Open(Options{Engine: eng, Delay: time.Hour})
	l.Record(example("0a", time.Time{}))
	l.Flush(t.Context())
	if s := l.Stats(); s.Left != 1 {
		t.Errorf("%+v", s)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	l.Record(example("0b", time.Time{})) // after the end: counted, no more
}

func FuzzRecord(f *testing.F) {
	f.Add(appendEvent(nil, example("0a", time.Unix(1.7e9, 0))))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEvent(b)
		if err != nil {
			return
		}
		again, err := decodeEvent(appendEvent(nil, &e))
		if err != nil || again.Kind != e.Kind || len(again.Notes) > len(e.Notes) {
			t.Errorf("%+v became %+v, %v", e, again, err)
		}
		(&Story{Events: []Event{e}}).Tell()
	})
}

func BenchmarkRecord(b *testing.B) {
	eng := mem.New()
	defer eng.Close()
	l := Open(Options{Engine: eng, BytesPerDay: -1, Delay: 10 * time.Millisecond})
	defer l.Close(context.Background())
	e := example("0123456789abc", time.Time{})
	b.ReportAllocs()
	for b.Loop() {
		l.Record(e)
	}
}
