package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// prose returns text of n bytes that compresses as mail does.
func prose(seed uint64, n int) []byte {
	words := strings.Fields("the meeting on Monday is moved to Thursday because of a public holiday please tell me whether that is fine with you " +
		"Received from by with id for Subject Date Message-ID Content-Type text plain charset utf-8 kind regards invoice order number")
	r := rand.New(rand.NewPCG(seed, 7))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%s %d ", words[r.IntN(len(words))], r.IntN(100))
	}
	return b.Bytes()[:n]
}

// A spaceTest is a store of messages in several accounts.
type spaceTest struct {
	t     *testing.T
	e     *Engine
	blobs map[string]engine.BlobID
	bytes map[string][]byte
}

func (s *spaceTest) put(a int, key string, data []byte) {
	s.t.Helper()
	b := &engine.Blob{Bytes: data}
	if _, err := s.e.Commit(context.Background(), &engine.Batch{Account: engine.Account(a), Expect: engine.AnyVersion,
		Ops: []engine.Op{{Key: []byte(key), Blob: b}}}).Wait(); err != nil {
		s.t.Fatal(err)
	}
	s.blobs[fmt.Sprint(a, "/", key)] = b.ID
	s.bytes[fmt.Sprint(a, "/", key)] = data
}

func (s *spaceTest) del(a int, key string) {
	s.t.Helper()
	if _, err := s.e.Commit(context.Background(), &engine.Batch{Account: engine.Account(a), Expect: engine.AnyVersion,
		Ops: []engine.Op{{Kind: engine.Delete, Key: []byte(key)}}}).Wait(); err != nil {
		s.t.Fatal(err)
	}
	delete(s.blobs, fmt.Sprint(a, "/", key))
}

func (s *spaceTest) collect() {
	s.t.Helper()
	if err := s.e.Collect(context.Background()); err != nil {
		s.t.Fatalf("Collect: %v", err)
	}
}

// verify wants every message that was not deleted, and a clean check.
func (s *spaceTest) verify() {
	s.t.Helper()
	for key, id := range s.blobs {
		b, err := s.e.ReadBlob(context.Background(), nil, id)
		if err != nil || !bytes.Equal(b, s.bytes[key]) {
			s.t.Fatalf("%s: %d of %d bytes, %v", key, len(b), len(s.bytes[key]), err)
		}
	}
	ids, keys := make([]engine.BlobID, 0, len(s.blobs)), map[engine.BlobID]string{}
	for key, id := range s.blobs {
		ids, keys[id] = append(ids, id), key
	}
	slices.Sort(ids)
	n := 0
	err := s.e.ReadBlobs(context.Background(), ids, func(i int, b []byte, err error) bool {
		if n++; err != nil || !bytes.Equal(b, s.bytes[keys[ids[i]]]) {
			s.t.Errorf("%s among all: %d of %d bytes, %v", keys[ids[i]], len(b), len(s.bytes[keys[ids[i]]]), err)
		}
		return true
	})
	if err != nil || n != len(ids) {
		s.t.Fatalf("read %d of %d: %v", n, len(ids), err)
	}
	if err := s.e.Check(context.Background(), true, func(p string) { s.t.Errorf("Check: %s", p) }); err != nil {
		s.t.Fatal(err)
	}
}

func (s *spaceTest) reopen(opt Options) {
	s.t.Helper()
	if err := s.e.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.e = mustOpen(s.t, opt)
}

// spaceOptions: segments are small, and only Collect collects.
func spaceOptions(t *testing.T) Options {
	return Options{Dir: filepath.Join(t.TempDir(), "store"), SegmentSize: 256 << 10, CollectEvery: -1, MinFree: -1, Reserve: -1, NoRecycling: true}
}

