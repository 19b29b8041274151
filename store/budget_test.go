package store

import (
	"runtime"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// held is the memory that a content's columns take.
func (c *content) held() (n int) {
	for i := range c.dir {
		k := c.dir[i].c
		n += 4*(cap(k.cols.uid)+cap(k.cols.size)+cap(k.cols.save)+cap(k.cols.date.narrow)+cap(k.cols.email.narrow)) +
			8*(cap(k.cols.date.wide)+cap(k.cols.email.wide)+cap(k.mark.modseq.wide)) + 4*(cap(k.mark.flags)+cap(k.mark.modseq.narrow)) + 280
	}
	return n
}

// A mailbox of 100,000 messages takes no more than 4 MB, as it is counted.
func TestLoadedMailboxIsSmall(t *testing.T) {
	eng := mem.New()
	made := noContent
	for i := range large / 100 {
		rows := make([]Row, 100)
		for j := range rows {
			n := 100*i + j
			rows[j] = Row{UID: UID(n + 1), Size: uint32(2000 + n*7), InternalDate: 1_700_000_000 + int64(n)*60, SaveDate: 1_800_000_000 + int64(n),
				ModSeq: ModSeq(n + 9), Email: EmailID(5*n + 1)}
		}
		made = made.append(rows)
	}
	_, err := eng.Commit(t.Context(), &engine.Batch{Account: 1, Ops: made.save(nil, 1)}).Wait()
	must(t, err)
	r := eng.Snapshot(1)
	defer r.Close()
	c, err := loadChunks(r, 1, 1)
	must(t, err)
	if n := c.held(); c.n != large || n > 4_000_000 {
		t.Errorf("%d messages take %d bytes", c.n, n)
	} else if got := c.memory(); got < int64(n)*9/10 || got > int64(n)*11/10 {
		t.Errorf("counted as %d bytes, takes %d", got, n)
	}
}

// Numbers that do not lie together are kept all the same, and a content that was
// extended before shows what it did.
func TestPacked(t *testing.T) {
	for _, list := range [][]int64{{5, 6, 7}, {-1 << 60, 3, 1 << 60}, {0, 1<<31 - 1, 1 << 31}, {1 << 40, 1<<40 - 1<<31, 1<<40 - 1<<31 - 1}} {
		p := makePacked[int64](0)
		p.push(list[0])
		before := p
		for _, v := range list[1:] {
			p.push(v)
		}
		q := makePacked[int64](2)
		q.take(&p, 1, len(list))
		for i, v := range list {
			if p.at(i) != v || i > 0 && q.at(i-1) != v {
				t.Errorf("%v: number %d is %d", list, i, p.at(i))
			}
		}
		r := p.clone()
		for i := range list { // to what lies as far from its neighbours as can be
			r.set(i, list[len(list)-1-i])
		}
		for i := range list {
			if got, want := r.at(i), list[len(list)-1-i]; got != want || p.at(i) != list[i] {
				t.Errorf("%v: number %d was set to %d, is %d and, in what it was cloned from, %d", list, i, want, got, p.at(i))
			}
		}
		if before.at(0) != list[0] {
			t.Errorf("%v: what was before is now %d", list, before.at(0))
		}
	}
}

// However many accounts are looked at, the memory that they take stays near the
// budget, with what others have seen of them.
func TestMemoryBudget(t *testing.T) {
	const budget = 256 << 10
	s := openStore(t, mem.New(), Options{MemoryBudget: budget})
	m := stage(t, s, letter(1))
	me := Principal{Account: 1000}
	heap := func() uint64 {
		var st runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&st)
		return st.HeapAlloc
	}
	const accounts, messages = 20, 1600
	for id := mail.AccountID(1); id <= accounts; id++ {
		a := newTestAccount(t, s, id)
		inbox := mailboxID(t, a, "INBOX")
		change(t, a, func(tx *Tx) error {
			for range messages {
				if _, err := tx.Append(inbox, m, AppendOptions{Flags: []mail.Flag{mail.FlagSeen}}); err != nil {
					return err
				}
			}
			return tx.SetACL(inbox, Grant{Who: me.Account, Rights: AllRights})
		})
	}
	s.trim()
	before := heap()
	for range 2 {
		for id := mail.AccountID(1); id <= accounts; id++ {
			a, err := s.Account(t.Context(), id)
			must(t, err)
			inbox := mailboxID(t, a, "INBOX")
			change(t, a.As(me), func(tx *Tx) error {
				_, _, err := tx.SetFlags(inbox, UIDs(5, 500, 1500), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}})
				return err
			})
			if n := snapshotOf(t, a.As(me), inbox).Mailbox().Unseen; n != messages-3 {
				t.Fatalf("account %d: %d unseen", id, n)
			}
			if n := s.size.Load(); n > budget {
				t.Fatalf("account %d: %d bytes in memory", id, n)
			}
		}
	}
	if after := heap(); after > before+3*budget { // all together take five times as much
		t.Errorf("the heap grew from %d to %d", before, after)
	}
}
