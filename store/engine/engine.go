// Package engine is the small interface on which the store, the directory and
// the queue stand: ordered keys and blobs, changed by atomic, durable,
// account-scoped commits. It knows nothing of mail.
//
// What every engine guarantees (proved by store/enginetest):
//
//   - A commit is one atomic unit, also over several accounts; after
//     [Pending.Wait] returns nil it is on stable storage.
//   - Commits take effect in the order in which Commit was called.
//   - Readers see only durable state, and each Reader one consistent state.
//   - A blob is never changed, its bytes are verified on each read, its id is
//     never given to another blob. It lives as long as one of its owner keys.
//   - After a failed write or sync nothing is acknowledged until a restart.
package engine

import (
	"context"
	"errors"
	"io"
	"time"

	"posthouse/mail"
)

// Account is the first part of every key. Account 0 holds what belongs to no
// one account: the directory ('d' keys), the queue ('q' keys).
type Account = mail.AccountID

// Pos is a commit position: it grows with each group of commits.
type Pos uint64

// A BlobID names a blob for ever. 0 is none.
type BlobID uint64

// AnyVersion as a Batch's Expect makes the commit unconditional.
const AnyVersion = ^uint64(0)

// Errors of engines. Each may be wrapped.
var (
	ErrNotFound    = errors.New("engine: not found")
	ErrConflict    = errors.New("engine: conflict")              // Expect or a CAS did not hold
	ErrCorrupt     = errors.New("engine: corrupt")               // a checksum failed
	ErrFull        = errors.New("engine: no space left")         // refused before anything was written; space may come back
	ErrUnavailable = errors.New("engine: stopped after a fault") // fail-stop until restart, or closed
)

// A Kind says what an Op does.
type Kind uint8

// The kinds of Op.
const (
	Set         Kind = iota // Key = Val (+ blob id, see Op.Blob)
	Delete                  // remove Key; no error if it is not there
	DeleteRange             // remove all keys k with Key <= k < End
)

// An Op is one change of one key of the batch's account. The engine keeps Key,
// End and Val without copying: the caller must not change them afterwards.
type Op struct {
	Kind Kind
	Key  []byte
	End  []byte // DeleteRange only
	Val  []byte
	// Blob, if not nil, makes Key an owner of the blob, and the engine appends
	// the BlobID (8 bytes, big-endian) to Val. The same *Blob in several Ops of
	// one Commit is stored once.
	Blob *Blob
}

// A CAS is a condition on one key: the commit fails with ErrConflict unless Key
// holds exactly Old (nil: is absent) after all commits before it, pending ones
// included. Ops of the same commit do not count.
type CAS struct{ Key, Old []byte }

// A Batch is what one commit changes in one account.
type Batch struct {
	Account Account
	// Expect is the account's version from which the batch was computed: the
	// number of batches with an Expect that were committed to it so far, those
	// still pending included. AnyVersion neither checks nor counts.
	Expect uint64
	// Skip makes an Expect count for 1+Skip batches: what a restore does, so that
	// versions that were lost are never given again.
	Skip uint64
	CAS  []CAS
	Ops  []Op
}

// A Blob is the source of a blob in an Op: new bytes, staged bytes, or one that
// is stored already and gets another owner.
type Blob struct {
	// Bytes of a new small blob; kept without copying until the commit is done.
	Bytes []byte
	// Staged adopts what was written to a Staged.
	Staged Staged
	// ID is set by the engine before Pending.Wait returns; set by the caller, with
	// Bytes and Staged nil, it adds an owner to a stored blob.
	ID BlobID
}

// A Staged takes the bytes of a large blob as they arrive, outside of any
// commit. Close it in every case: if no commit adopted it, its bytes are gone.
type Staged interface {
	io.WriteCloser
	Size() int64
	// Sync makes the bytes written so far durable. Engine.Commit does it if the
	// caller did not, but in the caller's goroutine it does not hold up others.
	Sync() error
	// ReaderAt reads back what was written, before adoption.
	io.ReaderAt
}

