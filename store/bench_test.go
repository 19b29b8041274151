package store

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
	"posthouse/store/engine/mem"
)

const large = 100_000

// fill returns an account whose inbox holds n messages of 50 different bytes.
func fill(t testing.TB, s *Store, n int) (*Account, MailboxID) {
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	m := stage(t, s, letter(1))
	for done := 0; done < n; {
		k := min(1000, n-done)
		must(t, a.Update(context.Background(), func(tx *Tx) error {
			for i := range k {
				var flags []mail.Flag
				if i%3 == 0 {
					flags = []mail.Flag{mail.FlagSeen}
				}
				if _, err := tx.Append(inbox, m, AppendOptions{Flags: flags}); err != nil {
					return err
				}
			}
			return nil
		}))
		done += k
	}
	return a, inbox
}

func benchStore(b *testing.B) *Store {
	s, err := Open(b.Context(), mem.New(), Options{Now: newClock().now})
	must(b, err)
	return s
}

// localStore is over the embedded engine, on disk.
func localStore(b *testing.B) *Store {
	eng, err := local.Open(b.Context(), local.Options{Dir: b.TempDir(), MinFree: -1})
	must(b, err)
	s, err := Open(b.Context(), eng, Options{})
	must(b, err)
	b.Cleanup(func() {
		s.Close()
		eng.Close()
	})
	return s
}

// A sink is an engine that takes commits and forgets them, so that a benchmark
// measures the store alone.
type sink struct {
	engine.Engine
	on bool
}

func (e *sink) Commit(ctx context.Context, batches ...*engine.Batch) engine.Pending {
	if e.on {
		return sunk{}
	}
	return e.Engine.Commit(ctx, batches...)
}

type sunk struct{}

func (sunk) Wait() (engine.Pos, error) { return 0, nil }

func sinkStore(b *testing.B) (*Store, *sink) {
	e := &sink{Engine: mem.New()}
	s, err := Open(b.Context(), e, Options{Now: newClock().now})
	must(b, err)
	return s, e
}

// cpu reports the processor time per operation, which other load does not change.
func cpu(b *testing.B, per int) func() {
	start := processorTime()
	return func() {
		b.ReportMetric(float64(processorTime()-start)/float64(b.N)/float64(per), "cpu-ns/op")
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkAppend8K(b *testing.B) {
	s, e := sinkStore(b)
	a := newTestAccount(b, s, 1)
	inbox := mailboxID(b, a, "INBOX")
	text := []byte(letter(1) + strings.Repeat("This is a line of text that fills the message.\r\n", 160))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	e.on = true
	defer cpu(b, 1)()
	for b.Loop() {
		m, _ := s.Stage(b.Context())
		m.Write(text)
		m.Finish()
		must(b, a.Update(b.Context(), func(tx *Tx) error {
			_, err := tx.Append(inbox, m, AppendOptions{})
			return err
		}))
		m.Close()
	}
}

// BenchmarkAppendStaged leaves out reception and parsing.
func BenchmarkAppendStaged(b *testing.B) {
	s, e := sinkStore(b)
	a := newTestAccount(b, s, 1)
	inbox := mailboxID(b, a, "INBOX")
	m := stage(b, s, letter(1))
	b.ReportAllocs()
	e.on = true
	defer cpu(b, 1)()
	for b.Loop() {
		must(b, a.Update(b.Context(), func(tx *Tx) error {
			_, err := tx.Append(inbox, m, AppendOptions{})
			return err
		}))
	}
}

func BenchmarkAppend100Writers(b *testing.B) {
	s, e := sinkStore(b)
	a := newTestAccount(b, s, 1)
	inbox := mailboxID(b, a, "INBOX")
	text := []byte(letter(1) + strings.Repeat("This is a line of text that fills the message.\r\n", 160))
	b.SetParallelism(50)
	b.ReportAllocs()
	e.on = true
	defer cpu(b, 1)()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			m, _ := s.Stage(context.Background())
			m.Write(text)
			m.Finish()
			must(b, a.Update(context.Background(), func(tx *Tx) error {
				_, err := tx.Append(inbox, m, AppendOptions{})
				return err
			}))
			m.Close()
		}
	})
}

