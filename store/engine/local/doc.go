// Package local is the embedded engine: one append-only log that is at once
// redo log and blob store, and a Pebble index, its own log switched off, as a
// materialised view of it. docs/format.md gives the files byte by byte.
//
// A commit is acknowledged after one write and one fdatasync of the log, which
// it shares with all commits that arrived meanwhile. Its way: the caller's
// goroutine checksums its blobs and writes large ones to files of their own;
// the committer orders, checks conditions, builds one frame and makes it
// durable; the applier puts the frame's changes into the index, publishes them
// and acknowledges. Committer and applier work at the same time, on
// neighbouring frames.
//
// Why nothing acknowledged is lost:
//
//   - A frame is valid only whole: checksums, consecutive LSN, own segment
//     number, own store. Frame n+1 is written after n is synced, so whatever
//     follows a torn frame was never acknowledged.
//   - Directory entries are synced before the first frame that relies on them.
//   - The index never runs ahead of the log, holds after a crash an exact
//     prefix of the frames, and knows which: recovery replays the rest. An
//     index that is lost as a whole is rebuilt from the log.
//   - A segment goes only when nothing in it lives, the index's copy (base) has
//     its commits, and the index is flushed (decisions/0006-collection.md).
//   - A file is written over only if nobody can have it, by any name, and what it
//     held before is never believed (decisions/0260-segments-are-used-again.md).
//   - A failed write or sync is final. Only a write that found no space is
//     taken back, since then nothing of it can be valid.
//
// Who owns what: the committer goroutine the writer, versions and conditions;
// the applier goroutine all writes to the index; the keeper the records of
// blobs once they are stored (it reaps, moves, scrubs, by commits like all
// others) and the removal of files; mu the queue. Lock order: a
// keeper's pass, then its files; none of the others (queue, segment files,
// readers, subscribers, staged, codecs) is held while another is taken.
package local