// newSpaceTest fills a store with messages of 4 accounts, interleaved.
func newSpaceTest(t *testing.T, opt Options, messages int) *spaceTest {
	s := &spaceTest{t: t, e: mustOpen(t, opt), blobs: map[string]engine.BlobID{}, bytes: map[string][]byte{}}
	for i := range messages {
		s.put(i%4, fmt.Sprintf("%05d", i), prose(uint64(i), 500+i%3000))
	}
	return s
}

// The space of what is deleted comes back, what remains is moved, compressed and
// sorted by account, and the index can still be made anew.
func TestCollect(t *testing.T) {
	opt := spaceOptions(t)
	s := newSpaceTest(t, opt, 1500)
	before := s.e.Stats()
	for i := range 1500 {
		if i%5 != 0 {
			s.del(i%4, fmt.Sprintf("%05d", i))
		}
	}
	s.collect()
	s.verify()
	after := s.e.Stats()
	if after.Segments > 2 || after.Segments >= before.Segments || after.UsedBytes > before.UsedBytes/3 || after.Moved == 0 || after.Collected == 0 {
		t.Errorf("before: %+v\nafter:  %+v", before, after)
	}
	if after.MovedTo*2 > after.Moved {
		t.Errorf("%d bytes of text became %d", after.Moved, after.MovedTo)
	}
	s.wantLocality()
	s.reopen(opt)
	s.verify()
	if n := s.e.Stats(); n.LiveBytes != after.LiveBytes || n.DeadBytes != after.DeadBytes {
		t.Errorf("after a restart %d and %d bytes, before %d and %d", n.LiveBytes, n.DeadBytes, after.LiveBytes, after.DeadBytes)
	}
	for i := range 200 {
		s.put(7, fmt.Sprintf("%05d", i), prose(uint64(i), 2000))
	}
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(opt.Dir, "kv")); err != nil {
		t.Fatal(err)
	}
	s.e = mustOpen(t, opt)
	s.verify()
	for i := range 1500 { // cold files are collected as well
		if i%5 == 0 && i%4 != 3 {
			s.del(i%4, fmt.Sprintf("%05d", i))
		}
	}
	s.collect()
	s.verify()
	if n := s.e.Stats(); n.UsedBytes >= after.UsedBytes+200*2000 {
		t.Errorf("%d bytes are used, before %d", n.UsedBytes, after.UsedBytes)
	}
}

// wantLocality wants the blobs of a cold file to lie in the order of their owners.
func (s *spaceTest) wantLocality() {
	s.t.Helper()
	last := map[uint64]blobRecord{}
	for a := range 4 {
		for i := range 1500 {
			id, ok := s.blobs[fmt.Sprintf("%d/%05d", a, i)]
			if !ok {
				continue
			}
			r, err := s.e.blobRecord(id)
			if err != nil {
				s.t.Fatal(err)
			}
			if r.place == inCold && last[r.where].offset > r.offset {
				s.t.Fatalf("account %d, %05d lies before its neighbour", a, i)
			}
			last[r.where] = r
		}
	}
}

