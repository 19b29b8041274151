package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
)

// An operatorCommand is what one runs on the copies of a store that is lost.
type operatorCommand struct {
	name string
	run  func(fs vfs.FS) error
	look func(fs *powerFS) error // runs it once more where that is needed: then all must be there
}

// TestCommandsCutOff cuts the power at each change of the disk that a restore, a
// follower and a promotion make, and lets each of their calls fail: what they leave is
// the whole store, or is refused and can be made again.
func TestCommandsCutOff(t *testing.T) {
	stride := 3
	switch {
	case os.Getenv("POSTHOUSE_LONG") != "":
		stride = 1
	case testing.Short():
		stride = 13
	}
	disk, opt, want := copiedStore(t)
	for _, c := range operatorCommands(opt, want) {
		t.Run(c.name, func(t *testing.T) {
			seed := rand.Uint64()
			rnd := rand.New(rand.NewPCG(seed, 8))
			crashes := c.crashes(t, disk, stride, rnd)
			faults := c.faults(t, disk, stride, rnd)
			t.Logf("seed %d: %d crashes, %d faults", seed, crashes, faults)
		})
	}
}

// copiedStore leaves a disk with a store that shipped every commit and was backed up.
func copiedStore(t *testing.T) (*powerFS, Options, expectation) {
	disk, l := newDisk(t), newLoad(nil)
	opt := crashOptions(nil, rand.New(rand.NewPCG(9, 9)))
	opt.SegmentSize, opt.Ship, opt.ShipSync, opt.FS = 8<<10, standbyDir, true, disk
	e := mustOpen(t, opt)
	if err := awaitStandby(e); err != nil {
		t.Fatal(err)
	}
	for n := range 10 * crashAccounts {
		if err := l.one(e, n%crashAccounts); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Backup(t.Context(), backupDir, backupAt(0)); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	opt.Ship, opt.ShipSync = "", false
	return disk, opt, expectation{l.ackedNow(), l.ackedNow()}
}

func operatorCommands(opt Options, want expectation) []operatorCommand {
	at := func(fs vfs.FS, dir string) Options {
		o := opt
		o.FS, o.Dir = fs, dir
		return o
	}
	whole := func(fs vfs.FS, dir string) error {
		_, err := verify(at(fs, dir), want)
		return err
	}
	restore := func(fs vfs.FS) error {
		_, err := RestoreBackup(context.Background(), fs, backupDir, "", fs, restoreDir)
		return err
	}
	promote := func(fs vfs.FS) error {
		whole, err := Promote(fs, standbyDir)
		if err == nil && !whole {
			err = errors.New("the standby does not say that it is whole")
		}
		return err
	}
	promoted := func(fs *powerFS) error {
		if err := promote(fs); err != nil {
			return fmt.Errorf("promoted once more: %w", err)
		}
		return whole(fs, standbyDir)
	}
	return []operatorCommand{
		{"restore", restore, func(fs *powerFS) error {
			if _, err := fs.Stat(restoreDir + "/FORMAT"); err != nil {
				if err := refused(at(fs, restoreDir)); err != nil {
					return err
				}
				if err := restore(fs); err != nil && mail.KindOf(err) != mail.Exists {
					return fmt.Errorf("restored once more: %w", err)
				} else if err != nil { // which says that another directory is to be taken
					if err := errors.Join(fs.RemoveAll(restoreDir), restore(fs)); err != nil {
						return err
					}
				}
			}
			return whole(fs, restoreDir)
		}},
		{"follow", func(fs vfs.FS) error {
			f, err := Follow(at(fs, standbyDir))
			if err != nil {
				return err
			}
			_, err = f.Advance(context.Background())
			return errors.Join(err, f.Close())
		}, promoted},
		{"promote", promote, promoted},
		{"promote and open", func(fs vfs.FS) error {
			if err := promote(fs); err != nil {
				return err
			}
			e, err := Open(context.Background(), at(fs, standbyDir))
			if err != nil {
				return err
			}
			return e.Close()
		}, func(fs *powerFS) error {
			if _, err := fs.Stat(standbyDir + "/" + shippedName); err == nil {
				return promoted(fs)
			}
			return whole(fs, standbyDir)
		}},
	}
}

// refused: what a restore that was cut off has left is not opened as a store, where it
// has anything of one.
func refused(opt Options) error {
	segments, _ := opt.FS.List(opt.Dir + "/log")
	if len(segments) == 0 {
		return nil
	}
	e, err := Open(context.Background(), opt)
	if err == nil {
		return errors.Join(errors.New("half a store is opened"), e.Close())
	}
	if mail.TextOf(err) == "" {
		return fmt.Errorf("half a store is refused without a word: %w", err)
	}
	return nil
}

// again is the disk as it was before the command.
func again(disk *powerFS, rnd *rand.Rand) *powerFS {
	return disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rnd})
}

// crashes runs the command once, and looks at what a crash at each stride-th change of
// the disk leaves.
func (c operatorCommand) crashes(t *testing.T, disk *powerFS, stride int, rnd *rand.Rand) (crashes int) {
	fs, calls := again(disk, rnd), rnd.IntN(stride)
	err := c.run(onChange(fs, func(op, path string) {
		if calls++; calls%stride != 0 && !strings.HasPrefix(op, "rename") || t.Failed() {
			return
		}
		crashes++
		pct := []int{0, 0, 50, 100}[rnd.IntN(4)]
		if err := c.look(fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pct, RNG: rnd})); err != nil {
			t.Errorf("crash before change %d (%s %s), %d %% of what was not synced kept: %v", calls, op, path, pct, err)
		}
	}))
	if err == nil {
		err = c.look(fs.CrashClone(vfs.CrashCloneCfg{})) // what it said to be done is durable
	}
	if err != nil {
		t.Error(err)
	}
	if crashes == 0 {
		t.Error("nothing was changed")
	}
	return crashes
}

// faults runs the command again and again, each time with another call that fails. Where
// the index of a standby cannot be written, its process stops: see [indexLogger].
func (c operatorCommand) faults(t *testing.T, disk *powerFS, stride int, rnd *rand.Rand) (faults int) {
	for n := 1 + rnd.IntN(stride); !t.Failed(); n += stride {
		fs, turn, calls, hit := again(disk, rnd), make(chan struct{}, 1), 0, ""
		fault := []error{syscall.EIO, syscall.ENOSPC}[rnd.IntN(2)]
		err := c.run(hookFS{fs, func(op, path string) error {
			turn <- struct{}{}
			defer func() { <-turn }()
			if strings.HasPrefix(path, standbyDir+"/kv/") {
				return nil
			}
			if calls++; calls != n {
				return nil
			}
			hit = op + " " + path
			return fault
		}})
		if hit == "" {
			return faults
		}
		faults++
		if errors.Is(err, errNotExist) {
			t.Errorf("call %d (%s) fails with %v, and it says %v", n, hit, fault, err)
		}
		if lookErr := c.look(fs); lookErr != nil {
			t.Errorf("call %d (%s) fails with %v, it says %v: %v", n, hit, fault, err, lookErr)
		}
	}
	return faults
}
