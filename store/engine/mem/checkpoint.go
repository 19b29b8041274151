package mem

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"posthouse/store/engine"
)

// A copied is what the file of a checkpoint holds. It is for tests, and no format.
type copied struct {
	Pos, NextID    uint64
	Keys, Versions []copiedKey
	Blobs          map[uint64][]byte
}

type copiedKey struct {
	Key, Val []byte
	Blob     uint64
}

const checkpointFile = "store"

// Checkpoint implements engine.Engine: Restore opens what it writes.
func (e *Engine) Checkpoint(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("mem: checkpoint: %w", err)
	}
	c := e.copy()
	f, err := os.Create(filepath.Join(dir, checkpointFile))
	if err != nil {
		return err
	}
	return errors.Join(gob.NewEncoder(f).Encode(c), f.Close())
}

// copy returns what is stored now.
func (e *Engine) copy() *copied {
	e.mu.Lock()
	st := e.state
	c := &copied{Pos: uint64(st.pos), NextID: uint64(e.nextID), Blobs: make(map[uint64][]byte, len(e.blobs))}
	for id, b := range e.blobs {
		if b.owners > 0 {
			c.Blobs[uint64(id)] = b.data
		}
	}
	e.mu.Unlock()
	all := func(root *node) (keys []copiedKey) {
		root.scan(nil, nil, func(n *node) bool {
			keys = append(keys, copiedKey{n.key, n.val, uint64(n.blob)})
			return true
		})
		return keys
	}
	c.Keys, c.Versions = all(st.keys), all(st.versions)
	return c
}

// Restore opens the copy that Checkpoint wrote to dir, as an engine of its own.
func Restore(dir string) (*Engine, error) {
	f, err := os.Open(filepath.Join(dir, checkpointFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var c copied
	if err := gob.NewDecoder(f).Decode(&c); err != nil {
		return nil, err
	}
	return c.open(), nil
}

// Reopen closes e and returns an engine with what it stored, as after a restart of
// the process. Readers of e go on reading e.
func (e *Engine) Reopen() (*Engine, error) {
	if err := e.Close(); err != nil {
		return nil, err
	}
	return e.copy().open(), nil
}

func (c *copied) open() *Engine {
	e := New()
	e.nextID = engine.BlobID(c.NextID)
	for id, data := range c.Blobs {
		e.keepLocked(engine.BlobID(id), data)
	}
	for _, k := range c.Keys {
		e.state.keys = e.state.keys.set(node{key: k.Key, prio: priority(k.Key), val: k.Val, blob: engine.BlobID(k.Blob)})
		if b := e.blobs[engine.BlobID(k.Blob)]; b != nil {
			b.owners++
		}
	}
	for _, k := range c.Versions {
		e.state.versions = e.state.versions.set(node{key: k.Key, prio: priority(k.Key), val: k.Val})
	}
	e.state.pos = engine.Pos(c.Pos)
	return e
}