// Large dead blobs are punched out of sealed segments; a hard link, which a
// backup may be, keeps them.
func TestPunch(t *testing.T) {
	opt := spaceOptions(t)
	opt.SegmentSize = 1 << 20
	s := newSpaceTest(t, opt, 0)
	for i := range 60 {
		s.put(1, fmt.Sprintf("%05d", i), modelBlob(1, uint32(i), 40_000))
	}
	name := s.e.segmentName(1)
	blocks := func() int64 {
		var st syscall.Stat_t
		if err := syscall.Stat(name, &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks * 512
	}
	before := blocks()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Link(name, link); err != nil {
		t.Skip("no hard links here")
	}
	for i := range 5 {
		s.del(1, fmt.Sprintf("%05d", i))
	}
	s.collect()
	if n := blocks(); n != before || s.e.Stats().Punched != 0 {
		t.Errorf("a file that has two names was punched: %d blocks, before %d", n, before)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	for i := 5; i < 10; i++ {
		s.del(1, fmt.Sprintf("%05d", i))
	}
	s.collect()
	if s.e.punchHole == nil {
		t.Skip("no holes on this file system")
	}
	if n := blocks(); n > before-5*32_000 || s.e.Stats().Punched < 5*32_000 {
		t.Errorf("%d bytes on disk, before %d; %d punched", n, before, s.e.Stats().Punched)
	}
	s.verify()
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(opt.Dir, "kv")); err != nil {
		t.Fatal(err)
	}
	s.e = mustOpen(t, opt)
	s.verify()
}

// A checkpoint keeps what it has, whatever the store gives up afterwards.
func TestCheckpointAgainstCollection(t *testing.T) {
	opt := spaceOptions(t)
	s := newSpaceTest(t, opt, 400)
	for i := range 200 {
		s.del(i%4, fmt.Sprintf("%05d", i))
	}
	s.collect()
	for i := range 30 {
		s.put(1, fmt.Sprintf("big%d", i), modelBlob(1, uint32(i), 40_000))
	}
	copied := opt
	copied.Dir = filepath.Join(t.TempDir(), "copy")
	if err := s.e.Checkpoint(context.Background(), copied.Dir); err != nil {
		t.Fatal(err)
	}
	c := &spaceTest{t: t, blobs: map[string]engine.BlobID{}, bytes: s.bytes}
	for k, id := range s.blobs {
		c.blobs[k] = id
	}
	for a := range 4 {
		if _, err := s.e.Commit(context.Background(), &engine.Batch{Account: engine.Account(a), Expect: engine.AnyVersion,
			Ops: []engine.Op{{Kind: engine.DeleteRange, Key: []byte("0"), End: []byte("z")}}}).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	s.collect()
	if n := s.e.Stats(); n.LiveBytes != 0 || n.Segments != 1 {
		t.Errorf("after everything was deleted: %+v", n)
	}
	c.e = mustOpen(t, copied)
	c.verify()
	if err := c.e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(copied.Dir, "kv")); err != nil {
		t.Fatal(err)
	}
	c.e = mustOpen(t, copied)
	c.verify()
	c.collect()
	c.verify()
}

// While a copy of the files is being made, nothing goes.
func TestPinned(t *testing.T) {
	s := newSpaceTest(t, spaceOptions(t), 600)
	for i := range 600 {
		s.del(i%4, fmt.Sprintf("%05d", i))
	}
	s.e.keeper.files.RLock()
	before := s.e.Stats().Segments
	s.collect()
	if n := s.e.Stats(); n.Segments != before || n.Collected != 0 {
		t.Errorf("collected while pinned: %+v", n)
	}
	s.e.keeper.files.RUnlock()
	s.collect()
	if n := s.e.Stats().Segments; n != 1 {
		t.Errorf("%d segments, want 1", n)
	}
}

// The scrub finds a damaged blob and says whose it is; collection leaves it
// where it is and moves the others.
func TestScrub(t *testing.T) {
	opt := spaceOptions(t)
	var found []Damage
	opt.Damaged = func(d Damage) { found = append(found, d) }
	s := newSpaceTest(t, opt, 600)
	hit := s.blobs["1/00005"]
	r, err := s.e.blobRecord(hit)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, vfs.Default, s.e.segmentName(1), func(b []byte) []byte { b[r.offset+9] ^= 8; return b })
	s.e = mustOpen(t, opt)
	if err := s.e.Scrub(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Blob != hit || len(found[0].Owners) != 1 || found[0].Owners[0].Account != 1 || string(found[0].Owners[0].Key) != "00005" {
		t.Fatalf("found %+v", found)
	}
	if n := s.e.Stats(); n.Damaged != 1 || n.Scrubbed != 600 {
		t.Errorf("Stats: %+v", n)
	}
	for _, deep := range []bool{false, true} { // what was found is told without reading all again
		var problems []string
		if err := s.e.Check(context.Background(), deep, func(p string) { problems = append(problems, p) }); err != nil || len(problems) != 1 ||
			!strings.Contains(problems[0], "account 1 key 3030303035") {
			t.Errorf("Check: %q, %v", problems, err)
		}
	}
	for i := range 600 {
		if i%9 != 0 && i != 5 {
			s.del(i%4, fmt.Sprintf("%05d", i))
		}
	}
	s.collect()
	if _, err := s.e.ReadBlob(context.Background(), nil, hit); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("the damaged blob: %v", err)
	}
	s.del(1, "00005")
	s.collect()
	s.verify()
	if n := s.e.Stats().Segments; n != 1 {
		t.Errorf("%d segments, want 1", n)
	}
}

