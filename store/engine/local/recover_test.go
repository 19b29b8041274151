package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
	"posthouse/store/engine"
)

// logOptions keep everything in the log: the index is never flushed before Close.
func logOptions(fs vfs.FS) Options {
	return Options{FS: fs, Dir: "/srv/store", SegmentSize: 20 << 10, LargeBlob: 4000}
}

// crashed returns a disk with a store of n commits that only the log holds.
func crashed(t *testing.T, n int) (*powerFS, []engine.BlobID) {
	t.Helper()
	disk := newDisk(t)
	e := mustOpen(t, logOptions(disk))
	var ids []engine.BlobID
	for i := range n {
		b := &engine.Blob{Bytes: modelBlob(1, uint32(i), 1000)}
		batch := &engine.Batch{Account: 1, Expect: uint64(i), Ops: []engine.Op{{Key: fmt.Appendf(nil, "%04d", i), Blob: b}}}
		if _, err := e.Commit(context.Background(), batch).Wait(); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
	}
	clone := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return clone, ids
}

// wantStore opens the store and wants its first n commits.
func wantStore(t *testing.T, opt Options, ids []engine.BlobID) *Engine {
	t.Helper()
	e := mustOpen(t, opt)
	r := e.Snapshot(1)
	defer r.Close()
	if v := r.Version(); v != uint64(len(ids)) {
		t.Fatalf("version %d, want %d", v, len(ids))
	}
	for i, id := range ids {
		b, err := e.ReadBlob(context.Background(), nil, id)
		if err != nil || !bytes.Equal(b, modelBlob(1, uint32(i), 1000)) {
			t.Fatalf("blob %d: %d bytes, %v", i, len(b), err)
		}
	}
	if err := e.Check(context.Background(), true, func(p string) { t.Errorf("Check: %s", p) }); err != nil {
		t.Fatal(err)
	}
	return e
}

func edit(t *testing.T, fs vfs.FS, name string, change func([]byte) []byte) {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	w, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(change(b)); err != nil {
		t.Fatal(err)
	}
	w.Close()
}

// frameAt returns where the n-th frame (from 0) of a segment begins.
func frameAt(t *testing.T, seg []byte, n int) int {
	t.Helper()
	off := 0
	for range n {
		h, ok := decodeHeader(seg[off:])
		if !ok {
			t.Fatalf("no frame at %d", off)
		}
		off += int(alignUp(h.frameLen))
	}
	return off
}

