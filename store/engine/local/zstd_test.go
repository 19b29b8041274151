package local

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	"posthouse/internal/corpus"
	"posthouse/store/engine"
)

// mails returns the messages of the demo, those that dictionaries are made of
// and those that are compressed.
func mails() (train, use [][]byte) {
	for i, m := range corpus.Demo(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)) {
		if i%2 == 0 {
			train = append(train, m.Raw[:min(len(m.Raw), dictSample)])
		} else {
			use = append(use, m.Raw)
		}
	}
	return train, use
}

func withDict(t testing.TB, number uint32) *Engine {
	e := &Engine{}
	train, _ := mails()
	d, err := buildDict(train, firstDict)
	if err != nil {
		t.Fatal(err)
	}
	e.keeper.codecs.dicts = map[uint32][]byte{number: d}
	t.Cleanup(e.keeper.codecs.close)
	return e
}

// Each message comes back as it was, compressed with a dictionary or without,
// and a changed bit is found.
func TestCodecs(t *testing.T) {
	e := withDict(t, firstDict)
	_, use := mails()
	use = append(use, nil, []byte("x"), modelBlob(1, 1, 100_000), bytes.Repeat([]byte("a"), 1<<20))
	for _, number := range []uint32{0, firstDict} {
		for i, blob := range use {
			r := blobRecord{length: uint64(len(blob)), crc: checksum(blob)}
			b, err := e.keeper.codecs.compress(e, []byte("before"), blob, &r, number)
			if err != nil {
				t.Fatal(err)
			}
			b = b[len("before"):]
			if uint32(len(b)) != r.stored || checksum(b) != r.sum || r.codec == codecRaw && !bytes.Equal(b, blob) {
				t.Fatalf("message %d: record %+v for %d bytes", i, r, len(b))
			}
			if r.codec == codecRaw {
				continue
			}
			out, err := e.keeper.codecs.decompress(e, []byte("before"), b, r)
			if err != nil || !bytes.Equal(out[len("before"):], blob) {
				t.Fatalf("message %d: %d of %d bytes, %v", i, len(out), len(blob), err)
			}
			r.length++
			if _, err := e.keeper.codecs.decompress(e, nil, b, r); !errors.Is(err, engine.ErrCorrupt) {
				t.Fatalf("message %d with another length: %v", i, err)
			}
		}
	}
}

// BenchmarkCompress tells what collection makes of the demo's mail.
func BenchmarkCompress(b *testing.B) {
	_, use := mails()
	attachment := []byte(base64.StdEncoding.EncodeToString(modelBlob(1, 1, 500_000)))
	b.Run("base64", func(b *testing.B) {
		e := withDict(b, firstDict)
		r := blobRecord{length: uint64(len(attachment))}
		b.SetBytes(int64(len(attachment)))
		for b.Loop() {
			if _, err := e.keeper.codecs.compress(e, nil, attachment, &r, firstDict); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(r.length)/float64(r.stored), "ratio")
	})
	for _, number := range []uint32{0, firstDict} {
		b.Run(fmt.Sprintf("dictionary=%v", number != 0), func(b *testing.B) {
			e := withDict(b, firstDict)
			var raw, stored, small, smallStored int
			var dst []byte
			var out [][]byte
			var recs []blobRecord
			for b.Loop() {
				raw, stored, small, smallStored = 0, 0, 0, 0
				out, recs = out[:0], recs[:0]
				for _, m := range use {
					r := blobRecord{length: uint64(len(m)), crc: checksum(m)}
					var err error
					if dst, err = e.keeper.codecs.compress(e, nil, m, &r, number); err != nil {
						b.Fatal(err)
					}
					raw, stored = raw+len(m), stored+int(r.stored)
					if len(m) < 16<<10 {
						small, smallStored = small+len(m), smallStored+int(r.stored)
					}
					out, recs = append(out, dst), append(recs, r)
				}
			}
			b.SetBytes(int64(raw))
			b.ReportMetric(float64(raw)/float64(stored), "ratio")
			b.ReportMetric(float64(small)/float64(smallStored), "ratio<16K")
			var back []byte
			begin, n := time.Now(), 0
			for time.Since(begin) < 200*time.Millisecond {
				for i, m := range out {
					if recs[i].codec != codecRaw {
						if back, _ = e.keeper.codecs.decompress(e, back[:0], m, recs[i]); len(back) == 0 {
							b.Fatal("nothing came back")
						}
					}
					n += int(recs[i].length)
				}
			}
			b.ReportMetric(float64(n)/time.Since(begin).Seconds()/1e6, "decompressed-MB/s")
		})
	}
}
