package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/internal/s3"
	"posthouse/internal/s3/s3test"
	"posthouse/mail"
	"posthouse/store/engine"
)

const pulledDir = "/srv/copy"

// shipPlaces are where a store may be shipped to.
var shipPlaces = map[string]func(t *testing.T, disk vfs.FS) Place{
	"directory": func(_ *testing.T, disk vfs.FS) Place { return Place{disk, standbyDir} },
	"bucket": func(t *testing.T, _ vfs.FS) Place {
		return bucketPlace(s3test.New(t))
	},
}

func bucketPlace(b *s3test.Server) Place {
	b.Client.PartSize = 16 << 10
	return Place{S3(context.Background(), &b.Client), standbyDir}
}

func eachPlace(t *testing.T, f func(t *testing.T, disk *powerFS, place Place)) {
	for name, place := range shipPlaces {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t)
			f(t, disk, place(t, disk))
		})
	}
}

// promoteHere promotes the standby in a place and returns where it can be opened on disk.
func promoteHere(t *testing.T, disk vfs.FS, place Place) (dir string, whole bool) {
	t.Helper()
	var err error
	if dir = place.Dir; remote(place.FS) == nil {
		whole, err = Promote(disk, dir)
	} else {
		dir = pulledDir
		whole, err = PromoteFrom(t.Context(), disk, dir, place)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, whole
}

func shippedMode(place Place) string {
	b, _ := readFile(place.FS, place.Dir+"/"+shippedName)
	return string(b)
}

// TestTakeOver ships a loaded store to each kind of place, with commits that wait and
// that do not, follows the standby, which cannot be opened before it is promoted, and
// promotes it while the store goes on: all that was acknowledged is there, or all up
// to the lag that was reported; and the old store is told, now and when it is started
// again.
func TestTakeOver(t *testing.T) {
	for _, strict := range []bool{true, false} {
		t.Run(fmt.Sprint("synchronous=", strict), func(t *testing.T) {
			eachPlace(t, func(t *testing.T, disk *powerFS, place Place) { takeOver(t, disk, place, strict) })
		})
	}
}

func takeOver(t *testing.T, disk *powerFS, place Place, strict bool) {
	l := newLoad(nil)
	opt := crashOptions(disk, rand.New(rand.NewPCG(1, 3)))
	opt.SegmentSize, opt.Ship, opt.ShipFS, opt.ShipSync, opt.shipRetry = 8<<10, place.Dir, place.FS, strict, time.Millisecond
	e := mustOpen(t, opt)
	defer e.Close()
	await(t, "a first copy", func() bool {
		_, err := place.FS.Stat(place.Dir + "/FORMAT")
		return err == nil && strict == (shippedMode(place) == modeSync) && e.ship.reaches(e.end.Load().lsn, nil)
	})
	standby := opt
	standby.Dir, standby.Ship, standby.ShipFS = place.Dir, "", nil
	var p *Puller
	if remote(place.FS) != nil {
		standby.Dir = pulledDir
		p = NewPuller(disk, pulledDir, place)
		if _, err := p.Pull(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), standby); mail.KindOf(err) != mail.Invalid {
		t.Fatalf("a standby that was not promoted opens: %v", err)
	}
	f, err := Follow(standby)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var stop atomic.Bool
	for w := range crashAccounts {
		wg.Go(func() {
			for !stop.Load() && l.one(e, w) == nil {
				for lsn, err := e.ship.shipped(); !stop.Load() && (err != nil || e.end.Load().lsn > lsn+100); lsn, err = e.ship.shipped() {
					time.Sleep(time.Millisecond) // so that there is no endless backlog, and time for who promotes
				}
			}
		})
	}
	var got uint64
	var failed error // counts only if it stays: a frame may be just being written
	defer func() {
		if t.Failed() && failed != nil {
			t.Logf("the follower is at %d: %v", got, failed)
		}
	}()
	await(t, "a follower that follows", func() bool {
		if failed = nil; p != nil {
			if _, failed = p.Pull(t.Context()); failed != nil {
				return false
			}
		}
		var lsn uint64
		if lsn, failed = f.Advance(t.Context()); lsn < got {
			t.Fatalf("advanced from %d to %d: %v", got, lsn, failed)
		}
		got = lsn
		return lsn > 150 && failed == nil
	})
	acked := l.ackedNow()
	if !strict { // what was acknowledged when the lag was read, and is not in it
		at := e.end.Load().lsn
		await(t, "a lag that is less", func() bool { lsn, _ := e.ship.shipped(); return lsn >= at })
	}
	dir, whole := promoteHere(t, disk, place)
	if whole != strict || !f.Promoted() {
		t.Errorf("whole: %v, promoted: %v", whole, f.Promoted())
	}
	if strict {
		acked = l.ackedNow()
	}
	await(t, "the old store is told", func() bool { _, err := e.ship.shipped(); return err != nil })
	if strict {
		if err := l.one(e, 0); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("the old store acknowledges: %v", err)
		}
		acked = l.ackedNow()
	}
	stop.Store(true)
	want := expectation{acked, make([]uint64, crashAccounts)}
	for a := range want.issued {
		want.issued[a] = l.issued[a].Load()
	}
	if _, err := f.Advance(t.Context()); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	standby.Dir = dir
	if _, err := verify(standby, want); err != nil {
		t.Error(err)
	}
	_ = e.Close() // its last commits were never shipped
	wg.Wait()
	e = mustOpen(t, opt)
	await(t, "the old store is told again", func() bool { _, err := e.ship.shipped(); return mail.KindOf(err) == mail.Invalid && err != nil })
	if err := e.Close(); err != nil {
		t.Log(err)
	}
}

