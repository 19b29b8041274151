package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/store/engine"
)

// The crash tests' workload. Operation number idx of an account is always the
// same, and raises the account's version to idx, so the version found after a
// crash tells which state must be there, key for key and byte for byte.
type mailModel struct {
	next uint32
	uids map[uint32]modelMessage
}

type modelMessage struct {
	size  int
	flags uint32
}

func (m *mailModel) state(v uint64) string { return fmt.Sprintf("version %d, next %d", v, m.next) }

func accountID(i int) engine.Account { return engine.Account(i) }

func uidKey(kind byte, uid uint32) []byte { return binary.BigEndian.AppendUint32([]byte{kind}, uid) }

func modelBlob(a engine.Account, uid uint32, size int) []byte {
	r := rand.NewChaCha8([32]byte{byte(a), byte(uid), byte(uid >> 8)})
	b := make([]byte, size)
	r.Read(b)
	return b
}

// step applies operation idx of account a to m and returns its changes, whose
// blobs have their bytes only if asked for.
func (m *mailModel) step(a engine.Account, idx uint64, bytes bool) []engine.Op {
	r := rand.New(rand.NewPCG(uint64(a), idx))
	x := r.IntN(10)
	if len(m.uids) == 0 {
		x = 0
	}
	ops := []engine.Op{{Key: []byte("A"), Val: binary.BigEndian.AppendUint64(nil, idx)}}
	switch {
	case x < 5:
		m.next++
		size := 50 + r.IntN(2000)
		if r.IntN(4) == 0 {
			size += 6000 // a large one, under crashOptions
		}
		m.uids[m.next] = modelMessage{size: size}
		b := &engine.Blob{}
		if bytes {
			b.Bytes = modelBlob(a, m.next, size)
		}
		ops = append(ops, engine.Op{Key: uidKey('m', m.next), Blob: b}, engine.Op{Key: uidKey('c', m.next), Blob: b},
			engine.Op{Key: uidKey('f', m.next), Val: make([]byte, 4)})
	case x < 8:
		uid := m.pick(r)
		msg := m.uids[uid]
		msg.flags = r.Uint32()
		m.uids[uid] = msg
		ops = append(ops, engine.Op{Key: uidKey('f', uid), Val: binary.BigEndian.AppendUint32(nil, msg.flags)})
	case x < 9:
		uid := m.pick(r)
		delete(m.uids, uid)
		for _, k := range "mcf" {
			ops = append(ops, engine.Op{Kind: engine.Delete, Key: uidKey(byte(k), uid)})
		}
	default: // expunge a range
		lo := m.pick(r)
		hi := lo + uint32(r.IntN(4))
		for uid := lo; uid < hi; uid++ {
			delete(m.uids, uid)
		}
		for _, k := range "mcf" {
			ops = append(ops, engine.Op{Kind: engine.DeleteRange, Key: uidKey(byte(k), lo), End: uidKey(byte(k), hi)})
		}
	}
	return ops
}

// pick returns a UID that exists.
func (m *mailModel) pick(r *rand.Rand) uint32 {
	from := r.Uint32N(m.next + 1)
	for i := range m.next + 1 {
		if uid := (from + i) % (m.next + 1); m.uids[uid] != (modelMessage{}) {
			return uid
		}
	}
	return 0
}

func modelAt(a engine.Account, idx uint64) *mailModel {
	m := &mailModel{uids: map[uint32]modelMessage{}}
	for i := uint64(1); i <= idx; i++ {
		m.step(a, i, false)
	}
	return m
}

func (m *mailModel) batch(a engine.Account, idx uint64) *engine.Batch {
	return &engine.Batch{Account: a, Expect: idx - 1, Ops: m.step(a, idx, true)}
}

// crashOptions make much happen in little time.
func crashOptions(fs vfs.FS, rnd *rand.Rand) Options {
	return Options{
		FS: fs, Dir: "/srv/store", LargeBlob: 4000,
		SegmentSize:  []int64{8 << 10, 64 << 10}[rnd.IntN(2)],
		MemTable:     []int64{64 << 10, 1 << 20}[rnd.IntN(2)],
		CollectEvery: -1, // only when told
		FlushBytes:   []int64{30 << 10, 1 << 30}[rnd.IntN(2)],
	}
}

// An expectation is what must be in each account: the state after some
// operation between the last acknowledged and the last issued one.
type expectation struct{ acked, issued []uint64 }

// verify opens a store and compares it with the model. It returns the version
// of each account.
func verify(opt Options, want expectation) (at []uint64, err error) {
	e, err := Open(context.Background(), opt)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := e.Close(); err == nil {
			err = cerr
		}
	}()
	for i := range want.acked {
		a := engine.Account(i)
		v, err := verifyAccount(e, a)
		if err != nil {
			return nil, fmt.Errorf("account %d: %w", a, err)
		}
		if v < want.acked[i] || v > want.issued[i] {
			return nil, fmt.Errorf("account %d: at operation %d, acknowledged %d, issued %d", a, v, want.acked[i], want.issued[i])
		}
		at = append(at, v)
	}
	err = e.Check(context.Background(), true, func(p string) {
		if err == nil {
			err = fmt.Errorf("check: %s", p)
		}
	})
	return at, err
}

// verifyAccount compares one account with the model at its version.
func verifyAccount(e *Engine, a engine.Account) (uint64, error) {
	r := e.Snapshot(a)
	defer r.Close()
	v := r.Version()
	m := modelAt(a, v)
	got := map[uint32]modelMessage{}
	var ids []engine.BlobID
	err := r.Scan([]byte("m"), []byte("n"), func(k, val []byte) bool {
		got[binary.BigEndian.Uint32(k[1:])] = modelMessage{}
		ids = append(ids, engine.BlobID(binary.BigEndian.Uint64(val)))
		return true
	})
	if err != nil {
		return v, err
	}
	if len(got) != len(m.uids) {
		return v, fmt.Errorf("%s: %d messages, want %d", m.state(v), len(got), len(m.uids))
	}
	if val, err := r.Get([]byte("A")); v > 0 && (err != nil || binary.BigEndian.Uint64(val) != v) {
		return v, fmt.Errorf("%s: key A: %x, %v", m.state(v), val, err)
	}
	for uid, msg := range m.uids {
		f, err := r.Get(uidKey('f', uid))
		if err != nil || binary.BigEndian.Uint32(f) != msg.flags {
			return v, fmt.Errorf("%s: flags of %d: %x, %v; want %x", m.state(v), uid, f, err, msg.flags)
		}
		own, err := r.Get(uidKey('m', uid))
		copied, cerr := r.Get(uidKey('c', uid))
		if err != nil || cerr != nil || !bytes.Equal(own, copied) {
			return v, fmt.Errorf("%s: owners of %d: %x, %v and %x, %v", m.state(v), uid, own, err, copied, cerr)
		}
		b, err := e.ReadBlob(context.Background(), nil, engine.BlobID(binary.BigEndian.Uint64(own)))
		if err != nil || !bytes.Equal(b, modelBlob(a, uid, msg.size)) {
			return v, fmt.Errorf("%s: message %d: %d of %d bytes, %v", m.state(v), uid, len(b), msg.size, err)
		}
	}
	return v, nil
}
