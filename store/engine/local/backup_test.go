package local

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
)

const backupDir, restoreDir = "/srv/backups", "/srv/restored"

func backupAt(n int) time.Time { return time.Unix(1_800_000_000+int64(n), 0).UTC() }

// backups runs a busy store that is backed up several times, and notes for each
// backup what had been acknowledged when it began.
func backups(opt Options, l *load, began *sync.Map) error {
	e, err := Open(context.Background(), opt)
	if err != nil {
		return err
	}
	for n := range 3 {
		var wg sync.WaitGroup
		for w := range crashAccounts {
			wg.Go(func() {
				for range 4 {
					_ = l.one(e, w)
				}
			})
		}
		if err := l.one(e, 0); err != nil {
			return err
		}
		wg.Go(func() { _ = e.Collect(context.Background()) })
		began.Store(backupAt(n).Format(backupTime), l.ackedNow())
		if _, err := e.Backup(context.Background(), backupDir, backupAt(n)); err != nil {
			return err
		}
		wg.Wait()
	}
	if _, _, err := PruneBackups(context.Background(), opt.FS, backupDir, 1); err != nil {
		return err
	}
	return e.Close()
}

// verifyBackups restores each backup that is on the disk.
func verifyBackups(fs *powerFS, opt Options, issued []uint64, began *sync.Map) error {
	if _, err := fs.Stat(backupDir + "/FORMAT"); err != nil {
		return nil
	}
	list, damaged, err := Backups(fs, backupDir)
	if err != nil || len(damaged) > 0 {
		return fmt.Errorf("damaged %v: %w", damaged, err)
	}
	for _, b := range list {
		err := VerifyBackups(context.Background(), fs, backupDir, b.Name, func(p string) { err = fmt.Errorf("%s", p) })
		if err != nil {
			return err
		}
		if err := fs.RemoveAll(restoreDir); err != nil {
			return err
		}
		if _, err := RestoreBackup(context.Background(), fs, backupDir, b.Name, fs, restoreDir); err != nil {
			return fmt.Errorf("restoring %s: %w", b.Name, err)
		}
		acked, _ := began.Load(b.Name)
		opt.FS, opt.Dir = fs, restoreDir
		if _, err := verify(opt, expectation{acked.([]uint64), issued}); err != nil {
			return fmt.Errorf("backup %s: %w", b.Name, err)
		}
	}
	return nil
}

// TestBackupCrash cuts the power at each change of the disk while a busy store
// is backed up, and restores every backup that is there afterwards.
func TestBackupCrash(t *testing.T) {
	stride := 5
	switch {
	case os.Getenv("POSTHOUSE_LONG") != "":
		stride = 1
	case testing.Short():
		stride = 29
	}
	fault, crashes, restored := backupCrash(t, stride, noLie)
	if fault != nil {
		t.Fatal(fault)
	}
	if restored == 0 {
		t.Error("no crash left a backup")
	}
	t.Logf("%d crashes, after %d of them a backup was restored", crashes, restored)
}

// backupCrash crashes at every stride-th change. It returns the first fault, how
// many crashes there were, and how many left a backup.
func backupCrash(t *testing.T, stride int, lie func(path string) bool) (fault error, crashes, restored int) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 2))
	disk, l := newDisk(t), newLoad(nil)
	opt := crashOptions(nil, rnd)
	opt.SegmentSize = 8 << 10
	var mu sync.Mutex
	var began sync.Map
	calls := 0
	opt.FS = hookFS{disk, func(op, path string) error {
		if !changes(op) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		var res error
		if op == "sync" && lie(path) {
			res = errLie
		}
		if calls++; fault != nil || calls%stride != 0 && !strings.Contains(path, backupExt) {
			return res
		}
		clone, want := l.crash(disk, []int{0, 0, 50, 100}[rnd.IntN(4)], rnd)
		if err := verifyBackups(clone, opt, want.issued, &began); err != nil {
			fault = fmt.Errorf("seed %d: crash before call %d (%s %s): %w", seed, calls, op, path, err)
		}
		if _, err := clone.Stat(restoreDir); err == nil {
			restored++
		}
		crashes++
		return res
	}}
	if err := backups(opt, l, &began); err != nil && fault == nil {
		fault = fmt.Errorf("script: %w", err)
	}
	return fault, crashes, restored
}

// TestBackupShares wants a second backup to copy only what is new, pruning to
// free only what nobody needs, and damage to be found.
func TestBackupShares(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	disk, l := newDisk(t), newLoad(nil)
	opt := crashOptions(disk, rnd)
	opt.SegmentSize = 8 << 10
	e, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	fill := func(n int) {
		for i := range n {
			if err := l.one(e, i%crashAccounts); err != nil {
				t.Fatal(err)
			}
		}
	}
	take := func(n int) BackupInfo {
		t.Helper()
		b, err := e.Backup(t.Context(), backupDir, backupAt(n))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	fill(200)
	first := take(0)
	fill(6)
	second := take(0) // the clock stands still
	if second.Name <= first.Name || second.NewBytes*3 > first.NewBytes || first.NewFiles < 10 {
		t.Errorf("first %+v, second %+v", first, second)
	}
	gone, freed, err := PruneBackups(t.Context(), disk, backupDir, 1)
	if err != nil || len(gone) != 1 || gone[0] != first.Name || freed == 0 {
		t.Errorf("prune: %v, %d bytes, %v", gone, freed, err)
	}
	var faults []string
	check := func() []string {
		faults = nil
		if err := VerifyBackups(t.Context(), disk, backupDir, "", func(p string) { faults = append(faults, p) }); err != nil {
			t.Fatal(err)
		}
		return faults
	}
	if f := check(); len(f) > 0 {
		t.Fatalf("after pruning: %q", f)
	}
	set, err := openSet(disk, backupDir, false)
	if err != nil {
		t.Fatal(err)
	}
	m, err := set.pick("")
	if err != nil {
		t.Fatal(err)
	}
	victim := m.files[len(m.files)/2]
	f, err := disk.OpenReadWrite(set.object(victim.sum), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, victim.size/2); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 4
	if _, err := f.WriteAt(one, victim.size/2); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if f := check(); len(f) != 1 || !strings.Contains(f[0], victim.path) {
		t.Errorf("one flipped bit: %q", f)
	}
	if _, err := RestoreBackup(t.Context(), disk, backupDir, "", disk, restoreDir); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("restoring damage: %v", err)
	}
	if _, err := disk.Stat(restoreDir + "/FORMAT"); err == nil {
		t.Error("a damaged restore looks like a store")
	}
}

func FuzzManifest(f *testing.F) {
	m := &manifest{files: []backupFile{{size: 7, mtime: 9, path: "log/00000001.seg"}}}
	m.info.Name, m.info.At = "20260101T000000Z", backupAt(0)
	f.Add(appendManifest(nil, m))
	f.Add([]byte(backupFirst + "\n\nend 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The checksum would keep the fuzzer out.
		m, err := parseManifest(fmt.Appendf(b, "\n%s%08x\n", manifestSumAt, checksum(append(b[:len(b):len(b)], '\n'))))
		if err != nil {
			return
		}
		for _, f := range m.files {
			if strings.Contains(f.path, "..") && strings.Contains("/"+f.path+"/", "/../") {
				t.Errorf("path %q leads out", f.path)
			}
		}
	})
}