func BenchmarkSetFlags100k(b *testing.B) {
	s, e := sinkStore(b)
	a, inbox := fill(b, s, large)
	snapshotOf(b, a, inbox)
	op := FlagsAdd
	e.on = true
	defer cpu(b, 1)()
	for b.Loop() {
		must(b, a.Update(b.Context(), func(tx *Tx) error {
			changed, _, err := tx.SetFlags(inbox, UIDSet{{1, 1<<32 - 1}}, FlagChange{Op: op, Flags: []mail.Flag{mail.FlagFlagged}})
			if len(changed) != 1 {
				b.Error(changed)
			}
			return err
		}))
		op = FlagsAdd + FlagsRemove - op
	}
}

func BenchmarkSetOneFlag(b *testing.B) {
	s, e := sinkStore(b)
	a, inbox := fill(b, s, large)
	snapshotOf(b, a, inbox)
	op := FlagsAdd
	b.ReportAllocs()
	e.on = true
	defer cpu(b, 1)()
	for b.Loop() {
		must(b, a.Update(b.Context(), func(tx *Tx) error {
			_, _, err := tx.SetFlags(inbox, UIDSet{{50_000, 50_000}}, FlagChange{Op: op, Flags: []mail.Flag{mail.FlagFlagged}})
			return err
		}))
		op = FlagsAdd + FlagsRemove - op
	}
}

func BenchmarkCopyExpunge10k(b *testing.B) {
	s := localStore(b)
	a, inbox := fill(b, s, 10_000)
	snapshotOf(b, a, inbox)
	sent := mailboxID(b, a, "Sent")
	all := UIDSet{{1, 1<<32 - 1}}
	b.Run("copy", func(b *testing.B) {
		defer cpu(b, 1)()
		for b.Loop() {
			must(b, a.Update(b.Context(), func(tx *Tx) error {
				_, err := tx.Copy(inbox, sent, all)
				return err
			}))
			b.StopTimer()
			must(b, a.Update(b.Context(), func(tx *Tx) error {
				_, err := tx.Expunge(sent, all)
				return err
			}))
			b.StartTimer()
		}
	})
	b.Run("expunge", func(b *testing.B) {
		defer cpu(b, 1)()
		for b.Loop() {
			b.StopTimer()
			must(b, a.Update(b.Context(), func(tx *Tx) error {
				_, err := tx.Copy(inbox, sent, all)
				return err
			}))
			b.StartTimer()
			must(b, a.Update(b.Context(), func(tx *Tx) error {
				_, err := tx.Expunge(sent, all)
				return err
			}))
		}
	})
	b.Run("move", func(b *testing.B) {
		defer cpu(b, 1)()
		from, to := inbox, sent
		for b.Loop() {
			must(b, a.Update(b.Context(), func(tx *Tx) error {
				_, err := tx.Move(from, to, all)
				return err
			}))
			from, to = to, from
		}
	})
}

func BenchmarkDiff100k(b *testing.B) {
	a, inbox := fill(b, benchStore(b), large)
	old := snapshotOf(b, a, inbox)
	must(b, a.Update(b.Context(), func(tx *Tx) error {
		_, _, err := tx.SetFlags(inbox, UIDs(10, 50_000), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagFlagged}})
		return err
	}))
	two := snapshotOf(b, a, inbox)
	var half UIDSet
	for u := UID(1); u <= large; u += 2 {
		half.Add(u)
	}
	must(b, a.Update(b.Context(), func(tx *Tx) error {
		_, err := tx.Expunge(inbox, half)
		return err
	}))
	gone := snapshotOf(b, a, inbox)
	b.Run("two flags", func(b *testing.B) {
		defer cpu(b, 1)()
		for b.Loop() {
			Diff(old, two)
		}
	})
	b.Run("half expunged", func(b *testing.B) {
		defer cpu(b, 1)()
		for b.Loop() {
			Diff(old, gone)
		}
	})
}