// A BlobReader reads one blob. Every read is verified: ErrCorrupt is returned
// instead of wrong bytes.
type BlobReader interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// A Reader is a consistent view, for several goroutines at once. Close it soon: it
// holds back reclamation.
type Reader interface {
	// Get returns the value of key, or ErrNotFound. The caller owns the slice.
	Get(key []byte) ([]byte, error)
	// Scan calls f for each key with lo <= key < hi in order (hi nil: to the end of
	// the account) until f returns false. key and val are valid during the call.
	Scan(lo, hi []byte, f func(key, val []byte) bool) error
	// Version is the account's version, as in Batch.Expect.
	Version() uint64
	Close() error
}

// A Pending is a commit under way. Wait may be called by several goroutines.
type Pending interface {
	// Wait returns once the commit is durable and visible to new Readers, or has
	// failed. It does not end early: what was given to Commit cannot be taken back.
	Wait() (Pos, error)
}

// Stats are counters since Open and gauges, for metrics and benchmarks.
type Stats struct {
	Commits, Groups, Syncs  uint64
	BlobBytes, WrittenBytes uint64 // WrittenBytes: to the log and to large-blob files, without the index
	Segments, LargeBlobs    int64
	FreeBytes, UsedBytes    uint64        // of the file system; of the store
	LiveBytes, DeadBytes    uint64        // of blobs, as stored; dead: not yet given back
	Recycled                uint64        // segments that were written into the file of an emptied one
	Collected, Punched      uint64        // bytes of dead blobs given back with their file, and out of the middle of one
	Moved, MovedTo          uint64        // bytes of live blobs that collection read and wrote
	Position, Shipped       uint64        // last durable commit; last one that the standby has, 0 without one
	Unshipped               time.Duration // since all that was durable was at the standby, 0 if all is
	Scrubbed, Damaged       uint64        // blobs read to look for damage, and those that had it
	Mended                  uint64        // of these, written anew from a copy
	ReplayedFrames          uint64        // by the last Open
	ReadOnly                bool          // refuses commits: full disk
	Failed                  bool          // fail-stop
}

// An Engine holds all accounts of a store. All methods may be called at once.
type Engine interface {
	// Commit queues batches as one atomic unit. Call order is apply order, so
	// callers that chain commits on one account call it under their own lock.
	Commit(ctx context.Context, batches ...*Batch) Pending
	// Snapshot returns the durable state of one account.
	Snapshot(a Account) Reader
	// Accounts calls f with each account that has a key, ascending, until it
	// returns false.
	Accounts(f func(Account) bool) error
	// OpenBlob opens a stored blob, or fails with ErrNotFound.
	OpenBlob(ctx context.Context, id BlobID) (BlobReader, error)
	// ReadBlob appends the whole of a blob to dst: one read for a small blob.
	ReadBlob(ctx context.Context, dst []byte, id BlobID) ([]byte, error)
	// ReadBlobs reads many blobs and calls f for each of ids in order, until f
	// returns false: with its bytes, valid during the call, or with the error that
	// ReadBlob would return. Blobs that lie side by side are read together, and
	// others ahead of f. The error is ctx's, or that no blob can be read.
	ReadBlobs(ctx context.Context, ids []BlobID, f func(i int, b []byte, err error) bool) error
	// Stage starts a large blob.
	Stage(ctx context.Context) (Staged, error)
	// Subscribe calls f in commit order, after each commit is visible, with the
	// accounts that it changed. f must not block.
	Subscribe(f func(Pos, Account)) (cancel func())
	// Checkpoint writes a consistent copy of everything into dir, online.
	Checkpoint(ctx context.Context, dir string) error
	// Check verifies what the engine itself promises (checksums, owners, index
	// against log) and reports each fault; deep reads every blob.
	Check(ctx context.Context, deep bool, report func(problem string)) error
	Stats() Stats
	Close() error
}

// A Repairer is an Engine that can mend itself.
type Repairer interface {
	// Repair reads every blob and mends what is damaged from the copies that the
	// engine knows, and whatever else can be made anew. It reports what it did, and
	// ends without an error also if something could not be mended: Check tells that.
	Repair(ctx context.Context, report func(done string)) error
}
