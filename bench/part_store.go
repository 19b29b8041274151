package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
)

// A storeRow is a row of the part "store".
type storeRow struct {
	name, aim string
	run       func(ctx context.Context, b *storeBench) (string, error)
}

// storeRows is the table. Each row has a store of its own but those that ask the
// large mailbox.
var storeRows = []storeRow{
	{"append 8 KB, 1 writer", "≥ 80 % of the engine alone", appendRow(1)},
	{"append 8 KB, 10 writers", "≥ 80 % of the engine alone", appendRow(10)},
	{"append 8 KB, 100 writers", "≥ 80 % of the engine alone; ≤ 1.2 bytes written a byte", appendRow(100)},
	{"10,000 accounts × 100 messages of 1 KB", "≥ 40,000 msg/s, ≤ 250 MB", manyAccounts},
	{"restart after kill -9 and 1 GB", "≤ 0.5 s", restartRow},
	{"open the mailbox, cold", "≤ 12 ms", func(ctx context.Context, b *storeBench) (string, error) { return b.opened(ctx, true) }},
	{"open the mailbox, warm", "≤ 2 ms", func(ctx context.Context, b *storeBench) (string, error) { return b.opened(ctx, false) }},
	{"memory of the loaded mailbox", "≤ 4 MB", memoryRow},
	{"STORE on all of it, durable", "≤ 2 ms", storeAll},
	{"read all bodies, cold", "≤ 2.3 s", func(ctx context.Context, b *storeBench) (string, error) { return b.readAll(ctx, true) }},
	{"read all bodies, warm", "≤ 0.8 s", func(ctx context.Context, b *storeBench) (string, error) { return b.readAll(ctx, false) }},
	{"expunge half of it, and give the space back", "0.02 s, 0.6–4 s", expungeHalf},
}

// A storeBench keeps the large mailbox between rows.
type storeBench struct {
	*benchmark
	dir string
	eng *local.Engine
	st  *store.Store
}

// runStore is the part "store": the store through its own API.
func runStore(ctx context.Context, b *benchmark) (table, error) {
	t := table{head: []string{"row", "store", "result", "aim"}}
	t.notes = []string{fmt.Sprintf(`Through the store's API, in one process, on the embedded engine; an answer means durable. The engine alone commits a blob
of 8 KB and two small keys without a store above it, in the same minute. The mailbox has %d messages of about %d bytes. Cold: the store opened anew, with
an empty page cache.`, b.messages, meanSize),
		`Why many writers miss, from a profile of the CPU time (2026-11-24): 24 % is insertion into the index, 21 % writing frames,
22 % parsing the message and making its records, the rest Go's scheduler and memory. The engine alone does the second and a tenth of the first, and
nothing of the third; on two processors that are full at this rate, what the message costs is missing from the rate.`}
	s := &storeBench{benchmark: b}
	for _, row := range storeRows {
		if !b.only.MatchString(row.name) {
			continue
		}
		text, err := row.run(ctx, s)
		if err != nil {
			return t, fmt.Errorf("%s: %w", row.name, err)
		}
		fmt.Printf("%-45s %s\n", row.name, text)
		t.rows = append(t.rows, []string{row.name, "embedded", text, row.aim})
	}
	return t, s.shut()
}

func (b *storeBench) newDir() (string, error) { return os.MkdirTemp(b.base, "store") }

func openStore(ctx context.Context, dir string) (*local.Engine, *store.Store, error) {
	eng, err := local.Open(ctx, local.Options{Dir: dir, MinFree: -1, IndexCache: 64 << 20, MemTable: 64 << 20})
	if err != nil {
		return nil, nil, err
	}
	st, err := store.Open(ctx, eng, store.Options{ReapAfter: -1})
	if err != nil {
		return nil, nil, fmt.Errorf("%w (%v)", err, eng.Close())
	}
	return eng, st, nil
}

func closeStore(eng *local.Engine, st *store.Store) error {
	err := st.Close()
	if cerr := eng.Close(); err == nil {
		err = cerr
	}
	return err
}

