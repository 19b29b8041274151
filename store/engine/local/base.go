package local

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/internal/codec"
	"posthouse/store/engine"
)

// The file base is a copy of the whole index at one position of the log. A
// segment may go only after its commits are in base; so base and the rest of
// the log are all that making the index anew needs. All little-endian: magic
// u32, crc32c u32 of the header's rest, store's id u64, LSN u64; blocks, each
// length u32, crc32c u32, zstd frame of key length uvarint, key, value length
// uvarint, value …; at last a block of length 0 whose crc32c is that of the
// header's LSN and of the number of keys, u64, which follows.
const (
	baseName    = "base"
	baseMagic   = 0x31534142 // "BAS1"
	baseHeader  = 24
	baseBlock   = 256 << 10
	maxBaseData = 64 << 20 // of a block, decompressed: one key may be large
)

func baseHead(store, lsn uint64) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, baseMagic)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, store)
	b = le.AppendUint64(b, lsn)
	le.PutUint32(b[4:], checksum(b[8:]))
	return b
}

func baseEnd(lsn, keys uint64) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0)
	b = le.AppendUint32(b, checksum(le.AppendUint64(le.AppendUint64(nil, lsn), keys)))
	return le.AppendUint64(b, keys)
}

// writeBase copies the index.
func (k *keeping) writeBase() error {
	e := k.e
	snap := e.db.NewSnapshot()
	tmp := e.path(baseName + ".tmp")
	lsn, err := k.writeBaseFile(snap, tmp)
	if err = errors.Join(err, snap.Close()); err == nil {
		err = e.fs.Rename(tmp, e.path(baseName))
	}
	if err == nil {
		err = syncDir(e.fs, e.dir)
	}
	if err != nil {
		_ = e.fs.Remove(tmp)
		return err
	}
	e.keeper.base.Store(lsn)
	e.keeper.removals.Add(1)
	return nil
}

func (k *keeping) writeBaseFile(snap *pebble.Snapshot, name string) (lsn uint64, err error) {
	e := k.e
	var m mark
	if err := e.get(snap, []byte{kindMark}, func(b []byte) (err error) { m, err = decodeMark(b); return err }); err != nil {
		return 0, err
	}
	f, err := e.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	w := &baseWriter{k: k, f: f}
	_, err = f.Write(baseHead(e.store, m.lsn))
	if err == nil {
		err = e.scan(snap, nil, nil, w.add)
	}
	if err == nil {
		err = w.block()
	}
	if err == nil {
		_, err = f.Write(baseEnd(m.lsn, w.keys))
	}
	if err == nil {
		err = f.Sync()
	}
	return m.lsn, errors.Join(err, f.Close())
}

// A baseWriter writes the blocks of a base.
type baseWriter struct {
	k         *keeping
	f         vfs.File
	keys      uint64
	data, out []byte
}

func (w *baseWriter) add(key, val []byte) (bool, error) {
	w.data = codec.AppendBytes(codec.AppendBytes(w.data, key), val)
	w.keys++
	if len(w.data) < baseBlock {
		return true, nil
	}
	return true, w.block()
}

func (w *baseWriter) block() error {
	if len(w.data) == 0 {
		return nil
	}
	x, err := w.k.e.keeper.codecs.encoder(w.k.e, 0)
	if err != nil {
		return err
	}
	w.out = x.EncodeAll(w.data, append(w.out[:0], zeros[:8]...))
	binary.LittleEndian.PutUint32(w.out, uint32(len(w.out)-8))
	binary.LittleEndian.PutUint32(w.out[4:], checksum(w.out[8:]))
	n := uint64(len(w.data))
	w.data = w.data[:0]
	if _, err := w.f.Write(w.out); err != nil {
		return err
	}
	return w.k.pace(n)
}

