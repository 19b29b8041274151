package engine

// ReadAhead is how many blobs it is best to have under way for who reads many
// of them in a row: more make a cold disk no faster.
const ReadAhead = 32

// A Prefetcher is an Engine that can begin to read blobs before they are asked for.
type Prefetcher interface {
	// Prefetch tells that these blobs will be read soon. It returns before they
	// are there, and is a hint: what is wrong with a blob, its read tells.
	Prefetch(ids ...BlobID)
}

// Prefetch tells e that blobs will be read soon, if e can make use of it.
func Prefetch(e Engine, ids ...BlobID) {
	if p, ok := e.(Prefetcher); ok && len(ids) > 0 {
		p.Prefetch(ids...)
	}
}

// Ahead returns what to call with i before blob i of n is read, in order: it
// keeps the next ReadAhead blobs under way. id returns the id of blob i, or 0
// for none; it is called once for each.
func Ahead(e Engine, n int, id func(i int) BlobID) func(i int) {
	p, ok := e.(Prefetcher)
	if !ok || n < 2 {
		return func(int) {}
	}
	next := 0 // the first that was not asked for
	ids := make([]BlobID, 0, ReadAhead)
	return func(i int) {
		if next >= n || next-i > ReadAhead/2 {
			return
		}
		ids = ids[:0]
		for next = max(next, i); next < min(n, i+ReadAhead); next++ {
			if b := id(next); b != 0 {
				ids = append(ids, b)
			}
		}
		p.Prefetch(ids...)
	}
}
