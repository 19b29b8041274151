package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A damageStore is the files of a small store that has everything, and what they hold.
type damageStore struct {
	opt   Options
	files map[string][]byte
	blobs map[engine.BlobID]blobRecord
	bytes map[engine.BlobID][]byte
	order []engine.BlobID // as they were committed
	base  uint64          // the LSN that the index's copy has
	log   uint64          // and the index, if it was not closed
	last  string          // the segment that is written to
}

// damageOptions make small files: each of their bytes is damaged in turn.
func damageOptions() Options {
	return Options{Dir: "/srv/store", SegmentSize: 2 << 10, LargeBlob: 600, MemTable: 64 << 10, IndexCache: 64 << 10,
		CollectEvery: -1, ScrubEvery: -1, MinFree: -1, Reserve: -1, NoRecycling: true}
}

// newDamageStore makes a store with blobs in every place. Closed, its index has
// everything; else the power was cut, and the log has more.
func newDamageStore(t *testing.T, opt Options, closed bool) *damageStore {
	t.Helper()
	disk := newDisk(t)
	d := &damageStore{opt: opt, blobs: map[engine.BlobID]blobRecord{}, bytes: map[engine.BlobID][]byte{}}
	d.opt.FS = disk
	s := &spaceTest{t: t, e: mustOpen(t, d.opt), blobs: map[string]engine.BlobID{}, bytes: map[string][]byte{}}
	put := func(n, size int) {
		s.put(n%2, fmt.Sprintf("%03d", n), modelBlob(1, uint32(n), size))
		d.order = append(d.order, s.blobs[fmt.Sprintf("%d/%03d", n%2, n)])
	}
	if err := awaitStandby(s.e); err != nil {
		t.Fatal(err)
	}
	for n := range 16 {
		put(n, 100+10*n)
	}
	put(16, 700)
	for n := range 16 {
		if n%4 != 0 {
			s.del(n%2, fmt.Sprintf("%03d", n))
		}
	}
	s.collect()
	d.base, d.log = s.e.keeper.base.Load(), s.e.mark.lsn
	for n := range 9 {
		put(20+n, 100+10*n)
	}
	put(29, 650)
	for key, id := range s.blobs {
		r, err := s.e.blobRecord(id)
		if err != nil {
			t.Fatal(err)
		}
		d.blobs[id], d.bytes[id] = r, s.bytes[key]
	}
	places := map[place]bool{}
	for _, r := range d.blobs {
		places[r.place] = true
	}
	if len(places) != 3 || d.base == 0 {
		t.Fatalf("blobs in places %v only, copy of the index at %d", places, d.base)
	}
	d.last = s.e.segmentName(s.e.end.Load().segment)
	crashed := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	if closed {
		crashed = disk
	}
	d.files = readTree(t, crashed, "/srv")
	d.opt.Ship, d.opt.ShipSync = "", false
	return d
}

