package directory

import (
	"context"
	"encoding/binary"
	"errors"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A Commit makes a change of the directory durable, together with what the
// caller adds to the same unit: [store.Store.Update] takes b as an extra batch.
// id is the account that is made or removed.
type Commit func(ctx context.Context, id mail.AccountID, b *engine.Batch) error

// commitAlone commits a change that nothing else must accompany.
func (d *Directory) commitAlone(ctx context.Context, _ mail.AccountID, b *engine.Batch) error {
	_, err := d.eng.Commit(ctx, b).Wait()
	return err
}

// A change is computed from one state of the directory and takes effect only if
// that is still the state: its batch expects the version that it read.
type change struct {
	reader
	version uint64
	id      mail.AccountID // passed to Commit
	ops     []engine.Op
	given   uint64 // last id given, once one was
}

func (c *change) set(key []byte, rec any) {
	c.ops = append(c.ops, engine.Op{Kind: engine.Set, Key: key, Val: encode(rec)})
}

func (c *change) setCounter(key string, n uint64) {
	c.ops = append(c.ops, engine.Op{Kind: engine.Set, Key: []byte(key), Val: binary.BigEndian.AppendUint64(nil, n)})
}

func (c *change) setAccount(a Account) {
	c.set(idKey(accountPrefix, a.ID), recordOfAccount(a))
	if a.Admin {
		c.set(idKey(adminPrefix, a.ID), true)
	} else {
		c.delete(idKey(adminPrefix, a.ID))
	}
}

func (c *change) delete(key []byte) {
	c.ops = append(c.ops, engine.Op{Kind: engine.Delete, Key: key})
}

// batch ends the change: every batch takes the version one up, on condition that
// it is what was read. That one condition covers every record the change looked
// at, also the ones that were not there. Changes of the directory are rare, so
// that they exclude each other costs nothing.
func (c *change) batch() *engine.Batch {
	cas := engine.CAS{Key: []byte(versionKey)}
	if c.version > 0 {
		cas.Old = binary.BigEndian.AppendUint64(nil, c.version)
	}
	c.setCounter(versionKey, c.version+1)
	return &engine.Batch{Expect: engine.AnyVersion, CAS: []engine.CAS{cas}, Ops: c.ops}
}

// maxTries bounds how often a change is computed again after another process
// was faster. Within this process the write lock makes a conflict impossible.
const maxTries = 16

// change runs fn on the present state and commits what it did. fn may run again.
func (d *Directory) change(ctx context.Context, op string, commit Commit, fn func(c *change) error) error {
	if commit == nil {
		commit = d.commitAlone
	}
	select {
	case <-d.write:
		defer func() { d.write <- struct{}{} }()
	case <-ctx.Done():
		return engineError(op, ctx.Err())
	}
	var err error
	for range maxTries {
		if err = d.tryChange(ctx, commit, fn); !isConflict(err) {
			break
		}
	}
	return engineError(op, err)
}

func (d *Directory) tryChange(ctx context.Context, commit Commit, fn func(c *change) error) error {
	r := d.eng.Snapshot(0)
	defer r.Close()
	c := &change{reader: reader{r}}
	var err error
	if c.version, err = c.reader.version(); err != nil {
		return err
	}
	if err := fn(c); err != nil || len(c.ops) == 0 {
		return err
	}
	defer d.memory.forget()
	return commit(ctx, c.id, c.batch())
}

func isConflict(err error) bool {
	return errors.Is(err, engine.ErrConflict) || err != nil && mail.KindOf(err) == mail.Conflict
}
