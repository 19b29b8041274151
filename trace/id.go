package trace

import (
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// IDs makes trace ids, which stand in the log, in Received and in replies: 13
// characters that sort by time. Two servers do not share one but by an accident of
// one in 2^23 within the same millisecond.
type IDs struct{ n atomic.Uint64 }

// digits leave out what is easily misread, and sort as their values do.
const digits = "0123456789abcdefghjkmnpqrstvwxyz"

const counterBits = 23

// Start begins with a random count.
func (t *IDs) Start(now time.Time) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	t.n.Store(binary.BigEndian.Uint64(b[:]))
}

// Next returns a new id.
func (t *IDs) Next(now time.Time) string {
	v := uint64(now.UnixMilli())<<counterBits | t.n.Add(1)&(1<<counterBits-1)
	var b [13]byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = digits[v&31]
		v >>= 5
	}
	return string(b[:])
}
