package local

import (
	"cmp"
	"slices"

	"posthouse/store/engine"
)

const (
	prefetchGap  = 64 << 10 // bytes between two blobs up to which one read fetches both
	prefetchMost = 1 << 20  // bytes of one blob
)

// A span is a piece of a segment or a cold file.
type span struct {
	fileKey
	off, end uint64
}

// Prefetch implements engine.Prefetcher: the system begins to read, and what it
// has is found in its cache.
func (e *Engine) Prefetch(ids ...engine.BlobID) {
	if e.gate.enter() != nil {
		return
	}
	defer e.gate.leave()
	spans := make([]span, 0, len(ids))
	for _, id := range ids {
		r, err := e.blobRecord(id)
		if err != nil {
			continue // the read will tell
		}
		n := r.length
		if r.place == inCold {
			n = uint64(r.stored)
		}
		spans = append(spans, span{fileKey{r.place, r.where}, r.offset, r.offset + min(n, prefetchMost)})
	}
	for _, s := range joinSpans(spans) {
		e.prefetch(s)
	}
}

// joinSpans sorts spans and makes one of neighbours.
func joinSpans(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.number, b.number), cmp.Compare(a.off, b.off))
	})
	n := 0
	for _, s := range spans {
		if n > 0 && spans[n-1].fileKey == s.fileKey && s.off <= spans[n-1].end+prefetchGap {
			spans[n-1].end = max(spans[n-1].end, s.end)
			continue
		}
		spans[n] = s
		n++
	}
	return spans[:n]
}

// prefetch is a hint: what fails here fails again when it is read.
func (e *Engine) prefetch(s span) {
	if s.place == inFile {
		if f, err := e.fs.Open(e.largeName(s.number)); err == nil {
			_ = f.Prefetch(0, int64(s.end))
			_ = f.Close()
		}
		return
	}
	f, err := e.segs.acquireFile(s.fileKey)
	if err != nil {
		return
	}
	_ = f.Prefetch(int64(s.off), int64(s.end-s.off))
	e.segs.release(f)
}
