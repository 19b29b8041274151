package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/internal/s3/s3test"
	"posthouse/store/engine"
)

// TestMend damages blobs in each place where they can be, and wants them mended
// from a standby and from a backup that was made before they were moved.
func TestMend(t *testing.T) {
	for _, from := range []string{"standby", "backup", "bucket", "backup in a bucket", "nothing"} {
		t.Run(from, func(t *testing.T) { testMend(t, from) })
	}
}

func testMend(t *testing.T, from string) {
	disk := newDisk(t)
	opt := shipOptions(disk)
	opt.ScrubEvery = -1
	elsewhere := bucketPlace(s3test.New(t)).FS
	if from == "bucket" {
		opt.ShipFS = elsewhere
	}
	s := newSpaceTest(t, opt, 1)
	for i := range 400 {
		s.put(i%4, fmt.Sprintf("%05d", i), prose(uint64(i), 500+i*37%3000))
	}
	s.put(1, "large", modelBlob(1, 1, 200_000))
	shipped := func() {
		await(t, "all shipped", func() bool { lsn, err := s.e.ship.shipped(); return err == nil && lsn == s.e.end.Load().lsn })
	}
	shipped()
	backups := vfs.FS(disk)
	if from == "backup in a bucket" {
		backups = elsewhere
	}
	if _, err := s.e.BackupTo(t.Context(), backups, backupDir, backupAt(0)); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if i%10 != 0 {
			s.del(i%4, fmt.Sprintf("%05d", i))
		}
	}
	s.collect()
	shipped()
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	places := map[place]engine.BlobID{}
	opt.Ship, opt.Repair = "", nil
	switch from {
	case "standby", "bucket":
		opt.Ship = standbyDir
	case "backup", "backup in a bucket":
		opt.Repair = []Place{{Dir: "/srv/nobackups"}, {backups, backupDir}}
	}
	s.e = mustOpen(t, opt)
	var hit []string
	for key, id := range s.blobs {
		r, err := s.e.blobRecord(id)
		if err != nil {
			t.Fatal(err)
		}
		if r.place == inLog && uint32(r.where) == s.e.end.Load().segment {
			continue // MemFS: what edit writes is another file than that which is appended to
		}
		if places[r.place] != 0 || key == "1/large" != (r.place == inFile) {
			continue
		}
		places[r.place] = id
		hit = append(hit, key)
		name := s.e.fileName(fileKey{r.place, r.where})
		if r.place == inFile {
			name = s.e.largeName(r.where)
		}
		edit(t, disk, name, func(b []byte) []byte { b[r.offset+20] ^= 8; return b })
	}
	if len(places) != 3 {
		t.Fatalf("blobs in places %v only", places)
	}
	reopened := func() {
		s.e.segs.closeAll() // MemFS: what is open does not see what edit wrote
	}
	reopened()
	var done []string
	if err := s.e.Repair(context.Background(), func(d string) { done = append(done, d) }); err != nil {
		t.Fatal(err)
	}
	mended := strings.Count(strings.Join(done, " "), "mended")
	if n := s.e.Stats(); from == "nothing" {
		if mended != 0 || n.Damaged != 3 || n.Mended != 0 {
			t.Errorf("mended out of nothing: %q, %+v", done, n)
		}
		return
	} else if mended != 3 || n.Mended != 3 || n.Damaged != 0 {
		t.Fatalf("of %q: %q, %+v", hit, done, n)
	}
	s.verify()
	s.reopen(opt)
	s.verify()
}

// TestRepairFrames damages frames of full segments, their headers and their metas,
// and wants them replaced: a check is clean, all messages are there, and so they are
// when the index is lost.
func TestRepairFrames(t *testing.T) {
	disk := newDisk(t)
	opt := Options{FS: disk, Dir: "/srv/store", SegmentSize: 256 << 10, CollectEvery: -1, MinFree: -1, Reserve: -1, ScrubEvery: -1}
	s := newSpaceTest(t, opt, 600)
	for n, in := range map[uint32]func(h header) uint64{
		1: func(h header) uint64 { return alignUp(h.frameLen) + 20 }, // the header of the second frame
		2: func(h header) uint64 { return h.metaOff + 3 },
	} {
		h, ok, err := s.e.firstFrame(n)
		if err != nil || !ok {
			t.Fatal(err)
		}
		edit(t, disk, s.e.segmentName(n), func(b []byte) []byte { b[in(h)] ^= 8; return b })
	}
	s.e.segs.closeAll() // MemFS: what is open does not see what edit wrote
	problems := 0
	if err := s.e.Check(t.Context(), true, func(string) { problems++ }); err != nil || problems < 2 {
		t.Fatalf("%d problems found, %v", problems, err)
	}
	var done []string
	if err := s.e.Repair(t.Context(), func(d string) { done = append(done, d) }); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(strings.Join(done, " "), "is replaced"); n != 2 {
		t.Errorf("repair did %q", done)
	}
	s.verify()
	s.reopen(opt)
	s.verify()
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := disk.RemoveAll("/srv/store/kv"); err != nil {
		t.Fatal(err)
	}
	s.e = mustOpen(t, opt)
	s.verify()
}