func BenchmarkRows100k(b *testing.B) {
	a, inbox := fill(b, benchStore(b), large)
	snap := snapshotOf(b, a, inbox)
	n := 0
	defer cpu(b, large)()
	for b.Loop() {
		for _, r := range snap.Rows(0, snap.Len()) {
			n += len(snap.FlagText(r.Flags))
		}
	}
}

func BenchmarkEmails100k(b *testing.B) {
	a, inbox := fill(b, localStore(b), large)
	rows := snapshotOf(b, a, inbox).RowsOf(UIDSet{{1, large}})
	var n atomic.Int64
	b.ReportAllocs()
	defer cpu(b, large)()
	for b.Loop() {
		must(b, a.View(b.Context(), func(v *View) error {
			return v.Emails(rows, func(_ int, e *Email) bool {
				n.Add(int64(len(e.Envelope)))
				return true
			})
		}))
	}
}

func BenchmarkLoad100k(b *testing.B) {
	s := localStore(b)
	a, inbox := fill(b, s, large)
	a.mu.Lock()
	a.checkpointLocked(b.Context(), 0)
	a.mu.Unlock()
	defer cpu(b, 1)()
	for b.Loop() {
		a.evict()
		if n := snapshotOf(b, a, inbox).Len(); n != large {
			b.Fatal(n)
		}
	}
}

// BenchmarkSelect100k is a view of an account that is not in memory, without its
// messages.
func BenchmarkSelect100k(b *testing.B) {
	s := localStore(b)
	a, _ := fill(b, s, large)
	defer cpu(b, 1)()
	for b.Loop() {
		a.evict()
		must(b, a.View(b.Context(), func(v *View) error {
			_, err := v.Mailbox("INBOX")
			return err
		}))
	}
}

// BenchmarkLocal100Writers is delivery of 8 KB to one mailbox, durable.
func BenchmarkLocal100Writers(b *testing.B) {
	s := localStore(b)
	a := newTestAccount(b, s, 1)
	inbox := mailboxID(b, a, "INBOX")
	text := []byte("\r\nHello\r\n" + strings.Repeat("This is a line of text that fills the message.\r\n", 160))
	b.SetParallelism(50)
	var id atomic.Int64
	defer cpu(b, 1)()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			m, _ := s.Stage(context.Background())
			n := id.Add(1)
			fmt.Fprintf(m, "From: Ada <ada%d@demo.test>\r\nTo: ben@demo.test\r\nSubject: letter %d\r\nMessage-ID: <%d@demo.test>\r\n", n, n, n)
			m.Write(text)
			m.Finish()
			must(b, a.Update(context.Background(), func(tx *Tx) error {
				_, err := tx.Append(inbox, m, AppendOptions{})
				return err
			}))
			m.Close()
		}
	})
}

// BenchmarkOpen100k is the first look at a mailbox after a start: the index's blocks
// come from the page cache.
func BenchmarkOpen100k(b *testing.B) {
	dir := b.TempDir()
	reopen := func() (*Store, func()) {
		eng, err := local.Open(b.Context(), local.Options{Dir: dir, MinFree: -1})
		must(b, err)
		s, err := Open(b.Context(), eng, Options{})
		must(b, err)
		return s, func() {
			s.Close()
			eng.Close()
		}
	}
	s, done := reopen()
	_, inbox := fill(b, s, large)
	done()
	var spent, least time.Duration
	for b.Loop() {
		b.StopTimer()
		s, done := reopen()
		start, wall := processorTime(), time.Now()
		b.StartTimer()
		a, err := s.Account(b.Context(), 1)
		must(b, err)
		if n := snapshotOf(b, a, inbox).Len(); n != large {
			b.Fatal(n)
		}
		b.StopTimer()
		if d := time.Since(wall); least == 0 || d < least {
			least = d
		}
		spent += processorTime() - start
		done()
		b.StartTimer()
	}
	b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(least), "least-ns/op")
}