func TestReplay(t *testing.T) {
	disk, ids := crashed(t, 60)
	e := wantStore(t, logOptions(disk), ids)
	if s := e.Stats(); s.ReplayedFrames != 60 || s.Segments < 3 {
		t.Errorf("Stats: %+v", s)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if s := wantStore(t, logOptions(disk), ids).Stats(); s.ReplayedFrames != 0 {
		t.Errorf("after a clean Close, %d frames were replayed", s.ReplayedFrames)
	}
}

// A lost or damaged index is made anew from the log.
func TestIndexRebuilt(t *testing.T) {
	for name, damage := range map[string]func(fs *powerFS) error{
		"gone": func(fs *powerFS) error { return fs.RemoveAll("/srv/store/kv") },
		"CURRENT points nowhere": func(fs *powerFS) error {
			names, err := fs.List("/srv/store/kv")
			for _, n := range names {
				if strings.HasPrefix(n, "MANIFEST") {
					err = errors.Join(err, fs.Remove("/srv/store/kv/"+n))
				}
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk, ids := crashed(t, 60)
			if err := wantStore(t, logOptions(disk), ids).Close(); err != nil {
				t.Fatal(err)
			}
			if err := damage(disk); err != nil {
				t.Fatal(err)
			}
			if s := wantStore(t, logOptions(disk), ids).Stats(); s.ReplayedFrames != 60 {
				t.Errorf("%d frames were replayed", s.ReplayedFrames)
			}
		})
	}
}

// A frame that is cut off, or whose bytes did not all arrive, ends the log.
func TestTornTail(t *testing.T) {
	const seg = "/srv/store/log/00000001.seg"
	for name, tear := range map[string]func([]byte, int) []byte{
		"cut in the header":   func(b []byte, last int) []byte { return b[:last+30] },
		"cut in the blob":     func(b []byte, last int) []byte { return b[:last+500] },
		"cut in the meta":     func(b []byte, last int) []byte { return b[:last+1100] },
		"blob did not arrive": func(b []byte, last int) []byte { clear(b[last+400 : last+700]); return b },
		"meta did not arrive": func(b []byte, last int) []byte { clear(b[last+1070 : last+1090]); return b },
		"header did not":      func(b []byte, last int) []byte { clear(b[last : last+64]); return b },
		"garbage":             func(b []byte, last int) []byte { copy(b[last:], modelBlob(7, 7, 2000)); return b },
	} {
		t.Run(name, func(t *testing.T) {
			disk, ids := crashed(t, 10)
			edit(t, disk, seg, func(b []byte) []byte { return tear(b, frameAt(t, b, 9)) })
			e := wantStore(t, logOptions(disk), ids[:9])
			b := &engine.Blob{Bytes: modelBlob(1, 9, 1000)}
			if _, err := e.Commit(context.Background(), &engine.Batch{Account: 1, Expect: 9, Ops: []engine.Op{{Key: []byte("new"), Blob: b}}}).Wait(); err != nil {
				t.Fatal(err)
			}
			clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			wantStore(t, logOptions(clone), append(ids[:9:9], b.ID))
		})
	}
}

// Damage to what was acknowledged is never taken for the log's end.
func damagedLog(t *testing.T) {
	const seg = "/srv/store/log/0000000%d.seg"
	flip := func(n int, frame, at int) func(t *testing.T, fs vfs.FS) {
		return func(t *testing.T, fs vfs.FS) {
			edit(t, fs, fmt.Sprintf(seg, n), func(b []byte) []byte {
				b[frameAt(t, b, frame)+at] ^= 4
				return b
			})
		}
	}
	for name, damage := range map[string]func(t *testing.T, fs vfs.FS){
		"header":               flip(1, 4, 20),
		"meta":                 flip(1, 4, 1075),
		"header in the middle": flip(2, 3, 5),
		"segment cut": func(t *testing.T, fs vfs.FS) {
			edit(t, fs, fmt.Sprintf(seg, 1), func(b []byte) []byte { return b[:frameAt(t, b, 7)] })
		},
		"segment missing": func(t *testing.T, fs vfs.FS) {
			if err := fs.Remove(fmt.Sprintf(seg, 2)); err != nil {
				t.Fatal(err)
			}
		},
		"first segment missing": func(t *testing.T, fs vfs.FS) {
			if err := fs.Remove(fmt.Sprintf(seg, 1)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk, _ := crashed(t, 60)
			damage(t, disk)
			e, err := Open(context.Background(), logOptions(disk))
			if err == nil {
				e.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, engine.ErrCorrupt) || mail.KindOf(err) != mail.Corrupt {
				t.Fatalf("got %v", err)
			}
			// the order of frames is what finds that some are missing
			opt := logOptions(disk)
			opt.mutate.acceptLSN = true
			e, err = Open(context.Background(), opt)
			if err == nil {
				e.Close()
			}
			if found := err != nil; found == (strings.Contains(name, "missing") || name == "segment cut") {
				t.Errorf("without the check of LSNs: %v", err)
			}
		})
	}
}

// A believed checksum lets a torn frame in: the deep check and the reader see it.
func acceptedChecksum(t *testing.T) {
	disk, ids := crashed(t, 10)
	edit(t, disk, "/srv/store/log/00000001.seg", func(b []byte) []byte {
		last := frameAt(t, b, 9)
		clear(b[last+400 : last+700])
		return b
	})
	opt := logOptions(disk)
	opt.mutate.acceptCRC = true
	e := mustOpen(t, opt)
	problems := 0
	if err := e.Check(context.Background(), true, func(string) { problems++ }); err != nil || problems == 0 {
		t.Errorf("Check: %d problems, %v", problems, err)
	}
	if _, err := e.ReadBlob(context.Background(), nil, ids[9]); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("ReadBlob: %v", err)
	}
}

