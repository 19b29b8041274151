package local

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// await returns once f does, and fails if that takes too long.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(time.Millisecond) { // polling, bounded
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

// sameFiles tells whether two copies of a store have the same files beside the index.
func sameFiles(t *testing.T, a, b Place) bool {
	t.Helper()
	return !slices.ContainsFunc([]string{"/log", "/cold", "/big/0000000000000"}, func(dir string) bool {
		return !slices.Equal(filesIn(t, a.FS, a.Dir+dir), filesIn(t, b.FS, b.Dir+dir))
	})
}

// TestStandbyShrinks wants a standby to lose what the store has given up, and a copy
// that is pulled from it too, and each to be whole nevertheless, also when nobody
// kept its index up to date.
func TestStandbyShrinks(t *testing.T) {
	for _, pulled := range []bool{false, true} {
		t.Run(fmt.Sprint("pulled=", pulled), func(t *testing.T) {
			eachPlace(t, func(t *testing.T, disk *powerFS, place Place) { standbyShrinks(t, disk, place, pulled) })
		})
	}
}

func standbyShrinks(t *testing.T, disk *powerFS, place Place, pulled bool) {
	opt := shipOptions(disk)
	opt.ShipFS, opt.Ship = place.FS, place.Dir
	s := newSpaceTest(t, opt, 1)
	shipped := func() { await(t, "all shipped", func() bool { return s.e.ship.reaches(s.e.end.Load().lsn, nil) }) }
	shipped()
	s.messages(400)
	shipped()
	before := len(filesIn(t, place.FS, place.Dir+"/log"))
	p, copied := NewPuller(disk, pulledDir, place), Place{disk, pulledDir}
	if pulled {
		if _, err := p.Pull(t.Context()); err != nil || !sameFiles(t, place, copied) {
			t.Fatalf("not all is pulled: %v", err)
		}
	}
	await(t, "a standby without what is dead", func() bool {
		s.collect() // what is not shipped yet stays for the next time
		s.e.ship.notify()
		return 2*len(filesIn(t, place.FS, place.Dir+"/log")) <= before && sameFiles(t, Place{disk, opt.Dir}, place)
	})
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	if pulled {
		p.pulls = pruneEvery - 1 // now it looks
		if _, err := p.Pull(t.Context()); err != nil || !sameFiles(t, place, copied) {
			t.Fatalf("the copy has %q, %v", filesIn(t, disk, pulledDir+"/log"), err)
		}
		p.s.disconnect()
		opt.ShipFS, opt.Ship = disk, pulledDir // the copy is enough
	}
	s.promoted(opt)
	if !s.e.rebuilt {
		t.Error("the standby's index was not older than its log: the test shows nothing")
	}
}

// TestStandbyKeeps wants a standby to keep what the store has given up as long as
// told, and no longer.
func TestStandbyKeeps(t *testing.T) {
	for name, place := range shipPlaces {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem() // knows times
			standbyKeeps(t, disk, place(t, disk))
		})
	}
}

func standbyKeeps(t *testing.T, disk vfs.FS, place Place) {
	var ahead atomic.Int64
	opt := shipOptions(disk)
	opt.ShipKeep, opt.ShipFS = 24*time.Hour, place.FS
	opt.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	s := newSpaceTest(t, opt, 1)
	s.messages(400)
	await(t, "collection here", func() bool {
		s.collect()
		return len(filesIn(t, disk, opt.Dir+"/log")) < 5
	})
	kept := func() bool {
		return 2*len(filesIn(t, disk, opt.Dir+"/log")) <= len(filesIn(t, place.FS, standbyDir+"/log"))
	}
	compared := func() {
		t.Helper()
		await(t, "all shipped, and compared", func() bool {
			s.e.ship.notify()
			lsn, err := s.e.ship.shipped()
			return err == nil && lsn == s.e.end.Load().lsn
		})
	}
	for range 2 { // that time goes on a little changes nothing
		compared()
		ahead.Add(int64(time.Hour))
	}
	if !kept() {
		t.Errorf("here %q, there %q", filesIn(t, disk, opt.Dir+"/log"), filesIn(t, place.FS, standbyDir+"/log"))
	}
	ahead.Add(int64(24 * time.Hour))
	await(t, "a standby that keeps no more", func() bool {
		s.e.ship.notify()
		return sameFiles(t, Place{disk, opt.Dir}, place)
	})
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	s.promoted(opt)
}

// TestRebase wants a standby that cannot catch up to be copied anew by itself, and
// what is pulled from it too, once who follows lets go of it.
func TestRebase(t *testing.T) { eachPlace(t, rebase) }

func rebase(t *testing.T, disk *powerFS, place Place) {
	opt := shipOptions(disk)
	opt.ShipFS = place.FS
	s := newSpaceTest(t, opt, 1)
	await(t, "a first copy", func() bool { lsn, err := s.e.ship.shipped(); return err == nil && lsn > 0 })
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	alone := opt
	alone.Ship, alone.ShipFS = "", nil
	standby := alone
	standby.Dir = place.Dir
	var p *Puller
	if remote(place.FS) != nil {
		standby.Dir = pulledDir
		p = NewPuller(disk, pulledDir, place)
		if _, err := p.Pull(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.e = mustOpen(t, alone)
	s.messages(200)
	s.collect()
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Follow(standby) // it is in the way until it looks
	if err != nil {
		t.Fatal(err)
	}
	opt.ShipSync = true
	s.e = mustOpen(t, opt)
	whole := func() bool { return shippedMode(place) == modeSync }
	if p != nil {
		await(t, "a whole standby", whole)
		if _, err := p.Pull(t.Context()); err == nil {
			t.Error("what is followed is copied anew")
		}
	}
	await(t, "a follower that sees it has no copy", func() bool { _, err := f.Advance(t.Context()); return err != nil })
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "a whole standby", whole)
	s.put(1, "last", prose(1, 1000))
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	if p != nil {
		if _, err := p.Pull(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.s.disconnect()
	}
	s.promoted(opt)
}

// TestShipHoles ships frames whose dead blobs were punched out: recovery at the
// standby must not take them for torn.
func TestShipHoles(t *testing.T) { eachPlace(t, shipHoles) }

func shipHoles(t *testing.T, disk *powerFS, place Place) {
	opt := shipOptions(disk)
	opt.LargeBlob, opt.SegmentSize, opt.ShipFS = 1<<20, 1<<20, place.FS
	s := newSpaceTest(t, opt, 1)
	await(t, "a first copy", func() bool { lsn, err := s.e.ship.shipped(); return err == nil && lsn > 0 })
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	alone := opt
	alone.Ship, alone.ShipFS = "", nil
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
