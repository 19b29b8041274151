package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// prefetchFS counts the bytes of segments that are asked for ahead.
type prefetchFS struct {
	vfs.FS
	calls, bytes atomic.Int64
}

type prefetchFile struct {
	vfs.File
	fs *prefetchFS
}

func (p *prefetchFS) Unwrap() vfs.FS { return p.FS }

func (p *prefetchFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := p.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return prefetchFile{f, p}, nil
}

func (f prefetchFile) Prefetch(_, n int64) error {
	f.fs.calls.Add(1)
	f.fs.bytes.Add(n)
	return nil
}

// TestPrefetch wants neighbours fetched at once, large blobs in part, and each
// blob of a list once.
func TestPrefetch(t *testing.T) {
	disk := &prefetchFS{FS: vfs.NewMem()}
	e := mustOpen(t, Options{FS: disk, Dir: "/store"})
	var ids []engine.BlobID
	for i := range 40 {
		b := &engine.Blob{Bytes: modelBlob(1, uint32(i), 10_000)}
		if i == 20 {
			b.Bytes = make([]byte, 3<<20)
		}
		if _, err := e.Commit(t.Context(), &engine.Batch{Account: 1, Expect: engine.AnyVersion,
			Ops: []engine.Op{{Key: fmt.Appendf(nil, "%d", i), Blob: b}}}).Wait(); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
	}
	disk.calls.Store(0)
	disk.bytes.Store(0)
	engine.Prefetch(e, slices.Concat(ids[:10], ids[20:21], []engine.BlobID{1 << 50})...)
	if calls, bytes := disk.calls.Load(), disk.bytes.Load(); calls != 2 || bytes < 100_000+prefetchMost || bytes > 110_000+prefetchMost {
		t.Errorf("%d calls for %d bytes", calls, bytes)
	}
	asked := 0
	before := engine.Ahead(e, len(ids), func(i int) engine.BlobID {
		if i != asked {
			t.Errorf("asked for the id of %d after %d", i, asked)
		}
		asked++
		return ids[i]
	})
	for i := range ids {
		before(i)
		if want := min(len(ids), i+engine.ReadAhead/2); asked < want || asked > i+engine.ReadAhead {
			t.Fatalf("before blob %d, %d were asked for", i, asked)
		}
	}
}

// BenchmarkReadCold reads the 8 KB blobs of one account, which lie between those
// of seven others, after the system has dropped what it had in memory.
func BenchmarkReadCold(b *testing.B) {
	const accounts, each = 8, 16000
	e := mustOpen(b, Options{Dir: b.TempDir(), IndexCache: 64 << 20, MemTable: 64 << 20, CollectEvery: -1, mutate: mutations{ackUnsynced: true}})
	var ids []engine.BlobID
	for i := range each {
		batch := &engine.Batch{Expect: engine.AnyVersion}
		var first *engine.Blob
		for a := range accounts {
			bl := &engine.Blob{Bytes: modelBlob(engine.Account(a), uint32(i), 8192)}
			if a == 0 {
				first = bl
			}
			batch.Ops = append(batch.Ops, engine.Op{Kind: engine.Set, Key: fmt.Appendf(nil, "%d/%06d", a, i), Blob: bl})
		}
		if _, err := e.Commit(context.Background(), batch).Wait(); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, first.ID)
	}
	drop := func() {
		names, _ := filepath.Glob(filepath.Join(e.dir, "log", "0*"))
		for _, n := range names {
			f, err := os.OpenFile(n, os.O_RDWR, 0)
			if err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
		if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("1"), 0); err != nil {
			b.Skip(err)
		}
	}
	for _, window := range []int{0, 8, 32, 64, 128, -32} {
		b.Run(fmt.Sprint(window), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				drop()
				b.StartTimer()
				read(b, e, ids, window)
			}
			b.ReportMetric(float64(len(ids)*b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

func read(b *testing.B, e *Engine, ids []engine.BlobID, window int) {
	if window < 0 {
		var wg sync.WaitGroup
		next := make(chan engine.BlobID, 64)
		for range -window {
			wg.Go(func() {
				var buf []byte
				for id := range next {
					var err error
					if buf, err = e.ReadBlob(context.Background(), buf[:0], id); err != nil {
						b.Error(err)
					}
				}
			})
		}
		for _, id := range ids {
			next <- id
		}
		close(next)
		wg.Wait()
		return
	}
	var buf []byte
	var err error
	ahead := 0
	for i, id := range ids {
		if window > 0 && ahead-i <= window/2 {
			n := min(len(ids), i+window)
			e.Prefetch(ids[ahead:n]...)
			ahead = n
		}
		if buf, err = e.ReadBlob(context.Background(), buf[:0], id); err != nil {
			b.Fatal(err)
		}
	}
}
