package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"posthouse/store/engine"
)

// BenchmarkAppend commits 8 KB messages from 1, 10 and 100 writers, each to an
// account of its own, and tells what one message costs the disk.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("8KB/%d", writers), func(b *testing.B) { benchmarkCommits(b, writers, 8192) })
	}
}

// BenchmarkFlags commits small changes without a blob.
func BenchmarkFlags(b *testing.B) {
	for _, writers := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) { benchmarkCommits(b, writers, 0) })
	}
}

func benchmarkCommits(b *testing.B, writers, size int) {
	e := mustOpen(b, Options{Dir: b.TempDir(), IndexCache: 64 << 20, MemTable: 64 << 20})
	blob := make([]byte, size)
	for i := range blob {
		blob[i] = byte(i * i >> 3)
	}
	meta := make([]byte, 500)
	before := e.Stats()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			for v := uint64(0); next.Add(1) <= int64(b.N); v++ {
				op := engine.Op{Kind: engine.Set, Key: binary.BigEndian.AppendUint64([]byte{'E'}, v), Val: meta}
				if size > 0 {
					op.Blob = &engine.Blob{Bytes: blob}
				}
				batch := &engine.Batch{Account: engine.Account(w), Expect: v, Ops: []engine.Op{op, {Kind: engine.Set, Key: []byte("A"), Val: meta[:60]}}}
				if _, err := e.Commit(context.Background(), batch).Wait(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	s := e.Stats()
	n := float64(b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(s.Syncs-before.Syncs)/n, "syncs/msg")
	if size > 0 {
		b.ReportMetric(float64(s.WrittenBytes-before.WrittenBytes)/n/float64(size), "written/mail")
	}
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRead reads stored blobs of 8 KB, warm.
func BenchmarkRead(b *testing.B) {
	e := mustOpen(b, Options{Dir: b.TempDir(), IndexCache: 64 << 20})
	var ids []engine.BlobID
	for i := range 200 {
		batch := &engine.Batch{Account: 1, Expect: engine.AnyVersion}
		var blobs []*engine.Blob
		for j := range 50 {
			bl := &engine.Blob{Bytes: make([]byte, 8192)}
			blobs = append(blobs, bl)
			batch.Ops = append(batch.Ops, engine.Op{Kind: engine.Set, Key: fmt.Appendf(nil, "%d/%d", i, j), Blob: bl})
		}
		if _, err := e.Commit(context.Background(), batch).Wait(); err != nil {
			b.Fatal(err)
		}
		for _, bl := range blobs {
			ids = append(ids, bl.ID)
		}
	}
	b.SetBytes(8192)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var buf []byte
		var err error
		for i := 0; pb.Next(); i++ {
			if buf, err = e.ReadBlob(context.Background(), buf[:0], ids[i*7919%len(ids)]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkReadAfterRanges reads between commits, after 10,000 commits that
// each deleted a range: they must not slow readers down.
func BenchmarkReadAfterRanges(b *testing.B) {
	e := mustOpen(b, Options{Dir: b.TempDir(), MemTable: 64 << 20})
	ctx := context.Background()
	for i := range 10_000 {
		e.Commit(ctx, &engine.Batch{Account: 2, Expect: engine.AnyVersion, Ops: []engine.Op{
			{Kind: engine.DeleteRange, Key: fmt.Appendf(nil, "j%06d", i), End: fmt.Appendf(nil, "j%06d", i+1)}}})
	}
	b.ResetTimer()
	for i := range b.N {
		batch := &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{{Key: fmt.Appendf(nil, "k%d", i%1000)}}}
		if _, err := e.Commit(ctx, batch).Wait(); err != nil {
			b.Fatal(err)
		}
		r := e.Snapshot(1)
		if _, err := r.Get([]byte("k0")); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

// BenchmarkRestart opens a store whose index has nothing of 1 GiB of log: the
// most that a crash leaves to replay.
func BenchmarkRestart(b *testing.B) {
	for _, writers := range []int{1, 100} { // of one message a frame, and of many
		b.Run(fmt.Sprint(writers), func(b *testing.B) { benchmarkRestart(b, writers) })
	}
}

func benchmarkRestart(b *testing.B, writers int) {
	opt := Options{Dir: b.TempDir(), IndexCache: 64 << 20, MemTable: 64 << 20, FlushBytes: 1 << 40, FlushEvery: 1 << 40, CollectEvery: -1}
	unsynced := opt
	unsynced.mutate.ackUnsynced = true // only to fill it sooner
	e := mustOpen(b, unsynced)
	blob, meta := make([]byte, 8192), make([]byte, 500)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for v := range uint64(1 << 30 / 8900 / writers) {
				batch := &engine.Batch{Account: engine.Account(w), Expect: v, Ops: []engine.Op{
					{Key: binary.BigEndian.AppendUint64([]byte{'E'}, v), Val: meta, Blob: &engine.Blob{Bytes: blob}}, {Key: []byte("A"), Val: meta[:60]}}}
				if _, err := e.Commit(context.Background(), batch).Wait(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	names, err := filepath.Glob(filepath.Join(opt.Dir, "log", "0*"))
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		crashed := opt
		crashed.Dir = filepath.Join(b.TempDir(), fmt.Sprint(i))
		err := errors.Join(os.MkdirAll(filepath.Join(crashed.Dir, "log"), 0o700), os.Mkdir(filepath.Join(crashed.Dir, "big"), 0o700))
		for _, name := range names {
			err = errors.Join(err, os.Link(name, filepath.Join(crashed.Dir, "log", filepath.Base(name))))
		}
		format, rerr := os.ReadFile(filepath.Join(opt.Dir, "FORMAT"))
		err = errors.Join(err, rerr, os.WriteFile(filepath.Join(crashed.Dir, "FORMAT"), format, 0o600))
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		c := mustOpen(b, crashed)
		b.StopTimer()
		b.ReportMetric(float64(c.replayed), "frames")
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
