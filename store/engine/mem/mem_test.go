package mem_test

import (
	"context"
	"errors"
	"testing"

	"posthouse/store/engine"
	"posthouse/store/engine/mem"
	"posthouse/store/enginetest"
)

func TestConformance(t *testing.T) {
	enginetest.Run(t, enginetest.Kit{New: func(*testing.T) engine.Engine { return mem.New() }})
}

// A blob is gone with its last owner, but not while a Reader may lead to it.
func TestReclaim(t *testing.T) {
	ctx := context.Background()
	e := mem.New()
	b := &engine.Blob{Bytes: []byte("bytes")}
	do := func(ops ...engine.Op) {
		t.Helper()
		if _, err := e.Commit(ctx, &engine.Batch{Expect: engine.AnyVersion, Ops: ops}).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	do(engine.Op{Key: []byte("a"), Blob: b}, engine.Op{Key: []byte("b"), Blob: b})
	r := e.Snapshot(0)
	do(engine.Op{Kind: engine.Delete, Key: []byte("a")})
	do(engine.Op{Kind: engine.Set, Key: []byte("b"), Val: []byte("owns nothing")})
	if _, err := e.ReadBlob(ctx, nil, b.ID); err != nil {
		t.Fatalf("while a Reader is open: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.ReadBlob(ctx, nil, b.ID); !errors.Is(err, engine.ErrNotFound) {
		t.Fatalf("after the last owner and Reader: %v", err)
	}
}
