package local

import (
	"crypto/rand"
	"fmt"
	"testing"

	"posthouse/store/engine"
)

// What is read again comes out of the cache, also while the index takes a table of
// memory as large as the cache: Pebble counts both together.
func TestIndexCacheHoldsBesideMemTables(t *testing.T) {
	e := mustOpen(t, Options{Dir: t.TempDir(), IndexCache: 4 << 20, MemTable: 4 << 20})
	defer e.Close()
	for i := range 20 { // 8 MiB: tables of memory begin small
		b := &engine.Batch{Account: 1, Expect: engine.AnyVersion}
		for j := range 100 {
			val := make([]byte, 4<<10)
			rand.Read(val)
			b.Ops = append(b.Ops, engine.Op{Key: fmt.Appendf(nil, "%02d/%02d", i, j), Val: val})
		}
		if _, err := e.Commit(t.Context(), b).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.writeIndex(); err != nil {
		t.Fatal(err)
	}
	r := e.Snapshot(1)
	defer r.Close()
	const times = 200
	before := e.db.Metrics().BlockCache.Misses
	for range times {
		if _, err := r.Get([]byte("07/07")); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.db.Metrics().BlockCache.Misses - before; n > times/2 {
		t.Errorf("%d times the same key: %d blocks were not in the cache", times, n)
	}
}
