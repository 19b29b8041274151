package local

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/mail"
)

// TestMoment restores a store, from a backup and the log of a standby or of the
// store itself, as it was after each of its commits.
func TestMoment(t *testing.T) { eachPlace(t, restoreMoments) }

func restoreMoments(t *testing.T, disk *powerFS, place Place) {
	l := newLoad(nil)
	now := time.Unix(1_800_000_000, 0)
	var clock atomic.Int64 // now, for the goroutines of the store
	tick := func() {
		now = now.Add(time.Second)
		clock.Store(now.UnixNano())
	}
	tick()
	opt := crashOptions(disk, rand.New(rand.NewPCG(1, 1)))
	opt.ShipFS = place.FS
	opt.SegmentSize, opt.Ship, opt.Now, opt.pruneWait, opt.ShipKeep = 8<<10, place.Dir, func() time.Time { return time.Unix(0, clock.Load()) }, 1, 1<<60
	e := mustOpen(t, opt)
	commit := func() {
		t.Helper()
		tick()
		if err := l.one(e, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		commit()
	}
	tick()
	if _, err := e.Backup(t.Context(), backupDir, now); err != nil {
		t.Fatal(err)
	}
	begin, at := uint64(10), now
	for i := range 60 {
		commit()
		if i%20 == 10 {
			if err := e.Collect(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	await(t, "a standby that has everything", func() bool {
		lsn, err := e.ship.shipped()
		return err == nil && lsn == e.end.Load().lsn
	})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := BackupAt(disk, backupDir, at.Add(-time.Millisecond)); mail.KindOf(err) != mail.NotFound {
		t.Errorf("a backup from before the backup: %v", err)
	}
	restored := opt
	restored.Ship, restored.ShipFS = "", nil
	for i := uint64(0); i <= 60; i += 5 {
		restored.Dir = fmt.Sprintf("/srv/at%d", i)
		until := at.Add(time.Duration(i)*time.Second + time.Millisecond)
		name, err := BackupAt(disk, backupDir, until)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := RestoreBackup(context.Background(), disk, backupDir, name, disk, restored.Dir); err != nil {
			t.Fatal(err)
		}
		if i == 60 {
			until = time.Time{}
		}
		m, err := Extend(context.Background(), disk, restored.Dir, place, until)
		if err != nil || i > 0 && !m.At.Equal(at.Add(time.Duration(i)*time.Second)) {
			t.Fatalf("%d commits after the backup: %+v, %v", i, m, err)
		}
		want := newExpectation()
		want.acked[0], want.issued[0] = begin+i, begin+i
		if _, err := verify(restored, want); err != nil {
			t.Fatalf("%d commits after the backup: %v", i, err)
		}
	}
	st, err := StandbyStatus(place.FS, place.Dir)
	if err != nil || !st.Complete || st.Promoted || st.Synchronous || !st.At.Equal(now) || st.Bytes == 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := place.FS.Remove(place.Dir + "/log/00000004.seg"); err != nil {
		t.Fatal(err)
	}
	if err := disk.RemoveAll(restoreDir); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreBackup(context.Background(), disk, backupDir, "", disk, restoreDir); err != nil {
		t.Fatal(err)
	}
	if _, err := Extend(context.Background(), disk, restoreDir, place, time.Time{}); mail.KindOf(err) != mail.NotFound {
		t.Errorf("a log with a gap: %v", err)
	}
}
