package store

import "posthouse/store/engine"

// A Batch is what others, as the queue, want committed with an update; see
// [Store.Update]. Callers of the store pass it on unread.
type Batch = engine.Batch

// ErrFull is in the chain of an error that is due to a full disk: nothing was
// written, and space may come back.
var ErrFull = engine.ErrFull
