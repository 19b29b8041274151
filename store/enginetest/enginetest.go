// Package enginetest is the conformance suite of engines: what package engine
// promises, said as tests. An engine's own tests call Run.
//
// The suite knows engines only by their interface. It does not test what needs
// a disk (crashes, faults, full file systems): that is each engine's own duty.
package enginetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"posthouse/store/engine"
)

// A Kit makes engines for the suite.
type Kit struct {
	// New opens an empty engine, which the suite closes.
	New func(t *testing.T) engine.Engine
	// Reopen closes e and opens the same store again. Nil: the engine does not
	// outlive its Close.
	Reopen func(t *testing.T, e engine.Engine) engine.Engine
	// Restore opens the copy that Checkpoint wrote to dir. Nil: no checkpoints.
	Restore func(t *testing.T, dir string) engine.Engine
	// Collect gives back all space that can be had, and finds also what no delete
	// told of. Nil: the engine frees what it can by itself, at once or never.
	Collect func(t *testing.T, e engine.Engine)
	// Dir returns a new directory's path for Checkpoint, which does not exist.
	Dir func(t *testing.T) string
}

// Run tests engines that kit makes.
func Run(t *testing.T, kit Kit) {
	for _, c := range []struct {
		name string
		f    func(*testing.T, engine.Engine)
	}{
		{"SetDeleteScan", testSetDeleteScan},
		{"Accounts", testAccounts},
		{"Versions", testVersions},
		{"ChainedConflict", testChainedConflict},
		{"CAS", testCAS},
		{"AtomicAccounts", testAtomicAccounts},
		{"SnapshotIsStable", testSnapshotIsStable},
		{"OpsInOrder", testOpsInOrder},
		{"Ranges", testRanges},
		{"ConcurrentCommits", testConcurrentCommits},
		{"ReadersSeeWholeCommits", testReadersSeeWholeCommits},
		{"SmallBlobs", testSmallBlobs},
		{"SharedBlob", testSharedBlob},
		{"ReadBlobs", testReadBlobs},
		{"BlobMissing", testBlobMissing},
		{"BlobMove", testBlobMove},
		{"StagedBlob", testStagedBlob},
		{"StagedAfterConflict", testStagedAfterConflict},
		{"StagedClosed", testStagedClosed},
		{"BlobRanges", testBlobRanges},
		{"SubscribeOrder", testSubscribeOrder},
		{"Random", testRandom},
		{"Closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := kit.New(t)
			c.f(t, e)
			checkClean(t, e)
			if err := e.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
		})
	}
	if kit.Reopen != nil {
		t.Run("Reopen", func(t *testing.T) { testReopen(t, kit) })
	}
	if kit.Collect != nil {
		t.Run("BlobsDie", func(t *testing.T) { testBlobsDie(t, kit) })
		t.Run("ReaderKeepsBlobs", func(t *testing.T) { testReaderKeepsBlobs(t, kit) })
		t.Run("LinkAgainstCollection", func(t *testing.T) { testLinkAgainstCollection(t, kit) })
	}
	if kit.Restore != nil {
		t.Run("Checkpoint", func(t *testing.T) { testCheckpoint(t, kit) })
	}
}

// checkClean fails if the engine finds a fault in itself.
func checkClean(t *testing.T, e engine.Engine) {
	t.Helper()
	err := e.Check(context.Background(), true, func(p string) { t.Errorf("Check: %s", p) })
	if err != nil && !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Check: %v", err)
	}
}

func set(key, val string) engine.Op {
	return engine.Op{Kind: engine.Set, Key: []byte(key), Val: []byte(val)}
}

func del(key string) engine.Op { return engine.Op{Kind: engine.Delete, Key: []byte(key)} }

func own(key string, b *engine.Blob) engine.Op {
	return engine.Op{Kind: engine.Set, Key: []byte(key), Val: []byte(key + "="), Blob: b}
}

func blind(a engine.Account, ops ...engine.Op) *engine.Batch {
	return &engine.Batch{Account: a, Expect: engine.AnyVersion, Ops: ops}
}

// commit commits and waits; it fails the test on an error.
func commit(t *testing.T, e engine.Engine, b ...*engine.Batch) engine.Pos {
	t.Helper()
	pos, err := e.Commit(context.Background(), b...).Wait()
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return pos
}

// fails commits and wants an error that is want.
func fails(t *testing.T, e engine.Engine, want error, b ...*engine.Batch) {
	t.Helper()
	if _, err := e.Commit(context.Background(), b...).Wait(); !errors.Is(err, want) {
		t.Fatalf("Commit: got error %v, want %v", err, want)
	}
}

// dump returns an account as "k=v k=v …".
func dump(t *testing.T, r engine.Reader) string {
	t.Helper()
	return dumpRange(t, r, nil, nil)
}

func dumpRange(t *testing.T, r engine.Reader, lo, hi []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Scan(lo, hi, func(k, v []byte) bool {
		fmt.Fprintf(&b, "%s=%s ", k, v)
		return true
	}); err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte(" ")))
}

func wantDump(t *testing.T, e engine.Engine, a engine.Account, want string) {
	t.Helper()
	r := e.Snapshot(a)
	defer r.Close()
	if got := dump(t, r); got != want {
		t.Fatalf("account %d: got %q, want %q", a, got, want)
	}
}

// ownedID returns the blob id at the end of a key's value.
func ownedID(t *testing.T, e engine.Engine, a engine.Account, key string) engine.BlobID {
	t.Helper()
	r := e.Snapshot(a)
	defer r.Close()
	v, err := r.Get([]byte(key))
	if err != nil || len(v) < 8 {
		t.Fatalf("Get %s: %q, %v", key, v, err)
	}
	return engine.BlobID(binary.BigEndian.Uint64(v[len(v)-8:]))
}

func wantBlob(t *testing.T, e engine.Engine, id engine.BlobID, want []byte) {
	t.Helper()
	got, err := e.ReadBlob(context.Background(), []byte("x"), id)
	if err != nil || !bytes.Equal(got, append([]byte("x"), want...)) {
		t.Fatalf("ReadBlob(%x): %d bytes, %v; want %d", id, len(got)-1, err, len(want))
	}
	r, err := e.OpenBlob(context.Background(), id)
	if err != nil {
		t.Fatalf("OpenBlob(%x): %v", id, err)
	}
	defer r.Close()
	p := make([]byte, len(want))
	if n, err := r.ReadAt(p, 0); n != len(want) || r.Size() != int64(len(want)) || !bytes.Equal(p, want) {
		t.Fatalf("OpenBlob(%x): ReadAt %d of %d, size %d: %v", id, n, len(want), r.Size(), err)
	}
}

// pattern returns n bytes that depend on seed.
func pattern(seed uint64, n int) []byte {
	b := make([]byte, n)
	x := seed*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}