// A changed bit is never read as if it were right, wherever it is.
func TestBitRot(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	opt := logOptions(fs)
	e := mustOpen(t, opt)
	var blobs []*engine.Blob
	for i, size := range []int{3000, 200_000} {
		b := &engine.Blob{Bytes: modelBlob(1, uint32(i), size)}
		if _, err := e.Commit(ctx, &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{{Key: []byte{byte(i)}, Blob: b}}}).Wait(); err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, b)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	large := fs.PathJoin("/srv/store/big/0000000000000/0000000000000001")
	edit(t, fs, "/srv/store/log/00000001.seg", func(b []byte) []byte { b[headerLen+1000] ^= 1; return b })
	edit(t, fs, large, func(b []byte) []byte { b[150_000] ^= 1; return b })
	e = mustOpen(t, opt)
	for _, b := range blobs {
		if _, err := e.ReadBlob(ctx, nil, b.ID); !errors.Is(err, engine.ErrCorrupt) {
			t.Errorf("ReadBlob: %v", err)
		}
	}
	err := e.ReadBlobs(ctx, []engine.BlobID{blobs[0].ID, blobs[1].ID}, func(_ int, _ []byte, err error) bool {
		if !errors.Is(err, engine.ErrCorrupt) {
			t.Errorf("ReadBlobs: %v", err)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := e.OpenBlob(ctx, blobs[0].ID); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("OpenBlob: %v", err)
	}
	r, err := e.OpenBlob(ctx, blobs[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1000)
	if _, err := r.ReadAt(p, 10_000); err != nil || !bytes.Equal(p, blobs[1].Bytes[10_000:11_000]) {
		t.Errorf("ReadAt in a good block: %v", err)
	}
	if _, err := r.ReadAt(p, 140_000); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("ReadAt in the bad block: %v", err)
	}
	r.Close()
	problems := map[bool]int{}
	for _, deep := range []bool{false, true} {
		if err := e.Check(ctx, deep, func(string) { problems[deep]++ }); err != nil {
			t.Fatal(err)
		}
	}
	if problems[false] != 0 || problems[true] != 2 {
		t.Errorf("Check found %d problems, deep %d; want 0 and 2", problems[false], problems[true])
	}
	e.Close()
	edit(t, fs, large, func(b []byte) []byte { b[len(b)-15] ^= 1; return b })
	e = mustOpen(t, opt)
	if _, err := e.OpenBlob(ctx, blobs[1].ID); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("OpenBlob with a damaged table: %v", err)
	}
}

// Files of large blobs that no commit adopted are gone after the next Open,
// those that a commit adopted stay.
func TestSweep(t *testing.T) {
	ctx := context.Background()
	disk := newDisk(t)
	opt := logOptions(disk)
	e := mustOpen(t, opt)
	var kept *engine.Blob
	var open []engine.Staged
	for i := range 5 {
		s, err := e.Stage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(modelBlob(1, uint32(i), 10_000)); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
		if i == 2 {
			kept = &engine.Blob{Staged: s}
			if _, err := e.Commit(ctx, &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{{Key: []byte("k"), Blob: kept}}}).Wait(); err != nil {
				t.Fatal(err)
			}
		}
	}
	clone := disk.CrashClone(vfs.CrashCloneCfg{})
	for _, s := range open {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, fs := range []*powerFS{disk, clone} {
		if fs == clone {
			opt.FS = clone
			e = mustOpen(t, opt)
		}
		names, err := fs.List("/srv/store/big/0000000000000")
		if err != nil || len(names) != 1 || names[0] != fmt.Sprintf("%016x", 3) {
			t.Errorf("files %v, %v", names, err)
		}
		if b, err := e.ReadBlob(ctx, nil, kept.ID); err != nil || !bytes.Equal(b, modelBlob(1, 2, 10_000)) {
			t.Errorf("ReadBlob: %d bytes, %v", len(b), err)
		}
		e.Close()
	}
}

