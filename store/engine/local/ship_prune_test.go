package local

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// await returns once f does, and fails if that takes too long.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) { // polling, bounded
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func filesIn(t *testing.T, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// messages puts n messages into a store and lets nine of ten go.
func (s *spaceTest) messages(n int) {
	for i := range n {
		s.put(i%4, fmt.Sprintf("%05d", i), prose(uint64(i), 500+i*37%3000))
	}
	for i := range n {
		if i%10 != 0 {
			s.del(i%4, fmt.Sprintf("%05d", i))
		}
	}
}

// shipOptions are of a store with small segments that ships.
func shipOptions(fs vfs.FS) Options {
	return Options{FS: fs, Dir: "/srv/store", SegmentSize: 64 << 10, LargeBlob: 3000, CollectEvery: -1, MinFree: -1, Reserve: -1,
		Ship: standbyDir, pruneWait: 1, shipRetry: time.Millisecond}
}

// promoted opens the standby as a store of its own.
func (s *spaceTest) promoted(opt Options) {
	s.t.Helper()
	place := Place{opt.ShipFS, opt.Ship}
	if place.FS == nil {
		place.FS = opt.FS
	}
	opt.Dir, _ = promoteHere(s.t, opt.FS, place)
	opt.Ship, opt.ShipFS = "", nil
	s.e = mustOpen(s.t, opt)
	s.verify()
}

// TestStandbyShrinks wants a standby to lose what the store has given up, and to
// be whole nevertheless, also when nobody kept its index up to date.
func TestStandbyShrinks(t *testing.T) { eachPlace(t, standbyShrinks) }

func standbyShrinks(t *testing.T, disk *powerFS, place Place) {
	opt := shipOptions(disk)
	opt.ShipFS, opt.Ship = place.FS, place.Dir
	s := newSpaceTest(t, opt, 1)
	await(t, "a first copy", func() bool { lsn, err := s.e.ship.shipped(); return err == nil && lsn == s.e.end.Load().lsn })
	s.messages(400)
	await(t, "all shipped", func() bool { return s.e.ship.reaches(s.e.end.Load().lsn, nil) })
	before := len(filesIn(t, place.FS, place.Dir+"/log"))
	same := func(dir string) bool {
		return slices.Equal(filesIn(t, disk, opt.Dir+dir), filesIn(t, place.FS, place.Dir+dir))
	}
	await(t, "a standby without what is dead", func() bool {
		s.collect() // what is not shipped yet stays for the next time
		s.e.ship.notify()
		return 2*len(filesIn(t, place.FS, place.Dir+"/log")) <= before && same("/log") && same("/cold") && same("/big/0000000000000")
	})
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	s.promoted(opt)
	if !s.e.rebuilt {
		t.Error("the standby's index was not older than its log: the test shows nothing")
	}
}

// TestStandbyKeeps wants a standby to keep what the store has given up as long as told.
func TestStandbyKeeps(t *testing.T) {
	for name, place := range shipPlaces {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem() // knows times
			standbyKeeps(t, disk, place(t, disk))
		})
	}
}

func standbyKeeps(t *testing.T, disk vfs.FS, place Place) {
	opt := shipOptions(disk)
	opt.ShipKeep, opt.ShipFS = time.Hour, place.FS
	s := newSpaceTest(t, opt, 1)
	s.messages(400)
	await(t, "collection here", func() bool {
		s.collect()
		return len(filesIn(t, disk, opt.Dir+"/log")) < 5
	})
	await(t, "all shipped, and compared", func() bool {
		s.e.ship.notify()
		lsn, err := s.e.ship.shipped()
		return err == nil && lsn == s.e.end.Load().lsn
	})
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	if own, theirs := len(filesIn(t, disk, opt.Dir+"/log")), len(filesIn(t, place.FS, standbyDir+"/log")); own*2 > theirs {
		t.Errorf("%d segments here, %d there", own, theirs)
	}
	s.promoted(opt)
}

// TestRebase wants a standby that cannot catch up to be copied anew by itself.
func TestRebase(t *testing.T) {
	disk := newDisk(t)
	opt := shipOptions(disk)
	s := newSpaceTest(t, opt, 1)
	await(t, "a first copy", func() bool { lsn, err := s.e.ship.shipped(); return err == nil && lsn > 0 })
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	alone := opt
	alone.Ship = ""
	s.e = mustOpen(t, alone)
	s.messages(200)
	s.collect()
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	standby := alone
	standby.Dir = standbyDir
	f, err := Follow(standby) // it is in the way until it looks
	if err != nil {
		t.Fatal(err)
	}
	opt.ShipSync = true
	s.e = mustOpen(t, opt)
	await(t, "a follower that sees it has no copy", func() bool { _, err := f.Advance(context.Background()); return err != nil })
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "a whole standby", func() bool {
		b, _ := readFile(disk, standbyDir+"/"+shippedName)
		return string(b) == modeSync
	})
	s.put(1, "last", prose(1, 1000))
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	s.promoted(opt)
}

// TestShipHoles ships frames whose dead blobs were punched out: recovery at the
// standby must not take them for torn.
func TestShipHoles(t *testing.T) {
	disk := newDisk(t)
	opt := shipOptions(disk)
	opt.LargeBlob, opt.SegmentSize = 1<<20, 1<<20
	s := newSpaceTest(t, opt, 1)
	await(t, "a first copy", func() bool { lsn, err := s.e.ship.shipped(); return err == nil && lsn > 0 })
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	alone := opt
	alone.Ship = ""
	s.e = mustOpen(t, alone)
	for i := range 6 {
		s.put(1, fmt.Sprint(i), modelBlob(1, uint32(i), 20_000))
	}
	r, err := s.e.blobRecord(s.blobs["1/2"])
	if err != nil {
		t.Fatal(err)
	}
	s.del(1, "2")
	s.collect() // which reaps it
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, disk, "/srv/store/log/00000001.seg", func(b []byte) []byte {
		clear(b[r.offset : r.offset+r.length])
		return b
	})
	s.e = mustOpen(t, opt)
	end := s.e.end.Load().lsn
	if err := s.e.Close(); err != nil { // which ships
		t.Fatal(err)
	}
	opt.FS = disk.CrashClone(vfs.CrashCloneCfg{})
	if err := opt.FS.RemoveAll(standbyDir + "/kv"); err != nil { // its index is made from the log alone
		t.Fatal(err)
	}
	s.promoted(opt)
	if got := s.e.end.Load().lsn; got != end {
		t.Errorf("the standby ends with frame %d, the store with %d", got, end)
	}
}