// The scrub goes on after a restart where it was.
func TestScrubResumes(t *testing.T) {
	opt := spaceOptions(t)
	s := newSpaceTest(t, opt, 100)
	k := &keeping{e: s.e, ctx: context.Background(), rate: -1}
	if err := k.scrub(50_000); err != nil {
		t.Fatal(err)
	}
	first := s.e.Stats().Scrubbed
	s.reopen(opt)
	k.e = s.e
	for s.e.keeper.scrub.from != 0 || s.e.Stats().Scrubbed == 0 {
		if err := k.scrub(50_000); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.e.Stats().Scrubbed; first == 0 || first+n != 100 {
		t.Errorf("%d blobs before the restart, %d after, want 100", first, n)
	}
}

// Records that are cut or changed are refused, not believed.
func FuzzSpaceRecords(f *testing.F) {
	r := blobRecord{place: inCold, codec: codecZstd, where: 7, offset: 48, length: 300, crc: 1, stored: 100, sum: 2, dict: firstDict, account: 3, key: []byte("k")}
	f.Add(r.append(nil), appendColdEntry(nil, 5, 6, &r))
	m := mark{lsn: 1}
	f.Add(m.append(nil), baseHead(5, 6))
	f.Fuzz(func(t *testing.T, rec, entry []byte) {
		if r, err := decodeBlobRecord(rec); err == nil && !bytes.Equal(r.append(nil), rec) {
			t.Errorf("%x became %x", rec, r.append(nil))
		}
		if c, err := decodeColdRecord(rec); err == nil && !bytes.Equal(c.append(nil), rec) {
			t.Errorf("%x became %x", rec, c.append(nil))
		}
		_, _ = decodeSegmentRecord(rec)
		_, _ = decodeMark(rec)
		if id, r, ok := decodeColdEntry(entry, 5); ok && !bytes.Equal(appendColdEntry(nil, 5, id, &r)[:45], entry[:45]) {
			t.Errorf("%x became another entry", entry)
		}
	})
}

// A blob that got an owner again, after it was seen without one and before its
// record went, keeps its bytes.
func TestPunchSparesTheLiving(t *testing.T) {
	opt := spaceOptions(t)
	opt.SegmentSize = 1 << 20
	s := newSpaceTest(t, opt, 0)
	for i := range 60 {
		s.put(1, fmt.Sprintf("%05d", i), modelBlob(1, uint32(i), 40_000))
	}
	var holes []hole
	err := s.e.scan(s.e.db, []byte{kindBlob}, []byte{kindBlob + 1}, func(key, val []byte) (bool, error) {
		r, err := decodeBlobRecord(bytes.Clone(val))
		id := engine.BlobID(be.Uint64(key[1:]))
		holes = append(holes, hole{id, r, uint64(id) >> 16})
		return true, err
	})
	if err != nil || len(holes) != 60 {
		t.Fatalf("%d blobs, %v", len(holes), err)
	}
	k := &keeping{e: s.e, ctx: t.Context(), rate: -1}
	if err := k.punch(holes); err != nil {
		t.Fatal(err)
	}
	if n := s.e.Stats().Punched; n != 0 {
		t.Errorf("%d bytes of living blobs were punched", n)
	}
	s.verify()
}

// A power failure right after segments went, with an index whose memory is
// larger than all of them: without the flush before, their commits would be lost.
func unlinkNeedsFlush(t *testing.T) {
	for _, mutated := range []bool{false, true} {
		disk := newDisk(t)
		opt := logOptions(disk)
		opt.CollectEvery, opt.MemTable, opt.mutate.unlinkEarly = -1, 8<<20, mutated
		s := newSpaceTest(t, opt, 200)
		for i := range 190 {
			s.del(i%4, fmt.Sprintf("%05d", i))
		}
		s.collect()
		opt.FS = disk.CrashClone(vfs.CrashCloneCfg{})
		opt.mutate.unlinkEarly = false
		e, err := Open(context.Background(), opt)
		if lost := errors.Is(err, engine.ErrCorrupt); lost != mutated {
			t.Errorf("mutated: %v; Open: %v", mutated, err)
		}
		if err == nil {
			s.e.Close()
			s.e = e
			s.verify()
			e.Close()
		}
	}
}

// A damaged copy of the index is found by a deep check and at the next start,
// never believed, and made anew.
func TestDamagedBase(t *testing.T) {
	opt := spaceOptions(t)
	s := newSpaceTest(t, opt, 600)
	for i := range 500 {
		s.del(i%4, fmt.Sprintf("%05d", i))
	}
	s.collect()
	base := filepath.Join(opt.Dir, baseName)
	for _, at := range []int{2, 20, 300, -10} {
		edit(t, vfs.Default, base, func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b })
		problems := 0
		if err := s.e.Check(context.Background(), true, func(string) { problems++ }); err != nil || problems != 1 {
			t.Errorf("bit at %d: %d problems, %v", at, problems, err)
		}
		if at == 2 { // at start, too
			s.reopen(opt)
		}
		if at == 300 { // and without an index, nothing is made up
			if err := s.e.Close(); err != nil {
				t.Fatal(err)
			}
			kv, away := filepath.Join(opt.Dir, "kv"), filepath.Join(opt.Dir, "away")
			if err := os.Rename(kv, away); err != nil {
				t.Fatal(err)
			}
			if e, err := Open(context.Background(), opt); !errors.Is(err, engine.ErrCorrupt) {
				t.Errorf("opened from a damaged copy: %v", err)
				e.Close()
			}
			if err := errors.Join(os.RemoveAll(kv), os.Rename(away, kv)); err != nil {
				t.Fatal(err)
			}
			s.e = mustOpen(t, opt)
			s.e.keeper.rebase.Store(true)
		}
		s.collect()
		s.verify()
	}
}

