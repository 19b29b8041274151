package local

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A Place is a directory in some file system: that of [S3], or nil for the disk.
type Place struct {
	FS  vfs.FS
	Dir string
}

// Options say how to open a store. The zero value of each field but Dir is a
// sensible default for a small store.
type Options struct {
	FS     vfs.FS       // default: the disk
	Dir    string       // the store's directory, made if it does not exist
	Logger *slog.Logger // default: none

	// Now tells the time that commits are stamped with; default the clock.
	Now func() time.Time

	// SegmentSize is the size at which a new log segment is begun; default 256 MiB.
	SegmentSize int64
	// LargeBlob is the size in bytes above which a blob gets a file of its own;
	// default and largest value 1 MiB.
	LargeBlob int64
	// OpenSegments is how many segments are kept open for reading; default 256.
	OpenSegments int

	// IndexCache and MemTable are the bytes of memory for the index's block cache
	// and for each of its memtables; default 8 MiB and 8 MiB. There are two of those
	// mostly: one that is filled, one that is written. What they do not take serves the
	// cache meanwhile. A large server does well with 10 % of its memory and 64 MiB.
	IndexCache, MemTable int64
	// FlushBytes and FlushEvery bound how much log a restart replays: the index is
	// flushed after so many bytes and so much time; default 1 GiB and 30 s.
	FlushBytes int64
	FlushEvery time.Duration

	// MinFree is the free space in bytes below which commits that carry blobs are
	// refused with ErrFull; default 128 MiB, negative: never.
	MinFree int64
	// MinFreePercent is the same as a share of the file system; what is more of the two
	// holds. 0: none.
	MinFreePercent int
	// Reserve is the space in bytes set aside, twice, so that commits without blobs
	// (expunge, flags) and the index go on when the disk is full; default 16 MiB,
	// negative: none.
	Reserve int64

	// NoRecycling removes the files of emptied segments. By default up to two of
	// them are kept and overwritten, which is faster than making new ones.
	NoRecycling bool

	// CollectEvery is how often the engine looks for space to give back when
	// nothing wakes it; default 1 minute, negative: only Collect does.
	CollectEvery time.Duration
	// CollectRate bounds what collection and scrub each read, in bytes per second;
	// default 32 MiB, negative: no bound.
	CollectRate int64
	// ScrubEvery is the time in which every blob is read once, to find damage;
	// default a week, negative: never.
	ScrubEvery time.Duration
	// Damaged is called for each damaged blob that the scrub finds, by one
	// goroutine at a time. It is logged in any case.
	Damaged func(Damage)

	// Repair are places of backups, from which damaged blobs are mended, as they are
	// from Ship.
	Repair []Place
	// Ship is a directory that becomes and stays a copy of the store, see [Follower]
	// and [Pull]; "": none. It is in ShipFS, default FS; that of [S3] serves as well.
	// With ShipSync no commit is acknowledged before the copy has it.
	Ship     string
	ShipFS   vfs.FS
	ShipSync bool
	// ShipKeep is for how long the copy keeps files that the store has given up,
	// so that a backup and its log lead to any moment since; default 0.
	ShipKeep time.Duration

	mutate    mutations     // tests only
	shipRetry time.Duration // after a failure to ship
	pruneWait time.Duration // between looks at what a standby can do without
	fatal     func(msg string)
}

// mutations are faults that a test builds in to prove that the tests find them.
type mutations struct {
	shipUnclaimed bool // who ships does not look whether another one does
	keepIndex     bool // an index that is damaged is not made anew
	acceptCRC     bool // recovery believes frames whose checksum is wrong
	acceptLSN     bool // recovery believes frames that are out of sequence
	publishEarly  bool // the applier gets a frame before it is synced
	ackUnsynced   bool // the log is never synced
	unlinkEarly   bool // a segment is removed before the index is flushed
	moveUnsynced  bool // blobs are moved to a cold file that is not synced
	recycleLinked bool // a segment that has another name is used again
	acceptOld     bool // recovery believes frames that an older segment left in the file
	noCAS         bool // a blob is reaped although it got an owner meanwhile
	shipClaims    bool // a standby's frames claim what is durable here
	shipLate      bool // commits do not wait for the standby, which claims to be whole
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("local: Options.Dir is empty")
	}
	if o.FS == nil {
		o.FS = vfs.Default
		// one name per store: the lock knows other processes, not other names
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			return o, fmt.Errorf("local: %w", err)
		}
		if parent, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
			dir = filepath.Join(parent, filepath.Base(dir))
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		o.Dir = dir
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		v   *int64
		def int64
	}{
		{&o.SegmentSize, 256 << 20}, {&o.LargeBlob, 1 << 20}, {&o.IndexCache, 8 << 20}, {&o.MemTable, 8 << 20},
		{&o.FlushBytes, 1 << 30}, {&o.MinFree, 128 << 20}, {&o.Reserve, 16 << 20},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	o.LargeBlob = min(o.LargeBlob, 1<<20)
	o.MinFree, o.Reserve = max(o.MinFree, 0), max(o.Reserve, 0)
	o.MinFreePercent = min(max(o.MinFreePercent, 0), 100)
	if o.OpenSegments <= 0 {
		o.OpenSegments = 256
	}
	if o.CollectEvery == 0 {
		o.CollectEvery = time.Minute
	}
	if o.CollectRate == 0 {
		o.CollectRate = 32 << 20
	}
	if o.ScrubEvery == 0 {
		o.ScrubEvery = 7 * 24 * time.Hour
	}
	if o.ShipFS == nil {
		o.ShipFS = o.FS
	}
	if o.pruneWait == 0 {
		o.pruneWait = time.Minute
		if remote(o.ShipFS) != nil {
			o.pruneWait = time.Hour // each look costs some hundred requests
		}
	}
	if o.shipRetry == 0 {
		o.shipRetry = time.Second
	}
	if o.FlushEvery <= 0 {
		o.FlushEvery = 30 * time.Second
	}
	return o, nil
}