// readTree returns all files below dir.
func readTree(t *testing.T, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range filesIn(t, fs, dir) {
		name = path.Join(dir, name)
		st, err := fs.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if st.IsDir() {
			maps.Copy(files, readTree(t, fs, name))
			continue
		}
		f, err := fs.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if files[name], err = io.ReadAll(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return files
}

// damage is a change of one file.
type damage struct {
	file string
	at   int
	cut  bool // the file ends there; else one of its bits is another
}

func (d damage) String() string {
	if d.cut {
		return fmt.Sprintf("%s cut at %d", d.file, d.at)
	}
	return fmt.Sprintf("%s flipped at %d", d.file, d.at)
}

// disk returns a new disk with the files, of which one is damaged.
func (d damage) disk(t *testing.T, files map[string][]byte) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	for name, b := range files {
		if err := fs.MkdirAll(path.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		switch {
		case name != d.file:
		case d.cut:
			b = b[:d.at]
		default:
			b = bytes.Clone(b)
			b[d.at] ^= 1 << (d.at % 8)
		}
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(bytes.Clone(b)); err != nil { // a MemFS changes what it is given in a build with the race detector
			t.Fatal(err)
		}
		f.Close()
	}
	for _, dir := range []string{"log", "big", "cold", "kv"} {
		if err := fs.MkdirAll("/srv/store/"+dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// each calls f for damages at every stride-th offset of the files that are chosen.
func (d *damageStore) each(t *testing.T, stride int, chosen func(name string) bool, f func(damage)) {
	n := rand.IntN(stride)
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		used := d.used(name)
		for at := range len(d.files[name]) {
			if at > used+headerLen && at%4999 != 0 {
				continue // zeros
			}
			for _, cut := range []bool{false, true} {
				if n++; n%stride == 0 && chosen(name) && !t.Failed() {
					f(damage{name, at, cut})
				}
			}
		}
	}
}

// used returns where the last frame of a segment ends, or the length of another file.
func (d *damageStore) used(name string) int {
	b := d.files[name]
	if strings.HasPrefix(name, backupDir+"/files/") {
		return min(len(b), 400) // under one checksum as a whole
	}
	if !strings.Contains(name, "/log/") || !strings.HasSuffix(name, segmentExt) {
		return len(b)
	}
	off := 0
	for off+headerLen <= len(b) {
		h, ok := decodeHeader(b[off:])
		if !ok {
			break
		}
		off += int(alignUp(h.frameLen))
	}
	return off
}

// damageStride is 1 in long runs: then every offset is damaged.
func damageStride(usual int) int {
	switch {
	case os.Getenv("POSTHOUSE_LONG") != "":
		return 1
	case testing.Short():
		return 5 * usual
	}
	return usual
}

// hit returns the blobs whose stored bytes a damage touches.
func (d *damageStore) hit(x damage) map[engine.BlobID]bool {
	hit := map[engine.BlobID]bool{}
	e := &Engine{fs: vfs.NewMem(), dir: path.Dir(path.Dir(x.file))}
	if strings.Contains(x.file, "/big/") {
		e.dir = path.Dir(e.dir)
	}
	for id, r := range d.blobs {
		name, begin, end := e.fileName(fileKey{r.place, r.where}), int(r.offset), int(r.offset+r.length)
		switch r.place {
		case inFile:
			name, end = e.largeName(r.where), len(d.files[x.file])
		case inCold:
			end = int(r.offset) + int(r.stored)
		}
		if name == x.file && (x.cut && x.at < end || !x.cut && x.at >= begin && x.at < end) {
			hit[id] = true
		}
	}
	return hit
}

// matters tells whether a byte has a meaning: it does not behind the frames of a
// segment, between its frames and in blobs that are dead, nor between those of a cold file.
func (d *damageStore) matters(x damage) bool {
	b := d.files[x.file]
	if len(d.hit(x)) > 0 {
		return true
	}
	switch {
	case strings.HasSuffix(x.file, "LOCK"):
		return false
	case strings.Contains(x.file, "/log/"):
		for off := 0; off+headerLen <= len(b); {
			h, ok := decodeHeader(b[off:])
			if !ok {
				break
			}
			meta := off + int(h.metaOff)
			next := off + int(alignUp(h.frameLen))
			_, more := decodeHeader(b[next:])
			if (x.cut || !more && x.at >= off) && x.at < next && (x.cut || x.at < off+int(h.frameLen)) || x.at >= off && x.at < off+headerLen || x.at >= meta && x.at < meta+int(h.metaLen) {
				return true
			}
			off = next
		}
		return false
	case strings.Contains(x.file, "/cold/"):
		return x.cut // headers are for who has nothing but the file
	}
	return true
}

// An aftermath is what became of a store with a damage.
type aftermath struct {
	refused  error
	problems []string
	bad      map[engine.BlobID]bool // that cannot be read
	gone     map[engine.BlobID]bool // that are not there
}

// open opens a damaged store, reads all that was in it, and checks it. What is read
// must be right.
func (d *damageStore) open(t *testing.T, opt Options, x damage) (f aftermath) {
	t.Helper()
	ctx := context.Background()
	opt.fatal = func(msg string) { t.Errorf("%v: the index ends the process: %s", x, msg) }
	e, err := Open(ctx, opt)
	if err != nil {
		return aftermath{refused: err}
	}
	defer e.Close()
	f = aftermath{bad: map[engine.BlobID]bool{}, gone: map[engine.BlobID]bool{}}
	for id, want := range d.bytes {
		b, err := e.ReadBlob(ctx, nil, id)
		switch {
		case errors.Is(err, engine.ErrNotFound):
			f.gone[id] = true
		case err != nil:
			f.bad[id] = true
			if !errors.Is(err, engine.ErrCorrupt) {
				t.Errorf("%v: ReadBlob: %v", x, err)
			}
		case !bytes.Equal(b, want):
			t.Errorf("%v: wrong bytes of blob %x", x, uint64(id))
		}
	}
	if err := e.Check(ctx, true, func(p string) { f.problems = append(f.problems, p) }); err != nil {
		f.problems = append(f.problems, err.Error())
	}
	return f
}

// onlyLast tells whether the blobs are the last of those that were committed.
func (d *damageStore) onlyLast(gone map[engine.BlobID]bool) bool {
	for i, id := range d.order[len(d.order)-len(gone):] {
		if !gone[id] {
			return i < 0
		}
	}
	return true
}

// TestDamage flips a bit and cuts the file at every offset of every file of a store,
// closed and after a power failure: that is found, wherever it matters, by the start
// or a deep check; only the messages that it hits are affected; nothing panics.
func TestDamage(t *testing.T) {
	for _, closed := range []bool{true, false} {
		t.Run(fmt.Sprint("closed=", closed), func(t *testing.T) {
			t.Parallel()
			d := newDamageStore(t, damageOptions(), closed)
			points, refused := 0, 0
			d.each(t, damageStride(40), func(name string) bool { return !strings.Contains(name, "/kv/") }, func(x damage) {
				points++
				opt := d.opt
				opt.FS = x.disk(t, d.files)
				if d.point(t, x, closed, opt) {
					refused++
				}
			})
			t.Logf("%d damages, the store did not open with %d of them", points, refused)
		})
	}
}

// point tries one damage, and tells whether the store did not open.
func (d *damageStore) point(t *testing.T, x damage, closed bool, opt Options) bool {
	t.Helper()
	f := d.open(t, opt, x)
	hit, matters := d.hit(x), d.matters(x)
	tail := !closed && x.file == d.last // what an index that was not closed does not know
	switch {
	case f.refused != nil:
		if k := mail.KindOf(f.refused); k != mail.Corrupt && !(k == mail.Invalid && strings.HasSuffix(x.file, "FORMAT")) || mail.TextOf(f.refused) == "" {
			t.Errorf("%v: refused with %v (kind %v)", x, f.refused, k)
		}
		if !matters {
			t.Errorf("%v: refused although nothing is there: %v", x, f.refused)
		}
		return true
	case len(f.gone) > 0:
		if !tail || !d.onlyLast(f.gone) || !x.cut && len(f.gone) > 1 {
			t.Errorf("%v: %d messages are gone: %q", x, len(f.gone), f.problems)
		}
	case !maps.Equal(f.bad, hit) && !(tail && x.cut):
		t.Errorf("%v: blobs %v cannot be read, hit were %v", x, f.bad, hit)
	case matters != (len(f.problems) > 0) && !(tail && len(f.bad) == 0):
		t.Errorf("%v: matters %v, found %q", x, matters, f.problems)
	}
	return false
}

// TestDamagedIndex does the same to the files of the index: nothing wrong is read, and
// the next start, if not this one, has everything again.
func TestDamagedIndex(t *testing.T) {
	for _, closed := range []bool{true, false} {
		t.Run(fmt.Sprint("closed=", closed), func(t *testing.T) {
			t.Parallel()
			d := newDamageStore(t, damageOptions(), closed)
			points, refused, found := 0, 0, 0
			d.each(t, damageStride(60), func(name string) bool { return strings.Contains(name, "/kv/") }, func(x damage) {
				opt := d.opt
				opt.FS = x.disk(t, d.files)
				f := d.open(t, opt, x)
				points++
				if f.refused != nil {
					refused++
				}
				if len(f.problems) > 0 {
					found++
				}
				if len(f.gone) > 0 || f.refused != nil && mail.KindOf(f.refused) != mail.Corrupt {
					t.Errorf("%v: refused with %v, %d messages gone", x, f.refused, len(f.gone))
				}
				if f = d.open(t, opt, x); f.refused != nil || len(f.gone)+len(f.bad)+len(f.problems) > 0 {
					t.Errorf("%v: at the second start: %+v", x, f)
				}
			})
			t.Logf("%d damages, with %d the store did not open at once, %d were found later", points, refused, found)
		})
	}
}

// TestDamagedStandby does the same to a standby that is promoted. Its index is made
// of the copy and the log.
func TestDamagedStandby(t *testing.T) {
	ships := damageOptions()
	ships.Ship, ships.ShipSync, ships.pruneWait = standbyDir, true, 1
	d := newDamageStore(t, ships, true)
	d.last = standbyDir + "/log/" + path.Base(d.last)
	points, refused := 0, 0
	d.each(t, damageStride(40), func(name string) bool {
		return strings.HasPrefix(name, standbyDir+"/") && !strings.Contains(name, "/kv/")
	}, func(x damage) {
		points++
		opt := d.opt
		opt.FS, opt.Dir = x.disk(t, d.files), standbyDir
		whole, err := Promote(opt.FS, opt.Dir)
		switch name := path.Base(x.file); {
		case err != nil:
			if refused++; name != claimName || mail.TextOf(err) == "" {
				t.Errorf("%v: not promoted: %v", x, err)
			}
			return
		case whole != (name != shippedName):
			t.Errorf("%v: whole %v", x, whole)
		case name == shippedName || name == claimName:
			x.file = "LOCK" // nothing that is in the store
		}
		if d.point(t, x, false, opt) {
			refused++
		}
	})
	t.Logf("%d damages, the standby did not open with %d of them", points, refused)
}

// TestDamagedBackup does the same to a backup: a verification finds it, and it is not
// restored.
func TestDamagedBackup(t *testing.T) {
	d := newDamageStore(t, damageOptions(), true)
	fs := damage{}.disk(t, d.files)
	opt := d.opt
	opt.FS = fs
	e := mustOpen(t, opt)
	if _, err := e.Backup(t.Context(), backupDir, backupAt(0)); err != nil {
		t.Fatal(err)
	}
	d.files = readTree(t, fs, backupDir)
	points := 0
	d.each(t, damageStride(60), func(name string) bool { return true }, func(x damage) {
		points++
		fs := x.disk(t, d.files)
		var found []string
		err := VerifyBackups(t.Context(), fs, backupDir, "", func(p string) { found = append(found, p) })
		_, rerr := RestoreBackup(t.Context(), fs, backupDir, "", fs, restoreDir)
		if err == nil && len(found) == 0 || rerr == nil || mail.TextOf(rerr) == "" {
			t.Errorf("%v: found %q, %v; restored: %v", x, found, err, rerr)
		}
		if _, err := fs.Stat(restoreDir + "/FORMAT"); err == nil {
			t.Errorf("%v: what is damaged was restored", x)
		}
	})
	t.Logf("%d damages", points)
}
