package local

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"posthouse/store/engine"
)

// A Damage is a blob that cannot be read.
type Damage struct {
	Blob   engine.BlobID
	Owners []Owner
	Err    error
}

// An Owner is a key that owns a blob.
type Owner struct {
	Account engine.Account
	Key     []byte
}

// damagedBlob reports a blob that cannot be read.
func (e *Engine) damagedBlob(id engine.BlobID, err error) {
	d := Damage{Blob: id, Err: err, Owners: e.ownersOf(id)}
	if !e.keeper.bad.add(id) {
		return // reported before
	}
	e.keeper.damaged.Add(1)
	e.log.Error("a blob is damaged", "blob", fmt.Sprintf("%x", uint64(id)), "owners", ownerNames(d.Owners), "err", err)
	if e.opt.Damaged != nil {
		e.opt.Damaged(d)
	}
}

// ownerNames says who owns a blob, for people.
func ownerNames(owners []Owner) string {
	names := make([]string, len(owners))
	for i, o := range owners {
		names[i] = fmt.Sprintf("account %d key %x", o.Account, o.Key)
	}
	return strings.Join(names, ", ")
}

// ownersOf returns the keys that own a blob.
func (e *Engine) ownersOf(id engine.BlobID) (list []Owner) {
	add := func(a engine.Account, key []byte) {
		if alive, err := e.owns(e.db, appendKey(nil, a, key), id); err == nil && alive {
			list = append(list, Owner{a, bytes.Clone(key)})
		}
	}
	if r, err := e.wholeRecord(id); err == nil {
		add(r.account, r.key)
	}
	prefix := be.AppendUint64([]byte{kindOwner}, uint64(id))
	_ = e.scan(e.db, prefix, be.AppendUint64([]byte{kindOwner}, uint64(id)+1), func(key, _ []byte) (bool, error) {
		add(engine.Account(be.Uint64(key[9:])), key[17:])
		return true, nil
	})
	return list
}

// maxBad bounds how many damaged blobs are remembered.
const maxBad = 10_000

// badBlobs remembers the damaged blobs that were found since Open.
type badBlobs struct {
	mu  sync.Mutex
	ids map[engine.BlobID]struct{}
}

// add tells whether id was not known.
func (b *badBlobs) add(id engine.BlobID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.ids[id]; known || len(b.ids) >= maxBad {
		return !known
	}
	if b.ids == nil {
		b.ids = map[engine.BlobID]struct{}{}
	}
	b.ids[id] = struct{}{}
	return true
}

// remove forgets a blob that was mended.
func (b *badBlobs) remove(id engine.BlobID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ids, id)
}

func (b *badBlobs) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.ids)
}

// all returns the ids in order.
func (b *badBlobs) all() []engine.BlobID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.ids))
}
