package local

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"posthouse/store/engine"
)

// largeFloor is the key of the number below which all large-blob files were
// swept by an earlier Open. It is a hint: losing it costs time only.
var largeFloor = []byte{kindMark, 'f'}

// sweep removes large-blob files that no commit adopted, and finds the last
// number in use. No large blob is under way yet.
func (e *Engine) sweep(ctx context.Context) error {
	last, err := e.lastLarge()
	if err != nil {
		return err
	}
	floor := uint64(0)
	err = e.get(e.db, largeFloor, func(b []byte) error {
		if len(b) == 8 {
			floor = be.Uint64(b)
		}
		return nil
	})
	if err != nil && err != engine.ErrNotFound {
		return err
	}
	if floor > last+1 { // the index was rebuilt or restored
		floor = 0
	}
	dirs, err := e.fs.List(e.path("big"))
	if err != nil {
		return err
	}
	for _, name := range dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir, err := strconv.ParseUint(name, 16, 64)
		if err != nil || dir < floor>>largePerDir {
			continue
		}
		if err := e.sweepDir(e.path("big", name)); err != nil {
			return fmt.Errorf("local: sweeping large-blob files: %w", err)
		}
	}
	// No number is given twice, also not that of a file which is gone: a standby or a
	// backup may still have it. Whatever had a number before was named by a frame.
	e.files.last.Store(max(last, e.mark.lsn<<16))
	if err := e.db.Set(largeFloor, be.AppendUint64(nil, last+1), pebble.NoSync); err != nil {
		return indexError(err)
	}
	return nil
}

// sweepDir removes the files of one directory that the index does not know.
func (e *Engine) sweepDir(dir string) error {
	names, err := e.fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		n, err := strconv.ParseUint(name, 16, 64)
		if err != nil {
			continue
		}
		err = e.get(e.db, appendFileKey(nil, n), func([]byte) error { return nil })
		if err == nil {
			continue
		}
		if !errors.Is(err, engine.ErrNotFound) {
			return err
		}
		if err := e.fs.Remove(e.fs.PathJoin(dir, name)); err != nil {
			return err
		}
		e.log.Debug("removed a large-blob file that no commit adopted", "file", name)
	}
	return nil
}

// lastLarge returns the highest number of a large-blob file in use, or 0.
func (e *Engine) lastLarge() (n uint64, err error) {
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindFile}, UpperBound: []byte{kindFile + 1}})
	if err != nil {
		return 0, indexError(err)
	}
	if it.Last() && len(it.Key()) == 9 {
		n = be.Uint64(it.Key()[1:])
	}
	if err := it.Close(); err != nil {
		return 0, indexError(err)
	}
	return n, nil
}