// makeAccounts makes the accounts 1 to n.
func makeAccounts(ctx context.Context, st *store.Store, n int) error {
	for lo := 1; lo <= n; lo += 100 {
		var ids []mail.AccountID
		for id := lo; id < min(lo+100, n+1); id++ {
			ids = append(ids, mail.AccountID(id))
		}
		err := st.Update(ctx, ids, nil, func(txs []*store.Tx) error {
			for _, tx := range txs {
				if err := tx.CreateAccount(nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// append1 appends a message to the INBOX of an account.
func append1(ctx context.Context, st *store.Store, id mail.AccountID, text []byte) error {
	a, err := st.Account(ctx, id)
	if err != nil {
		return err
	}
	m, err := st.Stage(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	if _, err := m.Write(text); err != nil {
		return err
	}
	if err := m.Finish(); err != nil {
		return err
	}
	return a.Update(ctx, func(tx *store.Tx) error {
		inbox, err := tx.Mailbox("INBOX")
		if err == nil {
			_, err = tx.Append(inbox.ID, m, store.AppendOptions{})
		}
		return err
	})
}

// many lets writers work until end, or for most units; it returns how many.
func many(writers int, end time.Time, most int64, f func(writer int, n int64) error) (int64, error) {
	var n atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for errs[w] == nil && time.Now().Before(end) {
				k := n.Add(1)
				if k > most {
					n.Add(-1)
					return
				}
				errs[w] = f(w, k)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return n.Load(), nil
}

// appendRow appends with writers that have an account each, in turns with the
// engine alone.
func appendRow(writers int) func(context.Context, *storeBench) (string, error) {
	return func(ctx context.Context, b *storeBench) (string, error) {
		dir, err := b.newDir()
		if err != nil {
			return "", err
		}
		defer os.RemoveAll(dir)
		eng, st, err := openStore(ctx, dir)
		if err != nil {
			return "", err
		}
		if err := makeAccounts(ctx, st, writers); err != nil {
			return "", err
		}
		text, _ := message(8192, "sender@client.example", "a@bench.test")
		var ours, alone appendRun
		for range turns * b.rounds { // the disk is not as fast at all times
			if err = ours.turn(eng, writers, b.cell/turns, func(w int, _ int64) error {
				return append1(ctx, st, accountOf(w), text)
			}); err != nil {
				return "", err
			}
			if err = alone.turn(eng, writers, b.cell/turns, engineAppend(ctx, eng, text)); err != nil {
				return "", err
			}
		}
		a, e := ours.rate(), alone.rate()
		return fmt.Sprintf("%.0f msg/s, engine alone %.0f (%.0f %%); %d µs CPU, engine alone %d, %.2f syncs a message; %.2f bytes written to the log a byte",
			a, e, 100*a/e, ours.perMessage(), alone.perMessage(), float64(ours.syncs)/float64(ours.n), float64(ours.written)/float64(ours.n*8192)), closeStore(eng, st)
	}
}

// engineAppend commits to the engine what a delivery is at least: the bytes of the
// message with a value of the size of its record, and a small value.
func engineAppend(ctx context.Context, eng engine.Engine, text []byte) func(w int, k int64) error {
	val := make([]byte, 500)
	return func(w int, k int64) error {
		key := fmt.Appendf(nil, "zz%d", k)
		_, err := eng.Commit(ctx, &engine.Batch{Account: engine.Account(1_000_000 + w), Expect: engine.AnyVersion,
			Ops: []engine.Op{{Key: key, Val: val, Blob: &engine.Blob{Bytes: text}}, {Key: []byte("zy"), Val: val[:60]}}}).Wait()
		return err
	}
}

// turns is in how many parts a cell is cut, so that what is compared has the same disk.
const turns = 5

// An appendRun adds up the turns of one side of a comparison.
type appendRun struct {
	n              int64
	took, cpu      time.Duration
	syncs, written uint64
}

func (r *appendRun) turn(eng *local.Engine, writers int, d time.Duration, f func(w int, k int64) error) error {
	before, c, start := eng.Stats(), ownCPU(), time.Now()
	n, err := many(writers, start.Add(d), maxMessages, f)
	r.took, r.cpu, r.n = r.took+time.Since(start), r.cpu+ownCPU()-c, r.n+n
	after := eng.Stats()
	r.syncs, r.written = r.syncs+after.Syncs-before.Syncs, r.written+after.WrittenBytes-before.WrittenBytes
	return err
}

func (r *appendRun) rate() float64 { return float64(r.n) / r.took.Seconds() }

// perMessage is processor time in microseconds.
func (r *appendRun) perMessage() int64 { return (r.cpu / time.Duration(max(r.n, 1))).Microseconds() }

func accountOf(writer int) mail.AccountID { return mail.AccountID(writer + 1) }

// fillEnv makes a child of this program fill a store until it is killed.
const fillEnv = "POSTHOUSE_BENCH_FILL"

// fillForever appends until the process is killed; it says each 10,000th.
func fillForever(ctx context.Context, dir string) error {
	_, st, err := openStore(ctx, dir)
	if err != nil {
		return err
	}
	if err := makeAccounts(ctx, st, 50); err != nil {
		return err
	}
	text, _ := message(8192, "sender@client.example", "a@bench.test")
	_, err = many(50, time.Now().Add(time.Hour), math.MaxInt64, func(w int, k int64) error {
		if k%10_000 == 0 {
			fmt.Println(k)
		}
		return append1(ctx, st, accountOf(w), text)
	})
	return err
}

// restartRow kills a store that has taken 1 GB, and opens it.
func restartRow(ctx context.Context, b *storeBench) (string, error) {
	dir, err := b.newDir()
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	want := "130000" // of 8 KB
	if b.quick {
		want = "20000"
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fillEnv+"="+dir)
	w := &watcher{want: want, seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-w.seen:
	case err := <-ended:
		return "", fmt.Errorf("the child ended: %w\n%s", err, w.text.String())
	case <-ctx.Done():
	}
	cmd.Process.Signal(syscall.SIGKILL)
	<-ended
	start := time.Now()
	eng, st, err := openStore(ctx, dir)
	took := time.Since(start)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%v after %s messages of 8 KB, %d frames replayed", took.Round(time.Millisecond), want, eng.Stats().ReplayedFrames), closeStore(eng, st)
}
