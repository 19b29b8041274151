package store

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/store/engine"
	"posthouse/store/engine/local"
	"posthouse/store/engine/mem"
)

// A View's mailboxes and its records are of one moment, also while commits become
// durable, are published and are refused.
func TestViewIsOneMoment(t *testing.T) {
	t.Run("mem", func(t *testing.T) { testViewIsOneMoment(t, mem.New()) })
	t.Run("local", func(t *testing.T) {
		eng, err := local.Open(t.Context(), local.Options{Dir: t.TempDir(), SegmentSize: 4 << 20, MinFree: -1, Reserve: -1})
		must(t, err)
		t.Cleanup(func() { eng.Close() })
		testViewIsOneMoment(t, eng)
	})
}

func testViewIsOneMoment(t *testing.T, eng engine.Engine) {
	const writers, updates, readers = 4, 50, 3
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := openStore(t, eng, Options{})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	var writing, reading sync.WaitGroup
	for i := range writers {
		m := stage(t, s, letter(i))
		writing.Go(func() {
			for range updates {
				err := a.Update(ctx, func(tx *Tx) error {
					if _, err := tx.Append(inbox, m, AppendOptions{}); err != nil {
						return err
					}
					box, err := tx.MailboxByID(inbox)
					if err != nil {
						return err
					}
					return tx.PutObject(ObjectJob, "n", []byte(strconv.Itoa(int(box.Messages))), nil)
				})
				if err != nil {
					t.Error("update:", err)
					return
				}
			}
		})
	}
	var ended atomic.Bool
	for range readers {
		reading.Go(func() {
			for seen := ModSeq(0); !ended.Load() && !t.Failed(); {
				seen = checkMoment(ctx, t, a, inbox, seen)
			}
		})
	}
	writing.Wait()
	ended.Store(true)
	reading.Wait()
	if n := snapshotOf(t, a, inbox).Len(); n != writers*updates {
		t.Errorf("%d messages", n)
	}
}

// checkMoment compares what one View says in three ways, and returns its ModSeq,
// which is at least that of the View before.
func checkMoment(ctx context.Context, t *testing.T, a *Account, inbox MailboxID, before ModSeq) (now ModSeq) {
	err := a.View(ctx, func(v *View) error {
		now = v.ModSeq()
		rec, err := v.reader().Get([]byte{keyAccount})
		if err != nil {
			return err
		}
		h, err := decodeHeader(rec)
		if err != nil {
			return err
		}
		if h.modseq != now || now < before {
			t.Errorf("the state is of ModSeq %d, the records of %d; seen before: %d", now, h.modseq, before)
		}
		snap, err := v.Snapshot(inbox)
		if err != nil || snap.Len() == 0 {
			return err
		}
		o, err := v.Object(ObjectJob, "n")
		if err != nil {
			return err
		}
		if string(o.Value) != strconv.Itoa(snap.Len()) {
			t.Errorf("%d messages, the object says %s", snap.Len(), o.Value)
		}
		return nil
	})
	if err != nil {
		t.Error("view:", err)
	}
	return now
}

// BenchmarkView is what a View costs that reads nothing.
func BenchmarkView(b *testing.B) {
	s := localStore(b)
	a, _ := fill(b, s, 10)
	b.ReportAllocs()
	for b.Loop() {
		must(b, a.View(context.Background(), func(*View) error { return nil }))
	}
}
