package local

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// Of a key that several commits of a group set, or several frames of a replay, the
// last value counts, whatever the order in which the index takes the keys.
func TestLastSetOfAKeyCounts(t *testing.T) {
	ctx := context.Background()
	fs := newDisk(t)
	e := mustOpen(t, logOptions(fs))
	const keys, rounds = 5, 40
	var last engine.Pending
	for i := range rounds {
		b := &engine.Batch{Account: 1, Expect: engine.AnyVersion}
		for k := range keys {
			n := (k*3 + i) % keys // not in order
			b.Ops = append(b.Ops, engine.Op{Key: fmt.Appendf(nil, "k%d", n), Val: fmt.Append(nil, i-1)},
				engine.Op{Key: fmt.Appendf(nil, "k%d", n), Val: fmt.Append(nil, i)})
		}
		last = e.Commit(ctx, b) // not waited for: they share frames
	}
	if _, err := last.Wait(); err != nil {
		t.Fatal(err)
	}
	check := func(e *Engine) {
		t.Helper()
		r := e.Snapshot(1)
		defer r.Close()
		for k := range keys {
			got, err := r.Get(fmt.Appendf(nil, "k%d", k))
			if err != nil || string(got) != fmt.Sprint(rounds-1) {
				t.Errorf("k%d: %s, %v", k, got, err)
			}
		}
	}
	check(e)
	clone := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, logOptions(clone))
	check(e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
