package local

import (
	"bytes"
	"fmt"

	"posthouse/store/engine"
)

// maxVersions bounds the cache of account versions.
const maxVersions = 1 << 16

// A version is an account's, and the frame that gave it.
type version struct{ value, lsn uint64 }

// An undo is what versions held before a request that was refused.
type undo struct {
	account engine.Account
	old     version
	known   bool
}

// admit decides whether g.reqs[i] may be committed after the requests before it,
// and raises its accounts' versions.
func (c *committer) admit(g *group, i int, refuseBlobs bool) error {
	r := g.reqs[i]
	if refuseBlobs && len(r.blobs) > 0 {
		return errFull()
	}
	c.undo = c.undo[:0]
	err := c.admitLinks(r, g.lsn)
	if err == nil {
		err = c.admitBatches(g, i)
	}
	for n := len(c.undo) - 1; err != nil && n >= 0; n-- {
		if u := c.undo[n]; u.known {
			c.versions[u.account] = u.old
		} else {
			delete(c.versions, u.account)
		}
	}
	return err
}

func (c *committer) admitBatches(g *group, i int) error {
	for _, b := range g.reqs[i].batches {
		if b.Expect != engine.AnyVersion {
			v, err := c.version(b.Account)
			if err != nil {
				return err
			}
			if v != b.Expect {
				return fmt.Errorf("local: account %d is at version %d, expected %d: %w", b.Account, v, b.Expect, engine.ErrConflict)
			}
			old, known := c.versions[b.Account]
			c.undo = append(c.undo, undo{b.Account, old, known})
			c.versions[b.Account] = version{v + 1 + b.Skip, g.lsn}
		}
		for _, cas := range b.CAS {
			ok, err := c.holds(g, i, b.Account, cas)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("local: account %d, key %x has changed: %w", b.Account, cas.Key, engine.ErrConflict)
			}
		}
	}
	return nil
}

// version returns an account's version after all requests so far.
func (c *committer) version(a engine.Account) (uint64, error) {
	if v, ok := c.versions[a]; ok {
		return v.value, nil
	}
	return c.e.version(c.e.db, a)
}

// holds tells whether a CAS holds before g.reqs[i].
func (c *committer) holds(g *group, i int, a engine.Account, cas engine.CAS) (bool, error) {
	val, known := c.pendingValue(g, i, a, cas.Key)
	if !known {
		err := c.e.get(c.e.db, appendKey(nil, a, cas.Key), func(v []byte) error {
			val = append([]byte{}, v...)
			return nil
		})
		if err != nil && err != engine.ErrNotFound {
			return false, err
		}
	}
	return (val == nil) == (cas.Old == nil) && bytes.Equal(val, cas.Old), nil
}

// pendingValue returns the value (nil: absent) that a request before g.reqs[i]
// gives a key, if the index may not have it yet. It looks backwards through the
// requests themselves, so that commits without CAS pay nothing.
func (c *committer) pendingValue(g *group, i int, a engine.Account, key []byte) (val []byte, known bool) {
	for n := i - 1; n >= 0; n-- {
		if val, known = g.reqs[n].value(a, key); known {
			return val, true
		}
	}
	for n := len(c.unapplied) - 1; n >= 0; n-- {
		reqs := c.unapplied[n].reqs
		for m := len(reqs) - 1; m >= 0; m-- {
			if val, known = reqs[m].value(a, key); known {
				return val, true
			}
		}
	}
	return nil, false
}

// value returns what r leaves in a key, if it touches it.
func (r *request) value(a engine.Account, key []byte) (val []byte, known bool) {
	if r.err != nil {
		return nil, false
	}
	ref := 0
	for _, b := range r.batches {
		for i := range b.Ops {
			op := &b.Ops[i]
			here := b.Account == a && bytes.Equal(op.Key, key)
			switch op.Kind {
			case engine.Set:
				var id engine.BlobID
				if op.Blob != nil {
					if id = op.Blob.ID; r.refs[ref] != stored {
						id = r.blobs[r.refs[ref]].id
					}
					ref++
				}
				if !here {
					continue
				}
				val = append([]byte{}, op.Val...)
				if op.Blob != nil {
					val = be.AppendUint64(val, uint64(id))
				}
				known = true
			case engine.Delete:
				if here {
					val, known = nil, true
				}
			case engine.DeleteRange:
				if b.Account == a && bytes.Compare(op.Key, key) <= 0 && bytes.Compare(key, op.End) < 0 {
					val, known = nil, true
				}
			}
		}
	}
	return val, known
}
