package jmap

import (
	"testing"
	"time"

	"posthouse/store/engine/local"
)

// BenchmarkBulk: 100,000 messages of a mailbox are marked, moved, and both is undone,
// as one job each, with an engine that writes to a disk.
func BenchmarkBulk(b *testing.B) {
	eng, err := local.Open(b.Context(), local.Options{Dir: b.TempDir(), MinFree: -1})
	if err != nil {
		b.Fatal(err)
	}
	_ = eng // its store closes it
	r := newRigOn(b, eng, Options{Limits: Limits{UserPerMinute: -1}})
	r.fill(100_000)
	boxes := r.boxes()
	wait := func(id, status string) {
		for end := time.Now().Add(10 * time.Minute); ; time.Sleep(time.Millisecond) {
			s := at(b, r.call("Job/get", `{"accountId":"A7","ids":["`+id+`"]}`), "/list/0/status")
			if s == status {
				return
			}
			if time.Now().After(end) {
				b.Fatal("still ", s)
			}
		}
	}
	for _, c := range []struct{ name, patch string }{
		{"mark", `{"keywords/$flagged":true}`}, {"move", `{"mailboxIds":{"` + boxes["Archive"] + `":true}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			var undo time.Duration
			for b.Loop() {
				id := r.call("Email/bulk", `{"accountId":"A7","filter":{"inMailbox":"`+boxes["Inbox"]+`"},"patch":`+c.patch+`}`)["jobId"].(string)
				wait(id, "done")
				begin := time.Now()
				r.call("Email/bulkUndo", `{"accountId":"A7","jobId":"`+id+`"}`)
				wait(id, "undone")
				undo += time.Since(begin)
			}
			b.ReportMetric(undo.Seconds()/float64(b.N), "s-undo/op")
		})
	}
}
