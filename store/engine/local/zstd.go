package local

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"

	"posthouse/store/engine"
)

// Collection compresses each blob by itself, so that one read still is enough.
// A dictionary, made from the blobs that are collected first, stands in for the
// neighbours that a single message lacks. Literals are entropy-coded even where
// nothing repeats: a quarter of base64 is air.
const (
	firstDict      = 1 << 15 // smaller numbers are reserved by RFC 8878 §5
	dictBytes      = 64 << 10
	dictSamples    = 1 << 20 // bytes of blobs to make one of, at most: the time is proportional, what it saves hardly
	dictSample     = 4 << 10
	dictMinSamples = 256
	minCompress    = 64 // smaller blobs are left as they are
	worthwhile     = 16 // a blob is stored compressed if that saves 1/16
)

// codecs compress and decompress blobs.
type codecs struct {
	mu       sync.Mutex
	dicts    map[uint32][]byte
	encoders map[uint32]*zstd.Encoder
	decoders map[uint32]*zstd.Decoder
	buffers  sync.Pool // of *[]byte
}

func (c *codecs) buffer(n int) *[]byte {
	if b, ok := c.buffers.Get().(*[]byte); ok && cap(*b) >= n {
		return b
	}
	b := make([]byte, 0, n)
	return &b
}

func (c *codecs) done(b *[]byte) { c.buffers.Put(b) }

// dictLocked returns a dictionary; number 0 is none.
func (c *codecs) dictLocked(e *Engine, number uint32) ([]byte, error) {
	if d, ok := c.dicts[number]; ok || number == 0 {
		return d, nil
	}
	var d []byte
	err := e.get(e.db, appendDictKey(nil, number), func(val []byte) error {
		d = append([]byte{}, val...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("local: dictionary %d: %w", number, err)
	}
	if c.dicts == nil {
		c.dicts = map[uint32][]byte{}
	}
	c.dicts[number] = d
	return d, nil
}

func (c *codecs) encoder(e *Engine, number uint32) (*zstd.Encoder, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.encoders[number]; x != nil {
		return x, nil
	}
	o := []zstd.EOption{zstd.WithEncoderConcurrency(collectors), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
		zstd.WithAllLitEntropyCompression(true), zstd.WithWindowSize(1 << 20), zstd.WithLowerEncoderMem(true), zstd.WithSingleSegment(true)}
	d, err := c.dictLocked(e, number)
	if err != nil {
		return nil, err
	}
	if d != nil {
		o = append(o, zstd.WithEncoderDict(d))
	}
	x, err := zstd.NewWriter(nil, o...)
	if err != nil {
		return nil, err
	}
	if c.encoders == nil {
		c.encoders = map[uint32]*zstd.Encoder{}
	}
	c.encoders[number] = x
	return x, nil
}

func (c *codecs) decoder(e *Engine, number uint32) (*zstd.Decoder, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.decoders[number]; x != nil {
		return x, nil
	}
	o := []zstd.DOption{zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxFrame), zstd.WithDecoderConcurrency(0)}
	d, err := c.dictLocked(e, number)
	if err != nil {
		return nil, err
	}
	if d != nil {
		o = append(o, zstd.WithDecoderDicts(d))
	}
	x, err := zstd.NewReader(nil, o...)
	if err != nil {
		return nil, err
	}
	if c.decoders == nil {
		c.decoders = map[uint32]*zstd.Decoder{}
	}
	c.decoders[number] = x
	return x, nil
}

// compress appends a blob to dst as it is to be stored, and completes r.
func (c *codecs) compress(e *Engine, dst, blob []byte, r *blobRecord, number uint32) ([]byte, error) {
	begin := len(dst)
	if len(blob) >= minCompress {
		x, err := c.encoder(e, number)
		if err != nil {
			return dst, err
		}
		dst = x.EncodeAll(blob, dst)
		if n := len(dst) - begin; n <= len(blob)-len(blob)/worthwhile {
			r.codec, r.dict, r.stored, r.sum = codecZstd, number, uint32(n), checksum(dst[begin:])
			return dst, nil
		}
	}
	r.codec, r.dict, r.stored, r.sum = codecRaw, 0, uint32(len(blob)), r.crc
	return append(dst[:begin], blob...), nil
}

// decompress appends the blob that b is stored for, of at most r.length bytes.
func (c *codecs) decompress(e *Engine, dst, b []byte, r blobRecord) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(b); err != nil || !h.HasFCS || h.FrameContentSize != r.length {
		return dst, fmt.Errorf("local: zstd frame of another size: %w", engine.ErrCorrupt)
	}
	x, err := c.decoder(e, r.dict)
	if err != nil {
		return dst, err
	}
	return x.DecodeAll(b, dst)
}

// close ends what decoders have running.
func (c *codecs) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.decoders {
		d.Close()
	}
}

// buildDict makes a dictionary out of samples.
func buildDict(samples [][]byte, number uint32) (d []byte, err error) {
	defer func() { // the builder gives up on some input by a panic
		if p := recover(); p != nil {
			d, err = nil, fmt.Errorf("local: making a dictionary: %v", p)
		}
	}()
	return dict.BuildZstdDict(samples, dict.Options{MaxDictSize: dictBytes, HashBytes: 6, ZstdDictID: number, ZstdLevel: zstd.SpeedFastest})
}
