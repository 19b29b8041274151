package local

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The directory testdata/format1 is a store as docs/format.md describes version 1,
// with a file of each kind but the index, and a backup's manifest. It is never
// made anew: what wrote it must be readable for ever. To add one of another
// version, set FIXTURE to its name and run TestFormat.
const fixtures = "testdata"

// A fixture is what must be in a store: the version of each account of the model.
type fixture struct {
	Versions []uint64 `json:"versions"`
	Position uint64   `json:"position"`
}

// TestFormat opens each fixture as it is, without an index, and wants all that was
// stored there, byte for byte.
func TestFormat(t *testing.T) {
	if name := os.Getenv("FIXTURE"); name != "" {
		makeFixture(t, filepath.Join(fixtures, name))
	}
	names, err := filepath.Glob(filepath.Join(fixtures, "format*", "expect.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(filepath.Dir(name)), func(t *testing.T) { testFixture(t, filepath.Dir(name)) })
	}
}

func testFixture(t *testing.T, from string) {
	var want fixture
	b, err := os.ReadFile(filepath.Join(from, "expect.json"))
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(from, "store"))); err != nil {
		t.Fatal(err)
	}
	opt := Options{Dir: dir, LargeBlob: 4000, CollectEvery: -1, MinFree: -1, Reserve: -1}
	at, err := verify(opt, expectation{want.Versions, want.Versions})
	if err != nil {
		t.Fatalf("accounts at %d: %v", at, err)
	}
	manifest, err := os.ReadFile(filepath.Join(from, "manifest.backup"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseManifest(manifest)
	if err != nil || m.info.Position != want.Position || len(m.files) == 0 || string(appendManifest(nil, m)) != string(manifest) {
		t.Errorf("manifest: %+v, %v", m, err)
	}
	e := mustOpen(t, opt)
	l := newLoad(at)
	for a := range crashAccounts { // it can be written to
		if err := l.one(e, a); err != nil {
			t.Error(err)
		}
	}
	if err := e.Check(context.Background(), true, func(p string) { t.Error(p) }); err != nil {
		t.Error(err)
	}
}

// makeFixture writes a store with a file of each kind.
func makeFixture(t *testing.T, to string) {
	dir, backups := filepath.Join(t.TempDir(), "store"), t.TempDir()
	opt := Options{Dir: dir, LargeBlob: 4000, SegmentSize: 8 << 10, CollectEvery: -1, MinFree: -1, Reserve: -1,
		Now: func() time.Time { return time.Unix(1_795_000_000, 0) }}
	e := mustOpen(t, opt)
	l := newLoad(nil)
	commit := func(n int) {
		for i := range n {
			if err := l.one(e, i%crashAccounts); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit(90)
	if err := e.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(20)
	info, err := e.Backup(t.Context(), backups, backupAt(0))
	if err != nil {
		t.Fatal(err)
	}
	want := fixture{l.ackedNow(), info.Position}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"log", "cold", "big"} {
		n := 0
		_ = filepath.WalkDir(filepath.Join(dir, part), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				n++
			}
			return err
		})
		if n == 0 {
			t.Fatalf("the fixture has nothing in %s", part)
		}
	}
	for _, name := range []string{"kv", "LOCK"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(backups, info.Name+backupExt))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(to, "store"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"expect.json": append(b, '\n'), "manifest.backup": manifest} {
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNewerFormat refuses a store of a version that is not known, and says so.
func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(fixtures, "format1", "store"))); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "FORMAT")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(strings.Replace(string(b), "store 1", "store 2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err := Open(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("%v, %v", e, err)
	}
}