// Open refuses what is no store, and says so.
func TestForeignDirectory(t *testing.T) {
	fs := vfs.NewMem()
	write := func(name, text string) {
		t.Helper()
		if err := fs.MkdirAll("/srv/store", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(fs, "/srv/store", name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, text string
		kind       mail.Kind
	}{
		{"holiday.jpg", "x", mail.Invalid}, {"FORMAT", "posthouse store 2\nid 0000000000000001\n", mail.Invalid},
		{"FORMAT", "posthouse st", mail.Corrupt}, {"FORMAT", "posthouse store x\nid 1\n", mail.Corrupt}, {"FORMAT", "", mail.Corrupt},
	} {
		write(c.name, c.text)
		if _, err := Open(context.Background(), logOptions(fs)); mail.KindOf(err) != c.kind || mail.TextOf(err) == "" {
			t.Errorf("%s %q: %v", c.name, c.text, err)
		}
	}
}

// Segments that no longer hold their first frame's store id are not ours.
func TestFrameOfAnotherStore(t *testing.T) {
	disk, ids := crashed(t, 3)
	edit(t, disk, "/srv/store/log/00000001.seg", func(b []byte) []byte {
		last := frameAt(t, b, 2)
		h, _ := decodeHeader(b[last:])
		h.store++
		h.encode(b[last:])
		return b
	})
	wantStore(t, logOptions(disk), ids[:2])
}

func FuzzFrame(f *testing.F) {
	var good [headerLen]byte
	(&header{frameLen: 128, lsn: 7, durable: 6, segment: 3, metaLen: 64, metaOff: 64, store: 5}).encode(good[:])
	f.Add(good[:], []byte{metaSet, 1, 'K', 1, 'v', metaDelete, 1, 'K', metaDeleteRange, 1, 'K', 1, 'L'})
	f.Add([]byte{}, []byte{metaSet, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, head, meta []byte) {
		if h, ok := decodeHeader(head); ok {
			var b [headerLen]byte
			h.encode(b[:])
			if !bytes.Equal(b[:], head[:headerLen]) {
				t.Errorf("header %x encodes as %x", head, b)
			}
		}
		var again []byte
		err := eachChange(meta, func(c change) error {
			again = append(appendMetaKey(again, c.kind, len(c.key)), c.key...)
			if c.kind != metaDelete {
				again = append(binary.AppendUvarint(again, uint64(len(c.val))), c.val...)
			}
			return nil
		})
		if err != nil && !errors.Is(err, engine.ErrCorrupt) {
			t.Errorf("eachChange: %v", err)
		}
		if err == nil && len(again) > len(meta) {
			t.Errorf("meta of %d bytes encodes to %d", len(meta), len(again))
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add((&blobRecord{place: inLog, where: 1, offset: 64, length: 10, account: 1, key: []byte("k")}).append(nil))
	f.Add((&mark{lsn: 1, segment: 2}).append(nil))
	trailer, _ := appendTrailer(nil, []uint32{1, 2}, largeBlock+1)
	f.Add(trailer)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeBlobRecord(b); err == nil && !bytes.Equal(r.append(nil), b) {
			t.Errorf("blob record %x encodes as %x", b, r.append(nil))
		}
		if m, err := decodeMark(b); err == nil && len(b) == markLen && !bytes.Equal(m.append(nil), b) {
			t.Errorf("mark %x encodes as %x", b, m.append(nil))
		}
		if len(b) >= 4 {
			n := uint64(len(b)) * 3000
			if crcs, ok := decodeTrailer(b, n, binary.LittleEndian.Uint32(b[len(b)-4:])); ok {
				if again, _ := appendTrailer(nil, crcs, int64(n)); !bytes.Equal(again, b) {
					t.Errorf("trailer %x encodes as %x", b, again)
				}
			}
		}
	})
}

// FuzzSegment walks a segment of any bytes as recovery does.
func FuzzSegment(f *testing.F) {
	var seg []byte
	for lsn := uint64(1); lsn < 5; lsn++ {
		h := header{frameLen: headerLen + 16 + 3, lsn: lsn, durable: lsn - 1, segment: 1 - uint32(lsn/4), metaLen: 3, metaOff: headerLen + 16, store: 9}
		frame := append(make([]byte, headerLen), "sixteen bytes ok"...)
		frame = append(frame, metaDelete, 1, 'K')
		h.metaCRC, h.blobCRC = checksum(frame[h.metaOff:]), checksum(frame[headerLen:h.metaOff])
		h.encode(frame)
		seg = appendPadding(append(seg, frame...))
	}
	f.Add(seg, 0)
	f.Add(seg, 70)
	f.Add(append(seg, zeros[:1000]...), 200)
	f.Fuzz(func(t *testing.T, seg []byte, flip int) {
		if flip >= 0 && flip < len(seg) {
			seg[flip] ^= 1
		}
		fs := vfs.NewMem()
		w, err := fs.Create("seg", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(seg); err != nil {
			t.Fatal(err)
		}
		r, err := fs.Open("seg")
		if err != nil {
			t.Fatal(err)
		}
		s, err := newScanner(r, 1, 9)
		if err != nil {
			t.Fatal(err)
		}
		off, lsn := int64(0), uint64(0)
		for {
			h, ok, err := s.header(off)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if ok, err = s.sound(h, off); err != nil {
				t.Fatal(err)
			} else if !ok {
				break
			}
			off, lsn = off+int64(alignUp(h.frameLen)), h.lsn
		}
		rest, err := s.tail(off, lsn+1)
		if err != nil && !errors.Is(err, engine.ErrCorrupt) {
			t.Fatal(err)
		}
		own := false
		if off+headerLen <= int64(len(seg)) {
			h, ok := decodeHeader(seg[off:])
			own = ok && h.segment == 1 && h.store == 9
		}
		if err == nil && own != rest.torn {
			t.Errorf("the tail from %d: %+v, a frame begins there: %v", off, rest, own)
		}
	})
}
