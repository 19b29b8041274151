package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/enginetest"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(child(spec))
	}
	goleak.VerifyTestMain(m)
}

func mustOpen(t testing.TB, opt Options) *Engine {
	t.Helper()
	e, err := Open(context.Background(), opt)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func kit(opt func(t *testing.T) Options, dir func(t *testing.T) string) enginetest.Kit {
	return enginetest.Kit{
		New: func(t *testing.T) engine.Engine { return mustOpen(t, opt(t)) },
		Reopen: func(t *testing.T, e engine.Engine) engine.Engine {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			return mustOpen(t, e.(*Engine).opt)
		},
		Restore: func(t *testing.T, dir string) engine.Engine {
			o := opt(t)
			o.Dir = dir
			return mustOpen(t, o)
		},
		Collect: func(t *testing.T, e engine.Engine) {
			l := e.(*Engine)
			if err := errors.Join(l.Scrub(context.Background()), l.Collect(context.Background())); err != nil {
				t.Errorf("collection: %v", err)
			}
		},
		Dir: dir,
	}
}

func TestConformanceMemFS(t *testing.T) {
	fs := vfs.NewMem()
	enginetest.Run(t, kit(
		func(t *testing.T) Options { return Options{FS: fs, Dir: fs.PathJoin("/", t.Name(), "store")} },
		func(t *testing.T) string { return fs.PathJoin("/", t.Name(), "copy") }))
}

// Segments so small that nearly each frame begins a new one, and all of them
// read through four open files.
func TestConformanceSmallSegments(t *testing.T) {
	fs := vfs.NewMem()
	enginetest.Run(t, kit(
		func(t *testing.T) Options {
			return Options{FS: fs, Dir: fs.PathJoin("/", t.Name(), "store"), SegmentSize: 2000, OpenSegments: 4, LargeBlob: 3000, FlushBytes: 100_000, MemTable: 64 << 10}
		},
		func(t *testing.T) string { return fs.PathJoin("/", t.Name(), "copy") }))
}

func TestConformanceDisk(t *testing.T) {
	enginetest.Run(t, kit(
		func(t *testing.T) Options { return Options{Dir: filepath.Join(t.TempDir(), "a", "store")} },
		func(t *testing.T) string { return filepath.Join(t.TempDir(), "b", "copy") }))
}

// A second Open says who is in the way and what to do.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	e := mustOpen(t, Options{Dir: dir})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), Options{Dir: link}); !errors.Is(err, engine.ErrUnavailable) {
		t.Fatalf("second Open by another name: %v", err)
	}
	_, err := Open(context.Background(), Options{Dir: dir})
	if !errors.Is(err, engine.ErrUnavailable) || mail.KindOf(err) != mail.Unavailable || !strings.Contains(mail.TextOf(err), dir) {
		t.Fatalf("second Open: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
}
