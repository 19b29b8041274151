package local

import (
	"context"
	"errors"
	"fmt"

	"posthouse/store/engine"
)

// rebuildName is a file that asks the next start to make the index anew.
const rebuildName = "REBUILD"

// canRebuild tells whether the index can be made anew from its copy or the log.
func (e *Engine) canRebuild() (bool, error) {
	whole, err := e.logFromBegin()
	if base, berr := e.baseLSN(); berr == nil && base > 0 {
		whole = true
	}
	return whole, err
}

// askRebuild lets the next start make the index anew, if it can be read no more
// as a whole. It tells whether it can be made anew.
func (e *Engine) askRebuild(ctx context.Context) (damaged, able bool, err error) {
	err = e.scan(e.db, nil, nil, func(_, _ []byte) (bool, error) { return true, ctx.Err() })
	if !errors.Is(err, engine.ErrCorrupt) {
		return false, false, err
	}
	able, err = e.orderRebuild()
	return true, able, err
}

// rebuildDone ends what askRebuild began, once the index has everything.
func (e *Engine) rebuildDone() error {
	if _, err := e.fs.Stat(e.path(rebuildName)); err != nil {
		return nil
	}
	if !e.roomForIndex() {
		return nil // once more then
	}
	if err := e.writeIndex(); err != nil {
		e.log.Warn("the next start makes the index anew once more", "err", err)
		return nil
	}
	if err := e.fs.Remove(e.path(rebuildName)); err != nil {
		return err
	}
	return syncDir(e.fs, e.dir)
}

// indexIsDamaged is called when a read of the index found damage, while that read
// waits.
func (e *Engine) indexIsDamaged(err error) {
	if !e.indexDamaged.Swap(true) {
		e.log.Error("the index is damaged", "err", err)
	}
	select {
	case e.heal <- struct{}{}:
	default:
	}
}

// healIndex stops a store whose index is damaged and can be made anew: that is
// what its next Open does.
func (e *Engine) healIndex() {
	able, err := e.orderRebuild()
	if err != nil || !able {
		e.log.Error("the index is damaged, and cannot be made anew: restore a backup", "err", err)
		return
	}
	_ = e.stop(fmt.Errorf("the index is damaged, the next start makes it anew: %w", engine.ErrCorrupt))
}

// rebuildOrdered lets the next start make the index anew, of which this one found that
// it is damaged. Once it has been made anew for that reason, that is enough.
func (e *Engine) rebuildOrdered() bool {
	if _, err := e.fs.Stat(e.path(rebuildName)); err == nil || e.opt.mutate.keepIndex {
		return false
	}
	able, err := e.canRebuild()
	if err == nil && able {
		err = e.verifyBase()
	}
	if err == nil && able {
		err = writeFile(e.fs, e.dir, rebuildName, nil)
	}
	if err != nil {
		e.log.Error("the index is damaged, and cannot be made anew", "err", err)
	}
	return err == nil && able
}

// orderRebuild lets the next start make the index anew, if that is possible.
func (e *Engine) orderRebuild() (able bool, err error) {
	if err := e.verifyBase(); err != nil {
		return false, err
	}
	if able, err = e.canRebuild(); err != nil || !able || e.end.Load() == nil {
		return false, err
	}
	c := &checker{e: e, ctx: context.Background(), deep: true, report: func(string) {}, sizes: map[uint32]int64{}, end: *e.end.Load()}
	if err := c.log(); err != nil {
		return false, err
	}
	if len(c.bad) > 0 {
		return false, fmt.Errorf("local: the log, of which the index would be made, is damaged too: %w", engine.ErrCorrupt)
	}
	return true, writeFile(e.fs, e.dir, rebuildName, nil)
}