// TestRepairHeld damages the last frame of a full segment while a backup, say, has
// its files: the repair tells so, waits, and does not leave the segment behind. If it
// is called off meanwhile, the next one goes on.
func TestRepairHeld(t *testing.T) {
	for _, off := range []bool{false, true} {
		t.Run(fmt.Sprint("called off=", off), func(t *testing.T) { repairHeld(t, off) })
	}
}

func repairHeld(t *testing.T, off bool) {
	disk := newDisk(t)
	opt := Options{FS: disk, Dir: "/srv/store", SegmentSize: 256 << 10, CollectEvery: -1, MinFree: -1, Reserve: -1, ScrubEvery: -1}
	s := newSpaceTest(t, opt, 600)
	last := blobRecord{}
	victim := ""
	for key, id := range s.blobs {
		if r, err := s.e.blobRecord(id); err != nil {
			t.Fatal(err)
		} else if r.place == inLog && r.where == 2 && r.offset > last.offset {
			last, victim = r, key
		}
	}
	s.del(int(victim[0]-'0'), victim[2:]) // a damaged blob that no copy has would keep the segment
	s.collect()
	edit(t, disk, s.e.segmentName(2), func(b []byte) []byte { b[last.offset+20] ^= 8; return b })
	s.e.segs.closeAll() // MemFS: what is open does not see what edit wrote
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.e.keeper.files.RLock()
	var done []string
	err := s.e.Repair(ctx, func(d string) {
		if done = append(done, d); strings.Contains(d, "its file goes when") {
			if off {
				cancel()
			} else {
				s.e.keeper.files.RUnlock()
			}
		}
	})
	if off {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("called off: %v", err)
		}
		s.e.keeper.files.RUnlock()
		err = s.e.Repair(t.Context(), func(d string) { done = append(done, d) })
	}
	if n := strings.Count(strings.Join(done, "\n"), "segment 2 is replaced"); n != 1 || err != nil {
		t.Errorf("repair did %q, %v", done, err)
	}
	s.verify() // which checks the store, too
	s.reopen(opt)
	s.verify()
}

// TestRepairIndex damages a table of the index, in which mailboxes are, and wants
// it made anew by the next start, with all that was committed: because a repair asks
// for it, or because a read found it.
func TestRepairIndex(t *testing.T) {
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprint("alone=", alone), func(t *testing.T) { repairIndex(t, alone) })
	}
}

func repairIndex(t *testing.T, alone bool) {
	disk := newDisk(t)
	opt := Options{FS: disk, Dir: "/srv/store", SegmentSize: 256 << 10, CollectEvery: -1, MinFree: -1, Reserve: -1, ScrubEvery: -1}
	s := newSpaceTest(t, opt, 600)
	for i := range 300 {
		s.del(i%4, fmt.Sprintf("%05d", i))
	}
	var ops []engine.Op // tables of many blocks
	for i := range uint32(2000) {
		ops = append(ops, engine.Op{Key: uidKey('x', i), Val: modelBlob(9, i, 100)})
	}
	if _, err := s.e.Commit(t.Context(), &engine.Batch{Account: 9, Expect: engine.AnyVersion, Ops: ops}).Wait(); err != nil {
		t.Fatal(err)
	}
	s.collect() // some segments go, so that the log alone does not tell everything
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := disk.List("/srv/store/kv")
	if err != nil {
		t.Fatal(err)
	}
	table, size := "", int64(0) // the largest one
	for _, name := range names {
		name = "/srv/store/kv/" + name
		if st, err := disk.Stat(name); err != nil {
			t.Fatal(err)
		} else if strings.HasSuffix(name, ".sst") && st.Size() > size {
			table, size = name, st.Size()
		}
	}
	own, whole := opt, disk
	if alone {
		own.CollectEvery = time.Hour
	}
	// Where the start itself reads, it makes the index anew at once.
	for part := 1; ; part++ {
		if part == 40 {
			t.Fatal("the start reads the whole index")
		}
		disk = whole.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		edit(t, disk, table, func(b []byte) []byte { b[len(b)*part/40] ^= 8; return b })
		own.FS, opt.FS = disk, disk
		s.e = mustOpen(t, own)
		if s.e.rebuilt {
			s.verify()
		} else if err = s.e.scan(s.e.db, nil, nil, func(_, _ []byte) (bool, error) { return true, nil }); err != nil {
			break
		}
		if err := s.e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if alone {
		await(t, "stopped", func() bool { return s.e.failed() != nil })
	} else {
		var done []string
		if err := s.e.Repair(t.Context(), func(d string) { done = append(done, d) }); err != nil {
			t.Fatal(err)
		}
		if len(done) != 1 || !strings.Contains(done[0], "next start") {
			t.Fatalf("repair did %q", done)
		}
	}
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	s.e = mustOpen(t, opt)
	if _, err := disk.Stat("/srv/store/" + rebuildName); err == nil {
		t.Error("the next start would make it anew once more")
	}
	s.verify()
	s.reopen(opt)
	s.verify()
}
