package local

import (
	"bytes"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"posthouse/store/engine"
)

// A reader is a snapshot of the index, seen as one account.
type reader struct {
	e    *Engine
	a    engine.Account
	snap *pebble.Snapshot // nil: the engine was closed
	lsn  uint64           // what the snapshot has at least
	once sync.Once
}

// Snapshot implements engine.Engine.
func (e *Engine) Snapshot(a engine.Account) engine.Reader {
	r := &reader{e: e, a: a}
	if e.gate.enter() != nil {
		return r
	}
	defer e.gate.leave()
	e.readers.mu.Lock() // with the LSN, so that reclamation sees this reader or the reader its frames
	r.lsn = e.applied.Load()
	e.readers.open[r] = struct{}{}
	e.readers.mu.Unlock()
	r.snap = e.db.NewSnapshot()
	return r
}

// seenByAll returns the LSN of the oldest state that an open reader may see.
func (e *Engine) seenByAll() uint64 {
	e.readers.mu.Lock()
	defer e.readers.mu.Unlock()
	lsn := e.applied.Load()
	for r := range e.readers.open {
		lsn = min(lsn, r.lsn)
	}
	return lsn
}

// readers are those that are open, so that Close can end them.
type readers struct {
	mu   sync.Mutex
	open map[*reader]struct{}
}

func (r *reader) enter() error {
	if r.snap == nil {
		return errClosed()
	}
	return r.e.gate.enter()
}

func (r *reader) Get(key []byte) (val []byte, err error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.e.gate.leave()
	var buf [128]byte
	err = r.e.get(r.snap, appendKey(buf[:0], r.a, key), func(v []byte) error {
		val = append(make([]byte, 0, len(v)), v...)
		return nil
	})
	return val, err
}

func (r *reader) Scan(lo, hi []byte, f func(key, val []byte) bool) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.e.gate.leave()
	end := afterAccount(r.a)
	if hi != nil {
		if bytes.Compare(lo, hi) >= 0 {
			return nil
		}
		end = appendKey(nil, r.a, hi)
	}
	return r.e.scan(r.snap, appendKey(nil, r.a, lo), end, func(k, v []byte) (bool, error) { return f(k[9:], v), nil })
}

// Version returns 0 if the index cannot be read: a commit that relies on it
// then conflicts.
func (r *reader) Version() uint64 {
	if r.enter() != nil {
		return 0
	}
	defer r.e.gate.leave()
	v, err := r.e.version(r.snap, r.a)
	if err != nil {
		r.e.log.Error("index: reading an account's version", "account", r.a, "err", err)
	}
	return v
}

func (e *Engine) version(r pebble.Reader, a engine.Account) (v uint64, err error) {
	var buf [9]byte
	err = e.get(r, appendVersionKey(buf[:0], a), func(b []byte) error {
		if len(b) != 8 {
			return engine.ErrCorrupt
		}
		v = be.Uint64(b)
		return nil
	})
	if err == engine.ErrNotFound {
		return 0, nil
	}
	return v, err
}

func (r *reader) Close() error {
	if r.enter() != nil {
		return nil // the engine's Close has done it
	}
	defer r.e.gate.leave()
	r.e.readers.mu.Lock()
	delete(r.e.readers.open, r)
	r.e.readers.mu.Unlock()
	return r.release()
}

func (r *reader) release() (err error) {
	r.once.Do(func() {
		if r.snap != nil {
			err = r.snap.Close()
		}
	})
	return err
}

// Accounts implements engine.Engine.
func (e *Engine) Accounts(f func(engine.Account) bool) (err error) {
	if err := e.gate.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindKey}, UpperBound: []byte{kindKey + 1}})
	if err != nil {
		return indexError(err)
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = indexError(cerr)
		}
	}()
	for ok := it.First(); ok; {
		a := engine.Account(be.Uint64(it.Key()[1:]))
		if !f(a) || a == ^engine.Account(0) {
			return nil
		}
		ok = it.SeekGE(afterAccount(a))
	}
	return nil
}