// On a disk on which nothing can be written anew, large blobs that are dead give
// their space back all the same; once there is space, the rest does.
func TestCollectOnFullDisk(t *testing.T) {
	opt := spaceOptions(t)
	var full atomic.Bool
	opt.FS, opt.Dir = hookFS{vfs.NewMem(), func(op, path string) error {
		if full.Load() && op == "create" && ours(path) {
			return syscall.ENOSPC
		}
		return nil
	}}, "/store"
	s := newSpaceTest(t, opt, 1000)
	s.put(1, "large", make([]byte, 2<<20))
	for i := range 900 {
		s.del(i%4, fmt.Sprintf("%05d", i))
	}
	s.del(1, "large")
	full.Store(true)
	if err := s.e.Collect(context.Background()); !isNoSpace(err) {
		t.Errorf("Collect: %v", err)
	}
	if n := s.e.Stats(); n.Collected < 2<<20 || n.LargeBlobs != 0 {
		t.Errorf("Stats: %+v", n)
	}
	s.verify()
	full.Store(false)
	s.collect()
	s.verify()
	if n := s.e.Stats(); n.Segments > 2 {
		t.Errorf("Stats: %+v", n)
	}
}

// A blob that gets an owner after it was seen to have none stays; one that is
// reaped first gets none. The mutation shows that the committer decides it.
func ownerAgainstReaping(t *testing.T) {
	ctx := context.Background()
	for _, mutated := range []bool{false, true} {
		opt := spaceOptions(t)
		opt.mutate.noCAS = mutated
		s := newSpaceTest(t, opt, 1)
		id := s.blobs["0/00000"]
		s.del(0, "00000")
		seen := s.e.applied.Load()
		o, err := s.e.owners(s.e.db, id)
		if err != nil || o.alive {
			t.Fatalf("owners: %+v, %v", o, err)
		}
		link := &engine.Batch{Account: 2, Expect: engine.AnyVersion, Ops: []engine.Op{{Key: []byte("new"), Blob: &engine.Blob{ID: id}}}}
		if _, err := s.e.Commit(ctx, link).Wait(); err != nil {
			t.Fatal(err)
		}
		k := &keeping{e: s.e, ctx: ctx, rate: -1}
		if err := k.commit([]upkeep{o.upkeep(upkeep{id: id})}, seen); err != nil {
			t.Fatal(err)
		}
		_, err = s.e.ReadBlob(ctx, nil, id)
		if lost := errors.Is(err, engine.ErrNotFound); lost != mutated {
			t.Errorf("mutated: %v; read: %v", mutated, err)
		}
		if mutated {
			continue
		}
		reapFirst(t, s.e, id)
	}
}

