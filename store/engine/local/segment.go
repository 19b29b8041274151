package local

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	segmentExt = ".seg"
	spareName  = "spare" + segmentExt
	// While frames are on average below padBelow bytes, one that makes the segment
	// grow makes it grow by padBytes of zeros as well, so that the frames after it
	// overwrite bytes that the file has already: their syncs need no commit of the
	// file system's own journal. Larger frames carry that cost easily, and padding
	// would only double the bytes written (docs/decisions/0004-growing-segments.md).
	padBelow = 4 << 10
	padBytes = 64 << 10
)

var (
	zeros        [padBytes]byte
	errNoReserve = errors.New("local: the reserve is used up")
)

func (e *Engine) segmentName(n uint32) string {
	return e.path("log", fmt.Sprintf("%08x%s", n, segmentExt))
}

// segments lists the log's segments in order.
func (e *Engine) segments() ([]uint32, error) {
	names, err := e.fs.List(e.path("log"))
	if err != nil {
		return nil, err
	}
	var segs []uint32
	for _, name := range names {
		if n := segmentNumber(name); n > 0 {
			segs = append(segs, n)
		}
	}
	slices.Sort(segs)
	return segs, nil
}

// segmentNumber returns the number of the segment with this name, or 0.
func segmentNumber(name string) uint32 {
	hex, ok := strings.CutSuffix(name, segmentExt)
	n, err := strconv.ParseUint(hex, 16, 32)
	if !ok || err != nil || len(hex) != 8 {
		return 0
	}
	return uint32(n)
}

// A writer appends frames to the active segment. The committer owns it.
type writer struct {
	e       *Engine
	f       vfs.File
	segment uint32
	off     uint64 // where the next frame begins
	size    uint64 // bytes that the file has
	average int    // length of the frames of late
}

// create begins segment n, in a spare file if there is one. What a crash may have
// left under its name was never acknowledged.
func (w *writer) create(n uint32) error {
	if ok, err := w.e.takeSpare(n); err != nil {
		return err
	} else if ok {
		return w.begin(n, 0)
	}
	f, err := w.e.fs.Create(w.e.segmentName(n), vfs.WriteCategoryUnspecified)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return err
	}
	return w.begin(n, 0)
}

// begin makes segment n, which is there, the active one, with room for frames from off.
func (w *writer) begin(n uint32, off uint64) error {
	f, err := w.e.fs.OpenReadWrite(w.e.segmentName(n), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil {
		err = syncDir(w.e.fs, w.e.path("log"))
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	if w.f != nil {
		_ = w.f.Close() // everything in it is synced
	}
	w.f, w.segment, w.off, w.size = f, n, off, uint64(st.Size())
	return nil
}

// wipe makes the header where the next frame begins zeros, durably.
func (w *writer) wipe() error {
	var none [headerLen]byte
	n, err := w.f.WriteAt(none[:], int64(w.off))
	if err == nil && n < headerLen {
		err = io.ErrShortWrite
	}
	if err != nil {
		return err
	}
	return w.f.SyncData()
}

// roll begins the next segment if the active one is full.
func (w *writer) roll() error {
	if w.off < uint64(w.e.opt.SegmentSize) {
		return nil
	}
	sealed := w.size
	if err := w.create(w.segment + 1); err != nil {
		return err
	}
	w.e.segmentCount.Add(1)
	w.e.sealedBytes.Add(sealed)
	return nil
}

// write appends frame, which has length a multiple of frameAlign, without
// syncing it. On an error nothing was appended.
func (w *writer) write(frame []byte) ([]byte, error) {
	n := len(frame)
	w.average += (n - w.average) / 8
	end := w.off + uint64(n)
	if end > w.size && w.average < padBelow && end < uint64(w.e.opt.SegmentSize) {
		frame = append(frame, zeros[:padBytes-int(end%4096)]...) // keeps the file's end at a page
	}
	m, err := w.f.WriteAt(frame, int64(w.off))
	w.e.written.Add(uint64(m))
	if err == nil && m < len(frame) {
		err = io.ErrShortWrite
	}
	if err != nil && (m < n || !isNoSpace(err)) {
		if isNoSpace(err) { // best effort: without its header nobody looks at the rest
			_, _ = w.f.WriteAt(zeros[:headerLen:headerLen], int64(w.off))
		}
		return frame, err
	}
	w.size = max(w.size, w.off+uint64(m))
	return frame, nil
}

// useReserve makes the spare segment the active one: its space is allocated.
func (w *writer) useReserve() error {
	if !w.e.ballast.log.Swap(false) {
		return errNoReserve
	}
	sealed := w.size
	if err := w.e.fs.Rename(w.e.path("log", spareName), w.e.segmentName(w.segment+1)); errors.Is(err, errNotExist) {
		return errNoReserve
	} else if err != nil {
		return err
	}
	if err := w.begin(w.segment+1, 0); err != nil {
		return err
	}
	w.e.segmentCount.Add(1)
	w.e.sealedBytes.Add(sealed)
	return nil
}
