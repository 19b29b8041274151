package mem_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"posthouse/store/engine"
	"posthouse/store/engine/mem"
	"posthouse/store/enginetest"
)

func TestConformance(t *testing.T) {
	enginetest.Run(t, enginetest.Kit{
		New: func(*testing.T) engine.Engine { return mem.New() },
		Reopen: func(t *testing.T, e engine.Engine) engine.Engine {
			again, err := e.(*mem.Engine).Reopen()
			if err != nil {
				t.Fatal(err)
			}
			return again
		},
		Restore: func(t *testing.T, dir string) engine.Engine {
			e, err := mem.Restore(dir)
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
		Collect: func(*testing.T, engine.Engine) {}, // space is given back at once
		Dir:     func(t *testing.T) string { return filepath.Join(t.TempDir(), "copy") },
	})
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