// baseLSN returns the position of the index's copy, 0 if there is none.
func (e *Engine) baseLSN() (uint64, error) {
	f, err := e.fs.Open(e.path(baseName))
	if errors.Is(err, errNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var head [baseHeader]byte
	_, err = io.ReadFull(f, head[:])
	err = errors.Join(err, f.Close())
	lsn := binary.LittleEndian.Uint64(head[16:])
	if err != nil || string(head[:]) != string(baseHead(e.store, lsn)) {
		return 0, errBase(err)
	}
	return lsn, nil
}

func errBase(err error) error {
	if err != nil {
		return fmt.Errorf("local: the index's copy %s is damaged: %w: %w", baseName, engine.ErrCorrupt, err)
	}
	return fmt.Errorf("local: the index's copy %s is damaged: %w", baseName, engine.ErrCorrupt)
}

// loadBase fills an index that has no mark from its copy. The mark comes last
// and after a flush, so that a crash meanwhile begins anew.
func (e *Engine) loadBase() error {
	f, err := e.fs.Open(e.path(baseName), vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	l := &baseLoader{e: e, r: bufio.NewReaderSize(f, 1<<20)}
	if err = errors.Join(l.load(), f.Close()); err != nil {
		return err
	}
	if err := e.writeIndex(); err != nil {
		return err
	}
	if err := e.db.Set([]byte{kindMark}, l.mark, pebble.NoSync); err != nil {
		return indexError(err)
	}
	return e.writeIndex()
}

// verifyBase reads the index's copy, if there is one.
func (e *Engine) verifyBase() error {
	f, err := e.fs.Open(e.path(baseName), vfs.SequentialReadsOption)
	if errors.Is(err, errNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l := &baseLoader{e: e, r: bufio.NewReaderSize(f, 1<<20), dry: true}
	return errors.Join(l.load(), f.Close())
}

// A baseLoader reads a base into the index.
type baseLoader struct {
	e         *Engine
	r         *bufio.Reader
	mark      []byte
	keys, lsn uint64
	buf, data []byte
	dry       bool // only verify
}

func (l *baseLoader) load() error {
	var head [baseHeader]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return errBase(err)
	}
	l.lsn = binary.LittleEndian.Uint64(head[16:])
	if string(head[:]) != string(baseHead(l.e.store, l.lsn)) {
		return errBase(nil)
	}
	for {
		more, err := l.block()
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if m, err := decodeMark(l.mark); err != nil || m.lsn != l.lsn {
		return errBase(err)
	}
	return nil
}

func (l *baseLoader) block() (bool, error) {
	var head [8]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return false, errBase(err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 {
		var keys [8]byte
		_, err := io.ReadFull(l.r, keys[:])
		if err != nil || string(append(head[:], keys[:]...)) != string(baseEnd(l.lsn, l.keys)) {
			return false, errBase(err)
		}
		return false, nil
	}
	if n > maxBaseData {
		return false, errBase(nil)
	}
	if cap(l.buf) < int(n) {
		l.buf = make([]byte, n)
	}
	l.buf = l.buf[:n]
	if _, err := io.ReadFull(l.r, l.buf); err != nil {
		return false, errBase(err)
	}
	if checksum(l.buf) != binary.LittleEndian.Uint32(head[4:]) {
		return false, errBase(nil)
	}
	x, err := l.e.keeper.codecs.decoder(l.e, 0)
	if err != nil {
		return false, err
	}
	if l.data, err = x.DecodeAll(l.buf, l.data[:0]); err != nil {
		return false, errBase(err)
	}
	return true, l.apply()
}

// apply sets the keys of a block.
func (l *baseLoader) apply() error {
	b := l.e.db.NewBatchWithSize(len(l.data) + 4096)
	for d := codec.Decode(l.data); d.Len() > 0; {
		key, val := d.Bytes(), d.Bytes()
		if d.Bad() || len(key) == 0 {
			return errors.Join(errBase(nil), b.Close())
		}
		l.keys++
		if len(key) == 1 && key[0] == kindMark {
			l.mark = append([]byte{}, val...)
			continue
		}
		if l.dry {
			continue
		}
		if err := b.Set(key, val, nil); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	if l.dry {
		return b.Close()
	}
	if err := l.e.db.Apply(b, pebble.NoSync); err != nil {
		return indexError(err)
	}
	return b.Close()
}
