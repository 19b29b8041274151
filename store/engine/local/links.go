package local

import "posthouse/store/engine"

// An upkeep is a change that the engine makes by itself: blobs die, move, files go.
type upkeep struct {
	id   engine.BlobID // the blob whose owners were looked at, or 0
	dies bool          // it had none
	meta []byte
}

// links settles the race between a commit that gives a stored blob another
// owner and the engine, which finds that the blob has none: whichever reaches
// the committer first wins. A floor is the LSN up to which a map was forgotten.
type links struct {
	linked, reaped           map[engine.BlobID]uint64 // with the LSN of the frame
	linkedFloor, reapedFloor uint64
	always                   bool // a mutation: the engine wins
}

// maxLinks bounds each map.
const maxLinks = 1 << 16

func newLinks(lsn uint64) links {
	l := links{linked: map[engine.BlobID]uint64{}, reaped: map[engine.BlobID]uint64{}}
	l.reset(lsn)
	return l
}

// reset forgets everything, once the index has all frames up to lsn.
func (l *links) reset(lsn uint64) {
	clear(l.linked)
	clear(l.reaped)
	l.linkedFloor, l.reapedFloor = lsn, lsn
}

// forget drops what the index has by now, when there is much.
func (l *links) forget(applied uint64) {
	drop := func(m map[engine.BlobID]uint64, floor *uint64) {
		if len(m) <= maxLinks {
			return
		}
		for id, lsn := range m {
			if lsn <= applied {
				delete(m, id)
			}
		}
		*floor = applied
	}
	drop(l.linked, &l.linkedFloor)
	drop(l.reaped, &l.reapedFloor)
}

// mayChange tells whether what was seen of a blob's owners in the index at LSN
// seen still holds.
func (l *links) mayChange(u upkeep, seen uint64) bool {
	return u.id == 0 || l.always || seen >= l.linkedFloor && l.linked[u.id] <= seen
}

// admitLinks refuses r if it gives an owner to a blob that is dead by now.
func (c *committer) admitLinks(r *request, lsn uint64) error {
	ref := 0
	for _, b := range r.batches {
		for i := range b.Ops {
			op := &b.Ops[i]
			if op.Blob == nil || op.Kind != engine.Set {
				continue
			}
			if ref++; r.refs[ref-1] != stored {
				continue
			}
			id := op.Blob.ID
			if _, dead := c.links.reaped[id]; dead {
				return errNoBlob(id)
			}
			if r.seen < c.links.reapedFloor {
				if err := c.e.exists(id); err != nil {
					return err
				}
			}
			c.links.linked[id] = lsn
		}
	}
	return nil
}
