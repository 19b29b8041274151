package local

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"posthouse/store/engine"
)

// reapAtOnce is how many blobs are looked at in one snapshot; a pass whose rate
// is not bounded looks at more.
const reapAtOnce = 1000

func (k *keeping) reapAtOnce() int {
	if k.rate <= 0 {
		return unbounded * reapAtOnce
	}
	return reapAtOnce
}

// reap finds out which of the blobs that lost an owner are dead, and lets their
// records go. What an open Reader may still see waits.
func (k *keeping) reap() error {
	for {
		n, err := k.reapSome()
		if err != nil || n < k.reapAtOnce() {
			return err
		}
	}
}

// A hole is where a dead blob was.
type hole struct {
	id  engine.BlobID
	r   blobRecord
	lsn uint64
}

// reapSome reaps a part. It returns how many notes it looked at.
func (k *keeping) reapSome() (n int, err error) {
	e := k.e
	bound := e.seenByAll()
	seen := e.applied.Load()
	snap := e.db.NewSnapshot()
	defer func() { err = errors.Join(err, snap.Close()) }()
	var items, audit []upkeep
	var holes []hole
	known := map[engine.BlobID]struct{}{}
	err = e.scan(snap, []byte{kindDead}, appendDeadKey(nil, bound+1, 0), func(key, _ []byte) (bool, error) {
		if len(key) != 17 {
			return true, nil
		}
		n++
		item := upkeep{id: engine.BlobID(be.Uint64(key[9:]))}
		if item.id == 0 {
			audit = append(audit, upkeep{meta: appendDelete(nil, key)})
			return n < k.reapAtOnce(), nil
		}
		if _, twice := known[item.id]; !twice {
			known[item.id] = struct{}{}
			o, err := e.owners(snap, item.id)
			if err != nil {
				return false, err
			}
			item = o.upkeep(item)
			if item.dies {
				holes = append(holes, hole{item.id, o.record, uint64(item.id) >> 16})
			}
		}
		item.meta = appendDelete(item.meta, key)
		items = append(items, item)
		return n < k.reapAtOnce(), nil
	})
	if err == nil {
		err = k.commit(items, seen)
	}
	if err == nil {
		err = k.punch(holes)
	}
	if err == nil && len(audit) > 0 {
		// Too many keys went at once to be asked what they owned. The note goes only
		// once all blobs were looked at.
		if err = k.audit(); err == nil {
			n, err = k.reapAtOnce(), k.commit(audit, seen)
		}
	}
	return n, err
}

// owners is what the index says of a blob's owners.
type owners struct {
	record blobRecord
	exists bool
	alive  bool
	gone   [][]byte // kindOwner keys of those that own it no more
}

// owners looks at all owners of a blob.
func (e *Engine) owners(r pebble.Reader, id engine.BlobID) (o owners, err error) {
	err = e.get(r, appendBlobKey(nil, id), func(b []byte) (err error) {
		o.record, err = decodeBlobRecord(bytes.Clone(b))
		return err
	})
	if err == engine.ErrNotFound {
		return o, nil
	}
	if err != nil {
		return o, err
	}
	o.exists = true
	if o.alive, err = e.owns(r, appendKey(nil, o.record.account, o.record.key), id); err != nil {
		return o, err
	}
	prefix := be.AppendUint64([]byte{kindOwner}, uint64(id))
	err = e.scan(r, prefix, be.AppendUint64([]byte{kindOwner}, uint64(id)+1), func(key, _ []byte) (bool, error) {
		alive, err := e.owns(r, append([]byte{kindKey}, key[len(prefix):]...), id)
		if o.alive = o.alive || alive; !alive {
			o.gone = append(o.gone, bytes.Clone(key))
		}
		return true, err
	})
	return o, err
}

// owns tells whether a key of the index exists and ends with a blob's id.
func (e *Engine) owns(r pebble.Reader, key []byte, id engine.BlobID) (alive bool, err error) {
	err = e.get(r, key, func(val []byte) error {
		alive = len(val) >= 8 && engine.BlobID(be.Uint64(val[len(val)-8:])) == id
		return nil
	})
	if err == engine.ErrNotFound {
		err = nil
	}
	return alive, err
}

// upkeep completes the change that follows from what was seen of the owners.
func (o *owners) upkeep(u upkeep) upkeep {
	for _, key := range o.gone {
		u.meta = appendDelete(u.meta, key)
	}
	if !o.exists || o.alive {
		return u
	}
	u.dies = true
	u.meta = appendDelete(u.meta, appendBlobKey(nil, u.id))
	if o.record.place == inFile {
		u.meta = appendDelete(u.meta, appendFileKey(nil, o.record.where))
		u.meta = appendSet(u.meta, appendRemoveKey(nil, inFile, o.record.where), nil)
	}
	return u
}

// audit looks at all blobs for those without an owner, and notes them to be
// reaped once no Reader can see that they had one.
func (k *keeping) audit() error {
	for from := engine.BlobID(0); ; {
		next, err := k.auditSome(from)
		if err != nil || next == 0 {
			return err
		}
		from = next
	}
}

// auditSome looks at blobs from an id on, and returns where to go on, or 0.
func (k *keeping) auditSome(from engine.BlobID) (next engine.BlobID, err error) {
	e := k.e
	seen := e.applied.Load()
	snap := e.db.NewSnapshot()
	defer func() { err = errors.Join(err, snap.Close()) }()
	var items []upkeep
	n, size := 0, uint64(0)
	err = e.scan(snap, appendBlobKey(nil, from), []byte{kindBlob + 1}, func(key, val []byte) (bool, error) {
		id := engine.BlobID(be.Uint64(key[1:]))
		if n == reapAtOnce {
			next = id
			return false, nil
		}
		n++
		size += uint64(len(key) + len(val) + 512) // with the look at its owner, about
		o, err := e.owners(snap, id)
		if err == nil && o.exists && !o.alive {
			items = append(items, upkeep{meta: appendSet(nil, appendDeadKey(nil, seen, id), nil)})
		}
		return true, err
	})
	if err == nil {
		err = k.commit(items, seen)
	}
	if err == nil {
		err = k.pace(size)
	}
	return next, err
}