// reapFirst: the other order, where the death comes first.
func reapFirst(t *testing.T, e *Engine, id engine.BlobID) {
	t.Helper()
	ctx := context.Background()
	gone := &engine.Batch{Account: 2, Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.Delete, Key: []byte("new")}}}
	if _, err := e.Commit(ctx, gone).Wait(); err != nil {
		t.Fatal(err)
	}
	link := &engine.Batch{Account: 3, Expect: engine.AnyVersion, Ops: []engine.Op{{Key: []byte("late"), Blob: &engine.Blob{ID: id}}}}
	r := &request{batches: []*engine.Batch{link}, done: make(chan struct{})}
	if err := e.prepare(ctx, r); err != nil { // it has seen the blob …
		t.Fatal(err)
	}
	if err := e.Collect(ctx); err != nil {
		t.Fatal(err)
	}
	e.enqueue(r) // … but comes too late
	if _, err := r.Wait(); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("an owner for a blob that was reaped: %v", err)
	}
}

// BenchmarkCollect deletes three of five messages of a store of 256 MiB and
// gives their space back.
func BenchmarkCollect(b *testing.B) {
	ctx := context.Background()
	for b.Loop() {
		b.StopTimer()
		opt := Options{Dir: b.TempDir(), SegmentSize: 32 << 20, CollectEvery: -1, MemTable: 64 << 20}
		opt.mutate.ackUnsynced = true // only to fill it sooner
		e := mustOpen(b, opt)
		var del engine.Batch
		for i := range 32_000 {
			batch := &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{{Key: fmt.Appendf(nil, "%05d", i), Blob: &engine.Blob{Bytes: prose(uint64(i%500), 8192)}}}}
			p := e.Commit(ctx, batch)
			if i%100 == 99 {
				if _, err := p.Wait(); err != nil {
					b.Fatal(err)
				}
			}
			if i%5 < 3 {
				del.Ops = append(del.Ops, engine.Op{Kind: engine.Delete, Key: batch.Ops[0].Key})
			}
		}
		del.Account, del.Expect = 1, engine.AnyVersion
		begin, before := time.Now(), e.Stats()
		if _, err := e.Commit(ctx, &del).Wait(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "delete-ms")
		b.StartTimer()
		if err := e.Collect(ctx); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s := e.Stats()
		b.ReportMetric(float64(before.UsedBytes)/1e6, "before-MB")
		b.ReportMetric(float64(s.UsedBytes)/1e6, "after-MB")
		b.ReportMetric(float64(s.WrittenBytes-before.WrittenBytes)/1e6, "written-MB")
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
