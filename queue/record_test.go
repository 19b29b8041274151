package queue

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

func sample() (*record, *state) {
	r := &record{created: time.Unix(1e9, 5), dest: "b.test", prefix: []byte("X: y\r\n"), size: 100, blob: 7,
		env: mail.Envelope{ReversePath: mail.Address{Local: "a b", Domain: "ü.test"}, UTF8: true, Body: mail.Body8BitMIME,
			EnvID: "e", TraceID: "t", RequireTLS: true, Priority: -3, HoldUntil: time.Unix(2e9, 0), Account: 12,
			DeliverBy: time.Unix(1e9, 1), ByReturn: true, Recipients: []mail.Recipient{
				{Address: mail.Address{Local: "x", Domain: "b.test"}, Notify: mail.NotifyDelay, Original: "rfc822;x@y"},
				{Address: mail.Address{Local: "y", Domain: "b.test"}}}}}
	s := &state{attempts: 3, next: never, delayed: true, late: true, until: 77, route: "r/25", rcpts: []rcptState{
		{status: stFailed, reported: true, reply: mail.Reply{Code: 550, Enhanced: [3]uint8{5, 1, 1}, Text: "no\nno"}, remote: true, host: "h", at: 9},
		{}}}
	return r, s
}

func withBlob(b []byte, id byte) []byte { return append(b, 0, 0, 0, 0, 0, 0, 0, id) }

func TestRecords(t *testing.T) {
	r, s := sample()
	r2, err := decodeRecord(withBlob(r.encode(), 7))
	if err != nil || !reflect.DeepEqual(r, r2) {
		t.Errorf("%+v\n%+v, %v", r, r2, err)
	}
	s2, err := decodeState(s.encode(), 2)
	if err != nil || !reflect.DeepEqual(s, s2) {
		t.Errorf("%+v\n%+v, %v", s, s2, err)
	}
	if _, err := decodeState(s.encode(), 3); err == nil {
		t.Error("another number of recipients")
	}
	full := withBlob(r.encode(), 7)
	for n := range full {
		if got, err := decodeRecord(full[:n]); err == nil && n < len(full)-1 {
			t.Fatalf("cut at %d: %+v", n, got)
		}
	}
}

func FuzzRecord(f *testing.F) {
	r, s := sample()
	f.Add(withBlob(r.encode(), 7), 2)
	f.Add(s.encode(), 2)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if r, err := decodeRecord(b); err == nil {
			again, err := decodeRecord(append(r.encode(), b[len(b)-8:]...))
			if err != nil || !reflect.DeepEqual(r, again) {
				t.Fatalf("%+v\n%+v, %v", r, again, err)
			}
		}
		if s, err := decodeState(b, n&0xff); err == nil {
			if again, err := decodeState(s.encode(), n&0xff); err != nil || len(again.rcpts) != len(s.rcpts) {
				t.Fatalf("%+v\n%+v, %v", s, again, err)
			}
		}
		if id, u, ok := parseDue(b, b); ok && !bytes.Equal(dueKey(u.next, id)[2:], b[2:]) {
			t.Fatal(id, u)
		}
	})
}

// What strangers say does not break out of its field.
func FuzzField(f *testing.F) {
	f.Add("smtp; 550 no", "rfc822;x@y")
	f.Add("a\r\nAction: delivered\r\n\r\nX", strings.Repeat("ÿ", 1000))
	f.Fuzz(func(t *testing.T, reply, orcpt string) {
		r, s := sample()
		r.env.Recipients[0].Original = orcpt
		r.env.EnvID = reply
		s.rcpts[0].reply.Text, s.rcpts[0].host = reply, orcpt
		for _, global := range []bool{false, true} {
			e := &entry{q: &Queue{opts: Options{Hostname: "here.test"}}, rec: r, st: s}
			d := dsn{q: e.q, e: e, rep: report{failed: []int{0}}, now: time.Unix(0, 0), global: global}
			names := ""
			for line := range strings.SplitSeq(strings.TrimSuffix(string(d.fields()), "\r\n"), "\r\n") {
				if strings.ContainsAny(line, "\r\n\x00") || len(line) > 998 {
					t.Fatalf("%q", line)
				}
				if name, _, ok := strings.Cut(line, ": "); ok && line[0] != ' ' {
					names += name + " "
				} else if line != "" && line[0] != ' ' {
					t.Fatalf("%q", line)
				}
			}
			want := "Reporting-MTA Original-Envelope-Id Arrival-Date Deliver-By-Date Original-Recipient Final-Recipient Action Status " +
				"Remote-MTA Diagnostic-Code Last-Attempt-Date "
			if reply != "" && orcpt != "" && strings.TrimSpace(reply) != "" && names != want {
				t.Fatalf("%q: %s", d.fields(), names)
			}
		}
	})
}

// A waiting entry costs memory by the hundred bytes, whatever its message is.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 entries")
	}
	const n = 100_000
	eng := mem.New()
	r, _ := sample()
	next := time.Now().Add(time.Hour).UnixNano()
	for i := 0; i < n; i += 1000 {
		b := &engine.Batch{Expect: engine.AnyVersion}
		for id := ID(i + 1); id <= ID(i+1000); id++ {
			dest := fmt.Sprintf("d%d.test", id%1000)
			b.Ops = append(b.Ops, engine.Op{Key: keyOf('m', id), Val: r.encode()}, engine.Op{Key: dueKey(next, id), Val: dueValue(due{size: 100, dest: dest})})
		}
		if _, err := eng.Commit(t.Context(), b).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	start := time.Now()
	q, err := Open(t.Context(), Options{Engine: eng, Hostname: "here.test"})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	each := float64(heap()-before) / n
	t.Logf("%.0f bytes each, Open took %v", each, took)
	if each > 250 || len(q.items) != n {
		t.Errorf("%.0f bytes for each of %d entries", each, len(q.items))
	}
	runtime.KeepAlive(eng)
}

// FuzzDue decodes entries of the queue's order by time: a key and its value.
func FuzzDue(f *testing.F) {
	u := due{next: 5, size: 900, dest: "b.test", priority: -3, sender: 7}
	f.Add(dueKey(u.next, 9), dueValue(u))
	f.Add(dueKey(u.next, 9), []byte{100, 'b'}) // of version 1
	f.Add(dueKey(never, 1<<64-1), []byte{0x80})
	f.Add([]byte("qd"), []byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, key, val []byte) {
		id, u, ok := parseDue(key, val)
		if !ok {
			return
		}
		if !bytes.Equal(dueKey(u.next, id)[2:], key[2:]) {
			t.Fatalf("%x is of %d at %d", key, id, u.next)
		}
		id2, u2, ok := parseDue(dueKey(u.next, id), dueValue(u))
		if !ok || id2 != id || u2 != u {
			t.Fatalf("%+v became %+v, %v", u, u2, ok)
		}
	})
}