// TestShipFaults ships to a bucket that fails in each way, now and then. Whenever it
// is looked at, all that was acknowledged can be made from what it has.
func TestShipFaults(t *testing.T) {
	for _, f := range []struct {
		name  string
		fault int
	}{{"cut", s3test.Cut}, {"forget", s3test.Forget}, {"lie", s3test.Lie}, {"opaque", s3test.Opaque}, {"hang", s3test.Hang},
		{"503", http.StatusServiceUnavailable}, {"slow", 0}, {"no conditions", 0}} {
		t.Run(f.name, func(t *testing.T) {
			bucket := s3test.New(t)
			bucket.Unconditional = f.name == "no conditions"
			shipFaults(t, bucket, f.fault, f.name == "slow")
		})
	}
}

func shipFaults(t *testing.T, bucket *s3test.Server, fault int, slow bool) {
	bucket.Client.Stall = 20 * time.Second
	if fault == s3test.Hang {
		bucket.Client.Stall = 300 * time.Millisecond
	}
	var n atomic.Int64
	bucket.Fail = func(*http.Request) int {
		switch i := n.Add(1); {
		case slow:
			time.Sleep(5 * time.Millisecond)
		case fault == s3test.Hang && i%41 != 0:
		case i%5 == 0:
			return fault
		}
		return 0
	}
	disk, place := newDisk(t), bucketPlace(bucket)
	opt := shipOptions(disk)
	opt.SegmentSize, opt.ShipFS, opt.ShipSync = 16<<10, place.FS, true
	s := newSpaceTest(t, opt, 0)
	for round := range 3 {
		if round > 0 {
			s.e = mustOpen(t, opt)
		}
		// Only who ships asks the bucket: so no request fails twice in a row.
		await(t, "a standby that is waited for", func() bool { return string(bucket.Objects()["srv/standby/"+shippedName]) == modeSync })
		for i := range 24 {
			for s.try(i%4, fmt.Sprint(round, "/", i), prose(uint64(i), 500+i*37%4000)) != nil {
				time.Sleep(time.Millisecond) // it cannot be reached now
			}
			if i%8 == 7 {
				s.bucketHasAll(bucket.Clone(), opt)
			}
		}
		s.collect() // most of it lives: what is dead is removed there, too, when it can be reached
		if err := s.e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.bucketHasAll(bucket.Clone(), opt)
}

// try is put, but that it may be refused.
func (s *spaceTest) try(a int, key string, data []byte) error {
	s.t.Helper()
	b := &engine.Blob{Bytes: data}
	_, err := s.e.Commit(context.Background(), &engine.Batch{Account: engine.Account(a), Expect: engine.AnyVersion,
		Ops: []engine.Op{{Key: []byte(key), Blob: b}}}).Wait()
	if err != nil && !errors.Is(err, engine.ErrUnavailable) {
		s.t.Fatal(err)
	}
	if err == nil {
		s.blobs[fmt.Sprint(a, "/", key)], s.bytes[fmt.Sprint(a, "/", key)] = b.ID, data
	}
	return err
}

// bucketHasAll promotes what a bucket has and wants all that was acknowledged.
func (s *spaceTest) bucketHasAll(bucket *s3test.Server, opt Options) {
	s.t.Helper()
	disk := newDisk(s.t)
	dir, whole := promoteHere(s.t, disk, bucketPlace(bucket))
	opt.FS, opt.Dir, opt.Ship, opt.ShipFS = disk, dir, "", nil
	own := s.e
	s.e = mustOpen(s.t, opt)
	s.verify()
	if err := s.e.Close(); err != nil || !whole {
		s.t.Fatalf("whole %v: %v", whole, err)
	}
	s.e = own
}

// TestBucketAway wants mail to be accepted while the bucket is away, the lag to be
// told, and all of it shipped when it is back; with commits that wait, refused.
func TestBucketAway(t *testing.T) {
	bucket := s3test.New(t)
	var away atomic.Bool
	bucket.Fail = func(*http.Request) int {
		if away.Load() {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	disk, place := newDisk(t), bucketPlace(bucket)
	opt := shipOptions(disk)
	opt.ShipFS = place.FS
	away.Store(true)
	s := newSpaceTest(t, opt, 50) // it was away from the begin
	await(t, "a lag", func() bool { st := s.e.Stats(); return st.Unshipped > 0 && st.Shipped == 0 })
	away.Store(false)
	caughtUp := func() { await(t, "all shipped", func() bool { return s.e.Stats().Unshipped == 0 }) }
	caughtUp()
	away.Store(true)
	s.put(1, "later", prose(1, 100))
	await(t, "a lag", func() bool { return s.e.Stats().Unshipped > 0 })
	away.Store(false)
	caughtUp()
	opt.ShipSync = true
	s.reopen(opt)
	await(t, "a standby that is waited for", func() bool { return shippedMode(place) == modeSync })
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	// The bucket says that nobody goes on without it: as long as it cannot be told
	// otherwise, that is kept.
	away.Store(true)
	opt.ShipSync = false
	s.e = mustOpen(t, opt)
	await(t, "that it is away", func() bool { _, err := s.e.ship.shipped(); return err != nil })
	if _, err := s.e.Commit(t.Context(), &engine.Batch{Account: 1, Expect: engine.AnyVersion,
		Ops: []engine.Op{{Key: []byte("x"), Val: []byte("y")}}}).Wait(); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("acknowledged although the standby claims to be whole: %v", err)
	}
	away.Store(false)
	await(t, "the mode is changed", func() bool { return shippedMode(place) == modeAsync })
	caughtUp()
	away.Store(true)
	s.put(1, "last", prose(1, 100))
	away.Store(false)
	caughtUp()
	if err := s.e.Close(); err != nil {
		t.Fatal(err)
	}
	opt.Dir, _ = promoteHere(t, disk, place)
	opt.Ship = ""
	s.e = mustOpen(t, opt)
	s.verify()
}

// TestClaim wants only one store to ship to a place: not a copy of it with a claim of
// its own, and of two with the same claim the one that began last.
func TestClaim(t *testing.T) { eachPlace(t, claimHolds(false)) }

func unclaimedShips(t *testing.T) { eachPlace(t, claimHolds(true)) }

// claimHolds is TestClaim; mutated: with stores that do not look, which all ship.
func claimHolds(mutated bool) func(t *testing.T, disk *powerFS, place Place) {
	return func(t *testing.T, disk *powerFS, place Place) {
		opt := shipOptions(disk)
		opt.Ship, opt.ShipFS, opt.mutate.shipUnclaimed = place.Dir, place.FS, mutated
		s := newSpaceTest(t, opt, 20)
		await(t, "all shipped", func() bool { return s.e.ship.reaches(s.e.end.Load().lsn, nil) })
		clones := map[string]Options{}
		for _, name := range []string{"/srv/twin", "/srv/other"} {
			o := opt
			o.Dir = name
			if ok, err := vfs.Clone(disk, disk, opt.Dir, o.Dir); err != nil || !ok {
				t.Fatal(err)
			}
			_ = disk.Remove(o.Dir + "/LOCK")
			clones[name] = o
		}
		if err := disk.Remove(clones["/srv/other"].Dir + "/" + ownerName); err != nil {
			t.Fatal(err)
		}
		refused := func(e *Engine) bool {
			e.ship.notify()
			_, err := e.ship.shipped()
			return err != nil && mail.KindOf(err) == mail.Invalid && strings.Contains(err.Error(), "another server")
		}
		other := mustOpen(t, clones["/srv/other"])
		if mutated {
			await(t, "that it ships", func() bool { lsn, err := other.ship.shipped(); return err == nil && lsn > 0 })
		} else {
			await(t, "another store is refused", func() bool { return refused(other) })
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		twin := mustOpen(t, clones["/srv/twin"])
		await(t, "the twin ships", func() bool { lsn, err := twin.ship.shipped(); return err == nil && lsn > 0 })
		s.put(1, "late", prose(1, 100))
		if mutated {
			await(t, "that it goes on", func() bool { return s.e.ship.reaches(s.e.end.Load().lsn, nil) })
		} else {
			await(t, "the first one is refused", func() bool { return refused(s.e) })
		}
		if err := errors.Join(twin.Close(), s.e.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClaimRace lets many begin at once: one gets the claim, also if the store's
// answer to it is lost.
func TestClaimRace(t *testing.T) {
	eachPlace(t, func(t *testing.T, _ *powerFS, place Place) {
		var won atomic.Int64
		var wg sync.WaitGroup
		if err := makeDir(place.FS, place.Dir); err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			wg.Go(func() {
				err := swapFile(place.FS, place.Dir, claimName, nil, claimText(1, fmt.Sprint(i)))
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, errSwapped) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d have the claim", won.Load())
		}
	})
	bucket := s3test.New(t)
	place := bucketPlace(bucket)
	var forgets atomic.Int64
	forgets.Store(1 << 30)
	bucket.Fail = func(r *http.Request) int {
		if r.Method == http.MethodPut && forgets.Add(-1) >= 0 {
			return s3test.Forget
		}
		return 0
	}
	if err := swapFile(place.FS, place.Dir, claimName, nil, claimText(1, "me")); err == nil {
		t.Error("no put was ever answered")
	}
	forgets.Store(1)
	if err := swapFile(place.FS, place.Dir, claimName, claimText(1, "me"), claimText(2, "me")); err != nil {
		t.Errorf("the answer was lost: %v", err)
	}
}

// TestExtents reads segments back that were appended in pieces, with pieces
// that overlap, and of an earlier claim.
func TestExtents(t *testing.T) {
	bucket := s3test.New(t)
	o := remote(S3(t.Context(), &bucket.Client))
	const name, key = "/x/log/00000001.seg", "x/log/00000001.seg"
	want := modelBlob(1, 1, 300_000)
	w, err := o.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	f := w.(*appendFile)
	rnd := rand.New(rand.NewPCG(1, 1))
	for off := 0; off < len(want); {
		n := min(1+rnd.IntN(4000), len(want)-off)
		if _, err := f.WriteAt(want[off:off+n], int64(off)); err != nil {
			t.Fatal(err)
		}
		off += n
		if err := errors.Join(f.SyncData(), f.tidy(false)); err != nil {
			t.Fatal(err)
		}
	}
	check := func() int {
		t.Helper()
		list, err := o.extents(key)
		if err != nil {
			t.Fatal(err)
		}
		r, err := o.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		st, _ := r.Stat()
		got := make([]byte, len(want))
		if n, err := r.ReadAt(got, 0); n != len(want) || err != nil || string(got) != string(want) || st.Size() != int64(len(want)) {
			t.Fatalf("%d of %d bytes, %v; size %d", n, len(want), err, st.Size())
		}
		return len(list)
	}
	if n := check(); n > 2*mergeCount {
		t.Errorf("%d objects", n)
	}
	put := func(begin, end int, epoch uint64, b []byte) {
		t.Helper()
		if err := o.c.Put(t.Context(), extentKey(key, int64(begin), int64(end), epoch), b, s3.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	o.epoch.Store(2)
	if err := f.tidy(true); err != nil {
		t.Fatal(err)
	}
	if n := check(); n != 1 {
		t.Errorf("%d objects of a sealed segment", n)
	}
	put(1000, 2000, 1, make([]byte, 1000)) // of an earlier claim, late
	put(1000, 2000, 2, want[1000:2000])
	check()
	list, err := o.List("/x/log")
	if err != nil || len(list) != 1 || list[0] != "00000001.seg" {
		t.Errorf("%q, %v", list, err)
	}
	if err := o.Remove(name); err != nil {
		t.Fatal(err)
	}
	if left := bucket.Objects(); len(left) > 0 {
		t.Errorf("%d objects are left", len(left))
	}
}
