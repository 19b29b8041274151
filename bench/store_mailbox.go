package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// large opens the store with the large mailbox in account 1, and makes it if it is
// not there yet.
func (b *storeBench) large(ctx context.Context) (a *store.Account, err error) {
	if b.dir == "" {
		if b.dir, err = b.newDir(); err != nil {
			return nil, err
		}
		if b.eng, b.st, err = openStore(ctx, b.dir); err != nil {
			return nil, err
		}
		if err := makeAccounts(ctx, b.st, 1); err != nil {
			return nil, err
		}
		if err := b.fill(ctx); err != nil {
			return nil, err
		}
	}
	if b.st == nil {
		if b.eng, b.st, err = openStore(ctx, b.dir); err != nil {
			return nil, err
		}
	}
	return b.st.Account(ctx, 1)
}

func (b *storeBench) fill(ctx context.Context) error {
	a, err := b.st.Account(ctx, 1)
	if err != nil {
		return err
	}
	text := newMailboxText()
	for lo := 0; lo < b.messages; lo += 100 {
		var staged []*store.Staged
		for i := lo; i < min(lo+100, b.messages); i++ {
			m, err := b.st.Stage(ctx)
			if err != nil {
				return err
			}
			defer m.Close()
			if _, err := m.Write(text.message(i, b.messages)); err != nil {
				return err
			}
			if err := m.Finish(); err != nil {
				return err
			}
			staged = append(staged, m)
		}
		err := a.Update(ctx, func(tx *store.Tx) error {
			inbox, err := tx.Mailbox("INBOX")
			for i, m := range staged {
				if err == nil {
					_, err = tx.Append(inbox.ID, m, store.AppendOptions{InternalDate: messageDate(lo+i, b.messages)})
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// shut closes the store with the large mailbox, if it is open.
func (b *storeBench) shut() error {
	if b.st == nil {
		return nil
	}
	err := closeStore(b.eng, b.st)
	b.eng, b.st = nil, nil
	return err
}

// chill closes it and, if cold, empties the page cache.
func (b *storeBench) chill(ctx context.Context, cold bool) error {
	if _, err := b.large(ctx); err != nil {
		return err
	}
	if err := b.shut(); err != nil || !cold {
		return err
	}
	return chill(ctx, &peer{})
}

// inboxOf loads the INBOX.
func inboxOf(ctx context.Context, a *store.Account) (snap *store.Snapshot, err error) {
	err = a.View(ctx, func(v *store.View) error {
		mb, err := v.Mailbox("INBOX")
		if err == nil {
			snap, err = v.Snapshot(mb.ID)
		}
		return err
	})
	return snap, err
}

// opened measures from the account's name to its mailbox in memory.
func (b *storeBench) opened(ctx context.Context, cold bool) (string, error) {
	var took []time.Duration
	for range max(3, b.rounds) {
		if err := b.chill(ctx, cold); err != nil {
			return "", err
		}
		var err error
		if b.eng, b.st, err = openStore(ctx, b.dir); err != nil {
			return "", err
		}
		start := time.Now()
		a, err := b.st.Account(ctx, 1)
		if err != nil {
			return "", err
		}
		if _, err := inboxOf(ctx, a); err != nil {
			return "", err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return fmt.Sprintf("%.1f ms", float64(took[len(took)/2].Microseconds())/1e3), nil
}

func memoryRow(ctx context.Context, b *storeBench) (string, error) {
	if err := b.chill(ctx, false); err != nil {
		return "", err
	}
	a, err := b.large(ctx)
	if err != nil {
		return "", err
	}
	before := heap()
	snap, err := inboxOf(ctx, a)
	if err != nil {
		return "", err
	}
	after := heap()
	runtime.KeepAlive(snap)
	return fmt.Sprintf("%.1f MB", float64(after-before)/(1<<20)), nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func storeAll(ctx context.Context, b *storeBench) (string, error) {
	a, err := b.large(ctx)
	if err != nil {
		return "", err
	}
	var took []time.Duration
	for i := range 20 {
		op := []store.FlagOp{store.FlagsAdd, store.FlagsRemove}[i%2]
		start := time.Now()
		err := a.Update(ctx, func(tx *store.Tx) error {
			inbox, err := tx.Mailbox("INBOX")
			if err == nil {
				_, _, err = tx.SetFlags(inbox.ID, store.UIDSet{{First: 1, Last: math.MaxUint32}}, store.FlagChange{Op: op, Flags: []mail.Flag{mail.FlagFlagged}})
			}
			return err
		})
		if err != nil {
			return "", err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return fmt.Sprintf("%.2f ms, p95 %.2f ms", float64(took[10].Microseconds())/1e3, float64(took[18].Microseconds())/1e3), nil
}

// readAll reads each message of the mailbox once.
func (b *storeBench) readAll(ctx context.Context, cold bool) (string, error) {
	if err := b.chill(ctx, cold); err != nil {
		return "", err
	}
	a, err := b.large(ctx)
	if err != nil {
		return "", err
	}
	start, c := time.Now(), ownCPU()
	snap, err := inboxOf(ctx, a)
	if err != nil {
		return "", err
	}
	var n, size int64
	for lo := 0; lo < snap.Len(); lo += 512 {
		var rows []store.Row
		for _, row := range snap.Rows(lo, min(lo+512, snap.Len())) {
			rows = append(rows, row)
		}
		kept, emails := make([]store.Email, len(rows)), make([]*store.Email, len(rows))
		var arena []byte
		err := a.View(ctx, func(v *store.View) error {
			return v.Emails(rows, func(i int, e *store.Email) bool {
				kept[i] = *e
				arena = kept[i].Keep(arena)
				emails[i] = &kept[i]
				return true
			})
		})
		if err != nil {
			return "", err
		}
		var failed error
		err = a.ReadAll(ctx, emails, func(_ int, raw []byte, err error) bool {
			n, size, failed = n+1, size+int64(len(raw)), err
			return err == nil
		})
		if err = errors.Join(failed, err); err != nil {
			return "", err
		}
	}
	took := time.Since(start)
	if int(n) != snap.Len() {
		return "", fmt.Errorf("read %d of %d", n, snap.Len())
	}
	return fmt.Sprintf("%.2f s, %.0f MB/s, %.1f µs CPU a message", took.Seconds(), float64(size)/1e6/took.Seconds(), float64((ownCPU()-c).Microseconds())/float64(n)), nil
}

// expungeHalf expunges each second message, reaps and collects.
func expungeHalf(ctx context.Context, b *storeBench) (string, error) {
	a, err := b.large(ctx)
	if err != nil {
		return "", err
	}
	snap, err := inboxOf(ctx, a)
	if err != nil {
		return "", err
	}
	var half store.UIDSet
	for i := 0; i < snap.Len(); i += 2 {
		half = append(half, store.UIDRange{First: snap.UID(i), Last: snap.UID(i)})
	}
	start := time.Now()
	err = a.Update(ctx, func(tx *store.Tx) error {
		inbox, err := tx.Mailbox("INBOX")
		if err == nil {
			_, err = tx.Expunge(inbox.ID, half)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	expunged := time.Since(start)
	used := diskUse(b.dir)
	start = time.Now()
	if err := b.st.Reap(ctx, time.Now().Add(time.Hour)); err != nil {
		return "", err
	}
	reaped := time.Since(start)
	start = time.Now()
	if err := b.eng.Collect(ctx); err != nil {
		return "", err
	}
	collected := time.Since(start)
	return fmt.Sprintf("%.3f s; reaping %.2f s, collection %.2f s; on disk %d MB, then %d MB", expunged.Seconds(), reaped.Seconds(), collected.Seconds(), used>>20, diskUse(b.dir)>>20), nil
}

// diskUse is what the files below dir take on disk, in bytes.
func diskUse(dir string) (n int64) {
	filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				n += st.Blocks * 512
			}
		}
		return nil // files come and go as we look
	})
	return n
}
