package report

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

// Keep is for how long reports are kept: a year and what people need to look back on it.
const Keep = 400 * 24 * time.Hour

// maxStored bounds a report as it is stored.
const maxStored = 512 << 10

// A Log keeps reports. Its methods may be called at once.
type Log struct {
	eng engine.Engine
	now func() time.Time

	mu   sync.Mutex // nests in nothing
	last uint64
}

// Open returns the reports that lie in the engine.
func Open(eng engine.Engine, now func() time.Time) *Log {
	if now == nil {
		now = time.Now
	}
	return &Log{eng: eng, now: now}
}

var keyPrefix = []byte("rr")

func keyOf(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte("rr"), id) }

// Prepare returns what must be committed to keep r, and to forget what is too old. It
// gives r its id.
func (l *Log) Prepare(r *Report) (*engine.Batch, error) {
	now := l.now()
	l.mu.Lock()
	l.last = max(l.last+1, uint64(now.UnixMicro()))
	id := l.last
	l.mu.Unlock()
	r.Received, r.ID = now.UTC(), hex.EncodeToString(binary.BigEndian.AppendUint64(nil, id))
	b, err := json.Marshal(r)
	for err == nil && len(b) > maxStored && len(r.Rows) > 0 {
		half := len(r.Rows) / 2
		r.More += len(r.Rows) - half
		r.Rows = r.Rows[:half]
		b, err = json.Marshal(r)
	}
	if err != nil {
		return nil, err
	}
	return &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{
		{Kind: engine.DeleteRange, Key: keyPrefix, End: keyOf(uint64(now.Add(-Keep).UnixMicro()))},
		{Kind: engine.Set, Key: keyOf(id), Val: b},
	}}, nil
}

// List calls f with each report, the oldest first, until it returns false.
func (l *Log) List(ctx context.Context, f func(Report) bool) error {
	r := l.eng.Snapshot(0)
	defer r.Close()
	var bad error
	err := r.Scan(keyPrefix, []byte("rs"), func(_, val []byte) bool {
		var rep Report
		if bad = json.Unmarshal(val, &rep); bad != nil {
			return false
		}
		return ctx.Err() == nil && f(rep)
	})
	if err = errors.Join(err, bad); err != nil {
		return &mail.Error{Kind: mail.Corrupt, Op: "report.List", Err: err}
	}
	return ctx.Err()
}

// Show returns the report with this id, or NotFound.
func (l *Log) Show(_ context.Context, id string) (Report, error) {
	var rep Report
	none := &mail.Error{Kind: mail.NotFound, Op: "report.Show", Text: "there is no such report"}
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != 8 {
		return rep, none
	}
	r := l.eng.Snapshot(0)
	defer r.Close()
	val, err := r.Get(keyOf(binary.BigEndian.Uint64(b)))
	if errors.Is(err, engine.ErrNotFound) {
		return rep, none
	}
	if err == nil {
		err = json.Unmarshal(val, &rep)
	}
	if err != nil {
		return rep, &mail.Error{Kind: mail.Corrupt, Op: "report.Show", Err: err}
	}
	return rep, nil
}
